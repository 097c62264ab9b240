"""The tables: schema.sql says what the migrations make, and an upgrade is safe whoever starts it, and how often."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from contenthubd.adapters.postgres.engine import Database
from contenthubd.adapters.postgres.migrate import MIGRATIONS, NEWEST, upgrade, version
from contenthubd.domain.errors import DatabaseRefused
from tests.clock import NOON
from tests.conftest import MakeDatabase
from tests.contracts.rows import everything, fill
from tests.plain_connection import connect_to
from tests.postgres_server import TestServer

SCHEMA = Path(__file__).resolve().parents[2] / "schema.sql"
PREVIOUS = sorted(path.stem.partition("_")[0] for path in (MIGRATIONS / "versions").glob("*.py"))[-2]
CATALOGS = {
    "columns": """
        SELECT table_name, column_name, ordinal_position, column_default, is_nullable, data_type, udt_name,
               is_identity, identity_generation
        FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> 'contenthubd_version'
    """,
    "constraints": """
        SELECT conrelid::regclass::text AS on_table, conname, contype, convalidated,
               pg_get_constraintdef(oid) AS definition
        FROM pg_constraint WHERE connamespace = 'public'::regnamespace
          AND conrelid::regclass::text <> 'contenthubd_version'
    """,
    "indexes": """
        SELECT tablename, indexname, indexdef FROM pg_indexes
        WHERE schemaname = 'public' AND tablename <> 'contenthubd_version'
    """,
    "other things": """
        SELECT relname, relkind::text FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relname !~ '^contenthubd_version'
    """,
    "functions": "SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace",
    "triggers": "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal",
    "extensions": "SELECT extname FROM pg_extension",
}


@pytest.fixture
async def empty(postgres: TestServer) -> AsyncIterator[Database]:
    """A database without any table."""
    url = await postgres.fresh_database("template0")
    database = Database(url)
    yield database
    await database.close()
    await postgres.drop(url)


async def catalog(database: Database) -> dict[str, list[Any]]:
    """All that makes the shape of a database, in a stable order."""
    return {
        name: sorted(str(tuple(row)) for row in await database.rows(text(statement)))
        for name, statement in CATALOGS.items()
    }


async def run_schema(url: str) -> None:
    """schema.sql, as an administrator would run it."""
    connection = await connect_to(url)
    try:
        await connection.execute(SCHEMA.read_text(encoding="utf-8"))
    finally:
        await connection.close(timeout=10)


async def test_schema_sql_is_what_the_migrations_make(empty: Database, database: Database) -> None:
    await run_schema(empty.url)
    by_hand, migrated = await catalog(empty), await catalog(database)
    for name in CATALOGS:
        assert by_hand[name] == migrated[name], name
    assert len(migrated["columns"]) > 80
    assert len(migrated["constraints"]) > 40


async def test_an_upgrade_twice_does_nothing(empty: Database) -> None:
    assert await version(empty) is None
    assert await upgrade(empty)
    assert await version(empty) == NEWEST
    before = await catalog(empty)
    assert not await upgrade(empty)
    assert await catalog(empty) == before


async def test_an_upgrade_of_the_previous_version_keeps_the_rows(
    make_database: MakeDatabase, database: Database, tmp_path: Path
) -> None:
    previous = await make_database(PREVIOUS)
    await (await fill(previous, tmp_path)).second_house(NOON)
    before = await everything(previous)
    filled = {"account", "attempt", "batch", "content", "fact", "image", "publication", "task"}
    assert filled <= {table for table, rows in before.rows.items() if rows}, "a table without a row shows nothing"
    assert await upgrade(previous)
    assert await version(previous) == NEWEST
    assert await everything(previous, before.columns) == before
    assert await catalog(previous) == await catalog(database)
    assert not await upgrade(previous)


async def test_five_upgrades_at_once_on_an_empty_database(empty: Database) -> None:
    daemons = [Database(empty.url, pool_size=1) for _ in range(5)]
    await asyncio.gather(*(upgrade(daemon) for daemon in daemons))
    for daemon in daemons:
        await daemon.close()
    assert await version(empty) == NEWEST
    assert await empty.first(text("SELECT count(*) FROM contenthubd_version")) == (1,)


async def test_a_newer_database_is_refused_and_left_alone(empty: Database) -> None:
    await upgrade(empty)
    await empty.changed(text("UPDATE contenthubd_version SET version_num = '9999'"))
    before = await catalog(empty)
    with pytest.raises(DatabaseRefused, match="version 9999") as caught:
        await upgrade(empty)
    assert caught.value.fix
    assert await catalog(empty) == before
    assert await version(empty) == "9999"


async def test_a_version_table_without_a_version_is_an_empty_database(empty: Database) -> None:
    await empty.changed(text("CREATE TABLE contenthubd_version (version_num varchar(32) PRIMARY KEY)"))
    assert await version(empty) is None
    assert await upgrade(empty)
    assert await version(empty) == NEWEST


def test_the_newest_version_is_the_last_migration() -> None:
    assert max(path.stem for path in (MIGRATIONS / "versions").glob("*.py")).partition("_")[0] == NEWEST
