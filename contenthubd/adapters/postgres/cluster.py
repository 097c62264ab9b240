"""The private PostgreSQL's files: the lock that says who owns them, the data directory, the socket, pid files, the log.

Beside the data directory ``DIR`` stand ``DIR.lock`` (held with flock for as long as we own it; the kernel frees it when
we die, however we die), ``DIR.initdb-…`` (a cluster in the making, renamed when whole) and ``postgres.log``.

PostgreSQL trusts the process number in its pid files: a number used again by another program, or a zombie that nobody
reaps, keeps it from starting forever. Whoever holds our lock knows better, so here, and only under the lock, such
files are removed. Data still in use by a survivor is safe even then: PostgreSQL finds its shared memory and refuses.
"""

import errno
import fcntl
import hashlib
import os
import re
import shutil
import signal
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from contenthubd import durable
from contenthubd.adapters.postgres.identity import Identity
from contenthubd.domain.errors import StateDirectoryError

MARKER = "cluster_name=contenthubd"  # on the command line of every server of ours
LOG_LIMIT_BYTES = 1_000_000
_SOCKET_NAME = ".s.PGSQL.5432"
_SOCKET_LINE = 4  # of postmaster.pid, counted from zero: the directory of the socket
_SOCKET_PATH_LIMIT = 107  # bytes, of sockaddr_un
_PLAIN_PATH = re.compile(r"[A-Za-z0-9/._-]+")  # what needs no quoting in a URL, a settings list or a multi-host string
_QUOTED_LINES = 8
_TO_VISITORS = re.compile(r"FATAL:  the database system is |DETAIL:  Consistent recovery state ")
_FIXES = {
    errno.ENOSPC: "Free some space on that disk and start again.",
    errno.EDQUOT: "Free some space within the disk quota and start again.",
    errno.EROFS: "Mount that file system writable, or choose another state directory.",
    errno.EACCES: "Give the user that runs contenthubd write access to it, or choose another state directory.",
    errno.EPERM: "Give the user that runs contenthubd write access to it, or choose another state directory.",
    errno.EEXIST: "Move that file away, or choose another state directory.",
    errno.ENOTDIR: "Move that file away, or choose another state directory.",
}
_SHARED_MEMORY_FIX = (
    "Free some space in /dev/shm (df -h /dev/shm), or enlarge it: mount -o remount,size=256M /dev/shm; "
    "for a container: --shm-size=256m."
)
_OTHER_FIX = "Choose a state directory on a local disk that the user of contenthubd may write to."


@contextmanager
def told(what: str) -> Iterator[None]:
    """Turn an OSError inside into a StateDirectoryError that begins with ``what``."""
    try:
        yield
    except OSError as error:
        why = ": ".join(str(part) for part in (error.strerror or error, error.filename) if part)
        raise StateDirectoryError(what, why=f"{why}.", fix=_FIXES.get(error.errno or 0, _OTHER_FIX)) from error


def fix_for(output: str) -> str | None:
    """What to do about the fault of the disk that ``output`` of a PostgreSQL program names; None if it names none."""
    if "shared memory segment" in output and os.strerror(errno.ENOSPC) in output:
        return _SHARED_MEMORY_FIX
    return next((fix for number, fix in _FIXES.items() if os.strerror(number) in output), None)


# ---------------------------------------------------------------------------------------------------------- ownership


