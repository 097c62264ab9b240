"""Attempt: give one claimed task to the creator and settle what comes of it.

Whatever a create ended with, unless it surely never ran, the creator's rows are searched for this attempt's mark before
anything else happens: found means accepted. So are they for the marks of earlier attempts before anything is created.

An outcome that cannot be written, because the database is away, is kept and tried again: it is what the creator was
paid for. Its lease is not renewed meanwhile, so whoever can write may take the attempt over; every write carries the
owner and the attempt, and the one that comes too late changes nothing.

A fault of our own over one task ends that attempt and nothing else.
"""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from math import inf
from typing import Final
from uuid import UUID

import anyio
import structlog
from anyio.abc import TaskGroup

from contenthubd import faultpoints
from contenthubd.domain.attempt import AttemptOutcome, Child, mark_of
from contenthubd.domain.errors import Unavailable
from contenthubd.domain.outcome import (
    Accepted,
    Failed,
    Interrupted,
    Outcome,
)
from contenthubd.domain.task import Mode, Task
from contenthubd.ports.clock import Clock
from contenthubd.ports.creator import Creator
from contenthubd.ports.flights import FlightStore, History, Key
from contenthubd.ports.stage import Stage, Wake
from contenthubd.stages.contain import internal_error
from contenthubd.stages.lookup import FIRST_PAUSE, LONGEST_PAUSE, Lookup, is_told
from contenthubd.stages.pause import Pause
from contenthubd.stages.settle import Settle
from contenthubd.stages.slots import Slots
from contenthubd.stages.suspects import Suspects, sickness_in

NOTE_TRIES: Final = 2
MOST_CRASHED: Final = 1000
"""Far more than there are places: an attempt without an outcome holds its place until it is rescued."""
log = structlog.get_logger(__name__)


