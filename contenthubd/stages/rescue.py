"""Rescue: free what a dead daemon held. A lease that ran out, or one of an earlier daemon on this state directory.

A sweep goes through all of them in the order of their ids, a page a tick, and past what cannot be freed just now, so
that nothing starves behind it. Our own leases run out too: of a claim that was never answered, or of an attempt that a
fault of our own ended.

What is done follows from where the attempt was, after the old child is proven dead:

- calling create (async): its mark is looked up at the creator; found → accepted, else back to pending, uncharged
- generating in our child (sync): an article that was finished after all is taken, a failure is the task's, and what
  was cut off goes back to pending, uncharged
- abandoned: found → its end is awaited, else it ended
- claimed by us and never begun: back to pending, uncharged

A task over which daemons keep dying is parked as poison (see ``settle``).
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Final

import structlog

from contenthubd import faultpoints
from contenthubd.domain.attempt import AttemptOutcome, Flight
from contenthubd.domain.outcome import (
    Accepted,
    CreatorRow,
    ErrorKind,
    Failed,
    Interrupted,
    Outcome,
    RowState,
    Sick,
    Unknown,
)
from contenthubd.domain.task import Mode
from contenthubd.ports.clock import Clock
from contenthubd.ports.creator import Creator, CreatorWatch
from contenthubd.ports.flights import FlightStore, Key
from contenthubd.ports.stage import Stage, Wake
from contenthubd.ports.tasks import Lease, TaskStore
from contenthubd.stages.attempt import Attempts
from contenthubd.stages.contain import Contain, internal_error
from contenthubd.stages.settle import Settle
from contenthubd.stages.slots import Slots

LIMIT: Final = 100
AGAIN: Final = timedelta(seconds=1)
MOST_TOLD: Final = 1000
"""Troubles remembered; they are forgotten together, which only tells each of them once more."""
log = structlog.get_logger(__name__)


class Rescue:
    """Takes over expired leases, page by page."""

    def __init__(
        self,
        tasks: TaskStore,
        flights: FlightStore,
        creator: Creator,
        watch: CreatorWatch,
        settle: Settle,
        attempts: Attempts,
        clock: Clock,
        slots: Slots,
        wake: Wake,
        *,
        lease: Callable[[], Lease | None],
        state_id: str,
        every: timedelta,
    ) -> None:
        self._tasks = tasks
        self._flights = flights
        self._creator = creator
        self._watch = watch
        self._settle = settle
        self._attempts = attempts
        self._clock = clock
        self._slots = slots
        self._wake = wake
        self._lease = lease
        self._state_id = state_id
        self._every = every
        self._contain = Contain("rescue")
        self._after: Key | None = None
        self._postponed: set[Key] = set()
        self._told: set[object] = set()

    async def tick(self) -> timedelta:
        """One page of expired leases; behind the last one, whether another sweep is needed soon."""
        lease = self._lease()
        if lease is None:
            return self._every
        expired = await self._flights.expired(
            self._clock.now(), self._state_id, lease, held=self._attempts.held, after=self._after, limit=LIMIT
        )
        await self._page(expired, lease)
        if len(expired) == LIMIT:
            return timedelta()
        self._after = None
        again, self._postponed = bool(self._postponed), set()
        if not again:
            self._told.clear()
        return AGAIN if again else self._every

    async def _page(self, expired: Sequence[Flight], lease: Lease) -> None:
        # A create that still lives could insert its row after we looked for it, and the task would be created twice.
        gone = bool(expired) and self._watch.orphans_gone()
        ended = [one for one in expired if gone and (one.child is None or self._watch.end_child(one.child))]
        rows = await self._creator.find([flight.mark for flight in ended]) if ended else {}
        if isinstance(rows, Sick):
            self._tell_once(rows, kind=rows.kind, cause=rows.cause, count=len(ended))
        elif ended:
            faultpoints.reached("rescue.looked_up")
        for flight in expired:
            # Before it is tried: should this one fail with a fault of ours, the next tick goes on behind it.
            self._after = flight.task_id, flight.attempt
            self._postponed.add(self._after)
            if flight not in ended or isinstance(rows, Sick):
                continue
            await self._contained(flight, partial(self._tried, flight, rows.get(flight.mark), lease))

    async def _contained(self, flight: Flight, work: Callable[[], Awaitable[object]]) -> None:
        """One attempt's trouble is its own; the third time it is ended for it."""
        fault = await self._contain((flight.task_id, flight.attempt), work)
        if fault is not None:
            ended = partial(self._crashed, flight, internal_error(fault))
            await self._contain(("end", flight.task_id, flight.attempt), ended)

    async def _tried(self, flight: Flight, row: CreatorRow | None, lease: Lease) -> None:
        if await self._free(flight, row, lease):
            self._attempts.rescued((flight.task_id, flight.attempt))
            self._postponed.discard((flight.task_id, flight.attempt))

    async def _crashed(self, flight: Flight, failed: Failed) -> None:
        task = await self._tasks.get(flight.task_id)
        if task.attempt == flight.attempt and flight.current:
            await self._settle(task, failed)
        else:
            now = self._clock.now()
            await self._flights.end(flight.task_id, flight.attempt, now, AttemptOutcome.DIED, flight.owner)

    def _tell_once(self, trouble: Sick | Unknown, **told: object) -> None:
        """Not at every sweep: a creator may be sick for hours."""
        gist = trouble.gist if isinstance(trouble, Sick) else told.get("task_id")
        if gist not in self._told:
            log.warning("rescue_postponed", **told)
        if len(self._told) >= MOST_TOLD:
            self._told.clear()
        self._told.add(gist)

    async def _free(self, flight: Flight, row: CreatorRow | None, lease: Lease) -> bool:
        """False if it has to be tried again."""
        key, now = (flight.task_id, flight.attempt), self._clock.moment()
        unbegun = f"{lease.owner}/unbegun"
        never_begun = flight.owner in (lease.owner, unbegun) and not self._attempts.crashed(key)
        # Not under our own name, which the heartbeat keeps alive: what we cannot finish is found expired again. The
        # name we give it tells by then that the claim was our own.
        ours = replace(lease, owner=unbegun if never_begun else f"{lease.owner}/rescue")
        if not await self._flights.take_over(flight, ours):
            return True
        faultpoints.reached("rescue.taken_over")
        found = row.state if row else None
        told = {"attempt": flight.attempt, "mode": flight.mode, "found": found}
        if flight.current:
            task = await self._tasks.get(flight.task_id)
            outcome = await self._outcome(flight, row, never_begun=never_begun)
            if isinstance(outcome, Sick | Unknown) and not flight.overdue(now):
                self._tell_once(outcome, task_id=str(flight.task_id), cause=outcome.cause)
                return False
            log.warning("attempt_rescued", task_id=str(flight.task_id), **told)
            died = not isinstance(outcome, Accepted) and not never_begun
            await self._settle(task, outcome, owner=ours.owner, died=died)
        elif row is not None and flight.mode is Mode.ASYNC:
            await self._flights.accepted_late(*key, row.creator_task_id, now.wall, ours.owner)
            self._wake(Stage.POLL)
        elif await self._flights.end(*key, now.wall, AttemptOutcome.DIED, ours.owner):
            self._slots.give_back()
        return True

    async def _outcome(self, flight: Flight, row: CreatorRow | None, *, never_begun: bool) -> Outcome:
        if row is None and never_begun:
            return Interrupted()
        if flight.mode is Mode.ASYNC:
            return Accepted(row.creator_task_id) if row else Interrupted()
        if row is not None and row.state is RowState.COMPLETED:
            return await self._creator.result(row.creator_task_id)
        if row is not None and row.state is RowState.FAILED:
            return Failed(ErrorKind.GENERATION_FAILED, row.error or "The creator gave no reason.")
        return Interrupted()
