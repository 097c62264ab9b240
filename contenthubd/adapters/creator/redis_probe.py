"""Two questions to the creator's own Redis, each over a fresh connection with short deadlines.

A fresh connection, because what is asked is whether somebody else could connect now; a kept one would also have to
be healed after every outage.
"""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, cast

import anyio
import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from contenthubd.adapters.creator.offloop import LARGE
from contenthubd.domain import foreign
from contenthubd.ports.clock import Clock

_SECONDS: Final = 1.0
_PREFIX: Final = "bull:content-creator-tasks:"
_LISTS: Final = ("active", "wait", "paused")
_SORTED_SETS: Final = ("prioritized", "delayed", "waiting-children")
_MARKER: Final = "0:"
MAX_AGE_SECONDS: Final = 1.0

log = structlog.get_logger()


class RedisDown(Exception):
    """The creator's Redis does not answer; ``refused`` when nothing listens there at all."""

    def __init__(self, cause: str, *, refused: bool) -> None:
        super().__init__(cause)
        self.refused = refused


def _client(url: str) -> Any:  # redis-py's own annotations mix sync and async replies
    return Redis.from_url(
        url,
        socket_timeout=_SECONDS,
        socket_connect_timeout=_SECONDS,
        retry=Retry(NoBackoff(), 0),
        decode_responses=True,
    )


async def ping(url: str) -> None:
    """RedisDown unless Redis answers within a second."""
    await _asked(url, _ping)


@dataclass(frozen=True, slots=True)
class Jobs:
    """The task ids of the jobs in the creator's queue."""

    active: frozenset[str]
    waiting: frozenset[str]
    """Wait, are delayed, or are held back: all that is not active."""

    unread: tuple[str, ...] = ()
    """The data of jobs whose task could not be read."""

    def may_hold(self, creator_task_id: str) -> bool:
        """Whether the task has a job, or one that could not be read may be its."""
        return creator_task_id in self.tasks or any(creator_task_id in data for data in self.unread)

    @property
    def tasks(self) -> frozenset[str]:
        """Every task that has a job."""
        return self.active | self.waiting


async def queued_jobs(url: str) -> Jobs:
    """All jobs that wait, run or will run; RedisDown."""
    return cast("Jobs", await _asked(url, _queued_jobs))


async def _asked(url: str, question: Any) -> object:
    client = None
    try:
        with anyio.fail_after(_SECONDS):
            client = _client(url)
            return await cast("Awaitable[object]", question(client))
    except TimeoutError as error:
        raise RedisDown("it does not answer within a second", refused=False) from error
    except (RedisError, OSError, ValueError) as error:
        refused = isinstance(error, RedisConnectionError | OSError)
        raise RedisDown(str(error) or type(error).__name__, refused=refused) from error
    finally:
        if client is not None:
            with anyio.CancelScope(shield=True), anyio.move_on_after(_SECONDS):
                await client.aclose()


async def _ping(client: Any) -> None:
    await client.ping()


async def _queued_jobs(client: Any) -> Jobs:
    """One transaction over all lists, or a job that moves between two of them could be missed."""
    async with client.pipeline(transaction=True) as lists:
        for name in _LISTS:
            lists.lrange(_PREFIX + name, 0, -1)
        for name in _SORTED_SETS:
            lists.zrange(_PREFIX + name, 0, -1)
        active, *others = await lists.execute()
    waiting = [job for found in others for job in found if not job.startswith(_MARKER)]
    active_data, waiting_data = await _data_of(client, active), await _data_of(client, waiting)
    large = sum(map(len, active_data + waiting_data)) > LARGE
    if large:
        return await anyio.to_thread.run_sync(jobs_of, active_data, waiting_data)
    return jobs_of(active_data, waiting_data)


async def _data_of(client: Any, jobs: list[str]) -> list[str]:
    if not jobs:
        return []
    async with client.pipeline(transaction=False) as each:
        for job in jobs:
            each.hget(_PREFIX + job, "data")
        return [data for data in await each.execute() if data]


def jobs_of(active: list[str], waiting: list[str]) -> Jobs:
    """The jobs of which this is the data, JSON with a ``taskId``."""
    unread: list[str] = []
    return Jobs(_tasks_of(active, unread), _tasks_of(waiting, unread), tuple(unread))


def _tasks_of(jobs: list[str], unread: list[str]) -> frozenset[str]:
    tasks = set()
    for data in jobs:
        read = foreign.json_value(data)
        task = foreign.identifier(read.get("taskId") if isinstance(read, dict) else None)
        if isinstance(task, str):
            tasks.add(task)
        else:
            unread.append(data)
    return frozenset(tasks)


class RedisWatch:
    """What is known of the creator's Redis: asked at most as often as somebody wants to know."""

    def __init__(self, url: str, clock: Clock) -> None:
        self._url = url
        self._clock = clock
        self._asked_at = float("-inf")
        self._refused_since: float | None = None
        self._lock = asyncio.Lock()
        self.cause: str | None = None
        """Why it is down; None while it is up (or not known yet)."""
        self.since: datetime | None = None
        """Since when it is up or down, as far as we saw."""

    @property
    def used(self) -> bool:
        """Whether there is a Redis to ask."""
        return bool(self._url)

    async def down(self, max_age: float = MAX_AGE_SECONDS) -> str | None:
        """Why Redis does not answer, None if it does or if there is none; the answer may be ``max_age`` seconds old."""
        if not self._url:
            return None
        async with self._lock:
            if anyio.current_time() - self._asked_at >= max_age:
                await self._ask()
        return self.cause

    def away_seconds(self) -> float:
        """How long nothing has listened there; 0 while Redis answers, and while it only hangs."""
        return 0.0 if self._refused_since is None else anyio.current_time() - self._refused_since

    async def _ask(self) -> None:
        before, known = self.cause, self.since is not None
        asked_at = anyio.current_time()
        try:
            await ping(self._url)
        except RedisDown as down:
            self.cause = str(down)
            if down.refused and self._refused_since is None:
                self._refused_since = asked_at
        else:
            self.cause = self._refused_since = None
        self._asked_at = anyio.current_time()
        if not known or (before is None) != (self.cause is None):
            self.since = self._clock.now()
            log.info("creator_redis_reachable" if self.cause is None else "creator_redis_unreachable", cause=self.cause)
