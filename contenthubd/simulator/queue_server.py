"""Asks the Redis that REDIS_URL names whether it is there, over a bare socket; nothing is ever stored in it.

Without REDIS_URL there is nothing to ask, and everything goes on.
"""

import os
import time

POLL_SECONDS = 0.1
ANSWER_SECONDS = 1.0


class Refused(Exception):
    """The task is not created or queued; the text is the original's."""


def require(seconds: float) -> None:
    """Wait for it as the original does, forever, but for our bound. Raises Refused."""
    if not wait(seconds):
        raise Refused("Redis connection timeout")


def wait(seconds: float) -> bool:
    """Wait until it answers; says whether it did within this time."""
    url = os.environ.get("REDIS_URL")
    deadline = time.monotonic() + seconds
    while url and not answers(url):
        if time.monotonic() >= deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def answers(url: str) -> bool:
    """Whether PING is answered, be it by asking for a password."""
    import socket

    try:
        with socket.create_connection(address(url), timeout=ANSWER_SECONDS) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16)[:5] in (b"+PONG", b"-NOAU")
    except OSError:
        return False


def address(url: str) -> tuple[str, int]:
    """Host and port of redis://user:password@host:port/number."""
    place = url.partition("://")[2].rpartition("@")[2].partition("/")[0]
    host, _, port = place.rpartition(":") if ":" in place else (place, "", "")
    return host or "127.0.0.1", int(port or 6379)
