"""Articles as files: one folder for each, ``<account>/<date>-<title>-<short id>/index.md``, its images beside it.

A folder appears whole or not at all: it is written under a temporary name, brought to the disk, and renamed. The
content's id in the front matter tells whether a folder is already this article, so publishing again answers the same
receipt. The title may have changed in between; the short id at the folder's end has not. Looking for that id costs the
more the more articles there are, so a first attempt does without: if it was made all the same, its name is taken.

A writer holds a lock on the ``index.md`` of its temporary folder. A temporary folder without a living lock was left
by a crash and is removed when a publisher starts; the age of a file would not tell the two apart.
"""

import errno
import fcntl
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Final

import structlog
from anyio import to_thread

from contenthubd import durable
from contenthubd.adapters.publishers.faults import failure, private_place, unwritable
from contenthubd.adapters.publishers.markdown_file import file_name, render, slug_of
from contenthubd.domain.account import NAME
from contenthubd.domain.errors import PublishFailed
from contenthubd.domain.publication import Publication, Receipt

INDEX: Final = "index.md"
TEMPORARY: Final = ".tmp-"
SHORT_ID_CHARS: Final = 12
_READ_WRITE: Final = 0o666
_TAKEN: Final = frozenset({errno.EEXIST, errno.ENOTEMPTY})

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Modes:
    """Modes of what is published, whatever the umask: who may read a file may enter its folder."""

    file: int

    @property
    def folder(self) -> int:
        """The execute bit wherever there is a read bit."""
        return self.file | (self.file & 0o444) >> 2


class DirectoryPublisher:
    """Publishes below ``root``, which is made when the first article comes. Construction removes what crashes left."""

    def __init__(self, root: Path, *, file_mode: int = 0o644) -> None:
        self._root = root.absolute()
        self._modes = Modes(file_mode)
        self._told = False
        _sweep(self._root)
        fault = unwritable(self._root)
        if fault:
            log.warning("publish_directory_not_writable", path=str(self._root), cause=fault.why, fix=fault.fix)

    async def publish(self, publication: Publication) -> Receipt:
        """Write the article's folder, or find it; ``remote_id`` is its name, ``location`` its file. PublishFailed."""
        return await to_thread.run_sync(partial(self._publish, publication))

    def _publish(self, publication: Publication) -> Receipt:
        private = private_place(self._root)
        if private:
            raise private
        try:
            parent = self._account_directory(publication.account)
            earlier = _published(parent, publication) if publication.attempt > 1 else None
            folder = earlier or _write(parent, publication, self._modes)
            if not earlier:
                self._tell_modes(folder / INDEX)
        except OSError as error:
            raise failure(error, self._root) from error
        return Receipt(remote_id=folder.name, location=str(folder / INDEX))

    def _tell_modes(self, index: Path) -> None:
        """Once, that the file system has modes of its own: who should read the articles may not be able to."""
        kept, wanted = stat.S_IMODE(index.stat().st_mode), self._modes.file
        if kept & _READ_WRITE != wanted and not self._told:
            self._told = True
            fix = "Mount it with the fmask= and dmask= you want, or set publish.file_mode to what it keeps."
            log.warning("publish_modes_not_kept", path=str(index), wanted=f"{wanted:04o}", kept=f"{kept:04o}", fix=fix)

    def _account_directory(self, account: str) -> Path:
        if not NAME.fullmatch(account):
            raise PublishFailed(f"{account[:80]!r} cannot be the name of a folder.")
        parent = self._root / account
        durable.make_folder(parent, self._modes.folder)
        return parent


def _published(parent: Path, publication: Publication) -> Path | None:
    """The folder that already holds this content."""
    ours = (folder for folder in parent.glob(f"*-{_short_id(publication)}") if _holds(folder, publication))
    return next(ours, None)


def _holds(folder: Path, publication: Publication) -> bool:
    try:
        text = (folder / INDEX).read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, NotADirectoryError):
        return False
    head = text.removeprefix("---\n").split("\n---\n", 1)[0].splitlines()
    named = str(publication.content_id)
    return f'content_id: "{named}"' in head or f"content_id: {named}" in head  # without quotes: up to 0.1.0


def _short_id(publication: Publication) -> str:
    """The end of the id: in a UUIDv7 the beginning is only the time."""
    return publication.content_id.hex[-SHORT_ID_CHARS:]


def _write(parent: Path, publication: Publication, modes: Modes) -> Path:
    folder = parent / f"{publication.created_at:%Y-%m-%d}-{slug_of(publication.title)}-{_short_id(publication)}"
    with _temporary(parent, _short_id(publication)) as temporary, (temporary / INDEX).open("wb") as index:
        fcntl.flock(index, fcntl.LOCK_EX)
        index.write(render(publication).encode())
        _finish(index, modes.file)
        for image in publication.images:
            _copy(Path(image.path), temporary / file_name(image), modes.file)
        durable.set_mode(temporary, modes.folder)
        durable.sync_folder(temporary)
        return _rename(temporary, folder, publication)


def _rename(temporary: Path, folder: Path, publication: Publication) -> Path:
    """Give the folder its name; if another writer was quicker, theirs is the one."""
    try:
        durable.rename(temporary, folder)
    except OSError as error:
        quicker = _published(folder.parent, publication)
        if error.errno in _TAKEN and quicker:
            return quicker
        raise
    return folder


@contextmanager
def _temporary(parent: Path, name: str) -> Iterator[Path]:
    """A folder that is gone afterwards unless it was renamed."""
    temporary = parent / f"{TEMPORARY}{name}-{secrets.token_hex(4)}"
    temporary.mkdir()
    try:
        yield temporary
    finally:
        if temporary.exists():
            shutil.rmtree(temporary)


def _copy(source: Path, target: Path, mode: int) -> None:
    with source.open("rb") as image, target.open("xb") as copy:
        shutil.copyfileobj(image, copy)
        _finish(copy, mode)


def _finish(file: IO[bytes], mode: int) -> None:
    """Whole, with its mode, and on the disk."""
    durable.set_mode(file, mode)
    durable.finish(file)


def _sweep(root: Path) -> None:
    try:
        leftovers = list(root.glob(f"*/{TEMPORARY}*"))
    except OSError:
        return  # a path that is too long, a stale network share: `unwritable` and each publication tell it
    for leftover in leftovers:
        try:
            if not _in_use(leftover / INDEX):
                shutil.rmtree(leftover)
                log.info("leftover_removed", path=str(leftover))
        except OSError as error:
            log.warning("leftover_kept", path=str(leftover), cause=str(error))


def _in_use(index: Path) -> bool:
    try:
        with index.open("rb+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False
