"""How `config-check --connect` and a start tell why a server cannot be used: one sentence, the fix, an exit code.

One real server for all: passwords by SCRAM, rules in pg_hba.conf, limits, a copy that is a standby.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from sqlalchemy import text
from sqlalchemy.engine import make_url

from contenthubd.adapters.postgres.embedded import EmbeddedPostgres
from contenthubd.adapters.postgres.engine import Database
from contenthubd.config.loader import load
from contenthubd.database import Commands
from contenthubd.domain.errors import DatabaseUnavailable
from tests.clock import ManualClock
from tests.plain_connection import connect_to
from tests.postgres_probe import public_folder

RULES = """\
local all contenthub trust
local all scram scram-sha-256
local all barred reject
local all peered peer
local all limited,crowded,old,hurried,plain trust
"""
ROLES = ("scram", "barred", "peered", "limited", "crowded", "old", "hurried", "unlisted", "plain")
UNAVAILABLE = 5
REFUSED = 2


@dataclass
class Server:
    """The server, its files, and its superuser."""

    url: str
    data: Path

    def address(self, user: str, password: str = "", database: str = "contenthub", host: str = "") -> str:
        """database.url of somebody."""
        parts = make_url(self.url).set(drivername="postgresql", username=user, database=database)
        parts = parts.update_query_dict({"host": host} if host else {})
        return parts.set(password=password or None).render_as_string(hide_password=False)

    async def run(self, *statements: str) -> None:
        """As the superuser."""
        connection = await connect_to(self.url)
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close(timeout=10)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[Server]:
    """A server with rules."""
    with public_folder() as folder:
        postgres = EmbeddedPostgres(folder / "data", durable=False)
        made = Server(await postgres.start(), folder / "data")
        try:
            (made.data / "pg_hba.conf").write_text(RULES, encoding="utf-8")
            await made.run(
                *(f"CREATE ROLE {role} LOGIN PASSWORD 'right'" for role in ROLES),
                "GRANT CREATE ON SCHEMA public TO PUBLIC",
                "ALTER ROLE limited CONNECTION LIMIT 0",
                "CREATE DATABASE packed CONNECTION LIMIT 0",
                "CREATE DATABASE closed ALLOW_CONNECTIONS false",
                "CREATE SCHEMA other",
                "CREATE FUNCTION other.current_setting(text) RETURNS text LANGUAGE sql AS $$ SELECT CASE $1 WHEN "
                "'server_version_num' THEN '130014' WHEN 'server_version' THEN '13.14' "
                "ELSE pg_catalog.current_setting($1) END $$",
                "GRANT USAGE ON SCHEMA other TO old",
                "ALTER ROLE old SET search_path = other, pg_catalog, public",
                "SELECT pg_reload_conf()",
            )
            yield made
        finally:
            await postgres.stop()


async def checked(url: str, state_dir: Path) -> tuple[int, str]:
    """`contenthubd config-check --connect`: its exit code and what it says."""
    lines: list[str] = []
    try:
        return await commands_for(url, state_dir, lines).connect(), "\n".join(lines)
    except DatabaseUnavailable as fault:
        assert all((fault.what, fault.why, fault.fix)), fault
        assert "Error" not in str(fault), "no name of a class"
        return fault.exit_code, str(fault)


async def backed_up(url: str, state_dir: Path) -> tuple[int, str]:
    """`contenthubd db backup`, likewise."""
    lines: list[str] = []
    code = await commands_for(url, state_dir, lines).backup(state_dir.with_name("backup.tar.gz"), force=False)
    return code, "\n".join(lines)


def commands_for(url: str, state_dir: Path, lines: list[str]) -> Commands:
    """What can be done to the database with this address; ``lines`` gets what is said."""
    environ = {"CONTENTHUBD_DATABASE__URL": url, "CONTENTHUBD_STATE_DIR": str(state_dir)}
    return Commands(load(None, environ=environ, flags={}).config, ManualClock(), lines.append)


@dataclass(frozen=True)
class Case:
    """Who comes, and what he is told."""

    url: Callable[[Server], str]
    code: int
    says: tuple[str, ...]


CASES = {
    "the right password": Case(lambda it: it.address("scram", "right"), 0, ("can be used.",)),
    "a wrong password": Case(
        lambda it: it.address("scram", "wrong"),
        REFUSED,
        ("refuses the password of the user 'scram'", "\\password scram"),
    ),
    "no password": Case(lambda it: it.address("scram"), REFUSED, ("asks for a password", "database.url")),
    "nobody of that name": Case(lambda it: it.address("scram2", "right"), REFUSED, ("user 'scram2'", "pg_hba.conf")),
    "another account": Case(lambda it: it.address("peered"), REFUSED, ("to the account of that name", "pg_ident.conf")),
    "a rule that rejects": Case(lambda it: it.address("barred"), REFUSED, ("from this machine", "pg_hba.conf")),
    "no rule": Case(lambda it: it.address("unlisted"), REFUSED, ("from this machine", "pg_hba.conf")),
    "no such database": Case(
        lambda it: it.address("scram", "right", "missing"), REFUSED, ("no database 'missing'", "CREATE DATABASE")
    ),
    "a closed database": Case(
        lambda it: it.address("plain", database="closed"), REFUSED, ("accepts no connections", "ALLOW_CONNECTIONS true")
    ),
    "a crowded role": Case(
        lambda it: it.address("limited"), UNAVAILABLE, ('too many connections for role "limited"', "CONNECTION LIMIT")
    ),
    "a crowded database": Case(
        lambda it: it.address("plain", database="packed"), UNAVAILABLE, ('for database "packed"', "CONNECTION LIMIT")
    ),
    "too old": Case(lambda it: it.address("old"), REFUSED, ("PostgreSQL 13.14 at ", "is too old", "15 or newer")),
    "nobody there": Case(
        lambda it: it.address("plain", host="/nowhere"), UNAVAILABLE, ("At /nowhere/.s.PGSQL.5432: ", "names its host")
    ),
    "no port": Case(lambda _: "postgresql://plain@127.0.0.1:9/contenthub", UNAVAILABLE, ("does not answer", "port")),
}


@pytest.mark.parametrize("name", CASES)
async def test_who_is_refused_is_told_why_and_what_to_do(server: Server, state_dir: Path, name: str) -> None:
    case = CASES[name]
    code, said = await checked(case.url(server), state_dir)
    assert code == case.code, said
    for words in case.says:
        assert words in said
    assert "\n" not in said


STRANGERS: dict[str, bytes] = {
    "an HTTP server": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "one that hangs up": b"",
    "garbage": bytes(range(256)),
    "an endless message": b"R\xff\xff\xff\xff" + b"\0" * 64,
    "a message of no length": b"R\0\0\0\0",
}


@pytest.mark.parametrize("name", STRANGERS)
async def test_another_program_at_the_port_is_one_sentence(state_dir: Path, name: str) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(8)
        writer.write(STRANGERS[name])
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as stranger:
        port = stranger.sockets[0].getsockname()[1]
        code, said = await checked(f"postgresql://x:y@127.0.0.1:{port}/x?sslmode=disable", state_dir)
    assert code == UNAVAILABLE, said
    assert f"127.0.0.1:{port}" in said


def beside(server: Server, first: str, attributes: str = "any", seconds: int = 2) -> str:
    """An address of two hosts: this one, then the server."""
    folder = make_url(server.url).query["host"]
    query = f"target_session_attrs={attributes}&connect_timeout={seconds}"
    return f"postgresql://plain@/contenthub?host={first}&host={folder}&{query}"


@pytest.mark.parametrize("name", [*STRANGERS, "one that says nothing", "nobody", "no name"])
async def test_the_next_host_is_asked_when_one_cannot_be_used(server: Server, state_dir: Path, name: str) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(8 if name in STRANGERS else -1)
        writer.write(STRANGERS.get(name, b""))
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as stranger:
        port = stranger.sockets[0].getsockname()[1]
        first = {"nobody": "/nowhere", "no name": "nowhere.invalid"}.get(name, f"127.0.0.1:{port}")
        code, said = await checked(beside(server, first), state_dir)
    assert code == 0, said


async def test_what_the_server_decided_ends_the_search(server: Server, state_dir: Path) -> None:
    folder = make_url(server.url).query["host"]
    code, said = await checked(f"postgresql://plain@/missing?host={folder}&host=/nowhere", state_dir)
    assert code == REFUSED
    assert f"PostgreSQL at {folder}/.s.PGSQL.5432 has no database 'missing'." in said


@pytest.mark.parametrize(
    ("attributes", "why", "fix"),
    [("standby", "it is a primary", "set target_session_attrs=read-write"), ("read-only", "it permits writing", "set")],
)
async def test_each_host_is_told_with_what_is_wrong_with_it(
    server: Server, state_dir: Path, attributes: str, why: str, fix: str
) -> None:
    folder = make_url(server.url).query["host"]
    code, said = await checked(beside(server, "/nowhere", attributes), state_dir)
    assert code == UNAVAILABLE
    assert f"No server in database.url fits target_session_attrs={attributes}." in said
    assert "At /nowhere/.s.PGSQL.5432: No such file or directory." in said
    assert f"At {folder}/.s.PGSQL.5432: {why}." in said
    assert fix in said
    assert (await checked(beside(server, "/nowhere", "prefer-standby"), state_dir))[0] == 0
    code, said = await checked("postgresql://plain@/x?host=/nowhere&host=/neither", state_dir)
    assert code == UNAVAILABLE
    assert "At /nowhere/.s.PGSQL.5432, /neither/.s.PGSQL.5432: No such file or directory." in said


async def test_a_server_that_is_full_up(server: Server, state_dir: Path) -> None:
    """max_connections itself: its last places are the superuser's."""
    held = [await connect_to(server.url)]
    try:
        [[most, kept]] = await held[0].fetch(
            "SELECT current_setting('max_connections')::int, current_setting('superuser_reserved_connections')::int"
        )
        held += [await connect_to(server.url) for _ in range(most - kept - 1)]
        code, said = await checked(server.address("plain"), state_dir)
    finally:
        for connection in held:
            await connection.close(timeout=10)
    assert code == UNAVAILABLE
    assert "accepts no more connections." in said
    assert "max_connections" in said


