"""The queue inside the daemon: asyncio's PriorityQueue, with a capacity and with a way to forget.

A put is never refused and never waits, so a full queue has to leave something out. It leaves out the worst: when
it is full, a new id either is the worst and is dropped, or pushes out the worst. The best place ever dropped is the
*horizon*. An id behind the horizon is dropped even when there is room again, for someone before it is missing here.
So what comes out is always the beginning of the true order. When nothing comes out any more, the caller asks the
database: ``clear()``, then a put for each of the first rows in rank order, *one row more* than fit in, so that the
queue learns of what it does not hold.

Removing an id only strikes it off; its place stays behind and is skipped later. Struck places never outnumber the
waiting ones by more than ``SLACK``: then both heaps are built anew.
"""

import asyncio
import heapq
from collections.abc import Sequence
from typing import Final
from uuid import UUID

from contenthubd.domain.errors import InvalidInput
from contenthubd.domain.task import Rank

SLACK: Final = 64
Place = tuple[Rank, UUID]


class MemoryQueue:
    """A TaskQueue of at most ``capacity`` ids; InvalidInput if that is less than 1."""

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise InvalidInput(f"A queue cannot hold {capacity} ids.", fix="Set [queue] memory_size to 1 or more.")
        self._capacity = capacity
        self._forget_all()

    async def put(self, places: Sequence[tuple[UUID, Rank]]) -> None:
        """Add ids; dropped if they lie behind the horizon. An id that is already there stays where it is."""
        for task_id, rank in places:
            self._put(task_id, rank)

    def _put(self, task_id: UUID, rank: Rank) -> None:
        place = (rank, task_id)
        if task_id in self._waiting or (self._horizon is not None and place >= self._horizon):
            return
        self._add(place)
        if len(self._waiting) > self._capacity:
            self._drop_worst()
        self._compact()

    async def take(self) -> UUID | None:
        """Remove and return the first id; None if there is none (the database may have more)."""
        while not self._best.empty():
            place = self._best.get_nowait()
            if self._waits(place):
                del self._waiting[place[1]]
                self._compact()
                return place[1]
        return None

    async def remove(self, task_id: UUID) -> None:
        """Forget an id; nothing happens if it is not there."""
        self._waiting.pop(task_id, None)
        self._compact()

    async def count(self) -> int:
        """How many ids wait here."""
        return len(self._waiting)

    async def clear(self, lane: str) -> None:
        """Forget everything, the horizon too. Nobody shares this queue, so all lanes are one."""
        self._forget_all()

    async def ping(self) -> None:
        """Memory always answers."""

    def _forget_all(self) -> None:
        self._waiting: dict[UUID, Rank] = {}
        self._horizon: Place | None = None
        self._rebuild()

    def _waits(self, place: Place) -> bool:
        return self._waiting.get(place[1]) == place[0]

    def _add(self, place: Place) -> None:
        self._waiting[place[1]] = place[0]
        self._best.put_nowait(place)
        heapq.heappush(self._worst, _Descending(place))

    def _drop_worst(self) -> None:
        while not self._waits(place := heapq.heappop(self._worst).place):
            pass
        del self._waiting[place[1]]
        self._horizon = place

    def _compact(self) -> None:
        if max(self._best.qsize(), len(self._worst)) > 2 * len(self._waiting) + SLACK:
            self._rebuild()

    def _rebuild(self) -> None:
        self._best: asyncio.PriorityQueue[Place] = asyncio.PriorityQueue()
        self._worst: list[_Descending] = []
        for task_id, rank in self._waiting.items():
            self._best.put_nowait((rank, task_id))
            self._worst.append(_Descending((rank, task_id)))
        heapq.heapify(self._worst)


class _Descending:
    """A place that sorts the other way round, so that a heap of them gives the worst first."""

    __slots__ = ("place",)

    def __init__(self, place: Place) -> None:
        self.place = place

    def __lt__(self, other: "_Descending") -> bool:
        return other.place < self.place
