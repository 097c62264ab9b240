"""Two queues behind one protocol: the preferred one while it answers, else the one that always does.

After every change, in either direction, the queue is *blind* until it is cleared: what was put before the change is
not in it, so it takes nothing and gives nothing. The dispatcher, which is woken by each change, finds it empty, clears
it, reads the database and puts what waits there. So the true order is there before the first id comes out, and a put
that was dropped meanwhile is not missed, for its row was in the database before.

A call that was on its way to the old queue during a change is void: what it fetched waits in the database all the same.

Whoever meets a preferred queue that does not answer changes over at once. The way back is tried by ``check``. A queue
that answers a ping and fails at its work would be changed to and from forever: each return that lasted less than
``STEADY`` doubles the wait before the next one.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Final, TypeVar
from uuid import UUID

import structlog

from contenthubd.domain.errors import Unavailable
from contenthubd.domain.task import Rank
from contenthubd.ports.clock import Clock
from contenthubd.ports.queue import QueueUse, TaskQueue

STEADY: Final = timedelta(seconds=60)
FIRST_WAIT: Final = timedelta(seconds=2)  # no less than the time between two checks, so that each sees every change
LONGEST_WAIT: Final = timedelta(seconds=60)
_NOT_NEEDED: Final = (
    "No Redis was reached since the start, so task ids are kept in memory. "
    "This is not a fault: the tasks are in PostgreSQL."
)
T = TypeVar("T")
log = structlog.get_logger(__name__)


class FailoverQueue:
    """A TaskQueue that never raises, and a QueueWatch. ``names`` are those of the preferred queue and its stand-in.

    With ``wanted`` false nobody asked for the preferred queue by name: as long as it was never reached, to do without
    it is no fault. ``changed`` is rung after each change.
    """

    def __init__(
        self,
        preferred: TaskQueue,
        fallback: TaskQueue,
        clock: Clock,
        changed: Callable[[], None],
        *,
        names: tuple[str, str],
        wanted: bool,
    ) -> None:
        self._preferred = preferred
        self._fallback = fallback
        self._clock = clock
        self._changed = changed
        self._names = names
        self._wanted = wanted
        self._used = preferred
        self._blind = True
        self._changes = 0
        self._wait = FIRST_WAIT
        self._used_from = clock.uptime()
        self._use = QueueUse(kind=names[0], since=clock.now())

    async def put(self, places: Sequence[tuple[UUID, Rank]]) -> None:
        """Add ids; dropped while blind, and when the queue cannot be used."""
        if not self._blind:
            await self._asked(lambda queue: queue.put(places), None)

    async def take(self) -> UUID | None:
        """Remove and return the first id; None if there is none, or while blind."""
        return None if self._blind else await self._asked(lambda queue: queue.take(), None)

    async def remove(self, task_id: UUID) -> None:
        """Forget an id."""
        if not self._blind:
            await self._asked(lambda queue: queue.remove(task_id), None)

    async def count(self) -> int:
        """How many ids wait here; 0 while blind."""
        return 0 if self._blind else await self._asked(lambda queue: queue.count(), 0)

    async def clear(self, lane: str) -> None:
        """Forget everything in the lane; from here on the queue can see."""
        while True:
            changes = self._changes
            await self._asked(lambda queue: queue.clear(lane), None)
            if changes == self._changes:
                self._blind = False
                return

    async def ping(self) -> None:
        """The stand-in always answers."""

    async def check(self) -> None:
        """Look whether the preferred queue answers and change over if need be; never raises."""
        changes = self._changes
        if self._used is self._fallback and self._clock.uptime() - self._used_from < self._wait:
            return
        try:
            await self._preferred.ping()
        except Unavailable as fault:
            self._fall_back(fault, changes)
        else:
            self._come_back(changes)

    def in_use(self) -> QueueUse:
        """Which queue is in use, since when, and why."""
        return self._use

    async def _asked(self, call: Callable[[TaskQueue], Awaitable[T]], otherwise: T) -> T:
        changes = self._changes
        try:
            answer = await call(self._used)
        except Unavailable as fault:
            self._fall_back(fault, changes)
            return otherwise
        return answer if changes == self._changes else otherwise

    def _fall_back(self, fault: Unavailable, changes: int) -> None:
        if changes != self._changes or self._used is self._fallback:
            return
        relapsed = self._changes > 0 and self._clock.uptime() - self._used_from < STEADY
        self._wait = min(self._wait * 2, LONGEST_WAIT) if relapsed else FIRST_WAIT
        why = f"{fault.what} {fault.why}" if self._wanted else f"{_NOT_NEEDED} ({fault.why.rstrip('.')})"
        tell = log.warning if self._wanted else log.info
        tell("queue_switched_to_memory", wanted=self._names[0], used=self._names[1], why=why)
        self._change(self._fallback, self._names[1], why)

    def _come_back(self, changes: int) -> None:
        self._wanted = True
        if changes == self._changes and self._used is self._fallback:
            log.info("queue_switched_to_redis", used=self._names[0], away_since=self._use.since.isoformat())
            self._change(self._preferred, self._names[0], f"The {self._names[0]} queue answers again.")

    def _change(self, queue: TaskQueue, kind: str, why: str) -> None:
        self._used = queue
        self._blind = True
        self._changes += 1
        degraded = queue is self._fallback and self._wanted
        self._used_from = self._clock.uptime()
        self._use = QueueUse(kind=kind, since=self._clock.now(), why=why, degraded=degraded)
        self._changed()


class SoleQueueWatch:
    """A QueueWatch where there is only one queue: nothing to check, nothing changes."""

    def __init__(self, kind: str, clock: Clock, why: str) -> None:
        self._use = QueueUse(kind=kind, since=clock.now(), why=why)

    async def check(self) -> None:
        """There is no better queue."""

    def in_use(self) -> QueueUse:
        """The one queue since the start."""
        return self._use
