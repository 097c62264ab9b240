"""Why nothing can be written to a publishing directory, and what a person does about it.

Every error is tried again with the delays of the configuration, a missing permission like a full disk: a disk gets
room, a share comes back, a person grants a permission or moves a file out of the way, and then nothing has to be sent
again by hand. Giving up at once would only make work: whoever generated ten articles would have to name all ten. The
cause and its fix are told from the first try on, and health tells of a directory that nothing can be written to.
"""

import errno
import os
import pwd
import shlex
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from contenthubd.domain.errors import PublishFailed

_ELSEWHERE: Final = "set [publish] directory to another place"
_IN_THE_WAY: Final = f"Another file has this name: move it, or {_ELSEWHERE}."
_FIXES: Final[Mapping[int, str]] = {
    errno.ENOSPC: "Free space or inodes on that disk (df -h, df -i).",
    errno.EDQUOT: "Raise the quota of the daemon's user, or remove files.",
    errno.EFBIG: "Raise the file size limit of the daemon (LimitFSIZE= of its unit, ulimit -f).",
    errno.EMFILE: "Raise the limit of open files of the daemon (LimitNOFILE= of its unit, ulimit -n).",
    errno.ENFILE: "Raise the limit of open files of this machine (sysctl fs.file-max).",
    errno.EMLINK: f"Move older articles to another folder, or {_ELSEWHERE}: this folder has too many.",
    errno.ESTALE: "Mount the network share again.",
    errno.EHOSTDOWN: "Start the server of the network share, or mount it again.",
    errno.ETIMEDOUT: "Start the server of the network share, or mount it again.",
    errno.ENOTCONN: "Mount that file system again: the program behind it has ended.",
    errno.EIO: "Check that disk: the kernel log names the error (journalctl -k).",
    errno.ELOOP: f"Remove the loop of symbolic links, or {_ELSEWHERE}.",
    errno.ENAMETOOLONG: "Set [publish] directory to a shorter path.",
    errno.EXDEV: f"Move the folder of the account onto one file system, or {_ELSEWHERE}.",
    errno.ENOENT: f"Mount the disk or restore the file that is missing, or {_ELSEWHERE}.",
    errno.EISDIR: _IN_THE_WAY,
    errno.ENOTDIR: _IN_THE_WAY,
    errno.EEXIST: _IN_THE_WAY,
    errno.ENOTEMPTY: _IN_THE_WAY,
}
_TEMPORARY: Final = (Path("/tmp"), Path("/var/tmp"))  # noqa: S108 - named to be refused
_MOUNTS: Final = Path("/proc/self/mountinfo")
_DENIED: Final = frozenset({errno.EACCES, errno.EPERM})
_HOMES: Final = (Path("/home"), Path("/root"), Path("/run/user"))


def unwritable(root: Path) -> PublishFailed | None:
    """Why this process cannot publish below ``root``, as far as it shows before the first article; None if it can."""
    private = private_place(root)
    if private:
        return private
    try:
        nearest = next(folder for folder in (root, *root.parents) if folder.exists() or folder.is_symlink())
        if not nearest.is_dir():
            return failure(OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(nearest)), root)
        if os.access(nearest, os.W_OK | os.X_OK):
            return None
        number = errno.EROFS if _is_read_only(nearest) else errno.EACCES
        return failure(OSError(number, os.strerror(number), str(nearest)), root)
    except OSError as error:
        return failure(error, root)


def private_place(root: Path) -> PublishFailed | None:
    """Why nobody else would find what is published below ``root``; None if others can.

    A unit with PrivateTmp=yes writes into folders of its own there, which are removed when it stops.
    """
    place = next((one for one in _TEMPORARY if root.is_relative_to(one)), None)
    if place is None or not _in_unit() or os.getppid() != 1 or not _is_private(place):
        return None
    return PublishFailed(
        f"Articles below {root} would be seen by this service only, and removed when it stops.",
        why=f"The service has a {place} of its own (PrivateTmp=yes).",
        fix=f"Set [publish] directory to a place outside {place}.",
    )


