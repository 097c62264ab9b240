"""Attempts under way, and what the past says about how long they take."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from contenthubd.domain.attempt import AttemptOutcome, Child, Flight
from contenthubd.ports.tasks import Lease

Key = tuple[UUID, int]
"""Task and attempt: a task that was cancelled and revived may have two attempts under way at once."""


class FlightStore(Protocol):
    """Attempts that are under way: the daemon's own and those the creator works on."""

    async def in_flight(self, instance: str) -> list[Flight]:
        """All attempts of this creator instance that have not ended, abandoned ones included."""

    async def own_child(self, task_id: UUID, attempt: int, child: Child, owner: str) -> bool:
        """Remember the process that works on an attempt; False if it is another's, or is not waited for."""

    async def renew(self, owner: str, until: datetime, alive: Collection[Key]) -> None:
        """Extend the owner's leases of these attempts, and of no other: the heartbeat."""

    async def expired(
        self, now: datetime, state_id: str, lease: Lease, *, held: Collection[Key], after: Key | None, limit: int
    ) -> list[Flight]:
        """Attempts at the lease's instance that may be taken over: run out, or an earlier daemon's of this directory.

        Ordered by task and attempt, those behind ``after`` only; what we ``held`` ourselves is left out.
        """

    async def take_over(self, flight: Flight, lease: Lease) -> bool:
        """Make an expired lease ours; False if someone else was quicker."""

    async def accepted_late(
        self, task_id: UUID, attempt: int, creator_task_id: str, at: datetime, owner: str | None
    ) -> bool:
        """The creator accepted an attempt that was abandoned meanwhile: keep the id, its end must be awaited.

        False if the attempt has ended, or is not the owner's any more.
        """

    async def end(self, task_id: UUID, attempt: int, at: datetime, outcome: AttemptOutcome, owner: str | None) -> bool:
        """An attempt that no task waits for ended: it no longer counts. False if it had ended, or is another's now."""

    async def requeued(self, task_id: UUID, attempt: int, at: datetime) -> bool:
        """Remember when the creator was last told to queue this attempt again; False if it has ended."""


class History(Protocol):
    """What the past says."""

    async def durations(self, limit: int) -> list[timedelta]:
        """Claim to end of the latest successful attempts, newest first."""

    async def unplaced(self, task_id: UUID) -> list[int]:
        """The ended attempts of a task of which no id at the creator is known, or a wrong one: it may have them."""
