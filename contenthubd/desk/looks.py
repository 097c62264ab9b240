"""One look at the database for everybody who waits for the same tasks.

A hundred people who watch one batch of thousands are told of each change from one read of it, not from a hundred.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final
from uuid import UUID

import anyio

from contenthubd.control import advice
from contenthubd.desk.waiting import Glance, Waiting
from contenthubd.domain.content import ContentState
from contenthubd.domain.errors import DatabaseUnavailable
from contenthubd.domain.task import FINAL, TaskState
from contenthubd.ports.clock import Clock
from contenthubd.ports.views import Row, Views

FRESH: Final = timedelta(seconds=0.5)
"""So long one look serves everybody, unless something changes here; what another daemon changes shows after it."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What is watched: a batch, or these tasks."""

    batch_id: UUID | None
    ids: frozenset[UUID] = frozenset()


@dataclass(frozen=True, slots=True)
class Seen:
    """Tasks as they were at one moment, with what is the same for everybody who waits for them."""

    rows: Sequence[Row]
    glance: Glance
    changed: anyio.Event
    """Set by the first change in this daemon after the look began."""
    began: timedelta
    took: timedelta
    counts: Mapping[str, int]
    last_fact: int
    first_pending: Row | None
    all_final: bool
    settled: bool


@dataclass(slots=True)
class _Shared:
    """One subject and whoever waits for it."""

    subject: Subject
    lock: anyio.Lock = field(default_factory=anyio.Lock)
    users: int = 0
    seen: Seen | None = None
    fault: DatabaseUnavailable | None = None
    failed_at: timedelta = timedelta.min


class Looks:
    """Reads what is waited for. ``changed`` gives an event that the next change in this daemon sets."""

    def __init__(self, views: Views, waiting: Waiting, clock: Clock, changed: Callable[[], anyio.Event]) -> None:
        self._views = views
        self._waiting = waiting
        self._clock = clock
        self._changed = changed
        self._shared: dict[Subject, _Shared] = {}

    @contextmanager
    def at(self, subject: Subject) -> Iterator["Look"]:
        """A place among those who wait for the same; what was read is forgotten when the last of them leaves."""
        shared = self._shared.setdefault(subject, _Shared(subject))
        shared.users += 1
        try:
            yield Look(self, shared)
        finally:
            shared.users -= 1
            if not shared.users:
                del self._shared[subject]

    async def read(self, shared: _Shared) -> Seen:
        """The tasks as they are, from the last look if nothing can have changed; DatabaseUnavailable.

        A fault is everybody's who was waiting for the same look: each trying in turn would take its time-out anew.
        """
        asked = self._clock.uptime()
        async with shared.lock:
            if shared.fault is not None and shared.failed_at >= asked:
                raise shared.fault
            if shared.seen is None or not self._holds(shared.seen):
                try:
                    shared.seen = await self._look(shared.subject)
                except DatabaseUnavailable as fault:
                    shared.fault, shared.failed_at = fault, self._clock.uptime()
                    raise
            return shared.seen

    def _holds(self, seen: Seen) -> bool:
        return seen.changed is self._changed() and self._clock.uptime() - seen.began < FRESH

    async def _look(self, subject: Subject) -> Seen:
        changed, began = self._changed(), self._clock.uptime()
        rows = await self._views.waited(sorted(subject.ids), subject.batch_id)
        glance = await self._waiting.glance()
        all_final = all(row["state"] in FINAL for row in rows)
        return Seen(
            rows, glance, changed, began, self._clock.uptime() - began,
            counts=Counter(row["state"] for row in rows),
            last_fact=max((row["last_fact"] or 0 for row in rows), default=0),
            first_pending=next((row for row in rows if row["state"] == TaskState.PENDING), None),
            all_final=all_final,
            settled=all_final and not any(map(_on_its_way, rows)),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Look:
    """One caller's place."""

    looks: Looks
    shared: _Shared

    async def __call__(self) -> Seen:
        """The tasks as they are; DatabaseUnavailable."""
        return await self.looks.read(self.shared)


def _on_its_way(row: Row) -> bool:
    """Whether something of a task is still to be published without anybody's doing."""
    on_its_way = any(one["state"] in advice.ON_ITS_WAY for one in row["publications"])
    return on_its_way and row["content_state"] != ContentState.REJECTED