def take_lock(data_dir: Path) -> int:
    """Own ``data_dir`` until the returned descriptor is closed; StateDirectoryError if another process does."""
    with told(f"The state directory {data_dir.parent} cannot be used."):
        data_dir.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(f"{data_dir}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            _lock(descriptor, data_dir)
        except BaseException:
            os.close(descriptor)
            raise
    return descriptor


def _lock(descriptor: int, data_dir: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
        raise StateDirectoryError(
            f"Another contenthubd uses {data_dir}.",
            why=f"Process {holder or 'unknown'} holds its lock.",
            fix="Stop that one first, or give this one a state directory of its own.",
        ) from error
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode("ascii"), 0)


# ----------------------------------------------------------------------------------------------------- data directory


def stored_major(data_dir: Path) -> str | None:
    """The major version that made the cluster, None where there is none yet; StateDirectoryError on foreign content."""
    with told(f"The data directory {data_dir} cannot be read."):
        try:
            return (data_dir / "PG_VERSION").read_text(encoding="ascii").strip()
        except FileNotFoundError:
            if not data_dir.exists() or not any(data_dir.iterdir()):
                return None
    raise StateDirectoryError(
        f"{data_dir} is not a PostgreSQL data directory.",
        why="It contains files, but no PG_VERSION. Nothing in it was touched.",
        fix="Move it away, or choose another state directory.",
    )


def new_folder(data_dir: Path, identity: Identity) -> Path:
    """An empty folder beside ``data_dir`` for initdb; what killed predecessors left half made is removed first."""
    with told(f"No database can be created in {data_dir.parent}."):
        for leftover in data_dir.parent.glob(f"{data_dir.name}.initdb-*"):
            shutil.rmtree(leftover)
        folder = Path(tempfile.mkdtemp(prefix=f"{data_dir.name}.initdb-", dir=data_dir.parent))
        identity.give(folder)
    return folder


def adopt(folder: Path, data_dir: Path) -> None:
    """Make the finished ``folder`` the data directory, in one step that survives a power cut."""
    with told(f"The new database cannot be moved to {data_dir}."):
        durable.rename(folder, data_dir)


def discard(folder: Path) -> None:
    """Remove a cluster that did not get whole; what resists is removed by the next `new_folder`."""
    shutil.rmtree(folder, ignore_errors=True)


# -------------------------------------------------------------------------------------------------------------- socket


def socket_directory(data_dir: Path, identity: Identity) -> Path:
    """Where the socket goes: the data directory, or a short private folder if its path is too long or needs quoting."""
    if _fits(data_dir):
        return data_dir
    name = f"contenthubd-{hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:12]}"
    runtime = [os.environ.get(key, "").split(":")[0] for key in ("RUNTIME_DIRECTORY", "XDG_RUNTIME_DIR")]
    bases = [Path(text) for text in (*runtime, tempfile.gettempdir(), "/tmp") if text]  # noqa: S108 - 0700, owner checked
    base = next((base for base in bases if _fits(base / name) and os.access(base, os.W_OK | os.X_OK)), None)
    if base is None:
        raise StateDirectoryError(
            f"The path {data_dir} is too long for a socket.",
            why=f"A socket's path has at most {_SOCKET_PATH_LIMIT} bytes, and no temporary folder is writable.",
            fix="Choose a state directory with a shorter path.",
        )
    return _private_folder(base / name, identity)


def leave_socket_directory(folder: Path, data_dir: Path) -> bool:
    """Remove the short private folder if it is empty; False when something is left in it."""
    if folder == data_dir:
        return True
    try:
        folder.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _fits(folder: Path) -> bool:
    plain = _PLAIN_PATH.fullmatch(str(folder)) is not None
    return plain and len(os.fsencode(folder / _SOCKET_NAME)) <= _SOCKET_PATH_LIMIT


def _private_folder(folder: Path, identity: Identity) -> Path:
    """``folder`` with mode 0700 and the server's owner; never a link, never somebody else's."""
    with told(f"The socket folder {folder} cannot be used."):
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:
            _check_private(folder, identity)
        else:
            identity.give(folder)
    return folder


def _check_private(folder: Path, identity: Identity) -> None:
    found = folder.lstat()
    private = stat.S_ISDIR(found.st_mode) and not found.st_mode & 0o077
    if not private or found.st_uid not in (identity.owner[0], os.geteuid()):
        raise StateDirectoryError(
            f"The socket folder {folder} is not ours.",
            why=f"It must be a folder of mode 0700; user {found.st_uid} made it with mode {found.st_mode:o}.",
            fix="Remove it, or choose a state directory with a shorter path.",
        )
    identity.give(folder)


# ----------------------------------------------------------------------------------------------------------- processes


def live_postmaster(data_dir: Path) -> int | None:
    """The process number of a server of ours that still runs on ``data_dir``; StateDirectoryError if not ours."""
    pid = _pid_in(data_dir / "postmaster.pid")
    if pid is None or not serves(pid, data_dir):
        return None
    if os.fsencode(MARKER) not in _command_line(pid):
        raise StateDirectoryError(
            f"A PostgreSQL server that contenthubd did not start runs on {data_dir}.",
            why=f"It is process {pid}.",
            fix=f"Stop it first: kill -INT {pid}",
        )
    return pid


def running_socket_directory(data_dir: Path) -> Path | None:
    """Where the server that runs on ``data_dir`` listens; None while it is still starting."""
    try:
        lines = (data_dir / "postmaster.pid").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return None
    return Path(lines[_SOCKET_LINE]) if len(lines) > _SOCKET_LINE and lines[_SOCKET_LINE] else None


def serves(pid: int, data_dir: Path) -> bool:
    """Whether process ``pid`` lives (a zombie does not) and is a PostgreSQL server on ``data_dir``."""
    arguments = _command_line(pid)
    if os.path.basename(arguments[0]) not in (b"postgres", b"postmaster"):
        return False
    if os.fsencode(data_dir) in arguments:
        return True
    try:
        return Path(f"/proc/{pid}/cwd").readlink() == data_dir
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return False  # gone, or another user's program: none of ours


def remove_stale_pid_files(data_dir: Path, socket_dir: Path) -> list[Path]:
    """Remove the pid files that a killed server left; only while holding the lock and after `live_postmaster`."""
    files = (data_dir / "postmaster.pid", socket_dir / f"{_SOCKET_NAME}.lock", socket_dir / _SOCKET_NAME)
    with told(f"The data directory {data_dir} cannot be cleaned up."):
        return [path for path in files if _removed(path)]


def kill_tree(pid: int) -> None:
    """Kill a server and its own children; each of them leads a session, so no group signal reaches them."""
    children = _children(pid)
    for number in (pid, *children):
        with suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)


