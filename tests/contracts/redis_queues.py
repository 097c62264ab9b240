"""Queues in Redis for tests: each under a name of its own, or several daemons' queues under one."""

import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from contenthubd.adapters.queue.redis import RedisQueue
from contenthubd.adapters.queue.redis_server import RedisServer
from tests.real.valkey import Valkey


def nobody() -> None:
    """An ``arrived`` that wakes nobody."""


@asynccontextmanager
async def redis_queue(
    server: Valkey,
    capacity: int = 10_000,
    *,
    namespace: str = "",
    arrived: Callable[[], None] = nobody,
    patience: float = 60,
    pop_seconds: float = 5,
) -> AsyncIterator[RedisQueue]:
    """A queue, closed in the end. It is more patient than in production: no test fails because a machine is slow."""
    spoken_to = RedisServer(server.url, patience=patience, pop_seconds=pop_seconds)
    queue = RedisQueue(spoken_to, namespace or uuid.uuid4().hex, uuid.uuid4().hex, capacity, arrived)
    try:
        yield queue
    finally:
        await queue.close()