HARMLESS: dict[str, tuple[str, ...]] = {
    "isolation": ("default_transaction_isolation = 'serializable'",),
    "repeatable read": ("default_transaction_isolation = 'repeatable read'", "default_transaction_deferrable = on"),
    "texts": (
        "timezone = 'Asia/Kolkata'",
        "datestyle = 'SQL, DMY'",
        "intervalstyle = 'iso_8601'",
        "bytea_output = 'escape'",
    ),
    "strange texts": (
        "client_encoding = 'LATIN1'",
        "standard_conforming_strings = off",
        "extra_float_digits = -15",
        "lc_messages = 'C'",
        "escape_string_warning = on",
    ),
    "time limits": (
        "idle_session_timeout = '1min'",
        "idle_in_transaction_session_timeout = '5s'",
        "lock_timeout = '5s'",
    ),
    "plans": (
        "plan_cache_mode = 'force_generic_plan'",
        "enable_seqscan = off",
        "jit = on",
        "work_mem = '64kB'",
        "constraint_exclusion = on",
        "transform_null_equals = on",
        "row_security = off",
        "synchronous_commit = off",
    ),
}
_LEVEL = text(
    "SELECT current_setting('transaction_isolation'), current_setting('TimeZone'), current_setting('DateStyle')"
)


