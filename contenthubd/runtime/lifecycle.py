"""Signals, and the state directory that one daemon at a time owns."""

import fcntl
import os
import pwd
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import anyio
import structlog

from contenthubd.domain.errors import StateDirectoryDenied, StateDirectoryError, StateDirectoryTaken

log = structlog.get_logger(__name__)
STOP = (signal.SIGTERM, signal.SIGINT)
RELOAD = signal.SIGHUP
_MEANINGLESS = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM, signal.SIGVTALRM, signal.SIGPROF, signal.SIGIO)
MODE = 0o750
ROOTS_MODE = 0o711
"""PostgreSQL refuses to run as root; where no user namespace hides that, it runs as another user, who must get by."""


@contextmanager
def owned(directory: Path, new_id: UUID) -> Iterator[str]:
    """Lock the state directory and give its own id (made at first use); StateDirectoryError if it cannot be had."""
    try:
        directory.mkdir(mode=ROOTS_MODE if os.geteuid() == 0 else MODE, parents=True, exist_ok=True)
        handle = os.open(directory / "daemon.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    except OSError as fault:
        raise unusable(directory, fault) from fault
    try:
        _lock(handle, directory)
        yield _identity(handle, directory, new_id)
    finally:
        os.close(handle)


def unusable(directory: Path, fault: OSError) -> StateDirectoryError:
    """The state directory cannot be used; told with whose it is, if that is why."""
    owner = other_owner(directory) if isinstance(fault, PermissionError) else ""
    mine = f"Run contenthubd as its owner: sudo -u {owner} contenthubd" if owner else "Make it writable for this user"
    return (StateDirectoryDenied if isinstance(fault, PermissionError) else StateDirectoryError)(
        f"The state directory {directory} cannot be used.",
        why=f"{fault.strerror}: {fault.filename}" + (f". It belongs to the user {owner}." if owner else ""),
        fix=f"{mine}; or name another with --state-dir or CONTENTHUBD_STATE_DIR.",
    )


def other_owner(directory: Path) -> str:
    """The user whom a directory belongs to, or the one above it that cannot be entered; empty if it is this user."""
    for place in (directory, *directory.parents):
        try:
            uid = place.stat().st_uid
        except PermissionError:
            continue
        except OSError:
            return ""
        return "" if uid == os.geteuid() else _name(uid)
    return ""


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"#{uid}"  # as sudo takes a number


def _lock(handle: int, directory: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(handle, 200, 0).decode(errors="replace").splitlines()
        who = f" (process {holder[1]})" if len(holder) > 1 else ""
        raise StateDirectoryTaken(
            f"Another contenthubd{who} already uses the state directory {directory}.",
            fix="Stop it first (systemctl stop contenthubd), or use another directory with --state-dir.",
        ) from None


def _identity(handle: int, directory: Path, new_id: UUID) -> str:
    lines = os.pread(handle, 200, 0).decode(errors="replace").splitlines()
    identity = lines[0] if lines and len(lines[0]) == 32 else new_id.hex
    try:
        # In place, and cut to length afterwards: a disk that is full must not cost the directory its identity.
        length = os.pwrite(handle, f"{identity}\n{os.getpid()}\n".encode(), 0)
        os.ftruncate(handle, length)
    except OSError as fault:
        what = f"The state directory {directory} cannot be written."
        raise StateDirectoryError(what, why=str(fault.strerror), fix="Make room on its disk.") from fault
    return identity


async def signals(listening: Callable[[], None]) -> AsyncIterator[signal.Signals]:
    """SIGTERM, SIGINT and SIGHUP, one after another; ``listening`` is called as soon as none of them can be missed."""
    try:
        with anyio.open_signal_receiver(*STOP, RELOAD) as received:
            listening()
            if _missed.hangup:
                _missed.hangup = False
                yield RELOAD
            async for number in received:
                yield number
    finally:
        outlive_signals()


def stops(number: signal.Signals) -> bool:
    """Whether a signal asks us to stop: SIGHUP does where a terminal has us, for then it says that it was closed."""
    return number in STOP or (number is RELOAD and _missed.terminal)


class _Missed:
    """What is known of SIGHUP before anybody listens."""

    terminal = False
    hangup = False


_missed = _Missed()


def outlive_signals() -> None:
    """While there is no handler, SIGHUP is remembered: by default it ends us, and systemd would call that planned.

    Not SIG_IGN, which children would inherit. Others that end a process by default mean nothing to us.
    """
    if not _missed.terminal:
        _missed.terminal = signal.getsignal(RELOAD) is signal.SIG_DFL and _has_terminal()
    signal.signal(RELOAD, _hung_up)
    for number in _MEANINGLESS:
        signal.signal(number, lambda _number, _frame: None)


def _hung_up(_number: int, _frame: object) -> None:
    _missed.hangup = _missed.terminal  # a reload that nobody heard is no loss: the file is just being read


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def notify(state: str) -> None:
    """Tell systemd (``READY=1``, ``STOPPING=1``, ``RELOADING=1``); nothing happens elsewhere.

    It is never waited for, and one that does not listen just now ends nobody's work.
    """
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as door:
            door.connect("\0" + address[1:] if address.startswith("@") else address)
            door.send(state.encode())
    except OSError as fault:
        log.warning("systemd_notify_failed", state=state, error=str(fault))
