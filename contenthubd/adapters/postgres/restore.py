"""Bringing a backup back: one transaction for the tables, all or nothing, and the images beside it.

Images are put in place before the commit, and removed again only while it is not under way: a commit whose answer is
lost may have come about. So a crash leaves at worst files that no row tells of; they harm nothing, and the same restore
started again finds them in place. The tables are made as they were when the backup was made, filled, and only then
brought to the newest version, by the same migrations that a daemon would run. The database gets a new id: what was kept
elsewhere under the old one belongs to the old one. Nor does anybody use the creator instances yet: whoever was alive
when the backup was made lives on another database. Schedules go on from now: what became of their slots since the
backup nobody knows any more, and most of them will have fired.
"""

import hashlib
import secrets
import shlex
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

import asyncpg
import structlog
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from contenthubd import durable, faultpoints
from contenthubd.adapters.postgres import archive, catalog
from contenthubd.adapters.postgres.copying import DatedRows, fix_settings
from contenthubd.adapters.postgres.engine import Database
from contenthubd.adapters.postgres.migrate import (
    NEWEST,
    VERSION_TABLE,
    bring_to,
    foreign,
    locked,
    not_made,
    revisions,
    seen,
    version,
)
from contenthubd.domain.errors import Conflict, InvalidInput, StateDirectoryError

_MISFITS: Final = (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError, asyncpg.SyntaxOrAccessError)
_OWN_NAMES: Final = frozenset({"installation", "instance"})
"""Tables that the daemon itself fills at its first start; rows there are nobody's work."""
_IN_USE: Final = text("SELECT name FROM instance WHERE seen_until > now() AND state_id <> :own ORDER BY name LIMIT 1")
_NEW_ID: Final = text("UPDATE installation SET id = gen_random_uuid()")
_NOBODY_ALIVE: Final = text("UPDATE instance SET seen_until = least(seen_until, now())")
_PATHS: Final = ("image", "discarded_image")
"""Tables that tell of files."""
_DISCARD: Final = text("""
    INSERT INTO discarded_image (path)
    SELECT path FROM unnest(CAST(:paths AS text[])) AS path
    WHERE path NOT IN (SELECT path FROM image WHERE path IS NOT NULL)
    ON CONFLICT (path) DO NOTHING
""")
"""A daemon removes these files, should we not get to it."""
_NO_SLOT_AGAIN: Final = text(
    "UPDATE schedule SET checked_until = greatest(checked_until, now()), due_at = greatest(due_at, now())"
)
log = structlog.get_logger(__name__)


async def restore(database: Database, images: Path, path: Path, *, replace: bool, state_id: str) -> archive.Manifest:
    """Fill the database and the image directory from ``path``; the tables are at the newest version then.

    ``state_id`` names our own state directory, whose daemon does not run, however short a while ago it did.
    InvalidInput for a file that is damaged, newer or does not fit; Conflict if rows are there and not to be replaced,
    or a daemon uses them; StateDirectoryError for the disk. Nothing was changed then.
    """
    manifest = _restorable(path)
    await _check_not_newer(database)
    faultpoints.reached("restore.checked")
    with _images(images) as shelf:
        try:
            async with database.transaction() as connection:
                await fix_settings(connection)
                await locked(connection)
                replaced = await _cleared(connection, state_id, replace=replace)
                faultpoints.reached("restore.cleared")
                await connection.run_sync(bring_to, manifest.schema_version)
                faultpoints.reached("restore.made")
                await _filled(connection, manifest, path, shelf)
                faultpoints.reached("restore.filled")
                await connection.run_sync(bring_to, "head")
                await _begun_anew(connection, replaced)
                shelf.keep()
                faultpoints.reached("restore.done")
        except _MISFITS as fault:
            raise InvalidInput(
                f"The backup {path} does not fit the tables it names.",
                why=f"{type(fault).__name__}: {fault}",
                fix="Restore another backup; nothing was changed.",
            ) from fault
        except (DBAPIError, asyncpg.PostgresError) as fault:
            words = ["contenthubctl", "db", "restore", *(["--replace"] if replace else []), str(path)]
            raise not_made(fault, shlex.join(words)) from fault
    faultpoints.reached("restore.committed")
    if replace:
        shelf.remove_others()
    log.info("backup_restored", path=str(path), made_at=manifest.created_at.isoformat(), images=manifest.images)
    return manifest


