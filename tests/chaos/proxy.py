"""A TCP proxy on loopback whose connections can be cut, delayed or made to hang.

It stands between the daemon and a server, which may listen on TCP or on a Unix socket. While it is a black hole nothing
is thrown away: as on a real network, what was sent arrives when the line is healed, possibly long after the sender
stopped waiting for an answer.
"""

import asyncio
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

CHUNK_BYTES = 65536
Target = tuple[str, int] | Path


class Proxy:
    """One listening port for one target; ``touched`` counts what the present fault has hit so far."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._server: asyncio.Server | None = None
        self._open = asyncio.Event()
        self._open.set()
        self._refusing = False
        self._delay_seconds = 0.0
        self._lines: dict[asyncio.Task[None], list[asyncio.StreamWriter]] = {}
        self.touched = 0
        self.carried = 0
        """Chunks carried in either direction since the beginning."""

    @property
    def port(self) -> int:
        """Where it listens on 127.0.0.1."""
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def connections(self) -> int:
        """How many connections there are just now."""
        return len(self._lines)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accepted, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        self._abort_all()
        self._open.set()
        if self._lines:
            await asyncio.wait(set(self._lines))
        await self._server.wait_closed()

    def cut(self) -> None:
        """End every connection at once, and every new one as soon as it comes."""
        self.touched = len(self._lines)
        self._refusing = True
        self._abort_all()

    def delay(self, seconds: float) -> None:
        """Let every chunk wait this long before it is passed on."""
        self.touched, self._delay_seconds = 0, seconds

    def black_hole(self) -> None:
        """Accept everything and pass nothing on, without closing anything."""
        self.touched = 0
        self._open.clear()

    def heal(self) -> None:
        """Be a plain line again; what was held back is passed on now."""
        self._refusing, self._delay_seconds = False, 0.0
        self._open.set()

    def _abort_all(self) -> None:
        for writers in self._lines.values():
            for writer in writers:
                writer.transport.abort()

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refusing:
            self.touched += 1
            writer.transport.abort()
            return
        task = asyncio.current_task()
        assert task is not None
        self._lines[task] = [writer]
        try:
            await self._joined(reader, writer, self._lines[task])
        finally:
            for one in self._lines.pop(task):
                one.transport.abort()

    async def _joined(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, writers: list[asyncio.StreamWriter]
    ) -> None:
        try:
            there_reader, there_writer = await self._reach()
        except OSError:
            self.touched += 1  # nobody listens there: the caller sees its connection end
            return
        writers.append(there_writer)
        pumps = [
            asyncio.create_task(self._pump(reader, there_writer)),
            asyncio.create_task(self._pump(there_reader, writer)),
        ]
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        for one in writers:
            one.close()  # after what was written before
        for pump in pumps:
            pump.cancel()
        await asyncio.wait(pumps)

    async def _reach(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        await self._held()
        if isinstance(self._target, Path):
            return await asyncio.open_unix_connection(str(self._target))
        return await asyncio.open_connection(*self._target)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):  # either end may vanish at any time: that is what a cut line looks like
            while chunk := await source.read(CHUNK_BYTES):
                await self._held()
                sink.write(chunk)
                await sink.drain()
                self.carried += 1

    async def _held(self) -> None:
        if self._delay_seconds:
            self.touched += 1
            await asyncio.sleep(self._delay_seconds)
        if not self._open.is_set():
            self.touched += 1
            await self._open.wait()
