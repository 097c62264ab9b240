"""The faults themselves: how each begins, when it has been felt, how it ends.

A fault is a context: inside it is in force, afterwards the part is as it was. ``felt`` answers whether anybody has run
into it yet; short runs hold a fault until then instead of for seconds.
"""

import os
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Final

import psutil

from tests.chaos.place import Place
from tests.chaos.plan import Step
from tests.chaos.proxy import Proxy
from tests.real.valkey import Valkey

Felt = Callable[[], Awaitable[bool]]
Fault = AbstractAsyncContextManager[Felt]
DELAY_SECONDS: Final = 0.15
FULL_BYTES: Final = 1
ENOUGH_LOG_BYTES: Final = 500
LEASED: Final = "SELECT count(*) FROM attempt WHERE ended_at IS NULL AND leased_until > now()"
MISBEHAVIOURS: Final[Mapping[str, Mapping[str, object]]] = {
    "failing": {"failure_rate": 0.6},
    "deaf": {"deaf": "1"},
}
"""What is not simply one of the simulator's misbehaviours."""


def fault(place: Place, step: Step) -> Fault:
    """The fault of a step, not begun yet."""
    match step.part:
        case "postgres":
            return _postgres(place, step.kind)
        case "postgres line":
            return _line(place, place.postgres_line, step.kind)
        case "redis line":
            return _line(place, place.redis_line, step.kind)
        case "redis":
            return _redis(place, place.redis, step.kind)
        case "creator's redis":
            return _redis(place, place.creator_redis, step.kind)
        case "daemon":
            return _daemon(place, step.kind)
        case "worker":
            return _worker(place, step.kind)
        case "creator":
            return _creator(place, step)
    raise ValueError(step.part)


@asynccontextmanager
async def _postgres(place: Place, kind: str) -> AsyncIterator[Felt]:
    line = place.postgres_line
    before = line.carried
    if kind == "freeze":
        place.postgres.freeze()
        try:
            yield lambda: _true(line.carried > before)
        finally:
            place.postgres.resume()
        return
    line.touched = 0
    if kind == "kill":
        await place.postgres.kill()
        yield lambda: _true(line.touched > 0)
    await place.postgres.stop()
    await place.postgres.start()
    if kind == "restart":
        yield _at_once


@asynccontextmanager
async def _line(place: Place, line: Proxy, kind: str) -> AsyncIterator[Felt]:
    {"cut": line.cut, "delay": lambda: line.delay(DELAY_SECONDS), "black hole": line.black_hole}[kind]()
    logged = _logged(place)

    async def felt() -> bool:
        return line.touched > 0 or (not line.connections and await logged())

    try:
        yield felt
    finally:
        line.heal()


@asynccontextmanager
async def _redis(place: Place, server: Valkey, kind: str) -> AsyncIterator[Felt]:
    felt = _logged(place)
    if kind == "flush":
        _command(server, "FLUSHALL")
    elif kind == "full":
        _command(server, "CONFIG SET maxmemory-policy noeviction")
        _command(server, f"CONFIG SET maxmemory {FULL_BYTES}")
    elif kind == "freeze":
        server.pause()
    else:
        server.kill()
    if kind == "restart":
        server.start()
    try:
        yield felt
    finally:
        server.resume()
        server.start()
        if kind == "full":
            _command(server, "CONFIG SET maxmemory 0")


@asynccontextmanager
async def _daemon(place: Place, kind: str) -> AsyncIterator[Felt]:
    number = {"kill": signal.SIGKILL, "stop": signal.SIGTERM, "freeze": signal.SIGSTOP}[kind]
    pid = place.daemon.pid
    place.supervisor.signal(number)
    if kind != "freeze":
        yield lambda: _true(place.daemon.pid != pid)
        return

    async def leases_ran_out() -> bool:
        return await place.postgres.number(LEASED) == 0

    try:
        yield leases_ran_out
    finally:
        place.supervisor.signal(signal.SIGCONT)


@asynccontextmanager
async def _worker(place: Place, kind: str) -> AsyncIterator[Felt]:
    workers = place.workers()
    with suppress(psutil.NoSuchProcess):
        for worker in workers:
            worker.send_signal(signal.SIGKILL if kind == "kill" else signal.SIGSTOP)
    try:
        yield _logged(place)
    finally:
        for worker in workers:
            with suppress(psutil.NoSuchProcess):
                worker.resume()


@asynccontextmanager
async def _creator(place: Place, step: Step) -> AsyncIterator[Felt]:
    wrong = MISBEHAVIOURS.get(step.kind, {"misbehaviour": step.kind, "misbehaviour_on": step.command})
    place.behave(**wrong)
    try:
        yield _logged(place)
    finally:
        place.behave()


def _command(server: Valkey, line: str) -> None:
    """One inline command to a healthy server; raises OSError when it is refused."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(f"{line}\r\n".encode("ascii"))
        answer = connection.recv(256)
    if not answer.startswith(b"+OK"):
        raise OSError(f"{line}: {os.fsdecode(answer)}")


def _logged(place: Place) -> Felt:
    """Felt when the daemon went on and said so."""
    before = place.log_bytes
    return lambda: _true(place.log_bytes > before + ENOUGH_LOG_BYTES)


async def _true(answer: bool) -> bool:
    return answer


async def _at_once() -> bool:
    return True
