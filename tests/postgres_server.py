"""A real PostgreSQL for the tests: one server per run (or xdist worker), one database per test.

A template is filled once (migrations and so on); each test gets a copy of it. A copy costs more than most tests do, so
one that is given back with its tables as they were is emptied and used again. The server must be started and stopped on
one event loop (a session-scoped fixture with ``loop_scope="session"``); the other methods open a connection of their
own and work from any loop.
"""

import shutil
import tempfile
from collections.abc import Awaitable, Callable
from itertools import count
from pathlib import Path
from typing import Any

import asyncpg
from sqlalchemy.engine import make_url

from contenthubd.adapters.postgres.embedded import EmbeddedPostgres
from tests.plain_connection import connect_to

_FINGERPRINT = """
    WITH shape(t) AS (
        SELECT c::text FROM pg_class c WHERE oid >= 16384  -- the first number that is not PostgreSQL's own
        UNION ALL SELECT c::text FROM pg_attribute c WHERE attrelid >= 16384
        UNION ALL SELECT c::text FROM pg_index c WHERE indexrelid >= 16384
        UNION ALL SELECT c::text FROM pg_constraint c WHERE oid >= 16384
        UNION ALL SELECT c::text FROM pg_trigger c WHERE oid >= 16384
        UNION ALL SELECT c::text FROM pg_proc c WHERE oid >= 16384
        UNION ALL SELECT c::text FROM pg_type c WHERE oid >= 16384
        UNION ALL SELECT c::text FROM pg_extension c WHERE oid >= 16384
        UNION ALL SELECT c::text FROM pg_rewrite c WHERE oid >= 16384
        UNION ALL SELECT c::text FROM pg_event_trigger c
        UNION ALL SELECT c::text FROM pg_sequence c WHERE seqrelid >= 16384
        UNION ALL SELECT c::text FROM pg_statistic_ext c
        UNION ALL SELECT c::text FROM pg_policy c
        UNION ALL SELECT c::text FROM pg_namespace c WHERE nspname !~ '^pg_'
        UNION ALL SELECT c::text FROM pg_default_acl c
        UNION ALL SELECT c::text FROM pg_largeobject_metadata c
        UNION ALL SELECT datconnlimit::text FROM pg_database WHERE datname = current_database()
        UNION ALL SELECT setconfig::text FROM pg_db_role_setting WHERE setdatabase IN
            (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
    )
    SELECT md5(string_agg(t, ';' ORDER BY t)) FROM shape
"""
"""All that is not rows of tables: one value, which changes with any of it."""
_LARGEST = "SELECT max(pg_relation_size(oid)) FROM pg_class WHERE relkind = 'r' AND oid >= 16384"
_BULKY = 64 * 8192
"""Bytes of one table; the plans and the time of a next test could depend on more."""
_HANG_UP = """
    SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
"""First of all: a test that failed may have left a connection that holds locks."""
_EMPTY = """
    SET session_replication_role = replica;
    DO $$
    DECLARE place regclass;
    BEGIN
        FOR place IN SELECT oid FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
            AND relname NOT IN ({filled})
        LOOP EXECUTE format('DELETE FROM %s', place); END LOOP;
        PERFORM setval(oid, 1, false) FROM pg_class WHERE relkind = 'S' AND relnamespace = 'public'::regnamespace;
    END $$;
"""


class TestServer:
    """A private server in a temporary folder that forgets everything when it stops."""

    __test__ = False  # not a test class, whatever its name says

    def __init__(self, bin_dir: Path | None = None) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="contenthubd-pg-"))
        self._folder.chmod(0o711)  # the server runs as another account where root may not use namespaces
        self.data_dir = self._folder / "data"
        """Where its files are; they are made at the start if they are not there."""
        self._postgres = EmbeddedPostgres(self.data_dir, bin_dir=bin_dir, durable=False)
        self._url = ""
        self._numbers = count(1)
        self._empty: dict[str, list[str]] = {}
        self._filled: dict[str, tuple[str, ...]] = {}
        self._fingerprints: dict[str, str] = {}

    async def start(self) -> str:
        """Start the server; the URL of its (empty) default database."""
        try:
            self._url = await self._postgres.start()
        except BaseException:
            shutil.rmtree(self._folder)
            raise
        return self._url

    async def stop(self) -> None:
        """Stop the server and remove all it had."""
        await self._postgres.stop()
        shutil.rmtree(self._folder)

    async def create_template(
        self,
        name: str,
        make: Callable[[str], Awaitable[None]],
        *,
        filled: tuple[str, ...] = (),
        of: str = "template1",
    ) -> None:
        """Copy the database ``of`` to ``name``, let ``make(url)`` fill it, then close it for good: it is only copied.

        Copies can be given back if ``filled`` names the tables that have rows from the start.
        """
        self._filled[name] = filled
        await self._execute(f'CREATE DATABASE "{name}" TEMPLATE "{of}"')
        await make(self._url_of(name))
        if filled:
            connection = await connect_to(self._url_of(name))
            self._fingerprints[name] = await fingerprint(connection, filled)
            await connection.close(timeout=10)
        await self._execute(f'ALTER DATABASE "{name}" WITH ALLOW_CONNECTIONS false IS_TEMPLATE true')

    async def fresh_database(self, template: str) -> str:
        """The URL of a copy of ``template`` that nobody has."""
        if self._empty.get(template):
            return self._empty[template].pop()
        return await self.new_database(template)

    async def new_database(self, template: str) -> str:
        """The URL of a copy of ``template`` that nobody ever had."""
        name = f"{template}_{next(self._numbers)}"
        await self._execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return self._url_of(name)

    async def give_back(self, url: str, template: str) -> None:
        """Empty a copy of ``template`` for whoever comes next; remove it if more than rows was changed."""
        try:
            emptied = await self._emptied(url, template)
        except (OSError, asyncpg.PostgresError):  # the test removed it, renamed it or closed it to everybody
            emptied = False
        if emptied:
            self._empty.setdefault(template, []).append(url)
        else:
            await self._execute(f'DROP DATABASE IF EXISTS "{make_url(url).database}" WITH (FORCE)')

    async def _emptied(self, url: str, template: str) -> bool:
        """Whether the database is again as its template; nothing is done to one in which more than rows was changed."""
        filled = self._filled[template]
        connection = await connect_to(url)  # one for everything: each is a process of the server
        try:
            await connection.execute(_HANG_UP)
            if await fingerprint(connection, filled) != self._fingerprints[template]:
                return False
            if await connection.fetchval(_LARGEST) > _BULKY:
                return False
            await connection.execute(_EMPTY.format(filled=", ".join(f"'{name}'" for name in filled)))
            return True
        finally:
            await connection.close(timeout=10)

    async def drop(self, url: str) -> None:
        """Remove a database, whoever is still connected to it."""
        await self._execute(f'DROP DATABASE "{make_url(url).database}" WITH (FORCE)')

    def _url_of(self, name: str) -> str:
        return make_url(self._url).set(database=name).render_as_string(hide_password=False)

    async def _execute(self, sql: str, url: str | None = None) -> None:
        connection = await connect_to(url or self._url_of("postgres"))
        try:
            await connection.execute(sql)
        finally:
            await connection.close(timeout=10)


async def fingerprint(connection: "asyncpg.Connection[Any]", filled: tuple[str, ...]) -> str:
    """All that is not rows of tables, and the rows of these."""
    told = [await connection.fetchval(_FINGERPRINT)]
    for name in filled:
        told += await connection.fetch(f"SELECT t::text FROM {name} t ORDER BY t")  # noqa: S608 - our own names
    return repr(told)