def _is_private(place: Path) -> bool:
    """Whether what is mounted at ``place`` is a folder that systemd made for one unit."""
    try:
        mounts = [line.split() for line in _MOUNTS.read_text(encoding="utf-8", errors="replace").splitlines()]
    except OSError:
        return False
    return any(len(one) > 4 and one[4] == str(place) and "/systemd-private-" in one[3] for one in mounts)


def failure(error: OSError, root: Path) -> PublishFailed:
    """The error as a person is told of it: what, why, and what to do."""
    return PublishFailed(
        f"The article could not be written below {root}.",
        why=f"{error.strerror or error}{f' ({error.filename})' if error.filename else ''}.",
        fix=_fix(error, root),
    )


def _fix(error: OSError, root: Path) -> str:
    if error.errno == errno.EROFS:
        return _writable_mount(root)
    if error.errno in _DENIED:
        return _permission(error, root)
    return _FIXES.get(error.errno or 0, f"Check that file system, or {_ELSEWHERE}.")


def _permission(error: OSError, root: Path) -> str:
    named = Path(os.fsdecode(error.filename)) if error.filename else root
    if not named.is_relative_to(root) and not root.is_relative_to(named):
        return f"Let the user {_user()} read {shlex.quote(str(named))}."  # an image, on its way here
    folder, missing = _blocking(named.parent if root in named.parents else root)
    if _is_hidden(root):
        return f"Homes are hidden from the service (ProtectHome=yes): {_edit(root, ', ProtectHome=no')}"
    if _is_read_only(folder):
        return _writable_mount(root)
    access = "rwx" if missing == os.W_OK | os.X_OK else "x"
    command = f"setfacl -m u:{_user()}:{access} {shlex.quote(str(folder))}"
    return f"Let the user {_user()} write there, for example with `{command}`, or {_ELSEWHERE}."


def _blocking(last: Path) -> tuple[Path, int]:
    """The folder that stops us on the way to ``last``, and what is needed there: to enter it, or to write in it too."""
    entered = Path("/")
    for folder in reversed((last, *last.parents)):
        if not os.access(folder, os.F_OK):
            break
        if not os.access(folder, os.X_OK) and folder != last:
            return folder, os.X_OK
        entered = folder
    return entered, os.W_OK | os.X_OK


def _is_read_only(folder: Path) -> bool:
    """Whether the mount is, or its file system; no, where it does not answer: the error that led here is told then."""
    try:
        return bool(os.statvfs(folder).f_flag & os.ST_RDONLY)
    except OSError:
        return False


def _is_hidden(root: Path) -> bool:
    """ProtectHome=yes puts a folder without any permission over each place of homes."""
    home = next((place for place in _HOMES if root.is_relative_to(place)), None)
    return home is not None and _in_unit() and home.exists() and not stat.S_IMODE(home.stat().st_mode)


def _in_unit() -> bool:
    return "INVOCATION_ID" in os.environ


def _user() -> str:
    """Name of this process's user; its number where it has none."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def _writable_mount(root: Path) -> str:
    """The unit may write below its state directory only (ProtectSystem=strict), which looks like a read-only disk."""
    if _in_unit():
        return (
            f"Allow the service to write there: {_edit(root)} "
            "If the disk itself is mounted read-only, mount it writable."
        )
    return f"If contenthubd runs as a systemd service, allow it: {_edit(root)} Otherwise mount the disk writable."


def _edit(root: Path, more: str = "") -> str:
    """What to write into a drop-in of the unit; a path with blanks is quoted as systemd reads it."""
    path = str(root).replace("%", "%%")
    if any(char in path for char in " \t\"'\\"):
        path = '"' + path.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return (
        f"run `systemctl edit contenthubd`, write [Service]{more} and ReadWritePaths={path} into it, "
        "then run `systemctl restart contenthubd`."
    )
