"""Several real daemons on one database: one makes the tables, each has a creator instance of its own, all work."""

import asyncio
import shutil
import signal
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.postgres_probe import sql
from tests.postgres_server import TestServer
from tests.running import RunningDaemon, short_directory

DAEMONS = 5
TOPICS = 3


@pytest.fixture
def place() -> Iterator[Path]:
    """Room for the state directories."""
    folder = short_directory()
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
async def empty(postgres: TestServer) -> AsyncIterator[str]:
    """The URL of a database without a single table."""
    name = "nothing_yet"
    await postgres._execute(f'CREATE DATABASE "{name}"')
    url = postgres._url_of(name)
    yield url
    await postgres.drop(url)


def simulated(state_dir: Path, url: str, instance: str) -> RunningDaemon:
    """A daemon on the database, with short leases."""
    settings: dict[str, dict[str, Any]] = {
        "database": {"url": url, "pool_size": 2, "command_timeout_seconds": 5},
        "tasks": {"mode": "sync", "lease_seconds": 6, "max_concurrent": 2},
        "creator": {"instance": instance, "manage_worker": False},
    }
    return RunningDaemon.simulated(state_dir, settings, latency_seconds=0.1)


async def test_five_at_once_on_an_empty_database(place: Path, empty: str) -> None:
    daemons = [simulated(place / f"state{number}", empty, f"host{number}") for number in range(DAEMONS)]
    try:
        await asyncio.gather(*(daemon.start() for daemon in daemons))
        await daemons[0].account()
        for daemon in daemons:
            await daemon.submit(*(f"topic {number}" for number in range(TOPICS)))
        await daemons[0].until(lambda: _completed(daemons[0], DAEMONS * TOPICS))
        for daemon in daemons:
            assert (await daemon.get("/health"))["status"] == "ok"
        assert await sql(empty, "SELECT count(*) FROM instance WHERE seen_until > now()") == DAEMONS
        assert await sql(empty, "SELECT count(*) FROM task WHERE attempt <> 1 OR retry_count <> 0") == 0
        assert await sql(empty, "SELECT count(*) FROM content") == DAEMONS * TOPICS
        assert await sql(empty, "SELECT count(*) FROM contenthubd_version") == 1
    finally:
        codes = await asyncio.gather(*(daemon.stop() for daemon in daemons))
    assert codes == [0] * DAEMONS
    upgraded = Counter(len(daemon.events("database_upgraded")) for daemon in daemons)
    assert upgraded == {1: 1, 0: DAEMONS - 1}, "one migrates, the others find it done"


async def _completed(daemon: RunningDaemon, count: int) -> bool:
    return [task["state"] for task in await daemon.tasks()] == ["completed"] * count


async def test_one_instance_has_one_daemon_until_that_one_is_gone(place: Path, empty: str) -> None:
    first, second = (simulated(place / name, empty, "same") for name in ("first", "second"))
    try:
        await first.start()
        await second.start(ready=False)
        assert second.process is not None
        assert await second.process.wait() == 6
        words = second.log_path.read_text(encoding="utf-8")
        assert "The creator instance 'same' belongs to another daemon on this database." in words
        assert "[creator] instance" in words
        assert (await first.get("/health"))["status"] == "ok"

        await first.end(signal.SIGKILL)
        await second.until(lambda: _allowed_in(second))
    finally:
        await asyncio.gather(first.stop(), second.stop())


async def _allowed_in(daemon: RunningDaemon) -> bool:
    """Start it, and again as long as it is refused: the other's time has to run out first."""
    await daemon.start(ready=False)
    assert daemon.process is not None
    while daemon.process.returncode is None:
        if daemon.events("daemon_started"):
            return True
        await asyncio.sleep(0.05)
    assert daemon.process.returncode == 6
    daemon.process = None
    return False
