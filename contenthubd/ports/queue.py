"""The queue of task ids."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from contenthubd.domain.task import Rank

Place = tuple[UUID, Rank]
"""An id and its place in the order."""


class TaskQueue(Protocol):
    """Task ids in rank order, each at most once. Never the truth: an id may be lost, the database has it.

    Of two ids of one priority and one turn the older goes first. Sequence and id both rise with age, so a queue may
    go by either.
    """

    async def put(self, places: Sequence[Place]) -> None:
        """Add ids; never refuses. An id that is already there stays where it is."""

    async def take(self) -> UUID | None:
        """Remove and return the first id, None if there is none. Cancelling it loses no id."""

    async def remove(self, task_id: UUID) -> None:
        """Forget an id; nothing happens if it is not there."""

    async def count(self) -> int:
        """How many ids wait here."""

    async def clear(self, lane: str) -> None:
        """Forget everything in ``lane``, and use that lane from here on.

        Daemons that share a queue share a lane only if they can run the same tasks: what one of them clears and
        fills again, the others must be able to use. A queue that is not shared has no lanes.
        """

    async def ping(self) -> None:
        """Raise Unavailable if the queue cannot be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueUse:
    """Which queue is in use. ``degraded`` when it stands in for one that should be there."""

    kind: str
    since: datetime
    why: str = ""
    degraded: bool = False


class QueueWatch(Protocol):
    """Sees to it that the better queue is in use."""

    async def check(self) -> None:
        """Look whether the better queue answers and change over if need be; never raises."""

    def in_use(self) -> QueueUse:
        """Which queue is in use, since when, and why."""
