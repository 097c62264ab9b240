"""A PostgreSQL that is gone, frozen or overrun: every call ends, with one error of ours, and works again afterwards."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from contenthubd.adapters.postgres.embedded import EmbeddedPostgres
from contenthubd.adapters.postgres.engine import Database
from contenthubd.adapters.postgres.flights import PostgresFlights
from contenthubd.adapters.postgres.images import PostgresImages
from contenthubd.adapters.postgres.instances import PostgresInstances
from contenthubd.adapters.postgres.migrate import upgrade
from contenthubd.adapters.postgres.publications import PostgresPublications
from contenthubd.adapters.postgres.tasks import PostgresTasks
from contenthubd.adapters.postgres.views import PostgresViews
from contenthubd.domain.errors import DatabaseUnavailable
from contenthubd.domain.task import Mode
from tests.clock import NOON
from tests.plain_connection import connect_to
from tests.postgres_probe import children, public_folder
from tests.stages.house import INSTANCE, LEASE, House

SHORT_SECONDS = 0.5
PATIENCE_SECONDS = 60.0


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where a server of this test's own may live."""
    with public_folder() as made:
        yield made


@asynccontextmanager
async def server(folder: Path) -> AsyncIterator[tuple[EmbeddedPostgres, str]]:
    """A server that may be ended and frozen."""
    postgres = EmbeddedPostgres(folder / "data", durable=False)
    url = await postgres.start()
    try:
        yield postgres, url
    finally:
        await postgres.stop()


@contextmanager
def frozen(postgres: EmbeddedPostgres) -> Iterator[None]:
    """The server and all who serve its connections stand still for the block."""
    assert postgres.pid is not None
    os.kill(postgres.pid, signal.SIGSTOP)
    family = [postgres.pid, *children(postgres.pid)]
    for pid in family:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in family:
            os.kill(pid, signal.SIGCONT)


