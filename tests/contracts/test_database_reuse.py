"""What one test does to its database is nothing to the next one that gets it: no row is left, nor anything else."""

import asyncio
import json
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from sqlalchemy.engine import make_url

from contenthubd.adapters.postgres.engine import Database
from tests.conftest import TEMPLATE
from tests.contracts.rows import fill
from tests.plain_connection import connect_to
from tests.postgres_server import TestServer, fingerprint

PRISTINE = {
    "relations": "SELECT relname, relkind, relacl, reloptions, relrowsecurity, relpages > 64 FROM pg_class "
    "WHERE relnamespace = 'public'::regnamespace",
    "columns": "SELECT attrelid::regclass, attname, atttypid, attnotnull, attidentity FROM pg_attribute "
    "JOIN pg_class ON pg_class.oid = attrelid WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'",
    "constraints": "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint "
    "WHERE connamespace = 'public'::regnamespace",
    "sequences": "SELECT sequencename, last_value, increment_by, start_value FROM pg_sequences",
    "functions": "SELECT proname FROM pg_proc WHERE oid >= 16384",
    "triggers": "SELECT tgname, tgenabled FROM pg_trigger WHERE NOT tgisinternal",
    "schemas": "SELECT nspname, nspacl FROM pg_namespace WHERE nspname !~ '^pg_'",
    "statistics": "SELECT stxname FROM pg_statistic_ext",
    "policies": "SELECT polname FROM pg_policy",
    "large objects": "SELECT oid FROM pg_largeobject_metadata",
    "rights": "SELECT defaclacl FROM pg_default_acl",
    "database": "SELECT datconnlimit, datallowconn, datistemplate FROM pg_database WHERE datname = current_database()",
    "settings": "SELECT name, setting FROM pg_settings WHERE source NOT IN ('client', 'override')",
    "others": "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()",
    "locks": "SELECT locktype FROM pg_locks WHERE pid <> pg_backend_pid() AND database = "
    "(SELECT oid FROM pg_database WHERE datname = current_database())",
}
"""What a test may find in its database, beside the rows of its tables."""
CHANGES = (
    "CREATE TABLE mine (id int)",
    "CREATE INDEX mine ON task (topic)",
    "DROP INDEX task_waiting_by_mode",
    "ALTER TABLE task ADD COLUMN mine int",
    "ALTER TABLE task DROP COLUMN requirements",
    "ALTER TABLE task ALTER COLUMN topic DROP NOT NULL",
    "ALTER TABLE task RENAME TO mine",
    "ALTER TABLE task SET (fillfactor = 50)",
    "ALTER TABLE task ENABLE ROW LEVEL SECURITY",
    "CREATE POLICY mine ON task USING (false)",
    "ALTER SEQUENCE fact_id_seq INCREMENT 10",
    "CREATE SEQUENCE mine",
    "CREATE STATISTICS mine ON state, mode FROM task",
    "CREATE VIEW mine AS SELECT 1 AS one",
    "CREATE TYPE mine AS ENUM ('a')",
    "CREATE SCHEMA mine",
    "CREATE FUNCTION mine() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
    "CREATE FUNCTION mine() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
    "CREATE TRIGGER mine BEFORE INSERT ON task FOR EACH ROW EXECUTE FUNCTION mine()",
    "CREATE RULE mine AS ON INSERT TO task DO INSTEAD NOTHING",
    "GRANT SELECT ON task TO PUBLIC",
    "REVOKE ALL ON SCHEMA public FROM PUBLIC",
    "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC",
    "SELECT lo_create(0)",
    "ALTER DATABASE {name} SET timezone = 'Asia/Tokyo'",
    "ALTER DATABASE {name} SET default_transaction_read_only = on",
    "ALTER ROLE contenthub IN DATABASE {name} SET search_path = nowhere",
    "ALTER DATABASE {name} CONNECTION LIMIT 3",
    "UPDATE contenthubd_version SET version_num = '0001'",
    "UPDATE installation SET id = gen_random_uuid()",
    "DELETE FROM installation",
    "DROP TABLE firing",
)
"""Each of them is more than the rows of tables that are empty at first."""
FILLED = ("contenthubd_version", "installation")


