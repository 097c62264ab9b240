"""A standing order: a blocking pop that stays behind when a queue in Redis had nothing to give.

It waits on a connection of its own for what another daemon puts. Beside the queue it listens to a *bell*, a key of its
own that only its daemon writes: to end the order means to ring the bell, which also works a moment before the order
has begun to wait. So no pop is ever broken off by closing its connection, which could lose an id on its way.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from contenthubd.adapters.queue.redis_server import RedisServer, unavailable

BELL_SECONDS: Final = 60

Came = Callable[[str, float], None]


class StandingOrder:
    """Waits from its making, on ``server``'s patient client.

    ``came`` gets the member and its score; ``over`` is rung unless somebody ends the order just then.
    """

    def __init__(self, server: RedisServer, queue: str, bell: str, came: Came, over: Callable[[], None]) -> None:
        self._queue = queue
        self._bell = bell
        self._came = came
        self._over = over
        self._enders = 0
        self._server = server
        self._task = asyncio.create_task(self._wait())  # noqa: TID251 - held here, and awaited by whoever ends the order

    async def end(self) -> None:
        """End it; afterwards what it got has been handed over. Unavailable if Redis does not serve, or did not."""
        self._enders += 1
        try:
            if not self._task.done():
                async with self._server.answered():
                    await self._ring()
                    await asyncio.wait([self._task])
        except asyncio.CancelledError:
            if self._task.done():
                self._over()  # it ended for somebody who is no longer there
            raise
        finally:
            self._enders -= 1
        if self._task.cancelled():
            raise unavailable(TimeoutError("the standing order was broken off"))
        self._task.result()

    async def abandon(self) -> None:
        """Break it off, whatever state it is in; an id on its way is lost to the queue, not to the database."""
        self._enders += 1
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _ring(self) -> None:
        async with self._server.redis.pipeline(transaction=True) as together:
            together.zadd(self._bell, {"end": 0})
            together.expire(self._bell, BELL_SECONDS)
            await together.execute()

    async def _wait(self) -> None:
        seconds = self._server.pop_seconds
        try:
            reply = None
            while reply is None:
                async with self._server.answered(seconds):
                    reply = await self._server.patient.bzpopmin([self._bell, self._queue], timeout=seconds)
            key, member, score = reply
            if key == self._queue:
                self._came(member, score)
        finally:
            if not self._enders:
                self._over()
