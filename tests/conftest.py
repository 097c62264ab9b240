"""What every test may ask for: a fresh database, a directory with a short path, a running daemon."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from contenthubd.adapters.postgres.embedded import DATABASE
from contenthubd.adapters.postgres.engine import Database
from contenthubd.adapters.postgres.migrate import bring_to, upgrade
from tests import prepared_cluster, surroundings
from tests.postgres_server import TestServer
from tests.running import RunningDaemon, short_directory

TEMPLATE = "contenthub_template"
LONGEST = ("test_promise_14_floods.py", "real", "acceptance", "contracts")
StartDaemon = Callable[..., Awaitable[RunningDaemon]]
MakeDatabase = Callable[[str | None], Awaitable[Database]]


def pytest_configure(config: pytest.Config) -> None:
    """Make the surroundings hostile, and a folder that all processes of this run share."""
    surroundings.make_hostile()
    if prepared_cluster.VARIABLE not in os.environ:
        folder = os.environ[prepared_cluster.VARIABLE] = str(short_directory())
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Longest first, for those who run tests side by side: thousands of short ones fill the gaps at the end."""

    def folder(item: pytest.Item) -> int:
        parts = item.path.parts
        return next((place for place, name in enumerate(LONGEST) if name in parts), len(LONGEST))

    items.sort(key=folder)


async def _migrated(url: str) -> None:
    database = Database(url)
    await upgrade(database)
    await database.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def postgres() -> AsyncIterator[TestServer]:
    """One PostgreSQL server per run with a migrated template."""
    server = TestServer()
    await asyncio.to_thread(prepared_cluster.copy_to, server.data_dir)
    await server.start()
    await server.create_template(TEMPLATE, _migrated, filled=("contenthubd_version", "installation"), of=DATABASE)
    yield server
    await server.stop()


@pytest.fixture
async def database(postgres: TestServer) -> AsyncIterator[Database]:
    """A fresh database with every table and no row."""
    url = await postgres.fresh_database(TEMPLATE)
    made = Database(url)
    yield made
    await made.close()
    await postgres.give_back(url, TEMPLATE)


@pytest.fixture
async def make_database(postgres: TestServer) -> AsyncIterator[MakeDatabase]:
    """Makes databases with the tables of one version, or (None) without any; all are removed."""
    made: list[Database] = []

    async def make(version: str | None) -> Database:
        database = Database(await postgres.fresh_database("template0"))
        made.append(database)
        if version is not None:
            async with database.transaction() as connection:
                await connection.run_sync(bring_to, version)
        return database

    yield make
    for database in made:
        await database.close()
        await postgres.drop(database.url)


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A directory of the test's own, as pytest's, but every account may pass through it, and nothing is kept."""
    folder = short_directory()
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def state_dir() -> Iterator[Path]:
    """A state directory with a path that is short enough for sockets; removed in the end."""
    folder = short_directory()
    yield folder / "state"
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
async def start_daemon(state_dir: Path) -> AsyncIterator[StartDaemon]:
    """Starts daemons with the simulator: ``await start_daemon(settings, latency_seconds=0.1)``; all are ended."""
    started: list[RunningDaemon] = []

    async def start(settings: dict[str, dict[str, Any]] | None = None, **behaviour: object) -> RunningDaemon:
        place = state_dir if not started else state_dir.with_name(f"state{len(started)}")
        running = RunningDaemon.simulated(place, settings, **behaviour)
        running.prepared = True
        started.append(running)
        return await running.start()

    yield start
    for running in started:
        await running.stop()
