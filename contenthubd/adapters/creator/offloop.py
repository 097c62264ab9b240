"""Work on foreign text that would hold up the event loop is done in a thread."""

from collections.abc import Callable
from typing import Final, TypeVar

import anyio

LARGE: Final = 65_536
"""Bytes; reading so many takes a few milliseconds."""
_Answer = TypeVar("_Answer")
_Key = TypeVar("_Key")


async def off_loop(read: Callable[[bytes, _Key], _Answer], data: bytes, key: _Key) -> _Answer:
    """What ``read(data, key)`` answers; in a thread if ``data`` is large."""
    return await anyio.to_thread.run_sync(read, data, key) if len(data) > LARGE else read(data, key)
