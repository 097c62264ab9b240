"""The queue's Redis is absent, dies, freezes, forgets, is full or locked: the backlog goes on, each task once."""

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from redis.asyncio import Redis
from sqlalchemy import text

from contenthubd.adapters.postgres.engine import Database
from tests.conftest import StartDaemon
from tests.real.valkey import Valkey
from tests.running import RunningDaemon

TOPICS = [f"topic {number}" for number in range(20)]
SECRET = "s3cr3t"
Trouble = Callable[[Valkey], Awaitable[None]]


@pytest.fixture
def redis() -> Iterator[Valkey]:
    with Valkey() as server:
        yield server


async def kill(server: Valkey) -> None:
    server.kill()


async def start(server: Valkey) -> None:
    server.start()


async def freeze(server: Valkey) -> None:
    server.pause()


async def resume(server: Valkey) -> None:
    server.resume()


async def fill(server: Valkey) -> None:
    async with Redis.from_url(server.url) as client:
        await client.config_set("maxmemory-policy", "noeviction")
        await client.config_set("maxmemory", "1")


async def make_room(server: Valkey) -> None:
    async with Redis.from_url(server.url) as client:
        await client.config_set("maxmemory", "0")


async def lock(server: Valkey) -> None:
    async with Redis.from_url(server.url) as client:
        await client.config_set("requirepass", SECRET)
        await client.client_kill_filter(_type="normal", skipme=True)


async def unlock(server: Valkey) -> None:
    async with Redis.from_url(server.url, password=SECRET) as client:
        await client.config_set("requirepass", "")


TROUBLES: dict[str, tuple[Trouble, Trouble]] = {
    "killed": (kill, start),
    "frozen": (freeze, resume),
    "full": (fill, make_room),
    "locked": (lock, unlock),
}


async def started(start_daemon: StartDaemon, database: Database, redis: Valkey) -> RunningDaemon:
    """A daemon on the test's own database and Redis, with its work submitted."""
    settings = {
        "tasks": {"mode": "sync"},
        "queue": {"type": "redis", "redis_url": redis.url},
        "database": {"url": database.url},
        "daemon": {"log_format": "json"},
    }
    daemon = await start_daemon(settings, latency_seconds=0.05)
    await daemon.account()
    await daemon.submit(*TOPICS)
    return daemon


async def uses(daemon: RunningDaemon, kind: str) -> dict[str, Any]:
    """Wait until that queue is in use; the health report that says so."""

    async def used() -> dict[str, Any] | None:
        health: dict[str, Any] = await daemon.get("/health")
        return health if health["queue"]["kind"] == kind else None

    found: dict[str, Any] = await daemon.until(used)
    return found


async def completed(daemon: RunningDaemon, count: int) -> None:
    """Wait until so many tasks are completed."""

    async def enough() -> bool:
        return len(await daemon.tasks(status="completed")) >= count

    await daemon.until(enough)


async def nothing_lost_or_doubled(daemon: RunningDaemon, database: Database) -> None:
    """All settled: every task once, at its first attempt."""
    tasks = await daemon.settled()
    assert [task["state"] for task in tasks] == ["completed"] * len(TOPICS)
    assert [task["attempt"] for task in tasks] == [1] * len(TOPICS)
    rows = await database.rows(text("SELECT task_id FROM content"))
    assert sorted(str(row.task_id) for row in rows) == sorted(task["id"] for task in tasks)


async def changes(database: Database) -> list[str]:
    """The queues that were in use, one after the other, as the facts tell it."""
    rows = await database.rows(text("SELECT data FROM fact WHERE name = 'queue_changed' ORDER BY id"))
    return [row.data["kind"] for row in rows]


def no_storm(daemon: RunningDaemon) -> None:
    """One line for each change, and no stage that failed."""
    fell, came = daemon.events("queue_switched_to_memory"), daemon.events("queue_switched_to_redis")
    assert abs(len(fell) - len(came)) <= 1
    assert len(fell) <= 5, "a slow machine may lose Redis once more, never in a storm"
    assert not daemon.events("stage_failed")
    assert SECRET not in daemon.log_path.read_text(encoding="utf-8")


@pytest.mark.parametrize("trouble", TROUBLES)
async def test_the_backlog_goes_on_in_memory_and_returns_to_redis(
    start_daemon: StartDaemon, database: Database, redis: Valkey, trouble: str
) -> None:
    break_it, mend_it = TROUBLES[trouble]
    daemon = await started(start_daemon, database, redis)
    assert (await uses(daemon, "redis"))["status"] == "ok"
    await completed(daemon, 1)

    await break_it(redis)
    health = await uses(daemon, "memory")
    done = len(await daemon.tasks(status="completed"))
    await completed(daemon, min(done + 5, len(TOPICS)))
    await mend_it(redis)
    back = await uses(daemon, "redis")

    assert health["status"] == "degraded"
    [fault] = [fault for fault in health["faults"] if fault["part"] == "queue"]
    assert (SECRET in fault["what"], "redis_url" in fault["hint"]) == (False, True)
    assert [fault for fault in back["faults"] if fault["part"] == "queue"] == []
    await nothing_lost_or_doubled(daemon, database)
    kinds = await daemon.until(lambda: told_of_the_return(database))
    assert kinds[:3] == ["redis", "memory", "redis"]
    no_storm(daemon)


async def told_of_the_return(database: Database) -> list[str]:
    """The facts, once the return is among them."""
    kinds = await changes(database)
    return kinds if len(kinds) >= 3 else []


async def test_a_redis_that_is_absent_at_the_start_is_used_once_it_is_there(
    start_daemon: StartDaemon, database: Database, redis: Valkey
) -> None:
    redis.kill()
    daemon = await started(start_daemon, database, redis)
    health = await uses(daemon, "memory")
    await completed(daemon, 3)
    redis.start()
    await uses(daemon, "redis")

    assert health["status"] == "degraded"
    await nothing_lost_or_doubled(daemon, database)
    assert (await changes(database))[0] == "memory"
    no_storm(daemon)


async def test_a_redis_that_forgets_everything_is_filled_again(
    start_daemon: StartDaemon, database: Database, redis: Valkey
) -> None:
    daemon = await started(start_daemon, database, redis)
    async with Redis.from_url(redis.url) as client:
        for count in (1, 4, 8):
            await completed(daemon, count)
            await client.flushall()

    await nothing_lost_or_doubled(daemon, database)
    no_storm(daemon)


async def test_a_redis_that_nobody_asked_for_is_not_missed(start_daemon: StartDaemon) -> None:
    """As on a laptop; the address is left at its default, and the switch keeps the machine's own Redis out of it."""
    daemon = await start_daemon({"queue": {"type": "auto", "redis_enabled": False}})

    assert (await daemon.get("/health"))["status"] == "ok"
    told = await daemon.get("/queue")
    assert (told["kind"], told["degraded"], told["waiting"]) == ("memory", False, 0)