async def found(url: str) -> dict[str, list[str]]:
    """Everything there is to see, row for row."""
    connection = await connect_to(url)
    try:
        seen = {name: await shown(connection, sql) for name, sql in PRISTINE.items()}
        for [table] in await connection.fetch("SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = "
                                              "'public'::regnamespace"):  # fmt: skip
            seen[f"rows of {table}"] = await shown(connection, f"SELECT t FROM {table} t")  # noqa: S608 - a name of ours
    finally:
        await connection.close(timeout=10)
    return seen


async def shown(connection: "asyncpg.Connection[Any]", sql: str) -> list[str]:
    """The rows as text, in an order of their own."""
    return sorted([json.dumps([str(value) for value in row]) for row in await connection.fetch(sql)])


@pytest.fixture
async def untouched(postgres: TestServer) -> dict[str, list[str]]:
    """What a copy of the template looks like that nobody has had."""
    url = await postgres.new_database(TEMPLATE)
    seen = await found(url)
    await postgres.drop(url)
    assert not seen["others"]
    assert not seen["rows of task"]
    assert len(seen["rows of installation"]) == 1
    return seen


async def test_rows_numbers_connections_and_locks_are_gone(
    postgres: TestServer, untouched: dict[str, list[str]], tmp_path: Path
) -> None:
    url = await postgres.fresh_database(TEMPLATE)
    database = Database(url)
    await fill(database, tmp_path)
    left = await connect_to(url)  # as a test leaves it that fails
    await left.execute("SET timezone = 'Asia/Tokyo'; CREATE TEMP TABLE mine (id int); LISTEN mine")
    await left.execute("SELECT pg_advisory_lock(1); BEGIN; LOCK TABLE task")
    running = asyncio.create_task(left.execute("SELECT pg_sleep(600)"))
    await database.close()

    await postgres.give_back(url, TEMPLATE)
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
        await running
    assert left.is_closed()
    again = await postgres.fresh_database(TEMPLATE)
    assert again == url, "it was emptied, not made anew"
    assert await found(again) == untouched
    connection = await connect_to(again)
    assert await connection.fetchval("INSERT INTO fact (at, name) VALUES (now(), 'x') RETURNING id") == 1
    await connection.close(timeout=10)
    await postgres.give_back(again, TEMPLATE)


async def test_every_change_that_is_more_than_rows_is_noticed(postgres: TestServer) -> None:
    url = await postgres.fresh_database(TEMPLATE)
    connection = await connect_to(url)
    before = await fingerprint(connection, FILLED)
    for change in CHANGES:
        attempt = connection.transaction()
        await attempt.start()
        await connection.execute(change.format(name=f'"{make_url(url).database}"'))
        assert await fingerprint(connection, FILLED) != before, change
        await attempt.rollback()
        assert await fingerprint(connection, FILLED) == before, change
    await connection.close(timeout=10)
    await postgres.give_back(url, TEMPLATE)


@pytest.mark.parametrize(
    "change",
    [
        "CREATE TABLE mine (id int)",
        "ALTER DATABASE {name} SET timezone = 'Asia/Tokyo'",
        "INSERT INTO fact (at, name) SELECT now(), repeat('x', 100) FROM generate_series(1, 6000)",
        "ALTER DATABASE {name} ALLOW_CONNECTIONS false",
        "DROP DATABASE {name}",
    ],
)
async def test_a_changed_database_is_not_used_again(
    postgres: TestServer, untouched: dict[str, list[str]], change: str
) -> None:
    url = await postgres.fresh_database(TEMPLATE)
    outside = change.endswith(("CONNECTIONS false", "DATABASE {name}"))
    connection = await connect_to(str(make_url(url).set(database="postgres")) if outside else url)
    await connection.execute(change.format(name=f'"{make_url(url).database}"'))
    await connection.close(timeout=10)
    await postgres.give_back(url, TEMPLATE)
    again = await postgres.fresh_database(TEMPLATE)
    assert again != url
    assert await found(again) == untouched
    await postgres.give_back(again, TEMPLATE)
