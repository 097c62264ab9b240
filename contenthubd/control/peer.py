"""Who is at the other end of the Unix socket, as the kernel says it (SO_PEERCRED): it cannot be forged."""

import pwd
import socket
import struct
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

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


def peer_of(connection: Connection) -> Peer:
    """The credentials of a connected Unix socket; OSError if it is none or already gone."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, gid = _CREDENTIALS.unpack(raw)
    return Peer(uid=uid, gid=gid, pid=pid, user=_user_name(uid))


@lru_cache(maxsize=64)  # a directory service may take its time
def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:  # a user of a container or of a directory service that is away
        return ""
