"""What is not the Redis we expect: other protocols, other people's values at our names, addresses that lead nowhere."""

import asyncio
import socket
import threading
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from redis.asyncio import Redis

from contenthubd.adapters.queue.failover import FIRST_WAIT, FailoverQueue
from contenthubd.adapters.queue.memory import MemoryQueue
from contenthubd.adapters.queue.redis import RedisQueue
from contenthubd.adapters.queue.redis_server import RedisServer
from contenthubd.domain.errors import InvalidInput, Unavailable
from contenthubd.domain.task import Rank
from contenthubd.stages.failover import EVERY
from tests.clock import ManualClock
from tests.contracts.redis_queues import nobody
from tests.listening import listening
from tests.real.valkey import Valkey

SHORT = 0.2
HANG_SECONDS = 60.0
NAME = uuid.uuid4().hex
KEY = f"contenthubd:{{{NAME}}}:waiting"
PLACES = [(UUID(int=number), Rank(5, number, number)) for number in range(3)]


@asynccontextmanager
async def saying(reply: bytes) -> AsyncIterator[int]:
    """A server that says the same to whatever it is asked; its port."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(reply)
        writer.write_eof()
        await reader.read()

    async with listening(answer) as port:
        yield port


def pair(url: str, clock: ManualClock, *, patience: float = 60, name: str = "") -> tuple[RedisQueue, FailoverQueue]:
    """A queue in Redis, and the one that falls back from it."""
    server = RedisServer(url, patience=patience)
    redis = RedisQueue(server, name or uuid.uuid4().hex, uuid.uuid4().hex, 100, nobody)
    names = ("redis", "memory")
    return redis, FailoverQueue(redis, MemoryQueue(100), clock, nobody, names=names, wanted=True)


async def serves(both: FailoverQueue, kind: str) -> None:
    """Refilled, it gives the first place, from the queue of this kind."""
    await both.clear("")
    await both.put(PLACES)
    assert (await both.take(), both.in_use().kind) == (PLACES[0][0], kind)


@pytest.mark.parametrize(
    "reply", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"+\xff\xfe\r\n" * 8, b":abc\r\n" * 8, b"$abc\r\n" * 8, b""]
)
async def test_whoever_does_not_speak_redis_is_one_that_does_not_serve(reply: bytes) -> None:
    async with saying(reply) as port:
        redis, both = pair(f"redis://127.0.0.1:{port}", ManualClock())
        for call in (redis.ping, redis.take, redis.count, lambda: redis.clear(""), lambda: redis.put(PLACES)):
            with pytest.raises(Unavailable, match="cannot be used"):
                await call()
        await serves(both, "memory")
        await redis.close()


@asynccontextmanager
async def beside_a_stranger(valkey: Valkey) -> AsyncIterator[tuple[Redis, FailoverQueue]]:
    """Somebody else who writes at our name, and our queue; what was changed over comes back and serves afterwards."""
    clock = ManualClock()
    redis, both = pair(valkey.url, clock, name=NAME)
    await both.clear("")
    async with Redis.from_url(valkey.url) as other:
        yield other, both
    clock.advance(EVERY.total_seconds())
    await both.check()
    await serves(both, "redis")
    await redis.close()


async def test_somebody_elses_member_among_our_ids_costs_one_change_over_and_no_id(valkey: Valkey) -> None:
    async with beside_a_stranger(valkey) as (other, both):
        await both.put(PLACES)
        await other.zadd(KEY, {"not an id": 0})
        assert await both.take() is None
        assert (both.in_use().kind, both.in_use().degraded) == ("memory", True)


async def test_somebody_elses_value_at_our_name_is_removed_and_not_stumbled_over_for_ever(valkey: Valkey) -> None:
    async with beside_a_stranger(valkey) as (other, both):
        await other.set(KEY, "a text")
        await both.put(PLACES)
        assert "WRONGTYPE" in both.in_use().why


@pytest.mark.parametrize("options", ["?db=x", "?nonsense=1", "?ssl_cert_reqs=none", "?socket_timeout=x"])
def test_an_address_whose_options_make_no_sense_is_refused_at_the_start(options: str) -> None:
    with pytest.raises(InvalidInput, match="redis_url") as caught:
        RedisServer(f"redis://:secret@127.0.0.1:6379/0{options}")
    assert "secret" not in str(caught.value)


async def test_an_address_cannot_change_how_replies_are_read(valkey: Valkey) -> None:
    redis, both = pair(f"{valkey.url}/0?protocol=3&decode_responses=&socket_timeout=0.000001", ManualClock())
    await serves(both, "redis")
    await redis.close()


# ------------------------------------------------------------------------------------------------------ names, clocks


@pytest.fixture
def hanging_names(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[list[str], threading.Event]]:
    """Looking up a name takes as long as the name server is away; the names asked for, and what ends it."""
    asked: list[str] = []
    back = threading.Event()

    def hang(host: str, *_: Any, **__: Any) -> list[Any]:
        asked.append(host)
        back.wait(HANG_SECONDS)
        raise socket.gaierror(socket.EAI_AGAIN, "the name server is away")

    with monkeypatch.context() as names:
        names.setattr(socket, "getaddrinfo", hang)
        yield asked, back
        back.set()


async def test_a_name_server_that_is_away_does_not_use_up_the_threads_that_others_need(
    hanging_names: tuple[list[str], threading.Event],
) -> None:
    """A lookup cannot be broken off: each try would leave another thread behind, and PostgreSQL has a name as well."""
    asked, back = hanging_names
    clock = ManualClock()
    redis, both = pair("redis://queue.example", clock, patience=SHORT)
    await both.clear("")
    for _ in range(5):
        clock.advance(EVERY.total_seconds())
        await both.check()
    assert both.in_use().kind == "memory"
    assert len(asked) == 2, "the first call's, and one that every later try waits for"
    back.set()
    await redis.close()


# ---------------------------------------------------------------------------------------------------------- loading


class Loading(Valkey):
    """A server that reads its dump back at its start, and answers everything with LOADING until it has."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self.delay_microseconds = 0

    def _command(self) -> list[str]:
        slow = {"key-load-delay": self.delay_microseconds, "loading-process-events-interval-bytes": 1024}
        options = {"dir": self._folder, "dbfilename": "dump.rdb", **slow}
        return [*super()._command(), *(word for name, value in options.items() for word in (f"--{name}", str(value)))]

    def answers(self) -> bool:
        """Whether anything is answered at all: LOADING is an answer too."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=0.5) as connection:
                connection.sendall(b"PING\r\n")
                return bool(connection.recv(16))
        except OSError:
            return False


async def test_a_redis_that_is_still_loading_is_one_that_does_not_serve(tmp_path: Path) -> None:
    clock = ManualClock()
    with Loading(tmp_path) as server:
        async with Redis.from_url(server.url) as other:
            await other.mset({f"key:{number}": "x" * 100 for number in range(5000)})
            await other.save()
        server.stop()
        server.delay_microseconds = 10_000  # a minute, unless the test says that it is enough
        server.start()
        redis, both = pair(server.url, clock, name=NAME)
        await both.clear("")
        assert "loading" in both.in_use().why.lower()
        await serves(both, "memory")
        async with Redis.from_url(server.url) as other:
            await other.config_set("key-load-delay", 0)
            while (await other.info("persistence"))["loading"]:
                pass
        clock.advance(EVERY.total_seconds())
        await both.check()
        await serves(both, "redis")
        await redis.close()


async def test_a_clock_that_is_set_back_does_not_put_off_the_way_back(valkey: Valkey) -> None:
    clock = ManualClock()
    redis, both = pair(valkey.url, clock, name=NAME)
    async with Redis.from_url(valkey.url) as other:
        await both.clear("")
        await other.set(KEY, "a text")
        await both.count()
        assert both.in_use().kind == "memory"
        await other.delete(KEY)
    clock.step(hours=-1)
    clock.advance(FIRST_WAIT.total_seconds())
    await both.check()
    assert both.in_use().kind == "redis"
    await redis.close()