def _restorable(path: Path) -> archive.Manifest:
    """The manifest of a complete backup whose version of the tables is known. InvalidInput."""
    manifest = archive.checked(path, NEWEST)
    if manifest.schema_version not in revisions():
        raise InvalidInput(
            f"The backup {path} cannot be restored.",
            why=f"This contenthubd knows no version {manifest.schema_version[:40]!r} of the tables.",
            fix="Restore it with the version of contenthubd that made it; nothing was changed.",
        )
    return manifest


async def _check_not_newer(database: Database) -> None:
    found = await version(database)
    if found is not None and found > NEWEST:
        raise Conflict(
            f"The database has version {found} of the tables; this contenthubd knows {NEWEST}.",
            fix="Restore with the version of contenthubd that created them, or into another database.",
        )


async def _begun_anew(connection: AsyncConnection, replaced: list[str]) -> None:
    """What is no longer as it was when the backup was made; the files of ``replaced`` are nobody's."""
    await connection.execute(_DISCARD, {"paths": replaced})
    await connection.execute(_NEW_ID)
    await connection.execute(_NOBODY_ALIVE)
    await connection.execute(_NO_SLOT_AGAIN)


async def _cleared(connection: AsyncConnection, state_id: str, *, replace: bool) -> list[str]:
    """Drop the tables that are there; the paths of their images. Conflict if they are used, or their rows are to stay.

    DatabaseRefused if they are not ours: those of another program are nobody's to replace.
    """
    there = await seen(connection)
    if there.foreign:
        raise foreign(f"It has a table {there.foreign[0]!r} that contenthubd did not create.")
    present = list(await catalog.columns(connection)) if there.version is not None else []
    if "instance" in present and (user := (await connection.execute(_IN_USE, {"own": state_id})).first()):
        raise Conflict(
            "A daemon uses this database.",
            why=f"The one of the creator instance {user.name!r} was alive within the last 30 seconds.",
            fix="Stop every daemon on this database, then try again in 30 seconds.",
        )
    for table in present:
        if replace or table in _OWN_NAMES:
            continue
        if (await connection.execute(text(f"SELECT 1 FROM {table} LIMIT 1"))).first():  # noqa: S608 - a table of ours
            raise Conflict(
                f"The database is not empty: there are rows in {table}.",
                why="A restore replaces all rows.",
                fix="Make a backup of it if you need one, then use --replace.",
            )
    paths: list[str] = []
    for table in sorted({*_PATHS} & {*present}):
        found = await connection.execute(text(f"SELECT path FROM {table} WHERE path IS NOT NULL"))  # noqa: S608 - a table of ours
        paths += found.scalars()
    names = ", ".join([*present, VERSION_TABLE, *([there.table] if there.table else [])])
    await connection.execute(text(f"DROP TABLE IF EXISTS {names}"))
    return paths