@pytest.mark.parametrize("name", HARMLESS)
async def test_settings_of_a_role_change_nothing(server: Server, state_dir: Path, name: str) -> None:
    await server.run(*(f"ALTER ROLE hurried SET {setting}" for setting in HARMLESS[name]))
    database = Database(server.address("hurried"), pool_size=1)
    try:
        code, said = await checked(server.address("hurried"), state_dir)
        assert code == 0, said
        for _ in range(3):
            assert await database.first(_LEVEL) == ("read committed", "UTC", "ISO, YMD")
            async with database.transaction() as connection:
                assert (await connection.execute(_LEVEL)).one() == ("read committed", "UTC", "ISO, YMD")
                assert (await connection.execute(text("SELECT 'é\\n', interval '1 day'"))).one()[0] == "é\\n"
            assert await database.first(text("SHOW idle_session_timeout")) == ("0",)
    finally:
        await database.close()
        await server.run("ALTER ROLE hurried RESET ALL")


LIMITS: dict[str, tuple[str, str, str]] = {
    "a statement": ("statement_timeout = '1ms'", "SELECT pg_sleep(10)", "statement_timeout = 0;"),
    "a transaction at rest": ("idle_in_transaction_session_timeout = '1ms'", "", "resumes"),
    "a transaction": ("transaction_timeout = '5ms'", "SELECT pg_sleep(10)", "resumes"),
    "read only": ("default_transaction_read_only = on", "CREATE TABLE public.x (y int)", "set it to off"),
    "temporary files": (
        "temp_file_limit = 0",
        "SELECT count(DISTINCT n) FROM generate_series(1, 1000000) n",
        "Raise the limit",
    ),
}