def _removed(path: Path) -> bool:
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    return True


def _pid_in(path: Path) -> int | None:
    try:
        first = path.read_text(encoding="ascii", errors="replace").split("\n", 1)[0].strip()
    except FileNotFoundError:
        return None
    return int(first) if first.isdecimal() else None


def _command_line(pid: int) -> list[bytes]:
    """The arguments of a process; ``[b""]`` for one that is gone or a zombie."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError):
        return [b""]


def _children(pid: int) -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal() and _parent(entry) == pid]


def _parent(entry: Path) -> int | None:
    try:
        return int((entry / "stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return None


# ----------------------------------------------------------------------------------------------------------------- log


class ServerLog:
    """The server's own log beside the data directory, started afresh when it has grown past LOG_LIMIT_BYTES."""

    def __init__(self, data_dir: Path) -> None:
        self.path = data_dir.with_name("postgres.log")
        self._begin = 0

    def open(self) -> int:
        """A descriptor to append to; the caller closes it. What is written from here on is this start's."""
        with told(f"The log {self.path} cannot be written."):
            descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            if os.fstat(descriptor).st_size > LOG_LIMIT_BYTES:
                os.ftruncate(descriptor, 0)
            self._begin = os.fstat(descriptor).st_size
        return descriptor

    def last_lines(self) -> str:
        """The last few lines that this start wrote, without what it told those who knocked meanwhile."""
        with told(f"The log {self.path} cannot be read."), self.path.open("rb") as file:
            file.seek(self._begin)
            lines = file.read().decode("utf-8", "replace").splitlines()
        return "\n".join([line for line in lines if not _TO_VISITORS.search(line)][-_QUOTED_LINES:])
