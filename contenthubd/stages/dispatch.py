"""Dispatch: free places → ids from the queue → claims → attempts.

The queue is only a hint: when it is empty it is filled again from the database, so an id that was lost, or an id that
could not run in the mode the creator allows just now, comes back by itself; so it is every minute, in case the queue
never runs empty. A sick creator pauses dispatch with a growing delay and costs no task an attempt.

A claim that PostgreSQL did not answer in time may have been made all the same, even some time later. Its ids are kept
in mind and started when they turn up, so that they need not wait for the rescue until their lease runs out.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Final
from uuid import UUID

import structlog

from contenthubd import faultpoints
from contenthubd.domain.attempt import AttemptOutcome, Flight
from contenthubd.domain.errors import Unavailable
from contenthubd.domain.moment import Moment
from contenthubd.domain.outcome import ErrorKind, Sick
from contenthubd.domain.task import Mode, Task
from contenthubd.ports.clock import Clock
from contenthubd.ports.creator import Creator
from contenthubd.ports.flights import FlightStore
from contenthubd.ports.queue import TaskQueue
from contenthubd.ports.tasks import Lease, TaskStore
from contenthubd.stages.pause import Pause
from contenthubd.stages.slots import Slots

IDLE: Final = timedelta(seconds=30)
RECHECK: Final = timedelta(seconds=1)
REFRESH: Final = timedelta(seconds=60)
DOUBT: Final = timedelta(seconds=120)
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
        pause: Pause,
        *,
        lease: Callable[[], Lease | None],
        start: Callable[[Task], None],
        sync_when_down: bool,
        refill: int,
        async_missed: Callable[[], bool],
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
        self.async_missed = async_missed
        """Whether the studio counts on async mode even while no task waits for it."""
        self._pause = pause
        self._sick: Sick | None = None
        self._held_up = False
        self._run_as: Mapping[Mode, Mode] = {}
        self._refilled_at: timedelta | None = None
        self._doubtful: dict[UUID, Moment] = {}

    async def tick(self) -> timedelta:
        """Fill the free places; wait until woken when there is nothing to do."""
        lease = self._lease()
        if lease is not None and self._doubtful:
            await self._start_doubtful(lease)
        if lease is None or not self._slots.free:
            return RECHECK if self._doubtful else IDLE
        if self._pause.left:
            return self._pause.left
        run_as = await self._runnable()
        if not run_as:
            return self._pause.left
        if run_as != self._run_as or self._stale():
            self._run_as = run_as
            await self._refill()
        ids = await self._take()
        if not ids and not await self._refill():
            return RECHECK if await self._someone_is_held_up() else IDLE
        return await self._claim(ids or await self._take(), lease)

    async def _claim(self, ids: list[UUID], lease: Lease) -> timedelta:
        if not ids:
            return IDLE
        at = self._clock.moment()
        faultpoints.reached("dispatch.taken")
        try:
            claimed = await self._tasks.claim(ids, run_as=self._run_as, slots=self._slots.total, lease=lease, at=at)
        except Unavailable:
            self._doubtful.update(dict.fromkeys(ids, at))
            self._refilled_at = None
            raise
        if claimed:
            faultpoints.reached("dispatch.claimed")
        self._slots.take(len(claimed))
        for task in claimed:
            self._begin(task)
        if len(claimed) == len(ids):
            return timedelta()
        changes = self._slots.changes
        self._slots.correct(len(await self._flights.in_flight(lease.instance)), changes)
        await self._refill()
        return timedelta() if claimed else RECHECK

    def _begin(self, task: Task) -> None:
        self._doubtful.pop(task.task_id, None)
        log.info("task_claimed", task_id=str(task.task_id), attempt=task.attempt, mode=task.mode)
        self._start(task)

    async def _start_doubtful(self, lease: Lease) -> None:
        """Start what an unanswered claim claimed after all; forget what has not turned up for long."""
        changes = self._slots.changes
        flights = await self._flights.in_flight(lease.instance)
        self._slots.correct(len(flights), changes)
        for flight in flights:
            if flight.owner == lease.owner and self._claimed_by(flight):
                await self._start_if_current(flight, lease.length)
        now = self._clock.moment()
        self._doubtful = {task_id: since for task_id, since in self._doubtful.items() if now.since(since) < DOUBT}

    def _claimed_by(self, flight: Flight) -> bool:
        """Whether it is the attempt of the claim that was not answered."""
        claimed = self._doubtful.get(flight.task_id)
        return claimed is not None and claimed.wall == flight.claimed.wall

    async def _start_if_current(self, flight: Flight, length: timedelta) -> None:
        """Nobody kept the lease of an attempt that nobody knew of: once it ran out, the rescue has it."""
        if not flight.current:
            at = self._clock.now()
            if await self._flights.end(flight.task_id, flight.attempt, at, AttemptOutcome.DROPPED, flight.owner):
                self._slots.give_back()
            return
        task = await self._tasks.get(flight.task_id)
        if flight.leased_until is not None and flight.age(self._clock.moment()) < length:
            self._begin(replace(task, mode=flight.mode))

    async def _someone_is_held_up(self) -> bool:
        """Whether a task waits for the creator to be well again; a sick creator that nobody needs is left alone."""
        self._held_up = self._sick is not None and bool(await self._tasks.waiting(1, tuple(Mode)))
        if self._held_up:
            self._pause.tell(self._sick)
        return self._held_up

    def _stale(self) -> bool:
        return self._refilled_at is None or self._clock.uptime() - self._refilled_at >= REFRESH

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
        self._refilled_at = self._clock.uptime()
        await self._queue.clear(lane_of(self._run_as))
        waiting = await self._tasks.waiting(self._refill_limit, self._run_as)
        await self._queue.put(waiting)
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
        found = {Mode.SYNC: sync_sick, Mode.ASYNC: async_sick}
        self._pause.lacking = {mode: sick for mode, sick in found.items() if sick is not None and mode not in run_as}
        self._tell(async_sick, sync_sick, paused=not run_as)
        return run_as

    def _tell(self, async_sick: Sick | None, sync_sick: Sick | None, *, paused: bool) -> None:
        """Where tasks are meant for sync mode, what only async mode lacks is no fault until a task waits for it."""
        self._sick = sick = async_sick or sync_sick
        if sick is not None and paused:
            self._pause.trip(sick)
        missed = sync_sick is not None or self._held_up or self.async_missed()
        self._pause.tell(sick if missed else None)


def lane_of(run_as: Mapping[Mode, Mode]) -> str:
    """The queue's lane of those who can run the tasks of these modes; empty where that is every task."""
    return "" if len(run_as) == len(Mode) else "+".join(sorted(run_as))
