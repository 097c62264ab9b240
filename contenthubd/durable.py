"""Names that survive a power cut: what is renamed or made is on the disk only once its folder is.

A file is finished first (``finish``), then renamed (``rename``); neither alone is enough.
"""

import errno
import os
from pathlib import Path
from typing import IO, Final

_NO_MODES: Final = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS})


def finish(file: IO[bytes]) -> None:
    """Everything written to ``file`` is on the disk. OSError."""
    file.flush()
    os.fsync(file.fileno())


def rename(source: Path, target: Path) -> None:
    """Give ``source`` its final name, which is on the disk afterwards. OSError, as of a folder over a full one."""
    source.rename(target)
    sync_folder(target.parent)


def sync_folder(folder: Path) -> None:
    """The names in a folder are on the disk. OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path, mode: int | None = None) -> None:
    """Make a folder and those above it that are missing, each on the disk, with ``mode`` if given. OSError."""
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    for one in reversed(missing):
        one.mkdir(exist_ok=True)
        if mode is not None:
            set_mode(one, mode)
        sync_folder(one.parent)


def set_mode(what: IO[bytes] | Path, mode: int) -> None:
    """Give a file or folder that this process made its mode, as far as its file system has modes. OSError.

    FAT and many network shares have none: those of the mount count there, and some refuse to change them, even to the
    one who made the file.
    """
    try:
        if isinstance(what, Path):
            what.chmod(mode)
        else:
            os.fchmod(what.fileno(), mode)
    except OSError as error:
        if error.errno not in _NO_MODES:
            raise
