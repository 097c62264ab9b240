"""The private door: HTTP on a Unix socket.

Whoever may open the socket may do everything, so its mode is the permission. It is created with mode 0600 by setting
the mode on the descriptor *before* bind (Linux takes the file's mode from there, so the process-wide umask stays
alone), given to the group, widened to 0660, and only then listened on: at no moment is it open to more people than at
the end. What lies at the path is touched only if it is a socket on which nobody answers.
"""

import asyncio
import fcntl
import grp
import os
import socket
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

import structlog
from aiohttp import web

from contenthubd.control.connections import Connections, Limits, Visitor, limits_here
from contenthubd.control.messages import CONNECTIONS
from contenthubd.control.problems import Handler, errors_as_problems
from contenthubd.control.routes import APPLICATION, ROUTES, Application
from contenthubd.control.routes_schedules import SCHEDULES
from contenthubd.domain.errors import InvalidConfig, StateDirectoryError

log = structlog.get_logger()

MODE: Final = 0o660
MAX_BODY_BYTES: Final = 16 * 2**20
MAX_LINE_BYTES: Final = 64 * 1024
MAX_ADDRESS_BYTES: Final = 107
BACKLOG: Final = 128
LOCK_TRIES: Final = 100
LOCK_PAUSE_SECONDS: Final = 0.05
ACCEPT_TURNS: Final = 3
"""Turns of the event loop until a connection that was just accepted is known to the runner, which is to close it."""
ACCEPTED_AT_ONCE: Final = 16
"""Connections that are accepted in one turn of the event loop, before their number is looked at again."""
LINGER_SECONDS: Final = 2.0
"""How long the rest of a body is read that nobody wants, so that its sender sees the answer."""
STOP_SECONDS: Final = 1.0
"""How long open requests may go on once the door is closed; a long poll is cut off."""


class ControlServer:
    """Serves one application on one socket path."""

    def __init__(self, application: Application, path: Path, *, group: str = "", limits: Limits | None = None) -> None:
        self._path = path
        self._group = group
        self.connections = Connections(
            limits or limits_here(), access_log=None, lingering_time=LINGER_SECONDS,
            max_line_size=MAX_LINE_BYTES, max_field_size=MAX_LINE_BYTES,
        )  # fmt: skip
        self._socket: socket.socket | None = None
        self._inode: tuple[int, int] | None = None
        self._acceptor: asyncio.Server | None = None
        app = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[_busy, errors_as_problems])
        app[APPLICATION] = application
        app[SCHEDULES] = application.schedules
        app[CONNECTIONS] = self.connections
        app.add_routes(ROUTES)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=STOP_SECONDS)

    async def start(self) -> None:
        """Bind and answer. StateDirectoryError if the path cannot be used, InvalidConfig for an unknown group."""
        self._socket = bind(self._path, self._group)
        self._inode = _inode(self._path)
        await self._runner.setup()
        loop = asyncio.get_running_loop()
        if self._runner.server is not None:
            self.connections.serve(self._runner.server, loop)
        self._acceptor = await loop.create_server(self.connections, sock=self._socket, backlog=ACCEPTED_AT_ONCE)
        self._socket.listen(BACKLOG)  # asyncio takes one number for what may wait and for what is accepted in a turn
        log.info(
            "control_socket_opened",
            path=str(self._path),
            group=self._group,
            connections=self.connections.limits.connections,
        )

    async def close(self) -> None:
        """Stop answering and remove the socket, unless someone else has put another one there."""
        if self._socket is not None:
            # asyncio never closes a connection whose acceptance ends after its server was closed: let none in first.
            asyncio.get_running_loop().remove_reader(self._socket)
        for _ in range(ACCEPT_TURNS):
            await asyncio.sleep(0)
        if self._acceptor is not None:
            self._acceptor.close()
        await self._runner.cleanup()
        self.connections.close()
        if self._socket is None:
            return
        self._socket.close()
        self._socket = None
        if _inode(self._path) == self._inode:
            self._path.unlink(missing_ok=True)
        log.info("control_socket_closed", path=str(self._path))


@web.middleware
async def _busy(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Keep the connection its place while this request is answered."""
    visitor = request.protocol
    if isinstance(visitor, Visitor):
        visitor.begin()
    return await handler(request)


def bind(path: Path, group: str = "") -> socket.socket:
    """A listening socket at ``path`` with its final mode, owner and group. StateDirectoryError, InvalidConfig."""
    gid = _gid(group)
    try:
        with _alone(path.parent):
            _clear(path)
            return _bound(path, gid)
    except OSError as error:
        raise _unusable(path, error, group) from error


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Of two daemons that find the same stale socket, the later one must find the socket of the earlier one."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for _ in range(LOCK_TRIES):
            with suppress(BlockingIOError):
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            time.sleep(LOCK_PAUSE_SECONDS)
        else:
            raise StateDirectoryError(
                f"The folder {folder} is locked by another program.",
                why="Two daemons must not open a socket there at the same time.",
                fix="Find the program with: fuser -v " + str(folder),
            )
        yield
    finally:
        os.close(handle)


def _bound(path: Path, gid: int | None) -> socket.socket:
    with ExitStack() as undo:
        listener = undo.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        os.fchmod(listener.fileno(), 0o600)
        _at_address(path, listener.bind)
        undo.callback(path.unlink, missing_ok=True)
        if gid is not None:
            os.chown(path, -1, gid)
        os.chmod(path, MODE)
        listener.listen(BACKLOG)
        listener.setblocking(False)
        undo.pop_all()
        return listener


def _clear(path: Path) -> None:
    """Remove a socket on which no process listens; refuse everything else that has its name."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise StateDirectoryError(
            f"{path} exists and is not a socket.", why="contenthubd replaces only sockets.",
            fix="Move it away, or set another path with [daemon] socket.",
        )  # fmt: skip
    if _answers(path):
        raise StateDirectoryError(
            f"Another daemon answers at {path}.", why="One socket serves one daemon.",
            fix="Stop the other one, or give this one its own state_dir and socket.",
        )  # fmt: skip
    path.unlink(missing_ok=True)
    log.info("stale_socket_removed", path=str(path))


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            _at_address(path, probe.connect)
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except TimeoutError:  # a full backlog: someone is there
            return True
    return True


def _at_address(path: Path, use: Callable[[str], object]) -> None:
    """Bind or connect, by way of the parent's descriptor where the path is longer than a Unix address may be."""
    if len(os.fsencode(path)) <= MAX_ADDRESS_BYTES:
        use(str(path))
        return
    parent = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        use(f"/proc/self/fd/{parent}/{path.name}")
    finally:
        os.close(parent)


def _gid(group: str) -> int | None:
    if not group:
        return None
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        raise InvalidConfig(
            [f"daemon.socket_group: there is no group {group!r} on this machine."], fix=f"Create it: groupadd {group}"
        ) from None


def _inode(path: Path) -> tuple[int, int] | None:
    try:
        found = path.lstat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _unusable(path: Path, error: OSError, group: str) -> StateDirectoryError:
    fix = "Check that its folder exists and can be written, or set another path with [daemon] socket."
    if isinstance(error, PermissionError) and group:
        fix = f"The daemon's user must be a member of the group {group!r} and able to write to the folder."
    return StateDirectoryError(
        f"The control socket {path} cannot be opened.", why=f"{error.strerror or error}.", fix=fix
    )
