"""Bringing the database to the newest version of the tables, with Alembic.

Alembic takes 0.2 s to import, so it is imported only when the version that the database tells is not the newest.
An advisory lock lets one of several daemons migrate while the others wait.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import asyncpg
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from contenthubd import faultpoints
from contenthubd.adapters.postgres.copying import fix_settings
from contenthubd.adapters.postgres.engine import Database
from contenthubd.domain.errors import DatabaseRefused

NEWEST: Final = "0007"
MIGRATIONS: Final = Path(__file__).parent / "migrations"
VERSION_TABLE: Final = "contenthubd_version"
OLD_VERSION_TABLE: Final = "alembic_version"
"""Its name up to release 0.1.0, which other programs use too; one that stands beside our tables gets our name."""
_FIRST: Final = "0001"
"""Only beside all tables of the first version is a version under the old name ours."""
_LOCK: Final = 0x636F6E7465
_PRESENT: Final = text("""
    SELECT relname AS name FROM pg_class
    WHERE relnamespace = to_regnamespace(quote_ident(current_schema())) AND relname = ANY(CAST(:names AS text[]))
""")
_SHAPED: Final = text(f"""
    SELECT EXISTS (SELECT FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
                   WHERE relnamespace = to_regnamespace(quote_ident(current_schema())) AND relname = '{VERSION_TABLE}'
                     AND relkind = 'r' AND attname = 'version_num'
                     AND atttypid IN ('varchar'::regtype, 'text'::regtype))
