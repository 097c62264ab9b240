"""Dispatch: free places → ids from the queue → claims → attempts.

The queue is only a hint: when it is empty it is filled again from the database, so an id that was lost, or an id that
could not run in the mode the creator allows just now, comes back by itself. A sick creator pauses dispatch with a
growing delay and costs no task an attempt.
"""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Final
from uuid import UUID

import structlog

from contenthubd.domain.outcome import ErrorKind, Sick
from contenthubd.domain.task import Mode, Task
from contenthubd.ports import Clock, Creator, FlightStore, Lease, TaskQueue, TaskStore
from contenthubd.stages.slots import Slots

IDLE: Final = timedelta(seconds=30)
FIRST_PAUSE: Final = timedelta(seconds=1)
LONGEST_PAUSE: Final = timedelta(seconds=30)
RECHECK: Final = timedelta(seconds=1)
log = structlog.get_logger(__name__)


class Dispatch:
    """Gives waiting tasks to attempts while there are free places."""

    def __init__(
        self,
        tasks: TaskStore,
        flights: FlightStore,
        queue: TaskQueue,
        creator: Creator,
        clock: Clock,
        slots: Slots,
        *,
        lease: Callable[[], Lease | None],
        start: Callable[[Task], None],
        sync_when_down: bool,
        refill: int,
    ) -> None:
        self._tasks = tasks
        self._flights = flights
        self._queue = queue
        self._creator = creator
        self._clock = clock
        self._slots = slots
        self._lease = lease
        self._start = start
        self._sync_when_down = sync_when_down
        self._refill_limit = refill
        self._pauses = 0
        self._run_as: Mapping[Mode, Mode] = {}
        self.sick: Sick | None = None

    async def tick(self) -> timedelta:
        """Fill the free places; wait until woken when there is nothing to do."""
        lease = self._lease()
        if lease is None or not self._slots.free:
            return IDLE
        run_as = await self._runnable()
        if not run_as:
            self._pauses += 1
            doubled: timedelta = FIRST_PAUSE * (1 << min(self._pauses - 1, 10))
            return min(doubled, LONGEST_PAUSE)
        self._pauses = 0
        if run_as != self._run_as:
            self._run_as = run_as
            await self._refill()
        ids = await self._take()
        if not ids and not await self._refill():
            return RECHECK if self.sick else IDLE
        return await self._claim(ids or await self._take(), lease)

    async def _claim(self, ids: list[UUID], lease: Lease) -> timedelta:
        if not ids:
            return IDLE
        claimed = await self._tasks.claim(
            ids, run_as=self._run_as, slots=self._slots.total, lease=lease, now=self._clock.now()
        )
        self._slots.take(len(claimed))
        for task in claimed:
            log.info("task_claimed", task_id=str(task.task_id), attempt=task.attempt, mode=task.mode)
            self._start(task)
        if len(claimed) == len(ids):
            return timedelta()
        self._slots.correct(len(await self._flights.in_flight(lease.instance)))
        await self._refill()
        return timedelta() if claimed else RECHECK

    async def _take(self) -> list[UUID]:
        ids: list[UUID] = []
        while len(ids) < self._slots.free and (task_id := await self._queue.take()) is not None:
            ids.append(task_id)
        return ids

    async def _refill(self) -> bool:
        """Read the queue from the database anew.

        Cleared before the database is read: an id that is submitted in between is in one of the two. One row more
        than the queue holds, so that a full queue knows where its knowledge ends and keeps the order.
        """
        await self._queue.clear()
        waiting = await self._tasks.waiting(self._refill_limit, self._run_as)
        for task_id, rank in waiting:
            await self._queue.put(task_id, rank)
        return bool(waiting)

    async def _runnable(self) -> Mapping[Mode, Mode]:
        """Which mode each task's mode may run in just now."""
        run_as: dict[Mode, Mode] = {}
        sync_sick = await self._creator.ready(Mode.SYNC)
        async_sick = await self._creator.ready(Mode.ASYNC)
        if sync_sick is None:
            run_as[Mode.SYNC] = Mode.SYNC
        if async_sick is None:
            run_as[Mode.ASYNC] = Mode.ASYNC
        elif sync_sick is None and self._sync_when_down and async_sick.kind is ErrorKind.CREATOR_REDIS_DOWN:
            run_as[Mode.ASYNC] = Mode.SYNC
        self._told(async_sick or sync_sick)
        return run_as

    def _told(self, sick: Sick | None) -> None:
        if sick == self.sick:
            return
        if sick is None or self.sick is None or sick.kind is not self.sick.kind:
            log.info("dispatch_resumed" if sick is None else "dispatch_paused", kind=sick.kind if sick else None)
        self.sick = sick
