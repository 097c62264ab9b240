"""Many connections, idle ones, half-sent and slow ones: the door stays open for everybody else."""

import asyncio
import gzip
import json
import resource
import socket
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import anyio
import pytest
from structlog.testing import capture_logs

from contenthubd.control import wire
from contenthubd.control.connections import LEAST, MOST, Limits, limits_here
from contenthubd.control.server import ControlServer
from tests.control.conftest import US, Door, served, until
from tests.control.memory_application import MemoryApplication
from tests.running import PATIENCE_SECONDS

GET = b"GET /v1/version HTTP/1.1\r\nHost: localhost\r\n\r\n"
OpenDoor = Callable[..., Awaitable[Door]]


@pytest.fixture
async def open_door(folder: Path) -> Any:
    """Opens doors with limits of their own; all are closed."""
    made: list[Door] = []

    async def open_it(**limits: Any) -> Door:
        app = MemoryApplication()
        await app.create_account(wire.NewAccount(name="studio"), peer=US)
        path = folder / f"{len(made)}.sock"
        door = Door(app, path, ControlServer(served(app), path, limits=Limits(**limits)))
        await door.server.start()
        made.append(door)
        return door

    yield open_it
    for door in made:
        await door.close()


def caller(door: Door, stack: ExitStack) -> socket.socket:
    """A connection that has said nothing yet."""
    made = stack.enter_context(socket.socket(socket.AF_UNIX))
    made.setblocking(False)
    made.connect(str(door.socket))
    return made


async def heard(connection: socket.socket) -> bytes:
    """Everything until the other side closes."""
    told = b""
    with anyio.fail_after(PATIENCE_SECONDS):
        while True:
            try:
                part = await asyncio.get_running_loop().sock_recv(connection, 65536)
            except ConnectionResetError:
                return told
            if not part:
                return told
            told += part


async def health_of(door: Door) -> Any:
    return (await door.request("GET", "/v1/health"))[2]


async def told(door: Door, fact: Callable[[dict[str, int]], bool]) -> None:
    """Wait until health says so about the door."""
    with anyio.fail_after(PATIENCE_SECONDS):
        while not fact((await health_of(door))["control_socket"]):  # noqa: ASYNC110 - the fact is the door's own
            await asyncio.sleep(0.01)


async def test_idle_connections_give_up_their_place(open_door: OpenDoor) -> None:
    door = await open_door(connections=20)
    with ExitStack() as stack, capture_logs() as logs:
        for _ in range(200):
            caller(door, stack)
            await asyncio.sleep(0)
        health = await health_of(door)
    assert health["control_socket"]["connections"] == health["control_socket"]["connections_max"] == 20
    assert health["control_socket"]["displaced"] == 181
    assert health["control_socket"]["refused"] == 0
    assert health["status"] == "ok", "idle connections harm nobody"
    assert len([entry for entry in logs if entry["event"] == "connections_full"]) == 1


