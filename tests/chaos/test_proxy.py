"""The proxy that chaos runs on: a line that carries, is cut, is slow, hangs, and heals."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.chaos.proxy import Proxy

LOOK_SECONDS = 0.01
PATIENCE_SECONDS = 60.0
DELAY_SECONDS = 0.05


async def test_what_is_sent_arrives_in_both_directions(line: Proxy) -> None:
    async with _connected(line) as (reader, writer):
        writer.write(b"there\n")

        assert await reader.readline() == b"there\n"


async def test_a_large_message_arrives_whole(line: Proxy) -> None:
    message = bytes(range(1, 10)) * 200_000
    async with _connected(line) as (reader, writer):
        writer.write(message + b"\n")

        assert await reader.readexactly(len(message) + 1) == message + b"\n"


async def test_a_cut_ends_present_and_new_connections_until_it_is_healed(line: Proxy) -> None:
    async with _connected(line) as (reader, writer):
        await _answered(reader, writer)

        line.cut()

        assert await _ended(reader)
    async with _connected(line) as (reader, _):
        assert await _ended(reader)
    assert line.touched == 2

    line.heal()

    async with _connected(line) as (reader, writer):
        await _answered(reader, writer)


async def test_a_delay_holds_every_message_back(line: Proxy) -> None:
    clock = asyncio.get_running_loop()
    async with _connected(line) as (reader, writer):
        await _answered(reader, writer)
        line.delay(DELAY_SECONDS)
        began = clock.time()

        await _answered(reader, writer)

        assert clock.time() - began >= 2 * DELAY_SECONDS, "there and back"
        assert line.touched == 2
        line.heal()
        await _answered(reader, writer)
        assert line.touched == 2


async def test_what_a_black_hole_took_arrives_when_it_is_healed(line: Proxy) -> None:
    async with _connected(line) as (reader, writer):
        await _answered(reader, writer)
        line.black_hole()
        carried = line.carried
        writer.write(b"held\n")
        await _until(lambda: line.touched == 1)
        assert line.carried == carried

        line.heal()

        assert await reader.readline() == b"held\n"


async def test_a_connection_made_into_a_black_hole_works_once_it_is_healed(line: Proxy) -> None:
    line.black_hole()
    async with _connected(line) as (reader, writer):
        writer.write(b"early\n")
        await _until(lambda: line.touched == 1)

        line.heal()

        assert await reader.readline() == b"early\n"


async def test_a_target_that_is_not_there_ends_the_connection(state_dir: Path) -> None:
    async with Proxy(state_dir.with_name("nobody")) as line:
        async with _connected(line) as (reader, _):
            assert await _ended(reader)
        assert line.touched == 1


async def test_the_end_of_one_side_reaches_the_other(line: Proxy) -> None:
    async with _connected(line) as (reader, writer):
        await _answered(reader, writer)
        writer.write(b"bye\n")

        assert await reader.read() == b"bye\n", "the last words come before the end"
    await _until(lambda: line.connections == 0)


async def test_leaving_it_ends_what_hangs(target: Path) -> None:
    async with Proxy(target) as line:
        line.black_hole()
        reader, writer = await asyncio.open_connection("127.0.0.1", line.port)
        await _until(lambda: line.touched == 1)

    assert await _ended(reader)
    writer.transport.abort()


@pytest.fixture
async def target(state_dir: Path) -> AsyncIterator[Path]:
    """A server on a Unix socket that says back what it hears, and hangs up after `bye`."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while chunk := await reader.read(65536):
                writer.write(chunk)
                await writer.drain()
                if chunk == b"bye\n":
                    break
        except ConnectionError:
            writer.transport.abort()
        else:
            writer.close()

    path = state_dir.with_name("echo")
    server = await asyncio.start_unix_server(echo, str(path))
    yield path
    server.close()
    await server.wait_closed()


@pytest.fixture
async def line(target: Path) -> AsyncIterator[Proxy]:
    """A proxy in front of it."""
    async with Proxy(target) as made:
        yield made


@asynccontextmanager
async def _connected(line: Proxy) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", line.port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def _answered(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"hello\n")
    assert await asyncio.wait_for(reader.readline(), PATIENCE_SECONDS) == b"hello\n"


async def _ended(reader: asyncio.StreamReader) -> bool:
    """Whether nothing comes any more; a reset is an end too."""
    try:
        return await asyncio.wait_for(reader.read(), PATIENCE_SECONDS) == b""
    except ConnectionResetError:
        return True


async def _until(fact: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not fact():  # noqa: ASYNC110 - the proxy has no event for it
            await asyncio.sleep(LOOK_SECONDS)
