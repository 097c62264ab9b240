"""What the event loop itself has to complain about.

With no file descriptor left it cannot accept a connection, and says so with a stack trace, many times a second. Here
that is one line every ten seconds; it goes on by itself when descriptors are free again. Everything else is a defect
and told as asyncio tells it.
"""

import asyncio
import errno
from typing import Any, Final

import structlog

EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
QUIET_SECONDS: Final = 10.0
log = structlog.get_logger(__name__)


class LoopFaults:
    """An exception handler for an event loop."""

    def __init__(self) -> None:
        self._quiet_until = 0.0

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Tell what asyncio found out."""
        fault = context.get("exception")
        if not (isinstance(fault, OSError) and fault.errno in EXHAUSTED):
            loop.default_exception_handler(context)
        elif loop.time() >= self._quiet_until:
            self._quiet_until = loop.time() + QUIET_SECONDS
            log.error("resources_exhausted", error=str(fault), what=str(context.get("message", "")))
