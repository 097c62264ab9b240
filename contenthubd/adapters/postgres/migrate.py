"""Bringing the database to the newest version of the tables, with Alembic.

Alembic takes 0.2 s to import, so it is imported only when the version that the database tells is not the newest.
An advisory lock lets one of several daemons migrate while the others wait.
"""

import re
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection

from contenthubd.adapters.postgres.engine import Database
from contenthubd.domain.errors import StateDirectoryError

NEWEST: Final = "0004"
MIGRATIONS: Final = Path(__file__).parent / "migrations"
_LOCK: Final = 0x636F6E7465
_VERSION = text("SELECT to_regclass('alembic_version') IS NOT NULL AS made")
_NUMBER = text("SELECT version_num FROM alembic_version")


async def version(database: Database) -> str | None:
    """The version of the tables, None for an empty database."""
    async with database.transaction() as connection:
        return await version_seen(connection)


async def version_seen(connection: AsyncConnection) -> str | None:
    """The version of the tables as this transaction sees them, None for an empty database."""
    if not (await connection.execute(_VERSION)).scalar_one():
        return None
    found = (await connection.execute(_NUMBER)).scalar()
    return None if found is None else str(found)


async def upgrade(database: Database) -> bool:
    """Bring the tables to the newest version; True if that was needed. StateDirectoryError if they are newer."""
    found = await version(database)
    if found == NEWEST:
        return False
    if found is not None and found > NEWEST:
        raise StateDirectoryError(
            f"The database has version {found} of the tables; this contenthubd knows {NEWEST}.",
            why="A newer contenthubd has used it.",
            fix="Start the newer version, or restore a backup made before the upgrade.",
        )
    async with database.transaction() as connection:
        await locked(connection)
        if await version_seen(connection) == NEWEST:
            return False  # another daemon has done it while we waited
        await connection.run_sync(bring_to, "head")
    return True


async def locked(connection: AsyncConnection) -> None:
    """Wait until nobody else changes the tables; holds until the transaction ends."""
    await connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))


def scripts() -> list[Path]:
    """The SQL of every migration, oldest first."""
    return sorted((MIGRATIONS / "versions").glob("*.sql"))


@cache
def tables() -> tuple[str, ...]:
    """Every table of ours that some version has, by name, in the order they came."""
    made = (
        re.findall(r"^CREATE TABLE (\w+)", script.read_text(encoding="utf-8"), re.MULTILINE) for script in scripts()
    )
    return tuple(dict.fromkeys(name for names in made for name in names))


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
