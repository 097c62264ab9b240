"""Attempt: give one claimed task to the creator and settle what comes of it.

The outcome of a create that was cut off is unknown, so the creator's rows are searched for this attempt's mark before
anything else happens: found means accepted. An outcome that cannot be written, because the database is away, is kept
and tried again: it is what the creator was paid for.
"""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final
from uuid import UUID

import anyio
import structlog
from anyio.abc import TaskGroup

from contenthubd.domain.attempt import Child, mark_of
from contenthubd.domain.errors import Unavailable
from contenthubd.domain.outcome import Accepted, Interrupted, Outcome, Sick, Unknown
from contenthubd.domain.task import Mode, Task
from contenthubd.ports.clock import Clock
from contenthubd.ports.creator import Creator
from contenthubd.ports.flights import FlightStore
from contenthubd.ports.stage import Stage, Wake
from contenthubd.stages.pause import Pause
from contenthubd.stages.settle import Settle
from contenthubd.stages.slots import Slots

FIRST_PAUSE: Final = 0.2
LONGEST_PAUSE: Final = 5.0
LOOKUPS: Final = 3
Key = tuple[UUID, int]
"""Task and attempt: a task that was cancelled and revived may have its old attempt and its new one here at once."""
log = structlog.get_logger(__name__)


class Attempts:
    """The attempts that this daemon's own children work on just now."""

    def __init__(
        self,
        creator: Creator,
        flights: FlightStore,
        settle: Settle,
        clock: Clock,
        slots: Slots,
        pause: Pause,
        wake: Wake,
        *,
        owner: str,
    ) -> None:
        self._creator = creator
        self._flights = flights
        self._settle = settle
        self._clock = clock
        self._slots = slots
        self._pause = pause
        self._wake = wake
        self._owner = owner
        self._scopes: dict[Key, anyio.CancelScope] = {}
        self._killable: dict[Key, anyio.CancelScope] = {}
        self._closed = False
        self._group: TaskGroup | None = None

    def open(self, group: TaskGroup) -> None:
        """Let attempts run as children of ``group``."""
        self._group = group

    @property
    def running(self) -> int:
        """How many attempts occupy a child of ours."""
        return len(self._scopes)

    def start(self, task: Task) -> None:
        """Begin an attempt in the background."""
        if self._group is None:
            raise RuntimeError("attempts were started before the daemon's task group was open")
        self._group.start_soon(self.run, task, name=f"attempt {task.task_id}")

    def interrupt(self, task_id: UUID) -> None:
        """Kill the child that generates a task's article, if there is one here.

        A ``create`` of async mode is never cut off: it takes a moment, and killing it would leave an unknown outcome.
        """
        for (killable, _), scope in self._killable.items():
            if killable == task_id:
                scope.cancel()

    def interrupt_all(self) -> None:
        """The hard part of a planned stop."""
        for scope in self._killable.values():
            scope.cancel()

    def close(self) -> None:
        """Give up what still cannot be written: its lease runs out, and the next daemon finds out what became of it."""
        self._closed = True
        for scope in self._scopes.values():
            scope.cancel()

    async def run(self, task: Task) -> None:
        """From claim to settle; never raises for what the creator or the database do."""
        outcome: Outcome = Interrupted()
        key = task.task_id, task.attempt
        with anyio.CancelScope() as scope:
            self._scopes[key] = scope
            if task.mode is Mode.SYNC:
                self._killable[key] = scope
            try:
                outcome = await self._try(task)
            finally:
                self._killable.pop(key, None)
        if isinstance(outcome, Sick):
            self._pause.trip(outcome)
        elif not isinstance(outcome, Interrupted):
            self._pause.clear()
        with anyio.CancelScope(shield=True):
            await self._written(lambda: self._end(task, outcome))
        del self._scopes[key]

    async def _try(self, task: Task) -> Outcome:
        mark = mark_of(task.task_id, task.attempt)
        if task.mode is Mode.SYNC:
            return await self._generate(task, mark)
        outcome = await self._creator.create(task, mark)
        if isinstance(outcome, Unknown):
            return await self._reconcile(task, mark, outcome)
        return outcome

    async def _generate(self, task: Task, mark: str) -> Outcome:
        async def started(child: Child) -> None:
            await self._written(lambda: self._flights.own_child(task.task_id, task.attempt, child))

        deadline = task.deadline_at
        left = deadline - self._clock.now() if deadline else task.timeout
        return await self._creator.generate(task, mark, max(left, timedelta()), started)

    async def _reconcile(self, task: Task, mark: str, unknown: Unknown) -> Outcome:
        """Nothing is created again before the creator's rows were searched: a late insert needs a second look.

        A creator too sick to be asked is asked again, until the attempt's time is over.
        """
        pause, answers = FIRST_PAUSE, 0
        while answers < LOOKUPS:
            rows = await self._creator.find([mark])
            if isinstance(rows, Sick):
                log.warning("lookup_postponed", task_id=str(task.task_id), kind=rows.kind, cause=rows.cause)
                if task.deadline_at is None or self._clock.now() >= task.deadline_at:
                    break
                await anyio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE)
                continue
            answers += 1
            if mark in rows:
                log.info("attempt_reconciled", task_id=str(task.task_id), attempt=task.attempt, lookup=answers)
                return Accepted(rows[mark].creator_task_id)
        return unknown

    async def _end(self, task: Task, outcome: Outcome) -> None:
        if await self._settle(task, outcome, owner=self._owner):
            return
        # The task was cancelled, or completed by an earlier attempt: this attempt only has to end.
        if isinstance(outcome, Accepted):
            now = self._clock.now()
            await self._flights.accepted_late(task.task_id, task.attempt, outcome.creator_task_id, now)
            self._wake(Stage.POLL)
        elif await self._flights.end(task.task_id, task.attempt, self._clock.now(), "dropped"):
            self._slots.give_back()
        else:
            log.warning("lease_lost", task_id=str(task.task_id), attempt=task.attempt)

    async def _written(self, write: Callable[[], Awaitable[None]]) -> None:
        pause = FIRST_PAUSE
        while not self._closed:
            try:
                return await write()
            except Unavailable as fault:
                log.warning("write_postponed", error=str(fault), pause_seconds=pause)
            await anyio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)
