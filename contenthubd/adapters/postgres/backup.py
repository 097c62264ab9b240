"""Making a backup while the daemon works: the rows as they were at one moment, and the images they tell of.

Two transactions: one holds the pruning lock, so that no image that a row of ours tells of is removed before it was
read; it is taken before the other begins, whose view of the rows then stays as it is. Images are written before their
row says so and never change, so the files that belong to the rows are there.
"""

from datetime import datetime
from pathlib import Path
from typing import Any, Final

import asyncpg
import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from contenthubd import __version__, faultpoints
from contenthubd.adapters.postgres import archive, catalog
from contenthubd.adapters.postgres.copying import fix_settings
from contenthubd.adapters.postgres.engine import Database
from contenthubd.adapters.postgres.migrate import NEWEST, version_seen
from contenthubd.adapters.postgres.prune import PRUNING_LOCK
from contenthubd.domain.errors import StateDirectoryError

_NO_PRUNING: Final = text(f"SELECT pg_advisory_xact_lock_shared({PRUNING_LOCK})")
_ONE_MOMENT: Final = text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
_FETCHED: Final = text("SELECT path FROM image WHERE path IS NOT NULL ORDER BY content_id, position")
log = structlog.get_logger(__name__)


async def backup(database: Database, images: Path, path: Path, now: datetime, *, force: bool) -> archive.Manifest:
    """Write all rows and images to ``path``. Conflict, StateDirectoryError or DatabaseUnavailable: no file is left."""
    with archive.created(path, force=force) as file:
        async with database.transaction() as lock, database.transaction() as rows:
            await fix_settings(lock)
            await lock.execute(_NO_PRUNING)
            await rows.execute(_ONE_MOMENT)
            await fix_settings(rows)
            found = _ours(await version_seen(rows))
            tables = [await _table(rows, file, path.parent, name, columns) for name, columns in await _all(rows)]
            kept, missing = await _images(rows, file, images)
            manifest = archive.Manifest(
                format=archive.FORMAT,
                contenthubd=__version__,
                schema_version=found,
                created_at=now,
                tables=tuple(tables),
                sequences=await _sequences(rows),
                images=kept,
                missing_images=tuple(missing),
                checksums=file.checksums,
            )
        file.finish(manifest)
    return manifest


def _ours(found: str | None) -> str:
    """The version of tables that can be backed up. StateDirectoryError."""
    if found is None or found > NEWEST:
        raise StateDirectoryError(
            "There is nothing to back up.",
            why="The database has no tables of contenthubd." if found is None else f"Its tables have version {found}.",
            fix="Check --state-dir and database.url."
            if found is None
            else "Use the version of contenthubd that created them.",
        )
    return found


async def _all(rows: AsyncConnection) -> list[tuple[str, tuple[str, ...]]]:
    return list((await catalog.columns(rows)).items())


async def _table(
    rows: AsyncConnection, file: archive.Writer, folder: Path, name: str, columns: tuple[str, ...]
) -> archive.TableEntry:
    """A member tells its size before its content, so the rows take a detour over a file without a name."""
    driver = await catalog.driver_of(rows)
    with archive.spool(folder) as spool:
        told = await _copied(driver, name, columns, spool)
        spool.add_to(file, f"{archive.TABLES}{name}")
    faultpoints.reached("backup.table")
    return archive.TableEntry(name=name, columns=columns, rows=int(told.split()[-1]))


async def _copied(driver: "asyncpg.Connection[Any]", name: str, columns: tuple[str, ...], spool: archive.Spool) -> str:
    told: str = await driver.copy_from_table(name, columns=columns, output=spool, format="text", encoding="utf8")
    return told


async def _images(rows: AsyncConnection, file: archive.Writer, images: Path) -> tuple[int, list[str]]:
    """Add every image that a row tells of; how many, and which were not there."""
    kept, missing = 0, []
    async for row in await rows.stream(_FETCHED):
        if _added(file, images, row.path):
            kept += 1
        else:
            missing.append(row.path)
            log.warning("image_missing", path=row.path)
    return kept, missing


def _added(file: archive.Writer, images: Path, path: str) -> bool:
    try:
        image = (images / path).open("rb")
    except FileNotFoundError:
        return False
    except OSError as fault:
        raise archive.unwritable(file.path, fault) from fault
    with image:
        file.add(f"{archive.IMAGES}{path}", image)
    faultpoints.reached("backup.image")
    return True


async def _sequences(rows: AsyncConnection) -> dict[str, int]:
    """The last number each identity column gave; read last, so that it is not behind the rows."""
    return {identity.name: await catalog.last_number(rows, identity) for identity in await catalog.identities(rows)}
