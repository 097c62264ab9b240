"""Signals, and the state directory that one daemon at a time owns."""

import fcntl
import os
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import anyio

from contenthubd.domain.errors import StateDirectoryError

STOP = (signal.SIGTERM, signal.SIGINT)
RELOAD = signal.SIGHUP
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
        raise StateDirectoryError(
            f"The state directory {directory} cannot be used.",
            why=f"{fault.strerror}: {fault.filename}",
            fix="Make it writable for this user, or name another with --state-dir or CONTENTHUBD_STATE_DIR.",
        ) from fault
    try:
        _lock(handle, directory)
        yield _identity(handle, directory, new_id)
    finally:
        os.close(handle)


def _lock(handle: int, directory: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(handle, 200, 0).decode(errors="replace").splitlines()
        who = f" (process {holder[1]})" if len(holder) > 1 else ""
        raise StateDirectoryError(
            f"Another contenthubd{who} already uses the state directory {directory}.",
            fix="Stop it first, or start this one with another --state-dir.",
        ) from None


def _identity(handle: int, directory: Path, new_id: UUID) -> str:
    lines = os.pread(handle, 200, 0).decode(errors="replace").splitlines()
    identity = lines[0] if lines and len(lines[0]) == 32 else new_id.hex
    try:
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{identity}\n{os.getpid()}\n".encode(), 0)
    except OSError as fault:
        what = f"The state directory {directory} cannot be written."
        raise StateDirectoryError(what, why=str(fault.strerror), fix="Make room on its disk.") from fault
    return identity


async def signals() -> AsyncIterator[signal.Signals]:
    """SIGTERM, SIGINT and SIGHUP, one after another."""
    with anyio.open_signal_receiver(*STOP, RELOAD) as received:
        async for number in received:
            yield number


def notify(state: str) -> None:
    """Tell systemd (``READY=1``, ``STOPPING=1``, ``RELOADING=1``); nothing happens elsewhere."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as door:
        door.connect("\0" + address[1:] if address.startswith("@") else address)
        door.sendall(state.encode())
