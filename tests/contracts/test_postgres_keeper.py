"""The private PostgreSQL is started again whenever it ends; one that cannot be started is tried on, quietly."""

import asyncio
import itertools
import os
import resource
import signal
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from contenthubd.adapters.postgres.embedded import EmbeddedPostgres
from contenthubd.adapters.postgres.keeper import keep
from tests import prepared_cluster
from tests.clock import ManualClock
from tests.postgres_probe import public_folder, sql, until


@pytest.fixture
def data() -> Iterator[Path]:
    """The data directory of this test's own server."""
    with public_folder() as folder:
        yield folder / "data"


@pytest.fixture
async def kept(data: Path) -> AsyncIterator[tuple[EmbeddedPostgres, str]]:
    """A server that is kept alive; with its address."""
    await asyncio.to_thread(prepared_cluster.copy_to, data)
    postgres = EmbeddedPostgres(data, durable=False)
    url = await postgres.start()
    keeper = asyncio.create_task(keep(postgres, ManualClock()))
    yield postgres, url
    keeper.cancel()
    await asyncio.wait([keeper])
    await postgres.stop()


def end(postgres: EmbeddedPostgres) -> None:
    """As a crash of the whole server would."""
    assert postgres.pid is not None
    os.kill(postgres.pid, signal.SIGKILL)


async def test_it_is_started_again_at_the_same_address(kept: tuple[EmbeddedPostgres, str]) -> None:
    postgres, url = kept
    with capture_logs() as logs:
        for number in (1, 2):
            end(postgres)
            await until(partial(restarted, logs, number), "it runs again")
            assert await sql(url, "SELECT 1") == 1


async def test_while_it_cannot_be_started_the_reason_is_told_once(
    data: Path, kept: tuple[EmbeddedPostgres, str]
) -> None:
    postgres, url = kept
    version = data / "PG_VERSION"
    right = version.read_text(encoding="utf-8")
    with capture_logs() as logs:
        version.write_text("9\n", encoding="utf-8")
        end(postgres)
        await until(lambda: told(logs)["database_not_started"] == 1, "it cannot be started")
        version.write_text(right, encoding="utf-8")
        await until(lambda: told(logs)["database_restarted"] == 1, "it runs again")
    assert told(logs)["database_not_started"] == 1
    assert await sql(url, "SELECT 1") == 1


@pytest.mark.parametrize("left", [0, 2, 4])
async def test_a_machine_without_means_to_start_it_is_waited_for(kept: tuple[EmbeddedPostgres, str], left: int) -> None:
    """What is missing here are file descriptors; memory for a process runs out in the same way."""
    postgres, url = kept
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with capture_logs() as logs:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (roomless(left), limits[1]))
            end(postgres)
            await until(lambda: told(logs)["database_not_started"] > 0, "it cannot be started")
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        await until(lambda: told(logs)["database_restarted"] == 1, "it runs again")
    assert await sql(url, "SELECT 1") == 1


def roomless(left: int) -> int:
    """A limit that leaves room for so many descriptors more."""
    used = {int(name) for name in os.listdir("/proc/self/fd")}
    free = (number for number in itertools.count() if number not in used)
    return next(itertools.islice(free, left, None))


def restarted(logs: list[Any], times: int) -> bool:
    """Whether it has ended and been started again so often."""
    return told(logs)["database_ended"] == told(logs)["database_restarted"] == times


def told(logs: list[Any]) -> Counter[Any]:
    """How often each event was logged."""
    return Counter(entry["event"] for entry in logs)