async def _filled(connection: AsyncConnection, manifest: archive.Manifest, path: Path, shelf: "ImageShelf") -> None:
    """Copy every row in the order of the file, which is that of the foreign keys, then set the sequences."""
    driver = await catalog.driver_of(connection)
    entries = {f"{archive.TABLES}{entry.name}": entry for entry in manifest.tables}
    known, instants = await catalog.columns(connection), await catalog.instants(connection)
    strange = sorted({entry.name for entry in manifest.tables} - set(known))
    if strange:
        raise InvalidInput(f"The backup {path} contains tables that its version does not define: {', '.join(strange)}.")
    for entry in manifest.tables:
        if sorted(entry.columns) != sorted(known[entry.name]):
            raise InvalidInput(f"Table {entry.name} of the backup {path} has other columns than its version defines.")
    for table in reversed(list(known)):
        await connection.execute(text(f"DELETE FROM {table}"))  # noqa: S608 - a table of ours; a migration may fill it
    for name, member in archive.members(path):
        if name in entries:
            await _copied(driver, entries[name], member, instants.get(entries[name].name, ()))
            faultpoints.reached("restore.table")
        elif name.startswith(archive.IMAGES):
            shelf.put(name.removeprefix(archive.IMAGES), member, manifest.checksums[name])
            faultpoints.reached("restore.image")
    await _numbered(connection, manifest)


async def _copied(
    driver: "asyncpg.Connection[Any]", entry: archive.TableEntry, member: IO[bytes], instants: Collection[str]
) -> None:
    rows = DatedRows(entry.name, entry.columns, instants, member)
    told: str = await driver.copy_to_table(
        entry.name, columns=entry.columns, source=rows, format="text", encoding="utf8"
    )
    if int(told.split()[-1]) != entry.rows:
        raise InvalidInput(
            f"Table {entry.name} should have {entry.rows} rows, but the backup contains {told.split()[-1]}."
        )


async def _numbered(connection: AsyncConnection, manifest: archive.Manifest) -> None:
    for identity in await catalog.identities(connection):
        greatest = text(f"SELECT coalesce(max({identity.column}), 0) FROM {identity.table}")  # noqa: S608 - names of ours
        last = max(manifest.sequences.get(identity.name, 0), (await connection.execute(greatest)).scalar_one())
        values = {"sequence": identity.sequence, "last": max(last, 1), "called": last > 0}
        await connection.execute(text("SELECT setval(CAST(:sequence AS regclass), :last, :called)"), values)


class ImageShelf:
    """The directory of images, with a memory of what was put there."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._kept: set[Path] = set()
        self._new: list[Path] = []

    def put(self, name: str, content: IO[bytes], checksum: str) -> None:
        """One image, whole or not at all; one that is there and right stays. StateDirectoryError for the disk.

        It is said here already: within a transaction, an OSError means that the server is away.
        """
        try:
            self._put(self._root / name, content, checksum)
        except OSError as fault:
            raise StateDirectoryError(
                f"The images cannot be put into {self._root}.",
                why=f"{fault.strerror} ({fault.filename or self._root}).",
                fix="Make room there, let this user write there, and try again; nothing was changed.",
            ) from fault

    def _put(self, target: Path, content: IO[bytes], checksum: str) -> None:
        self._kept.add(target)
        there = target.is_file()
        if there and _sum(target) == checksum:
            return
        durable.make_folder(target.parent)
        temporary = target.with_name(f".tmp-{secrets.token_hex(8)}")
        try:
            with temporary.open("xb") as file:
                shutil.copyfileobj(content, file)
                durable.finish(file)
            durable.rename(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)
        if not there:
            self._new.append(target)

    def keep(self) -> None:
        """What was put stays, whatever happens now."""
        self._new.clear()

    def take_back(self) -> None:
        """Remove what was put."""
        for target in self._new:
            target.unlink(missing_ok=True)
            if not any(target.parent.iterdir()):
                target.parent.rmdir()

    def remove_others(self) -> None:
        """Remove what belonged to the rows that were replaced; what cannot be removed is told, and harms nothing."""
        for other in set(self._root.glob("*/*")) - self._kept:
            try:
                other.unlink(missing_ok=True)
                if not any(other.parent.iterdir()):
                    other.parent.rmdir()
            except OSError as fault:
                log.warning("image_not_removed", path=str(other), why=str(fault.strerror))


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _images(root: Path) -> Iterator[ImageShelf]:
    shelf = ImageShelf(root)
    try:
        yield shelf
    except BaseException:
        shelf.take_back()
        raise
