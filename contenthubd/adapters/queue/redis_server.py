"""How a Redis server is spoken to: short deadlines, no tries of the library's own, one error of ours.

Two clients, because a blocking pop keeps its connection for seconds: ``redis`` for what is answered at once and
``patient`` for the pop. RESP2 on purpose: replies are the same with every version of the client library, and old
servers need no HELLO. The deadline of ``answered`` is around a whole call: a server that answers byte by byte would
outlive the socket's.

A name that is looked up holds a thread for as long as the name server is away, and there are few threads. So whoever
tries again and again waits for one lookup (``name_known``) instead of beginning another one.
"""

import asyncio
import ipaddress
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import urlsplit

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from contenthubd.domain.errors import InvalidInput, Unavailable

PATIENCE_SECONDS: Final = 1.0
POP_SECONDS: Final = 5.0
CONNECTIONS: Final = 16


class RedisServer:
    """The server at ``url``, which has ``patience`` seconds for each reply, and as long again for a whole call.

    InvalidInput if the address has options that make no sense; none of them changes how replies are read.

    A blocking pop waits there for ``pop_seconds``; its connection is clearly more patient than that, or a pop that
    nobody serves would take silence for a dead server.
    """

    def __init__(self, url: str, *, patience: float = PATIENCE_SECONDS, pop_seconds: float = POP_SECONDS) -> None:
        self._patience = patience
        self.pop_seconds = pop_seconds
        self.redis = _client(url, patience, patience)
        self.patient = _client(url, patience, pop_seconds + 2 * patience)
        self._host, self._port = _place(url)
        self._lookup: asyncio.Task[object] | None = None

    @asynccontextmanager
    async def answered(self, more_seconds: float = 0) -> AsyncIterator[None]:
        """Every way of not being served in time becomes Unavailable."""
        try:
            async with asyncio.timeout(2 * self._patience + more_seconds):
                yield
        except (RedisError, OSError, ValueError) as fault:  # TimeoutError is an OSError, bad replies are ValueErrors
            raise unavailable(fault) from fault

    async def name_known(self) -> None:
        """Wait for the lookup of the server's name; Unavailable if it fails or takes too long."""
        if not self._host:
            return
        if self._lookup is None:
            found = asyncio.get_running_loop().getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
            self._lookup = asyncio.create_task(found)  # noqa: TID251 - held here until somebody has its answer
        lookup = self._lookup
        try:
            async with self.answered():
                await asyncio.shield(lookup)
        finally:
            if lookup.done():
                self._lookup = None

    async def close(self) -> None:
        """Close every connection."""
        if self._lookup is not None:
            self._lookup.cancel()
        await self.redis.aclose()
        await self.patient.aclose()


def _client(url: str, patience: float, socket_timeout: float) -> Any:  # redis-py's annotations mix sync and async
    ours: dict[str, Any] = {
        "max_connections": CONNECTIONS,
        "timeout": patience,
        "socket_timeout": socket_timeout,
        "socket_connect_timeout": patience,
        "retry": Retry(NoBackoff(), 0),
        "decode_responses": True,
        "protocol": 2,
    }
    try:
        pool = BlockingConnectionPool(**{**parse_url(url), **ours})
        pool.connection_class(**pool.connection_kwargs)  # the only place where the options are looked at
    except (TypeError, ValueError, RedisError) as fault:
        raise InvalidInput(
            "The address in [queue] redis_url cannot be used.",
            why=str(fault).splitlines()[0],
            fix="Check the options after the question mark.",
        ) from None
    return Redis.from_pool(pool)


def _place(url: str) -> tuple[str, int]:
    """The name that has to be looked up, and the port; no name for a socket or a number."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return ("" if parts.scheme == "unix" else host), parts.port or 6379
    return "", 0


def unavailable(fault: Exception) -> Unavailable:
    """The fault in our words; redis-py puts no password into its messages."""
    told = str(fault).splitlines()
    return Unavailable(
        "The queue's Redis cannot be used.",
        why=f"{type(fault).__name__}: {told[0] if told else 'no answer in time'}",
        fix="Check the server at [queue] redis_url; reconnection is automatic.",
    )