""")  # noqa: S608 - a name of ours
_TAKEN: Final = (
    asyncpg.DuplicateObjectError,
    asyncpg.DuplicateTableError,
    asyncpg.DuplicateFunctionError,
)
"""A name of ours is taken: a type, an index, a function."""
_ADOPT: Final = (
    f"ALTER TABLE {OLD_VERSION_TABLE} RENAME TO {VERSION_TABLE}",
    f"ALTER INDEX IF EXISTS {OLD_VERSION_TABLE}_pkc RENAME TO {VERSION_TABLE}_pkc",
)


@dataclass(frozen=True, slots=True)
class Seen:
    """What a transaction sees in the schema where our tables are or would be made."""

    version: str | None
    """Of our tables; None where there are none."""
    table: str
    """The table that tells it, empty where none does."""
    present: frozenset[str]
    """Relations that have the name of a table of ours, whoever made them."""

    @property
    def foreign(self) -> list[str]:
        """Names of ours that somebody else has taken."""
        return [] if self.version is not None else sorted(self.present)


async def seen(connection: AsyncConnection) -> Seen:
    """What is there, and whether it is ours."""
    names = [*tables(), VERSION_TABLE, OLD_VERSION_TABLE]
    found = {row.name for row in await connection.execute(_PRESENT, {"names": names})}
    present = frozenset(found & set(tables()))
    for table in (VERSION_TABLE, OLD_VERSION_TABLE):
        if table not in found or (table == OLD_VERSION_TABLE and not present >= tables_of(_FIRST)):
            continue
        # a table of somebody else may have any columns, or be a view
        rows = await connection.execute(text(f"SELECT to_jsonb(t) ->> 'version_num' FROM {table} AS t"))  # noqa: S608 - names of ours
        numbers = rows.scalars().all()
        if len(numbers) == 1 and re.fullmatch(r"[0-9]{4}", numbers[0] or ""):
            return Seen(str(numbers[0]), table, present)
        if table == VERSION_TABLE and (numbers or not (await connection.execute(_SHAPED)).scalar_one()):
            return Seen(None, "", present | {table})
    return Seen(None, "", present)


async def version(database: Database) -> str | None:
    """The version of the tables, None for a database without them."""
    async with database.transaction() as connection:
        return await version_seen(connection)


async def version_seen(connection: AsyncConnection) -> str | None:
    """The version of the tables as this transaction sees them, None for a database without them."""
    return (await seen(connection)).version


async def upgrade(database: Database) -> bool:
    """Bring the tables to the newest version; True if that was needed.

    DatabaseRefused if they are newer, or if tables of these names are there that contenthubd did not create.
    """
    async with database.transaction() as connection:
        if _done(await seen(connection)):
            return False
    try:
        async with database.transaction() as connection:
            await fix_settings(connection)
            await locked(connection)
            faultpoints.reached("upgrade.locked")
            found = await seen(connection)
            if _done(found):
                return False  # another daemon has done it while we waited
            _check(found)
            await adopt(connection, found)
            await connection.run_sync(bring_to, "head")
            faultpoints.reached("upgrade.done")
    except (DBAPIError, asyncpg.PostgresError) as fault:
        raise not_made(fault) from fault
    faultpoints.reached("upgrade.committed")
    return True


def not_made(fault: DBAPIError | asyncpg.PostgresError, command: str = "contenthubctl db upgrade") -> DatabaseRefused:
    """What PostgreSQL refused while tables were made or changed; ``command`` does it again."""
    cause = fault.orig.__cause__ if isinstance(fault, DBAPIError) and fault.orig is not None else fault
    if isinstance(cause, _TAKEN):
        return foreign(f"PostgreSQL said: {str(cause).splitlines()[0]}.")
    said = (str(cause).splitlines() or ["nothing"])[0].rstrip(".")
    return DatabaseRefused(
        "The tables could not be made or upgraded; nothing was changed.",
        why=f"PostgreSQL said: {said}.",
        fix=f"Remove the cause that it names, such as an event trigger, then run: {command}",
    )


def _done(found: Seen) -> bool:
    return found.version == NEWEST and found.table == VERSION_TABLE


def _check(found: Seen) -> None:
    if found.version is not None and found.version > NEWEST:
        raise newer(found.version)
    if found.foreign:
        raise foreign(f"It has a table {found.foreign[0]!r} that contenthubd did not create.")


def newer(found: str) -> DatabaseRefused:
    """A later release has been at work."""
    return DatabaseRefused(
        f"The database has version {found} of the tables; this contenthubd knows {NEWEST}.",
        why="A newer contenthubd has used it.",
        fix="Start the newer version, or restore a backup made before the upgrade.",
    )


def foreign(why: str) -> DatabaseRefused:
    """Names of ours are taken."""
    return DatabaseRefused(
        "This database belongs to another program.",
        why=why,
        fix="Give contenthubd a database of its own (CREATE DATABASE contenthub ENCODING 'UTF8' LOCALE 'C' TEMPLATE "
        "template0;), or a schema: CREATE SCHEMA contenthub; then add ?options=-c%20search_path%3Dcontenthub to "
        "database.url.",
    )


async def adopt(connection: AsyncConnection, found: Seen) -> None:
    """Give the version table of an older release our own name."""
    if found.table == OLD_VERSION_TABLE:
        for statement in _ADOPT:
            await connection.execute(text(statement))


async def locked(connection: AsyncConnection) -> None:
    """Wait until nobody else changes the tables; holds until the transaction ends."""
    await connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))


def scripts() -> list[Path]:
    """The SQL of every migration, oldest first."""
    return sorted((MIGRATIONS / "versions").glob("*.sql"))


@cache
def revisions() -> frozenset[str]:
    """Every version that the tables had."""
    return frozenset(script.name.partition("_")[0] for script in scripts())


@cache
def tables() -> tuple[str, ...]:
    """Every table of ours that some version has, by name, in the order they came."""
    made = (
        re.findall(r"^CREATE TABLE (\w+)", script.read_text(encoding="utf-8"), re.MULTILINE) for script in scripts()
    )
    return tuple(dict.fromkeys(name for names in made for name in names))


@cache
def tables_of(revision: str) -> frozenset[str]:
    """The tables that this version and those before it make."""
    made = (
        re.findall(r"^CREATE TABLE (\w+)", script.read_text(encoding="utf-8"), re.MULTILINE)
        for script in scripts()
        if script.name[: len(revision)] <= revision
    )
    return frozenset(name for names in made for name in names)


def bring_to(connection: Connection, revision: str) -> None:
    """Run every migration up to this one inside the connection's transaction; whoever may race holds a lock."""
    command: Any = import_module("alembic.command")
    config: Any = import_module("alembic.config").Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    attributes: dict[str, object] = config.attributes
    attributes.update(_attributes(connection))
    command.upgrade(config, revision)


def _attributes(connection: Connection) -> Mapping[str, object]:
    return {"connection": connection}
