"""Who is at the other end of the Unix socket, as the kernel says it (SO_PEERCRED): it cannot be forged."""

import asyncio
import fcntl
import pwd
import select
import socket
import struct
import termios
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Protocol

import anyio

PATIENCE_SECONDS: Final = 1.0
"""How long a request waits for the name of its user; the number says as much."""
FRESH_SECONDS: Final = 300.0
"""How long a name is used before it is looked up again."""
MOST_KNOWN: Final = 256
MOST_ASKED: Final = 4
"""Names that are looked up at once: each takes a thread, for as long as a directory service is silent."""
_CREDENTIALS = struct.Struct("3i")


@dataclass(frozen=True, slots=True)
class Peer:
    """A process that opened a connection; the numbers are those of that moment."""

    uid: int
    gid: int
    pid: int
    user: str = ""

    @property
    def by(self) -> str:
        """The name that goes into facts: ``uid:1000(anna)``."""
        return f"uid:{self.uid}({self.user})" if self.user else f"uid:{self.uid}"


class Connection(Protocol):
    """A socket, or what asyncio lets us see of one."""

    def getsockopt(self, level: int, optname: int, buflen: int, /) -> bytes:
        """As socket.getsockopt."""

    def fileno(self) -> int:
        """As socket.fileno."""


def peer_of(connection: Connection) -> Peer:
    """The credentials of a connected Unix socket, without a name; OSError if it is none or already gone."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, gid = _CREDENTIALS.unpack(raw)
    return Peer(uid=uid, gid=gid, pid=pid)


def hung_up(connection: Connection) -> bool:
    """Whether nobody is at the other end any more: one who only stopped sending still reads."""
    watch = select.poll()
    try:
        watch.register(connection.fileno(), 0)
    except (OSError, ValueError):  # closed on our side
        return True
    return any(found & (select.POLLHUP | select.POLLERR | select.POLLNVAL) for _, found in watch.poll(0))


def has_bytes(connection: Connection) -> bool:
    """Whether bytes wait to be read; none once it is closed."""
    try:
        return fcntl.ioctl(connection.fileno(), termios.FIONREAD, bytes(4)) != bytes(4)
    except (OSError, ValueError):  # closed on our side
        return False


def user_name(uid: int) -> str:
    """The name of a user; empty for one that the machine does not know. It may take as long as a directory service."""
    try:
        return pwd.getpwuid(uid).pw_name
    except (KeyError, OverflowError):  # a user of a container or of a directory service that is away
        return ""


class Users:
    """Names of users, each looked up in a thread of its own: a silent directory service holds up nobody else."""

    def __init__(self, look_up: Callable[[int], str] = user_name, patience: float = PATIENCE_SECONDS) -> None:
        self._look_up = look_up
        self._patience = patience
        self._known: dict[int, tuple[float, str]] = {}
        self._asked: dict[int, asyncio.Future[str]] = {}

    async def named(self, peer: Peer) -> Peer:
        """The peer with its user's name, or without one when the name is not known in time."""
        loop = asyncio.get_running_loop()
        at, name = self._known.get(peer.uid, (0.0, ""))
        if peer.uid in self._known and loop.time() - at < FRESH_SECONDS:
            return replace(peer, user=name)
        asked = self._asked.get(peer.uid) or self._ask(peer.uid, loop)
        if asked is not None:
            with anyio.move_on_after(self._patience):
                name = await asyncio.shield(asked)
        return replace(peer, user=name)

    def _ask(self, uid: int, loop: asyncio.AbstractEventLoop) -> "asyncio.Future[str] | None":
        if len(self._asked) >= MOST_ASKED:
            return None
        asked = self._asked[uid] = loop.create_future()

        def tell(name: str) -> None:
            self._asked.pop(uid, None)
            while len(self._known) >= MOST_KNOWN:
                self._known.pop(next(iter(self._known)))
            self._known[uid] = loop.time(), name
            if not asked.done():
                asked.set_result(name)

        def look() -> None:
            name = self._look_up(uid)
            if not loop.is_closed():
                loop.call_soon_threadsafe(tell, name)

        # Not a pool's thread: those are awaited when the process ends.
        threading.Thread(target=look, name=f"user-{uid}", daemon=True).start()
        return asked
