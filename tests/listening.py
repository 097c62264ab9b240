"""A small server of a test's own, that leaves nothing behind."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def listening(serve: Serve) -> AsyncIterator[int]:
    """Serve every connection with ``serve``; the port. Who hangs up is no fault.

    At the end, every ``serve`` has ended and its connection is closed: what a closed loop leaves open is reported by
    Python in some later test.
    """
    running: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if task := asyncio.current_task():
            running.add(task)
            task.add_done_callback(running.discard)
        try:
            await serve(reader, writer)
        except (ConnectionError, ssl.SSLError, asyncio.IncompleteReadError):
            pass  # the other side hung up, or does not trust us
        finally:
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
