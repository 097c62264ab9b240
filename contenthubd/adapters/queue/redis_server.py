"""How a Redis server is spoken to: short deadlines, no tries of the library's own, one error of ours.

Two clients, because a blocking pop keeps its connection for seconds: ``redis`` for what is answered at once and
``patient`` for the pop. RESP2 on purpose: replies are the same with every version of the client library, and old
servers need no HELLO. The deadline of ``answered`` is around a whole call: a server that answers byte by byte would
outlive the socket's.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from contenthubd.domain.errors import Unavailable

PATIENCE_SECONDS: Final = 1.0
POP_SECONDS: Final = 5.0
CONNECTIONS: Final = 16


class RedisServer:
    """The server at ``url``, which has ``patience`` seconds for each reply, and as long again for a whole call.

    A blocking pop waits there for ``pop_seconds``; its connection is clearly more patient than that, or a pop that
    nobody serves would take silence for a dead server.
    """

    def __init__(self, url: str, *, patience: float = PATIENCE_SECONDS, pop_seconds: float = POP_SECONDS) -> None:
        self._patience = patience
        self.pop_seconds = pop_seconds
        self.redis = _client(url, patience, patience)
        self.patient = _client(url, patience, pop_seconds + 2 * patience)

    @asynccontextmanager
    async def answered(self, more_seconds: float = 0) -> AsyncIterator[None]:
        """Every way of not being served in time becomes Unavailable."""
        try:
            async with asyncio.timeout(2 * self._patience + more_seconds):
                yield
        except (RedisError, OSError) as fault:  # TimeoutError is an OSError
            raise unavailable(fault) from fault

    async def close(self) -> None:
        """Close every connection."""
        await self.redis.aclose()
        await self.patient.aclose()


def _client(url: str, patience: float, socket_timeout: float) -> Any:  # redis-py's annotations mix sync and async
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=CONNECTIONS,
        timeout=patience,
        socket_timeout=socket_timeout,
        socket_connect_timeout=patience,
        retry=Retry(NoBackoff(), 0),
        decode_responses=True,
        protocol=2,
    )
    return Redis.from_pool(pool)


def unavailable(fault: Exception) -> Unavailable:
    """The fault in our words; redis-py puts no password into its messages."""
    told = str(fault).splitlines()
    return Unavailable(
        "The queue's Redis cannot be used.",
        why=f"{type(fault).__name__}: {told[0] if told else 'no answer in time'}",
        fix="Look after the server at [queue] redis_url; the daemon returns to it by itself.",
    )
