"""The backup file: a compressed tar of one COPY text per table, then the images, then a manifest that vouches for all.

The manifest comes last because only then is every checksum known; a file that was cut short has none and is refused.
Tables lie in an order in which their foreign keys can be filled. The file is written under another name and renamed
when it is safely on the disk, so that a backup is whole or not there. Members are copied in pieces: memory stays flat.
"""

import fcntl
import gzip
import hashlib
import os
import re
import secrets
import stat
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import IO, Annotated, Final

import msgspec

from contenthubd import durable, faultpoints
from contenthubd.domain.errors import Conflict, InvalidInput, StateDirectoryDenied, StateDirectoryError

FORMAT: Final = 1
TABLES: Final = "tables/"
IMAGES: Final = "images/"
MANIFEST: Final = "manifest.json"
MODE: Final = 0o600
_PIECE: Final = 1 << 20
_LARGEST_MANIFEST: Final = 256 << 20
"""It has a line for each image; one that is longer is not ours, and is damaged once it is cut off here."""
_LONGEST_STEM: Final = 200
_UNFINISHED: Final = ".tmp"
_NAME: Final = re.compile(r"tables/\w+|images/[0-9A-Za-z_-]+/[0-9A-Za-z_-]+\.[0-9A-Za-z]+")
_DAMAGE: Final = (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, TypeError, ValueError)
"""What unpacking raises; the last two where tarfile itself stumbles, as over a file of three bytes."""


class TableEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One table: its columns in the order they were copied, and how many rows."""

    name: str
    columns: tuple[str, ...]
    rows: int


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What the file holds, and who made it when from which version of the tables."""

    format: int
    contenthubd: str
    schema_version: str
    created_at: datetime
    tables: tuple[TableEntry, ...]
    sequences: dict[str, Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]]
    """``table.column`` → the last number that was given."""
    images: int
    missing_images: tuple[str, ...]
    """Images with a row whose file was not there."""
    checksums: dict[str, str]
    """Every other member's SHA-256."""


class Writer:
    """Adds members; remembers their checksums."""

    def __init__(self, path: Path, tar: tarfile.TarFile) -> None:
        self.path = path
        self._tar = tar
        self.checksums: dict[str, str] = {}

    def add(self, name: str, file: IO[bytes]) -> None:
        """One member: all of ``file``. StateDirectoryError for the disk."""
        source = _Summing(file)
        entry = tarfile.TarInfo(name)
        try:
            entry.size, entry.mode = os.fstat(file.fileno()).st_size, MODE
            self._tar.addfile(entry, source)
        except OSError as fault:
            raise unwritable(self.path, fault) from fault
        self.checksums[name] = source.sum.hexdigest()

    def finish(self, manifest: Manifest) -> None:
        """The last member."""
        content = msgspec.json.format(msgspec.json.encode(manifest))
        entry = tarfile.TarInfo(MANIFEST)
        entry.size, entry.mode = len(content), MODE
        self._tar.addfile(entry, BytesIO(content))


