"""The two ways a daemon's queue is made: in memory alone, or in Redis with memory standing in for it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from contenthubd.adapters.queue.failover import FailoverQueue, SoleQueueWatch
from contenthubd.adapters.queue.memory import MemoryQueue
from contenthubd.adapters.queue.redis import RedisQueue
from contenthubd.ports.clock import Clock
from contenthubd.ports.queue import QueueWatch, TaskQueue


@dataclass(frozen=True, slots=True)
class Choice:
    """A queue, who watches over it, and how it is closed."""

    queue: TaskQueue
    watch: QueueWatch
    close: Callable[[], Awaitable[None]]
    changes: bool
    """Whether there is anything to watch."""


def memory_alone(capacity: int, clock: Clock) -> Choice:
    """No Redis at all."""
    return Choice(
        MemoryQueue(capacity),
        SoleQueueWatch("memory", clock, "[queue] type or redis_enabled turns Redis off."),
        _nothing,
        False,
    )


def redis_first(redis: RedisQueue, capacity: int, clock: Clock, ring: Callable[[], None], *, wanted: bool) -> Choice:
    """Redis while it answers, memory while it does not."""
    both = FailoverQueue(redis, MemoryQueue(capacity), clock, ring, names=("redis", "memory"), wanted=wanted)
    return Choice(both, both, redis.close, True)


async def _nothing() -> None:
    """Memory needs no closing."""
