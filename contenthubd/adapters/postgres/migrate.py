"""Bringing the database to the newest version of the tables, with Alembic.

Alembic takes 0.2 s to import, so it is imported only when the version that the database tells is not the newest.
An advisory lock lets one of several daemons migrate while the others wait.
"""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, text

from contenthubd.adapters.postgres.engine import Database
from contenthubd.domain.errors import StateDirectoryError

NEWEST: Final = "0002"
MIGRATIONS: Final = Path(__file__).parent / "migrations"
_LOCK: Final = 0x636F6E7465
_VERSION = text("SELECT to_regclass('alembic_version') IS NOT NULL AS made")


async def version(database: Database) -> str | None:
    """The version of the tables, None for an empty database."""
    made = await database.first(_VERSION)
    if made is None or not made.made:
        return None
    row = await database.first(text("SELECT version_num FROM alembic_version"))
    return str(row.version_num) if row else None


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
        await connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
        await connection.run_sync(_run)
    return True


def _run(connection: Connection) -> None:
    command: Any = import_module("alembic.command")
    config: Any = import_module("alembic.config").Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    attributes: dict[str, object] = config.attributes
    attributes.update(_attributes(connection))
    command.upgrade(config, "head")


def _attributes(connection: Connection) -> Mapping[str, object]:
    return {"connection": connection}