class Attempts:
    """The attempts that this daemon's own children work on just now."""

    def __init__(
        self,
        creator: Creator,
        flights: FlightStore,
        history: History,
        settle: Settle,
        clock: Clock,
        slots: Slots,
        pause: Pause,
        wake: Wake,
        *,
        owner: str,
        first_pause: float = FIRST_PAUSE,
    ) -> None:
        self._creator = creator
        self._flights = flights
        self._history = history
        self._settle = settle
        self._clock = clock
        self._slots = slots
        self._pause = pause
        self._wake = wake
        self._owner = owner
        self._held: dict[Key, timedelta] = {}
        self._suspects = Suspects()
        self._lookup = Lookup(creator, self._left, first_pause)
        self._unwritten: set[Key] = set()
        self._crashed: dict[Key, None] = {}
        self._scopes: dict[Key, anyio.CancelScope] = {}
        self._killable: dict[Key, anyio.CancelScope] = {}
        self._closed = False
        self._group: TaskGroup | None = None

    def open(self, group: TaskGroup) -> None:
        """Let attempts run as children of ``group``."""
        self._group = group

    @property
    def running(self) -> int:
        """How many attempts have begun here and not ended."""
        return len(self._held)

    @property
    def held(self) -> frozenset[Key]:
        """The attempts of this daemon that have not ended: nobody here may rescue them."""
        return frozenset(self._held)

    @property
    def alive(self) -> frozenset[Key]:
        """Those of them whose lease is to be renewed: all but the ones whose outcome waits to be written."""
        return frozenset(self._held.keys() - self._unwritten)

    def crashed(self, key: Key) -> bool:
        """Whether a fault of our own ended this attempt without an outcome; its lease tells when it is rescued."""
        return key in self._crashed

    def rescued(self, key: Key) -> None:
        """It has an outcome now."""
        self._crashed.pop(key, None)

    def _note_crash(self, key: Key) -> None:
        """The oldest may have been rescued by another daemon, which tells us nothing; it goes first."""
        self._crashed[key] = None
        while len(self._crashed) > MOST_CRASHED:
            del self._crashed[next(iter(self._crashed))]

    def hold(self, task: Task) -> None:
        """Count a claimed attempt as ours from now on: its lease is renewed."""
        self._held.setdefault((task.task_id, task.attempt), self._clock.uptime())

    def start(self, task: Task) -> None:
        """Begin an attempt in the background."""
        if self._group is None:
            raise RuntimeError("attempts were started before the daemon's task group was open")
        self.hold(task)
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
        """From claim to settle; never raises for what the creator or the database do, nor for a fault of our own."""
        key = task.task_id, task.attempt
        self.hold(task)
        try:
            outcome = self._suspects.judged(task.task_id, await self._outcome(task, key))
            sick = sickness_in(outcome)
            if sick:
                self._pause.trip(sick)
            elif not isinstance(outcome, Interrupted):
                self._pause.clear()
            with anyio.CancelScope(shield=True):
                await self._settled(task, key, outcome)
        except Exception as fault:  # one task must not end the daemon; told with its traceback
            self._note_crash(key)
            log.error("attempt_left_to_its_lease", task_id=str(task.task_id), attempt=task.attempt, exc_info=fault)
        finally:
            self._scopes.pop(key, None)
            self._unwritten.discard(key)
            self._held.pop(key, None)

    async def _outcome(self, task: Task, key: Key) -> Outcome:
        outcome: Outcome = Interrupted()
        with anyio.CancelScope() as scope:
            self._scopes[key] = scope
            if task.mode is Mode.SYNC:
                self._killable[key] = scope
            try:
                outcome = await self._try(task, mark_of(*key))
            finally:
                self._killable.pop(key, None)
        return outcome

    async def _try(self, task: Task, mark: str) -> Outcome:
        """Look for what earlier attempts left, hand the task over, and look again unless all is told."""
        try:
            numbers = await self._unplaced(task)
            found = Interrupted() if numbers is None else await self._lookup.before(task, numbers)
            if found is not None:
                return found
            outcome = await (self._generate(task, mark) if task.mode is Mode.SYNC else self._create(task, mark))
        except Exception as fault:  # noqa: BLE001 - one task must not end the daemon; told with its traceback
            outcome = _failed(task, fault)
        return outcome if is_told(task.mode, outcome) else await self._lookup.after(task, mark, outcome)

    async def _create(self, task: Task, mark: str) -> Outcome:
        outcome = await self._creator.create(task, mark)
        faultpoints.reached("create.answered")
        return outcome

    async def _unplaced(self, task: Task) -> list[int] | None:
        """The earlier attempts of which no id is known; None if we are to stop before the database says so."""
        numbers: list[int] = []

        async def read() -> None:
            numbers[:] = await self._history.unplaced(task.task_id)

        return numbers if task.attempt == 1 or await self._written(read) else None

    def _left(self, task: Task) -> timedelta:
        """How much of the attempt's time is left; counted from when its claim was ours."""
        began = self._held.get((task.task_id, task.attempt), self._clock.uptime())
        return max(task.timeout - (self._clock.uptime() - began), timedelta())

    async def _settled(self, task: Task, key: Key, outcome: Outcome) -> None:
        """Write the outcome; one that cannot be stored at all becomes a failure, which surely can."""
        try:
            await self._written(lambda: self._end(task, outcome), outcome_of=key)
        except Exception as fault:  # noqa: BLE001 - one task must not end the daemon; told with its traceback
            failed = _failed(task, fault)
            await self._written(lambda: self._end(task, failed), outcome_of=key)

    async def _generate(self, task: Task, mark: str) -> Outcome:
        key = task.task_id, task.attempt

        async def remember(child: Child) -> None:
            if not await self._flights.own_child(*key, child, self._owner):
                log.warning("lease_lost", task_id=str(task.task_id), attempt=task.attempt)
                self._scopes[key].cancel()

        async def started(child: Child) -> None:
            # Not for longer: meanwhile nobody watches its deadline, nor how much it writes.
            if not await self._written(lambda: remember(child), tries=NOTE_TRIES):
                log.warning("child_not_noted", task_id=str(task.task_id), attempt=task.attempt, pid=child.pid)
            faultpoints.reached("generate.noted")

        outcome = await self._creator.generate(task, mark, self._left(task), started)
        faultpoints.reached("generate.ended")
        return outcome

    async def _end(self, task: Task, outcome: Outcome) -> None:
        if await self._settle(task, outcome, owner=self._owner):
            return
        # The task was cancelled, or completed by an earlier attempt: this attempt only has to end.
        if isinstance(outcome, Accepted):
            now, creator_task_id = self._clock.now(), outcome.creator_task_id
            if await self._flights.accepted_late(task.task_id, task.attempt, creator_task_id, now, self._owner):
                return self._wake(Stage.POLL)
        elif await self._flights.end(
            task.task_id, task.attempt, self._clock.now(), AttemptOutcome.DROPPED, self._owner
        ):
            return self._slots.give_back()
        log.warning("lease_lost", task_id=str(task.task_id), attempt=task.attempt, outcome=type(outcome).__name__)

    async def _written(
        self, write: Callable[[], Awaitable[None]], *, outcome_of: Key | None = None, tries: float = inf
    ) -> bool:
        """Write as soon as it can be done; told when it has to wait, and when it has come true, not in between."""
        pause, failed = FIRST_PAUSE, 0
        while not self._closed and failed < tries:
            try:
                await write()
            except Unavailable as fault:
                failed += 1
                if failed == 1:
                    log.warning("write_postponed", error=str(fault))
                if outcome_of is not None:
                    self._unwritten.add(outcome_of)
            else:
                if failed:
                    log.info("write_succeeded_after_retry", tries=failed + 1)
                return True
            await anyio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)
        return False


def _failed(task: Task, fault: Exception) -> Failed:
    log.error("attempt_crashed", task_id=str(task.task_id), attempt=task.attempt, exc_info=fault)
    return internal_error(fault)
