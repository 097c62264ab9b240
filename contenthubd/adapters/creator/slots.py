"""The maximum number of children of the creator's command line at once, one of them kept for asking.

Without the kept place five long articles in sync mode would block every look at the tasks the creator works on by
itself. Who asks (list, result, status) goes before who works: asking takes half a second, working takes minutes.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Slots:
    """Two classes of users share ``limit`` places, first come first served within each class."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._asking = 0
        self._working = 0
        self._kept = False
        self._waiting: dict[bool, deque[asyncio.Future[None]]] = {True: deque(), False: deque()}

    @property
    def taken(self) -> int:
        """Places in use now."""
        return self._asking + self._working

    def keep_one(self, kept: bool) -> None:
        """Whether one place is kept for asking from now on; who works already is not disturbed."""
        self._kept = kept
        self._admit()

    @asynccontextmanager
    async def place(self, *, asking: bool) -> AsyncIterator[None]:
        """Hold one place; waits for it."""
        await self._enter(asking)
        try:
            yield
        finally:
            self._leave(asking)

    def _free(self, asking: bool) -> bool:
        if self.taken >= self._limit:
            return False
        return asking or self._working < max(1, self._limit - self._kept)

    async def _enter(self, asking: bool) -> None:
        if self._free(asking) and not self._waiting[asking]:
            self._count(asking, 1)
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting[asking].append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._leave(asking)
            else:
                self._waiting[asking].remove(turn)
            raise

    def _leave(self, asking: bool) -> None:
        self._count(asking, -1)
        self._admit()

    def _admit(self) -> None:
        for asking in (True, False):
            line = self._waiting[asking]
            while line and self._free(asking):
                self._count(asking, 1)
                line.popleft().set_result(None)

    def _count(self, asking: bool, step: int) -> None:
        if asking:
            self._asking += step
        else:
            self._working += step
