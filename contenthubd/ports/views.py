"""What people look at. Reads only."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

Row = dict[str, Any]
"""A row as people look at it, named as on the wire."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """Which rows of a list are wanted; empty and None mean "any"."""

    limit: int
    states: tuple[str, ...] = ()
    account: str | None = None
    batch_id: UUID | None = None
    since: datetime | None = None
    """Made since then."""
    finished_since: datetime | None = None
    finished_until: datetime | None = None
    sort: str = "created"
    """``created``: newest first, a batch in order of submit. ``finished``: latest end first, of ``states``, which are
    final ones then. ``priority``: pending tasks, the next first."""
    after: UUID | None = None
    only: UUID | None = None


class Views(Protocol):
    """Read models for people. Reads only."""

    async def find_ids(self, noun: str, fragment: str) -> list[UUID]:
        """Up to six ids of a task, content or batch that begin or end so (hex digits); a content also by its task."""

    async def last_batch(self) -> UUID | None:
        """The batch that was submitted last, of those that have tasks."""

    async def tasks(self, listing: Listing) -> list[Row]:
        """A page of tasks, newest first (in order of submit within one batch)."""

    async def task(self, task_id: UUID) -> Row:
        """One task with its place in the queue, its attempts and its timeline."""

    async def contents(self, listing: Listing) -> list[Row]:
        """A page of contents without bodies, newest first (in order of submit within one batch)."""

    async def body(self, content_id: UUID) -> str:
        """A content's article."""

    async def waited(self, ids: Collection[UUID], batch_id: UUID | None) -> list[Row]:
        """What a waiting person needs to know of these tasks, or of a batch's."""

    async def counts(self, since: datetime, hour: datetime) -> tuple[list[Row], list[Row]]:
        """Open tasks by state; tasks finished since then by state, with the last hour's and the median seconds."""


class OpenAttempts(Protocol):
    """What still occupies the creator."""

    async def abandoned(self, instance: str) -> int:
        """How many attempts still run at the creator although nobody waits for them any more."""