async def test_a_request_that_is_answered_keeps_its_place(open_door: OpenDoor) -> None:
    door = await open_door(connections=2)
    released = asyncio.Event()
    inside = 0

    async def slowly() -> wire.Version:
        nonlocal inside
        inside += 1
        await released.wait()
        return wire.Version(version="1", python="3", pid=1)

    door.app.version = slowly  # type: ignore[method-assign]  # a handler that takes its time
    with ExitStack() as stack:
        callers = [caller(door, stack) for _ in range(2)]
        for one in callers:
            one.send(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        await until(lambda: inside == 2)
        third = await heard(caller(door, stack))
        released.set()
        answers = [await heard(one) for one in callers]
        health = await health_of(door)
    head, _, body = third.partition(b"\r\n\r\n")
    problem = json.loads(body)
    assert head.startswith(b"HTTP/1.1 503 ")
    assert b"application/problem+json" in head
    assert (problem["code"], problem["status"]) == ("too_many_connections", 503)
    assert [answer.split(b" ")[1] for answer in answers] == [b"200", b"200"]
    assert health["status"] == "degraded"
    assert [fault["part"] for fault in health["faults"]] == ["control socket"]


@pytest.mark.parametrize("sent", [b"G", GET[:20], GET[:-2], b"GET /v1/version HTTP/1.1\r\nX: "])
async def test_a_half_sent_request_is_ended_with_the_reason(open_door: OpenDoor, sent: bytes) -> None:
    door = await open_door(request_seconds=0.05)
    with ExitStack() as stack:
        connection = caller(door, stack)
        connection.send(sent)
        answer = await heard(connection)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["code"] == "request_timeout"


async def test_a_request_sent_byte_by_byte_is_ended_too(open_door: OpenDoor) -> None:
    door = await open_door(request_seconds=0.1)
    with ExitStack() as stack:
        connection = caller(door, stack)
        connection.send(b"GET /v1/version?")
        answer = asyncio.create_task(heard(connection))
        while not answer.done():
            try:
                connection.send(b"a")
            except OSError:
                break
            await asyncio.sleep(0.005)
        assert (await answer).startswith(b"HTTP/1.1 408 ")


async def test_an_idle_connection_is_closed_after_its_time(open_door: OpenDoor) -> None:
    door = await open_door(idle_seconds=0.5)
    with ExitStack() as stack:
        silent, served_once = caller(door, stack), caller(door, stack)
        served_once.send(GET)
        assert await heard(silent) == b""
        assert (await heard(served_once)).startswith(b"HTTP/1.1 200 ")


async def test_a_body_that_does_not_come_is_ended_with_the_reason(open_door: OpenDoor) -> None:
    door = await open_door(body_seconds=0.05)
    with ExitStack() as stack:
        connection = caller(door, stack)
        connection.send(b"POST /v1/tasks HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
        answer = await heard(connection)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"body of the request was not complete within 0.05 seconds" in answer


async def test_an_answer_that_nobody_reads_is_given_up(open_door: OpenDoor) -> None:
    door = await open_door(send_seconds=0.1)
    await door.submitted("a" * 400)
    task_id = next(iter(door.app.task_views))
    door.app.task_views = {task_id: door.app.task_views[task_id]} | {
        f"{number:032x}": door.app.task_views[task_id] for number in range(3000)
    }
    with ExitStack() as stack:
        connection = caller(door, stack)
        connection.send(GET.replace(b"/v1/version", b"/v1/tasks?limit=1000") * 3)
        await told(door, lambda health: health["slow"] == 1)
        assert len(await heard(connection)) > 0
    assert (await health_of(door))["control_socket"]["connections"] == 1


async def test_a_client_that_keeps_its_connection_is_served_again(open_door: OpenDoor) -> None:
    door = await open_door(request_seconds=0.05)
    with ExitStack() as stack:
        connection = caller(door, stack)
        for _ in range(3):
            connection.send(GET)
            with anyio.fail_after(PATIENCE_SECONDS):
                assert (await asyncio.get_running_loop().sock_recv(connection, 65536)).startswith(b"HTTP/1.1 200 ")
            await asyncio.sleep(0.12)  # longer than a request may take: idle is another matter


HALF = b"POST /v1/tasks HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{"


async def test_a_client_that_hangs_up_in_the_middle_is_no_internal_error(open_door: OpenDoor) -> None:
    door = await open_door()
    with capture_logs() as logs:
        for turns in range(6):  # it is gone before, while and after its handler begins
            with ExitStack() as stack:
                for cut in (HALF, GET, b"GET /v1/wait?timeout=1"):
                    caller(door, stack).send(cut)
                for _ in range(turns):
                    await asyncio.sleep(0)
        await told(door, lambda health: health["connections"] == 1)
    assert [entry for entry in logs if entry["log_level"] == "error"] == []


@pytest.mark.parametrize("sent", [HALF, GET], ids=["half a body", "a whole request"])
async def test_of_many_requests_at_once_each_gets_an_answer(open_door: OpenDoor, sent: bytes) -> None:
    door = await open_door(connections=20, body_seconds=0.2)
    with ExitStack() as stack, capture_logs() as logs:
        callers = [caller(door, stack) for _ in range(60)]
        for one in callers:
            one.send(sent)
            if sent is GET:
                one.shutdown(socket.SHUT_WR)
        answers = [await heard(one) for one in callers]
    served = b"200" if sent is GET else b"408"
    assert {served} <= {answer[9:12] for answer in answers} <= {served, b"503"}
    assert [entry for entry in logs if entry["log_level"] == "error"] == []


POST = b"POST /v1/accounts HTTP/1.1\r\nHost: localhost\r\n"


@pytest.mark.parametrize(
    ("sent", "statuses"),
    [
        (GET, [200]),
        (GET * 5, [200] * 5),
        (POST + b'Content-Length: 15\r\n\r\n{"name": "tea"}', [201]),
        (GET + POST + b'Content-Length: 15\r\n\r\n{"name": "tea"}' + GET, [200, 201, 200]),
        (b"", []),
        (GET[:20], [400]),
        (b"GET /#fragment HTTP/1.1", [400]),
        (GET + GET[:20], [200]),
        (POST + b"Content-Length: 15\r\n\r\n{", [400]),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{", [400]),
        (GET + POST + b"Content-Length: 15\r\n\r\n{", [200, 400]),
    ],
)
async def test_a_client_that_stops_sending_gets_its_answers(
    open_door: OpenDoor, sent: bytes, statuses: list[int]
) -> None:
    door = await open_door()
    with ExitStack() as stack:
        connection = caller(door, stack)
        connection.send(sent)
        connection.shutdown(socket.SHUT_WR)
        answer = await heard(connection)
    told = [int(part[:3]) for part in answer.split(b"HTTP/1.1 ")[1:]]
    assert told[: len(statuses)] == statuses
    assert set(told[len(statuses) :]) <= {400}, "a rest that is no request may be told"
    assert (await health_of(door))["control_socket"]["connections"] == 1


REFUSED = b"POST /v1/nothing HTTP/1.1\r\nHost: a\r\nContent-Length: 400000\r\n\r\n" + b"x" * 400_000


@pytest.mark.parametrize("sent", [GET, GET + GET, GET * 40, REFUSED, GET + REFUSED, REFUSED + GET], ids=range(6))
@pytest.mark.parametrize("pause", ["none", "until answered"])
async def test_a_client_that_stopped_sending_is_let_go_at_once(open_door: OpenDoor, sent: bytes, pause: str) -> None:
    door = await open_door(idle_seconds=1e6, request_seconds=1e6, send_seconds=1e6)  # nobody looks for slow ones
    with ExitStack() as stack:
        connection = caller(door, stack)
        await asyncio.get_running_loop().sock_sendall(connection, sent)
        if pause == "until answered":
            await told(door, lambda health: health["connections"] == 2)
        connection.shutdown(socket.SHUT_WR)
        assert (await heard(connection)).count(b"HTTP/1.1 ") == sent.count(b"HTTP/1.1\r\n")


async def test_the_rest_of_a_body_that_nobody_reads_is_no_slow_request(open_door: OpenDoor) -> None:
    door = await open_door()
    with ExitStack() as stack:
        connection = caller(door, stack)
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(connection, REFUSED[:-1])
        assert (await loop.sock_recv(connection, 65536)).startswith(b"HTTP/1.1 404 ")
        [visitor] = door.server.connections._inside
        await loop.sock_sendall(connection, REFUSED[-1:])
        await until(lambda: visitor._body.is_eof())
        assert visitor.slow(loop.time() + 1e6) == "", "it is idle, not in the middle of a request"
        await loop.sock_sendall(connection, GET)
        assert (await loop.sock_recv(connection, 65536)).startswith(b"HTTP/1.1 200 ")


async def test_a_long_poll_of_one_who_stopped_sending_ends_when_it_leaves(open_door: OpenDoor) -> None:
    door = await open_door(request_seconds=0.1)
    asked, released = asyncio.Event(), asyncio.Event()

    async def slowly() -> wire.Version:
        asked.set()
        await released.wait()
        return wire.Version(version="1", python="3", pid=1)

    door.app.version = slowly  # type: ignore[method-assign]  # a handler that takes its time
    with ExitStack() as stack:
        stays, leaves = caller(door, stack), caller(door, stack)
        for one in (leaves, stays):
            asked.clear()
            one.send(GET)
            one.shutdown(socket.SHUT_WR)
            with anyio.fail_after(PATIENCE_SECONDS):
                await asked.wait()
        leaves.close()
        await told(door, lambda health: health["connections"] == 2)
        released.set()
        assert (await heard(stays)).startswith(b"HTTP/1.1 200 ")


BROKEN = [
    (b"gzip", b"0123456789"),
    (b"gzip", gzip.compress(b'{"name": "tea"}', mtime=0)[:-12]),
    (b"deflate", b"\x78\x9c\xff\xff\xff\xff\xff"),
    (b"gzip", gzip.compress(b"{", mtime=0)[:9] + b"\xff" * 9),
    (b"deflate", b'{"a":' * 50_000),
    (b"gzip", gzip.compress(b"{", mtime=0) + b"\xff" * 300_000),
]


@pytest.mark.parametrize(("encoding", "body"), BROKEN, ids=range(len(BROKEN)))
@pytest.mark.parametrize("path", [b"/v1/accounts", b"/v1/nothing", b"/v1/tasks/abcd/cancel"])
async def test_a_body_that_is_not_encoded_as_told_is_refused_without_a_line_of_log(
    open_door: OpenDoor, caplog: pytest.LogCaptureFixture, path: bytes, encoding: bytes, body: bytes
) -> None:
    door = await open_door()
    head = b"POST %b HTTP/1.1\r\nHost: a\r\nContent-Encoding: %b\r\nContent-Length: %d\r\n\r\n"
    with ExitStack() as stack, capture_logs() as logs:
        connection = caller(door, stack)
        await asyncio.get_running_loop().sock_sendall(connection, head % (path, encoding, len(body)) + body)
        connection.shutdown(socket.SHUT_WR)
        answer = await heard(connection)
    assert answer[9:12] in (b"400", b"404")
    assert b"application/problem+json" in answer
    assert b"Span callback" not in answer
    assert [entry for entry in logs if entry["log_level"] in ("warning", "error")] == []
    assert caplog.records == []


@pytest.mark.parametrize("encoding", [b"x-gzip", b"foo", b"gzip, gzip", b"br"])
async def test_an_encoding_that_is_not_supported_is_named(open_door: OpenDoor, encoding: bytes) -> None:
    door = await open_door()
    with ExitStack() as stack:
        connection = caller(door, stack)
        connection.send(POST + b'Content-Encoding: %b\r\nContent-Length: 14\r\n\r\n{"name":"tea"}' % encoding)
        connection.shutdown(socket.SHUT_WR)
        answer = await heard(connection)
    assert answer[9:12] in (b"415", b"400"), "the second from the parser, which knows br and lacks its library"
    assert b"application/problem+json" in answer
    assert b"gzip, deflate" in answer
    assert b"install" not in answer


def test_half_of_the_descriptors_are_kept_for_the_rest() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    found = {}
    try:
        for soft in (64, 256, min(4096, before[1])):
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, before[1]))
            found[soft] = limits_here().connections
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert list(found.values())[:2] == [max(LEAST, 32), 128]
    assert max(found.values()) <= MOST