@pytest.mark.parametrize("name", LIMITS)
async def test_a_limit_of_a_role_is_named_and_works_again_once_it_is_taken_back(server: Server, name: str) -> None:
    setting, statement, fix = LIMITS[name]
    if name == "a transaction" and int((server.data / "PG_VERSION").read_text(encoding="ascii")) < 17:
        pytest.skip("this PostgreSQL has no transaction_timeout")
    await server.run(f"ALTER ROLE hurried SET {setting}")
    database = Database(server.address("hurried"), pool_size=1)
    try:
        with pytest.raises(DatabaseUnavailable) as caught:
            await _limited(database, statement)
        assert fix in caught.value.fix, caught.value
        await server.run("ALTER ROLE hurried RESET ALL")
        await database.first(text("SELECT 1")) if name.startswith("a transaction") else None
        assert await database.first(text("SELECT pg_sleep(0.01)")) is not None
        async with database.transaction() as connection:
            await connection.execute(text("CREATE TABLE public.hurried (y int)"))
            await connection.rollback()
    finally:
        await database.close()
        await server.run("ALTER ROLE hurried RESET ALL")


async def _limited(database: Database, statement: str) -> None:
    async with database.transaction() as connection:
        await connection.execute(text(statement or "SELECT 1"))
        if not statement:
            await asyncio.sleep(0.2)  # the limit is one of time: nobody tells when it has passed
            await connection.execute(text("SELECT 1"))


async def test_a_condition_is_told_for_as_long_as_somebody_would_meet_it_again(server: Server) -> None:
    clock = ManualClock()
    database = Database(server.address("hurried"), pool_size=1, uptime=clock.uptime)
    forgetful = Database(server.address("limited"))
    try:
        assert database.condition() is None
        with pytest.raises(DatabaseUnavailable):
            await database.rows(text("SELECT pg_terminate_backend(pg_backend_pid())"))
        assert database.condition() is None, "the end of one connection is none"
        await server.run("ALTER ROLE hurried SET default_transaction_read_only = on")
        with pytest.raises(DatabaseUnavailable):
            await database.changed(text("CREATE TABLE public.never (y int)"))
        found = database.condition()
        assert found is not None
        assert "accepts no writes" in found.what
        clock.advance(seconds=34)
        assert database.condition() is found
        clock.advance(seconds=2)
        assert database.condition() is None
        with pytest.raises(DatabaseUnavailable):
            await forgetful.rows(text("SELECT 1"))
        assert forgetful.condition() is None
    finally:
        await database.close()
        await forgetful.close()
        await server.run("ALTER ROLE hurried RESET ALL")
