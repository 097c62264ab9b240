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
import os
import re
import secrets
import shutil
import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Final

import structlog
import yaml
from anyio import to_thread

from contenthubd.domain.account import NAME
from contenthubd.domain.errors import PublishFailed
from contenthubd.domain.publication import Publication, PublishedImage, Receipt

INDEX: Final = "index.md"
TEMPORARY: Final = ".tmp-"
MAX_SLUG_BYTES: Final = 80
SHORT_ID_CHARS: Final = 12
_PLACEHOLDER: Final = re.compile(r"\bimage-placeholder-(\d+)\b", re.ASCII)
_TAKEN: Final = frozenset({errno.EEXIST, errno.ENOTEMPTY})
_IN_THE_WAY: Final = "Something else lies in the way: move it, or set [publish] directory to another place."
_NOT_OURS: Final = "Let the daemon's user write there, or set [publish] directory to another place."
_FIXES: Final[Mapping[int, str]] = {
    errno.ENOSPC: "Make room on that disk.",
    errno.EDQUOT: "Raise the quota or remove files.",
    errno.EROFS: "Mount it writable, or set [publish] directory to another place.",
    errno.EACCES: _NOT_OURS,
    errno.EPERM: _NOT_OURS,
    errno.ENOTDIR: _IN_THE_WAY,
    errno.EEXIST: _IN_THE_WAY,
    errno.ENOTEMPTY: _IN_THE_WAY,
}

log = structlog.get_logger()


class DirectoryPublisher:
    """Publishes below ``root``, which is made when the first article comes. Construction removes what crashes left."""

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()
        _sweep(self._root)

    async def publish(self, publication: Publication) -> Receipt:
        """Write the article's folder, or find it; ``remote_id`` is its name, ``location`` its file. PublishFailed."""
        return await to_thread.run_sync(partial(self._publish, publication))

    def _publish(self, publication: Publication) -> Receipt:
        try:
            parent = self._account_directory(publication.account)
            earlier = _published(parent, publication) if publication.attempt > 1 else None
            folder = earlier or _write(parent, publication)
        except OSError as error:
            raise _failure(error, self._root) from error
        return Receipt(remote_id=folder.name, location=str(folder / INDEX))

    def _account_directory(self, account: str) -> Path:
        if not NAME.fullmatch(account):
            raise PublishFailed(f"{account[:80]!r} cannot be the name of a folder.")
        if not self._root.is_dir():
            self._root.mkdir(parents=True, exist_ok=True)
            _sync_directory(self._root.parent)
        parent = self._root / account
        if not parent.is_dir():
            parent.mkdir(exist_ok=True)
            _sync_directory(self._root)
        return parent


def slug_of(title: str) -> str:
    """The title as a part of a folder name: letters of every script, digits and hyphens, at most 80 bytes of UTF-8."""
    text = unicodedata.normalize("NFC", title.lower())
    kept = "".join(char if unicodedata.category(char)[0] in "LNM" else " " for char in text)
    cut = "-".join(kept.split()).encode()[:MAX_SLUG_BYTES].decode(errors="ignore")
    return cut.strip("-") or "article"


def render(publication: Publication) -> str:
    """The Markdown file: front matter, then the body with its images in place, the unplaced ones at its end."""
    names = {image.position: _file_name(image) for image in publication.images}
    fields = {
        "title": publication.title,
        "date": publication.created_at,
        "account": publication.account,
        "topic": publication.topic,
        "keywords": list(publication.keywords),
        "images": list(names.values()),
        "task_id": str(publication.task_id),
        "content_id": str(publication.content_id),
    }
    head = yaml.safe_dump(fields, allow_unicode=True, sort_keys=False, width=1 << 20)
    body = _PLACEHOLDER.sub(lambda found: names.get(int(found[1]), found[0]), publication.body)
    return f"---\n{head}---\n\n{body}{_appendix(publication)}"


def _appendix(publication: Publication) -> str:
    placed = {int(number) for number in _PLACEHOLDER.findall(publication.body)}
    left = [image for image in publication.images if image.position not in placed]
    gap = "\n" if publication.body.endswith("\n") else "\n\n"
    return gap + "\n".join(f"![{_alt(image.prompt)}]({_file_name(image)})\n" for image in left) if left else ""


def _alt(prompt: str) -> str:
    return re.sub(r"([\\\[\]])", r"\\\1", " ".join(prompt.split()))


def _file_name(image: PublishedImage) -> str:
    return f"image-{image.position}{Path(image.path).suffix}"


def _published(parent: Path, publication: Publication) -> Path | None:
    """The folder that already holds this content."""
    ours = (folder for folder in parent.glob(f"*-{_short_id(publication)}") if _holds(folder, publication))
    return next(ours, None)


def _holds(folder: Path, publication: Publication) -> bool:
    try:
        text = (folder / INDEX).read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, NotADirectoryError):
        return False
    head = text.removeprefix("---\n").split("\n---\n", 1)[0]
    return f"content_id: {publication.content_id}" in head.splitlines()


def _short_id(publication: Publication) -> str:
    """The end of the id: in a UUIDv7 the beginning is only the time."""
    return publication.content_id.hex[-SHORT_ID_CHARS:]


def _write(parent: Path, publication: Publication) -> Path:
    folder = parent / f"{publication.created_at:%Y-%m-%d}-{slug_of(publication.title)}-{_short_id(publication)}"
    with _temporary(parent, _short_id(publication)) as temporary, (temporary / INDEX).open("wb") as index:
        fcntl.flock(index, fcntl.LOCK_EX)
        index.write(render(publication).encode())
        _sync_file(index)
        for image in publication.images:
            _copy(Path(image.path), temporary / _file_name(image))
        _sync_directory(temporary)
        return _rename(temporary, folder, publication)


def _rename(temporary: Path, folder: Path, publication: Publication) -> Path:
    """Give the folder its name; if another writer was quicker, theirs is the one."""
    try:
        temporary.rename(folder)
    except OSError as error:
        quicker = _published(folder.parent, publication)
        if error.errno in _TAKEN and quicker:
            return quicker
        raise
    _sync_directory(folder.parent)
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


def _copy(source: Path, target: Path) -> None:
    with source.open("rb") as image, target.open("xb") as copy:
        shutil.copyfileobj(image, copy)
        _sync_file(copy)


def _sync_file(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sweep(root: Path) -> None:
    for leftover in root.glob(f"*/{TEMPORARY}*"):
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


def _failure(error: OSError, root: Path) -> PublishFailed:
    where = f" ({error.filename})" if error.filename else ""
    return PublishFailed(
        f"The article could not be written below {root}.",
        why=f"{error.strerror or error}{where}.",
        fix=_FIXES.get(error.errno or 0, ""),
    )
