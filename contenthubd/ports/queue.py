"""The queue of task ids."""

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from contenthubd.domain.task import Rank

Place = tuple[UUID, Rank]
"""An id and its place in the order."""


class TaskQueue(Protocol):
    """Task ids in rank order, each at most once. Never the truth: an id may be lost, the database has it."""

    async def put(self, places: Sequence[Place]) -> None:
        """Add ids; never refuses. An id that is already there stays where it is."""

    async def take(self) -> UUID | None:
        """Remove and return the first id, None if there is none. Cancelling it loses no id."""

    async def remove(self, task_id: UUID) -> None:
        """Forget an id; nothing happens if it is not there."""

    async def count(self) -> int:
        """How many ids wait here."""

    async def clear(self) -> None:
        """Forget everything."""

    async def ping(self) -> None:
        """Raise Unavailable if the queue cannot be used."""