async def works_again(database: Database) -> None:
    """The first good answer; the connections of before may each fail once."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                assert await database.first(text("SELECT 1")) == (1,)
            except DatabaseUnavailable:
                await asyncio.sleep(0.05)
            else:
                return


def calls(database: Database) -> list[object]:
    """One call of every kind."""
    tasks, flights, views = PostgresTasks(database), PostgresFlights(database), PostgresViews(database)
    pool = PostgresPublications(database, Path("/images"))
    return [
        tasks.waiting(1, [Mode.ASYNC]),
        tasks.promote(NOON, 1, longest=timedelta(days=1)),
        flights.in_flight(INSTANCE),
        flights.renew("me", NOON, [(UUID(int=1), 1)]),
        PostgresInstances(database).hold(INSTANCE, "me", LEASE),
        PostgresInstances(database).lost(INSTANCE, LEASE),
        PostgresInstances(database).forget(INSTANCE, LEASE, NOON),
        pool.claim_due(NOON, 1, "me", longest=timedelta(days=1)),
        PostgresImages(database).due_images(NOON, 1, longest=timedelta(days=1)),
        views.last_batch(),
        House(database).account(),
        upgrade(database),
    ]


async def test_a_server_that_ends_is_one_error_and_comes_back(folder: Path) -> None:
    async with server(folder) as (postgres, url):
        database = Database(url, command_timeout=10)
        await upgrade(database)
        await asyncio.gather(*(database.first(text("SELECT pg_sleep(0.01)")) for _ in range(6)))
        await postgres.stop()
        for call in calls(database):
            with pytest.raises(DatabaseUnavailable, match="PostgreSQL does not answer") as caught:
                await call  # type: ignore[misc]  # a list of awaitables of different kinds
            assert caught.value.exit_code == 5
        await postgres.start()
        await works_again(database)
        await database.close()


async def test_a_server_that_is_killed_in_the_middle_of_a_call(folder: Path) -> None:
    async with server(folder) as (postgres, url):
        database = Database(url, command_timeout=PATIENCE_SECONDS)
        await database.first(text("SELECT 1"))

        async def ended() -> None:
            assert postgres.pid is not None
            os.kill(postgres.pid, signal.SIGQUIT)

        with pytest.raises(DatabaseUnavailable):
            await asyncio.gather(database.first(text("SELECT pg_sleep(600)")), ended())
        await database.close()


async def test_a_server_that_is_shutting_down_says_so(folder: Path) -> None:
    """It waits for who is connected, and refuses who comes."""
    async with server(folder) as (postgres, url):
        held = await connect_to(url)
        assert postgres.pid is not None
        os.kill(postgres.pid, signal.SIGTERM)
        database = Database(url, pool_size=1)
        with pytest.raises(DatabaseUnavailable, match="shutting down") as caught:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while True:  # until it has noticed the signal
                    await database.first(text("SELECT 1"))
                    await database.close()
        assert "is starting up or shutting down. It said: the database system is shutting down." in str(caught.value)
        assert caught.value.exit_code == 5
        await held.close(timeout=10)
        await postgres.stop()
        await postgres.start()
        await works_again(database)
        await database.close()


async def test_while_a_server_is_frozen_every_call_ends_and_later_all_is_well(folder: Path) -> None:
    async with server(folder) as (postgres, url):
        database = Database(url, command_timeout=SHORT_SECONDS, pool_size=2)
        generous = Database(url)
        await upgrade(generous)
        await generous.close()
        await asyncio.gather(*(database.first(text("SELECT pg_sleep(0.01)")) for _ in range(2)))
        with frozen(postgres):
            async with asyncio.timeout(PATIENCE_SECONDS):
                many = [database.first(text("SELECT 1")) for _ in range(8)]
                answers = await asyncio.gather(*many, *calls(database), return_exceptions=True)
        assert [type(answer) for answer in answers] == [DatabaseUnavailable] * len(answers)
        await works_again(database)
        await database.close()


async def test_a_deadlock_inside_postgresql_is_worth_another_try(database: Database) -> None:
    await database.changed(text("CREATE TABLE two (id int PRIMARY KEY, n int)"))
    await database.changed(text("INSERT INTO two VALUES (1, 0), (2, 0)"))
    both = asyncio.Barrier(2)

    async def cross(first: int, second: int) -> None:
        async with database.transaction() as connection:
            await connection.execute(text("UPDATE two SET n = n + 1 WHERE id = :id"), {"id": first})
            await both.wait()
            await connection.execute(text("UPDATE two SET n = n + 1 WHERE id = :id"), {"id": second})

    answers = await asyncio.gather(cross(1, 2), cross(2, 1), return_exceptions=True)
    assert sorted(type(answer).__name__ for answer in answers) == ["DatabaseUnavailable", "NoneType"]
    assert await database.first(text("SELECT sum(n) FROM two")) == (2,)


async def test_our_own_faults_stay_what_they_are(database: Database) -> None:
    for statement in ("SELECT nonsense", "SELECT 1 / 0", "INSERT INTO account (id) VALUES (NULL)"):
        with pytest.raises(DBAPIError):
            await database.rows(text(statement))


@pytest.mark.parametrize("url", ["postgresql+asyncpg://x@/x?host=/nowhere", "postgresql+asyncpg://x@127.0.0.1:9/x"])
async def test_nobody_there_at_all(url: str) -> None:
    database = Database(url, command_timeout=5)
    with pytest.raises(DatabaseUnavailable) as caught:
        await database.first(text("SELECT 1"))
    assert caught.value.why
    await database.close()


async def test_a_server_that_only_lets_read_is_away_for_us(database: Database) -> None:
    """What a standby says, and what a hosted server says whose disk is nearly full."""
    one = Database(database.url, pool_size=1)
    await one.rows(text("SELECT set_config('default_transaction_read_only', 'on', false)"))
    assert await PostgresTasks(one).waiting(1, list(Mode)) == []
    with pytest.raises(DatabaseUnavailable, match="read-only"):
        await PostgresInstances(one).hold("main", "0" * 32, LEASE)
    await one.rows(text("SELECT set_config('default_transaction_read_only', 'off', false)"))
    assert await PostgresInstances(one).hold("main", "0" * 32, LEASE)
    await one.close()


async def test_a_server_with_a_lock_timeout_of_its_own_is_away_for_us(database: Database) -> None:
    one = Database(database.url, pool_size=1)
    await one.rows(text("SELECT set_config('lock_timeout', '10ms', false)"))
    async with database.transaction() as locked:
        await locked.execute(text("LOCK TABLE instance"))
        with pytest.raises(DatabaseUnavailable, match="lock timeout"):
            await PostgresInstances(one).hold("main", "0" * 32, LEASE)
    assert await PostgresInstances(one).hold("main", "0" * 32, LEASE)
    await one.close()


async def test_a_table_that_is_gone_is_waited_for_until_it_is_restored(database: Database) -> None:
    """An outcome that was paid for must not be turned into a failure because somebody restores a backup just now."""
    await database.changed(text("ALTER TABLE instance RENAME TO elsewhere"))
    with pytest.raises(DatabaseUnavailable, match="Restore a backup"):
        await PostgresInstances(database).hold("main", "0" * 32, LEASE)
    await database.changed(text("ALTER TABLE elsewhere RENAME TO instance"))
    assert await PostgresInstances(database).hold("main", "0" * 32, LEASE)