class _Summing:
    """A file that is summed up while it is read."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.sum = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        """The next piece."""
        piece = self._file.read(size)
        self.sum.update(piece)
        return piece


def checksum(file: IO[bytes]) -> str:
    """The SHA-256 of all that is left of ``file``."""
    source = _Summing(file)
    while source.read(_PIECE):
        pass
    return source.sum.hexdigest()


@contextmanager
def created(path: Path, *, force: bool) -> Iterator[Writer]:
    """A new backup at ``path`` once the block ends well. Conflict if one is there, StateDirectoryError for the disk."""
    _check_target(path, force=force)
    _remove_leftovers(path)
    temporary = path.with_name(f"{_hidden(path)}{secrets.token_hex(4)}{_UNFINISHED}")
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, MODE), "wb") as file:
            _mark_in_use(file.fileno())
            with (
                gzip.GzipFile(filename="", fileobj=file, mode="wb", compresslevel=6) as packed,
                tarfile.open(fileobj=packed, mode="w|") as tar,
            ):
                yield Writer(path, tar)
            durable.finish(file)
            faultpoints.reached("backup.finished")
            durable.rename(temporary, path)
        faultpoints.reached("backup.renamed")
    except OSError as fault:
        raise unwritable(path, fault) from fault
    finally:
        with suppress(OSError):  # the next backup removes it
            temporary.unlink()


def _hidden(path: Path) -> str:
    """How the name of an unfinished backup begins; shorter than the longest name there may be."""
    return f".{os.fsdecode(os.fsencode(path.name)[:_LONGEST_STEM])}."


def _check_target(path: Path, *, force: bool) -> None:
    """Conflict for what is there and is to stay; StateDirectoryError for what is no file, or cannot be looked at."""
    try:
        found = path.stat()
    except FileNotFoundError:
        found = None
    except OSError as fault:
        raise unwritable(path, fault) from fault
    if found is not None and not stat.S_ISREG(found.st_mode):
        kind = "a directory" if stat.S_ISDIR(found.st_mode) else "not a regular file"
        raise StateDirectoryError(
            f"The backup {path} cannot be written.",
            why=f"{path} is {kind}.",
            fix="Name a file, such as backup.tar.gz; it is made in the same directory first and then renamed.",
        )
    if found is not None and not force:
        raise Conflict(
            f"{path} already exists.",
            why="An existing file is not overwritten.",
            fix="Name another file, or use --force.",
        )


def _mark_in_use(descriptor: int) -> None:
    """Held until the file is closed, however its writer ends; a file system without locks keeps leftovers."""
    with suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _remove_leftovers(path: Path) -> None:
    """Remove what killed backups to the same name left, which may be as large as the backup itself."""
    pattern = re.compile(rf"{re.escape(_hidden(path))}[0-9a-f]{{8}}{re.escape(_UNFINISHED)}")
    with suppress(OSError):
        for leftover in filter(pattern.fullmatch, os.listdir(path.parent)):
            _remove_leftover(path.parent / leftover)


def _remove_leftover(leftover: Path) -> None:
    """Remove it unless somebody still writes it; what cannot be removed hinders no backup."""
    with suppress(OSError):
        descriptor = os.open(leftover, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            leftover.unlink()
        finally:
            os.close(descriptor)


def unwritable(path: Path, fault: OSError) -> StateDirectoryError:
    """The disk refused. It is said where it happens: within a transaction, an OSError means that the server is away."""
    kind = StateDirectoryDenied if isinstance(fault, PermissionError) else StateDirectoryError
    named = str(fault.filename or path)
    # The file is written under a hidden name first, which tells people nothing.
    place = path.parent if Path(named).name.startswith(_hidden(path)) else named
    return kind(
        f"The backup {path} cannot be written.",
        why=f"{fault.strerror}: {place}.",
        fix="Name a file in a folder that exists, may be written, and has room; let this user read the images.",
    )


class Spool:
    """Where a member is collected: its size stands before its content, and is known only then."""

    def __init__(self, folder: Path, file: IO[bytes]) -> None:
        self._folder = folder
        self._file = file

    def write(self, piece: bytes) -> int:
        """The next piece. StateDirectoryError for the disk."""
        try:
            return self._file.write(piece)
        except OSError as fault:
            raise unwritable(self._folder, fault) from fault

    def add_to(self, writer: Writer, name: str) -> None:
        """Make all that was written a member. StateDirectoryError for the disk."""
        try:
            self._file.seek(0)
        except OSError as fault:
            raise unwritable(self._folder, fault) from fault
        writer.add(name, self._file)


@contextmanager
def spool(folder: Path) -> Iterator[Spool]:
    """A file without a name in ``folder``. StateDirectoryError for the disk."""
    try:
        file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed below; only making it is watched here
    except OSError as fault:
        raise unwritable(folder, fault) from fault
    with file:
        yield Spool(folder, file)


def checked(path: Path, newest: str) -> Manifest:
    """Read the whole file and compare every checksum. InvalidInput if it is damaged, foreign, or of a newer version."""
    sums: dict[str, str] = {}
    content = b""
    with _readable(path):
        if not stat.S_ISREG(path.stat().st_mode):  # it is read twice, and opening a pipe may never end
            raise InvalidInput(
                f"The backup {path} cannot be read.",
                why="It is not a regular file.",
                fix="Name a file that contenthubctl db backup made; nothing was changed.",
            )
        for name, member in members(path):
            if name in sums or (name == MANIFEST and content):
                raise _damaged(path, f"It contains {name} twice.")
            if name == MANIFEST:
                content = member.read(_LARGEST_MANIFEST)
                continue
            sums[name] = checksum(member)
    manifest = _manifest(path, content, newest)
    if manifest.checksums != sums:
        differing = sorted(
            name for name in {*sums, *manifest.checksums} if sums.get(name) != manifest.checksums.get(name)
        )
        raise _damaged(path, f"The checksums of these parts do not match: {', '.join(differing[:5])}.")
    told = sorted(f"{TABLES}{one.name}" for one in manifest.tables)
    if told != sorted(name for name in sums if name.startswith(TABLES)):
        raise _damaged(path, "Its manifest lists other tables than it contains.")
    return manifest


def members(path: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """Every member in order; each must be read before the next. InvalidInput if the file is damaged."""
    with _readable(path), tarfile.open(path, mode="r|gz") as tar:
        for entry in tar:
            member = tar.extractfile(entry)
            if member is None:
                raise _damaged(path, f"{entry.name!r} is not a file.")
            if entry.name != MANIFEST and not _NAME.fullmatch(entry.name):
                raise _damaged(path, f"Unexpected part {entry.name!r}.")
            yield entry.name, member


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except _DAMAGE as fault:
        raise _damaged(path, f"It cannot be unpacked: {fault}.") from fault
    except OSError as fault:
        raise InvalidInput(
            f"The backup {path} cannot be read.", why=f"{fault.strerror}.", fix="Name a file you may read."
        ) from fault


def _manifest(path: Path, content: bytes, newest: str) -> Manifest:
    try:
        versions = msgspec.json.decode(content, type=_Versions)
        if versions.format > FORMAT or versions.schema_version > newest:
            raise InvalidInput(
                f"The backup {path} was made by a newer contenthubd ({versions.contenthubd}).",
                why=f"It has format {versions.format} and version {versions.schema_version} of the tables; this one "
                f"knows {FORMAT} and {newest}.",
                fix="Install that version, or a newer one, and restore with it.",
            )
        return msgspec.json.decode(content, type=Manifest)
    except msgspec.DecodeError as fault:
        raise _damaged(path, "It has no manifest: it was cut short, or is something else.") from fault


class _Versions(msgspec.Struct):
    """What every format's manifest tells."""

    format: int
    contenthubd: str
    schema_version: str


def _damaged(path: Path, why: str) -> InvalidInput:
    return InvalidInput(f"{path} is not a complete backup.", why=why, fix="Restore another one; nothing was changed.")
