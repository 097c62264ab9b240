"""Rescue: free what a dead daemon held. A lease that ran out, or one of an earlier daemon on this state directory.

What is done follows from where the attempt was, after the old child is proven dead:

- calling create (async): its mark is looked up at the creator; found → accepted, else back to pending, uncharged
- generating in our child (sync): an article that was finished after all is taken, else the try is charged
- abandoned: found → its end is awaited, else it ended

A task over which daemons keep dying is parked as poison (see ``settle``).
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Final

import structlog

from contenthubd.domain.attempt import Flight
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
from contenthubd.ports.flights import FlightStore
from contenthubd.ports.stage import Stage, Wake
from contenthubd.ports.tasks import Lease, TaskStore
from contenthubd.stages.settle import Settle
from contenthubd.stages.slots import Slots

LIMIT: Final = 100
AGAIN: Final = timedelta(seconds=1)
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
        self._clock = clock
        self._slots = slots
        self._wake = wake
        self._lease = lease
        self._state_id = state_id
        self._every = every

    async def tick(self) -> timedelta:
        """One page of expired leases."""
        lease = self._lease()
        if lease is None:
            return self._every
        expired = await self._flights.expired(self._clock.now(), self._state_id, lease, LIMIT)
        freed = [flight for flight in expired if flight.child is None or self._watch.end_child(flight.child)]
        if freed:
            rows = await self._creator.find([flight.mark for flight in freed])
            if isinstance(rows, Sick):
                log.warning("rescue_postponed", kind=rows.kind, cause=rows.cause, count=len(freed))
                return AGAIN
            freed = [flight for flight in freed if await self._free(flight, rows.get(flight.mark), lease)]
        if len(freed) < len(expired):
            return AGAIN
        return timedelta() if len(expired) == LIMIT else self._every

    async def _free(self, flight: Flight, row: CreatorRow | None, lease: Lease) -> bool:
        """False if it has to be tried again."""
        # Not under our own name, which the heartbeat keeps alive: what we cannot finish is found expired again.
        ours = replace(lease, owner=f"{lease.owner}/rescue")
        if not await self._flights.take_over(flight, ours):
            return True
        found = row.state if row else None
        told = {"attempt": flight.attempt, "mode": flight.mode, "found": found}
        log.warning("attempt_rescued", task_id=str(flight.task_id), **told)
        if flight.current:
            task = await self._tasks.get(flight.task_id)
            outcome = await self._outcome(flight, row)
            if isinstance(outcome, Sick | Unknown) and self._clock.now() < flight.deadline_at:
                log.warning("rescue_postponed", task_id=str(flight.task_id), cause=outcome.cause)
                return False
            await self._settle(task, outcome, owner=ours.owner, died=not isinstance(outcome, Accepted))
        elif row is not None and flight.mode is Mode.ASYNC:
            now = self._clock.now()
            await self._flights.accepted_late(flight.task_id, flight.attempt, row.creator_task_id, now)
            self._wake(Stage.POLL)
        elif await self._flights.end(flight.task_id, flight.attempt, self._clock.now(), "died"):
            self._slots.give_back()
        return True

    async def _outcome(self, flight: Flight, row: CreatorRow | None) -> Outcome:
        if flight.mode is Mode.ASYNC:
            return Accepted(row.creator_task_id) if row else Interrupted()
        if row is not None and row.state is RowState.COMPLETED:
            return await self._creator.result(row.creator_task_id)
        return Failed(ErrorKind.CHILD_KILLED, "The daemon died while its own child worked on this task.")
