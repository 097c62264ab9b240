"""The socket itself: who may open it, what may lie at its path, who is at the other end."""

import asyncio
import contextlib
import grp
import json
import os
import socket
import stat
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import anyio
import pytest

from contenthubd.control import wire, wire_schedules
from contenthubd.control.peer import Peer, peer_of
from contenthubd.control.server import MAX_BODY_BYTES, ControlServer, bind
from contenthubd.domain.errors import InvalidConfig, StateDirectoryError
from tests.control.conftest import Door, served
from tests.control.memory_application import MemoryApplication
from tests.running import PATIENCE_SECONDS


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


async def test_the_socket_is_for_owner_and_group_whatever_the_umask(folder: Path) -> None:
    for umask in (0o000, 0o077):
        before = os.umask(umask)
        try:
            listener = bind(folder / f"{umask}.sock")
        finally:
            os.umask(before)
        listener.close()
        assert mode_of(folder / f"{umask}.sock") == 0o660


def test_the_socket_is_never_wider_than_in_the_end(folder: Path) -> None:
    """Python tells of each chmod before it happens: at that moment the new socket is the owner's alone."""
    path = folder / "control.sock"
    seen: list[int] = []

    def look(event: str, args: tuple[object, ...]) -> None:
        if event in ("os.chmod", "os.chown") and args[0] == str(path):
            seen.append(mode_of(path))

    sys.addaudithook(look)
    before = os.umask(0)
    try:
        bind(path, grp.getgrgid(os.getgid()).gr_name).close()
    finally:
        os.umask(before)
    assert seen == [0o600, 0o600]
    assert mode_of(path) == 0o660


async def test_the_group_is_set(folder: Path) -> None:
    group = grp.getgrgid(os.getgid()).gr_name
    bind(folder / "control.sock", group).close()
    assert (folder / "control.sock").stat().st_gid == os.getgid()


def test_an_unknown_group_is_a_fault_of_the_configuration(folder: Path) -> None:
    with pytest.raises(InvalidConfig, match=r"daemon\.socket_group: there is no group 'no such group'"):
        bind(folder / "control.sock", "no such group")
    assert list(folder.iterdir()) == []


def test_a_stale_socket_is_replaced(folder: Path) -> None:
    path = folder / "control.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with bind(path), socket.socket(socket.AF_UNIX) as caller:
        caller.connect(str(path))
    assert mode_of(path) == 0o660


def test_of_daemons_that_find_one_stale_socket_at_once_one_gets_it(folder: Path) -> None:
    path, together = folder / "control.sock", threading.Barrier(4)

    def opened(_: int) -> socket.socket | str:
        together.wait(PATIENCE_SECONDS)
        try:
            return bind(path)
        except StateDirectoryError as refusal:
            return refusal.what

    with ThreadPoolExecutor(4) as pool:
        for _ in range(25):
            with socket.socket(socket.AF_UNIX) as dead:
                dead.bind(str(path))
            found = list(pool.map(opened, range(4)))
            [winner] = [one for one in found if isinstance(one, socket.socket)]
            with winner, socket.socket(socket.AF_UNIX) as caller:
                caller.connect(str(path))
                winner.accept()[0].close()
            assert found.count(f"Another daemon answers at {path}.") == 3
            path.unlink()


@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_what_is_no_socket_is_left_alone(folder: Path, kind: str) -> None:
    path = folder / "control.sock"
    (folder / "else").write_text("precious")
    if kind == "file":
        path.write_text("precious")
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("else")
    with pytest.raises(StateDirectoryError, match="exists and is not a socket"):
        bind(path)
    assert path.is_symlink() or path.is_dir() or path.read_text() == "precious"
    assert (folder / "else").read_text() == "precious"


async def test_another_daemon_is_left_alone(door: Door) -> None:
    with pytest.raises(StateDirectoryError, match="Another daemon answers"):
        bind(door.socket)
    status, _, _ = await door.request("GET", "/v1/version")
    assert status == 200


def test_a_folder_that_is_missing_is_told(folder: Path) -> None:
    with pytest.raises(StateDirectoryError, match="No such file or directory"):
        bind(folder / "missing" / "control.sock")


async def test_closing_removes_our_socket_only(folder: Path) -> None:
    path = folder / "control.sock"
    server = ControlServer(served(MemoryApplication()), path)
    await server.start()
    path.unlink()
    path.write_text("someone else's")
    await server.close()
    assert path.read_text() == "someone else's"
    path.unlink()
    again = ControlServer(served(MemoryApplication()), path)
    await again.start()
    await again.close()
    assert not path.exists()


@pytest.mark.parametrize("turns", range(6))
async def test_a_caller_who_comes_as_the_door_closes_is_hung_up_on(folder: Path, turns: int) -> None:
    server = ControlServer(served(MemoryApplication()), folder / "control.sock")
    await server.start()
    with socket.socket(socket.AF_UNIX) as caller:
        caller.connect(str(folder / "control.sock"))
        caller.setblocking(False)
        for _ in range(turns):
            await asyncio.sleep(0)
        await server.close()
        with anyio.fail_after(30), contextlib.suppress(ConnectionResetError):  # whoever was not accepted is reset
            assert await asyncio.get_running_loop().sock_recv(caller, 1) == b""


async def test_a_path_longer_than_an_address_works(folder: Path) -> None:
    deep = folder / ("d" * 90) / ("e" * 90)
    deep.mkdir(parents=True)
    app = MemoryApplication()
    door = Door(app, deep / "control.sock", ControlServer(served(app), deep / "control.sock"))
    await door.server.start()
    with pytest.raises(StateDirectoryError, match="Another daemon answers"):
        bind(door.socket)
    told = await door.ctl("version", "-o", "json")
    await door.close()
    assert f'"pid": {os.getpid()}' in told.out
    assert not door.socket.exists()


def test_the_peer_is_the_process_at_the_other_end() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        peer = peer_of(ours)
    assert (peer.uid, peer.gid, peer.pid) == (os.getuid(), os.getgid(), os.getpid())
    assert peer.by.startswith(f"uid:{os.getuid()}")
    assert Peer(uid=70_000_000, gid=1, pid=1).by == "uid:70000000"


async def test_the_application_learns_who_asks(door: Door) -> None:
    told = await door.ctl("content", "generate", "--account", "studio", "--topic", "Tea")
    assert told.code == 0, told.err
    assert door.app.peers[-1].uid == os.getuid()
    assert door.app.peers[-1].pid != os.getpid()


PROBLEMS = [
    ("GET", "/v1/nothing", None, 404, "unknown_route"),
    ("GET", "/", None, 404, "unknown_route"),
    ("DELETE", "/v1/tasks", None, 405, "method_not_allowed"),
    ("GET", "/v1/tasks/zzzz", None, 422, "invalid_input"),
    ("GET", "/v1/tasks/abc", None, 422, "invalid_input"),
    ("GET", "/v1/tasks/abcd1234", None, 404, "not_found"),
    ("GET", "/v1/tasks?limit=0", None, 422, "invalid_input"),
    ("GET", "/v1/tasks?status=fialed", None, 422, "invalid_input"),
    ("GET", "/v1/tasks?stauts=failed", None, 422, "invalid_input"),
    ("GET", "/v1/tasks?since=yesterday", None, 422, "invalid_input"),
    ("GET", "/v1/wait?timeout=26", None, 422, "invalid_input"),
    ("GET", "/v1/accounts/nobody", None, 404, "not_found"),
    ("POST", "/v1/tasks", b"", 400, "malformed_json"),
    ("POST", "/v1/tasks", b'{"account": "studio",\n "requests": [}', 400, "malformed_json"),
    ("POST", "/v1/tasks", b'{"account": "\xff"}', 400, "malformed_json"),
    ("POST", "/v1/tasks", b'{"account": "\\ud800"}', 400, "malformed_json"),
    ("POST", "/v1/tasks", b"[" * 200_000, 422, "invalid_input"),
    ("POST", "/v1/tasks", b'{"account": "studio", "requests": []}', 422, "invalid_input"),
    ("POST", "/v1/tasks", b'{"account": "studio", "requests": [{"topic": 1}]}', 422, "invalid_input"),
    ("POST", "/v1/tasks", b'{"account": "studio", "requests": [{"topic": ""}]}', 422, "invalid_input"),
    ("POST", "/v1/tasks", b'{"account": "nobody", "requests": [{"topic": "Tea"}]}', 404, "not_found"),
    ("POST", "/v1/accounts", b'{"name": "No Good"}', 422, "invalid_input"),
    ("POST", "/v1/accounts", b'{"name": "studio"}', 409, "conflict"),
    ("POST", "/v1/tasks", b" " * (MAX_BODY_BYTES + 1), 413, "too_large"),
]


@pytest.mark.parametrize(("method", "path", "body", "status", "code"), PROBLEMS)
async def test_every_error_is_a_problem(
    door: Door, method: str, path: str, body: bytes | None, status: int, code: str
) -> None:
    got, headers, problem = await door.request(method, path, body)
    assert (got, problem["code"]) == (status, code)
    assert headers["Content-Type"].partition(";")[0] == "application/problem+json"
    assert problem["status"] == status
    assert problem["type"] == f"urn:contenthubd:problem:{code}"
    assert problem["title"]
    assert problem["detail"]
    assert {"why", "fix", "faults"} <= set(problem)
    assert not door.app.task_views, "nothing was stored"


NUL = "a\0b"
HUGE = 2**63
FIRST, LAST = "0001-01-01T00:00:00%2B14:00", "9999-12-31T23:59:59-14:00"
UNSTORABLE_QUERIES = [
    *(f"/v1/tasks?{query}" for query in ("account=a%00b", "batch=a%00b", f"since={FIRST}", f"since={LAST}")),
    *(f"/v1/{noun}/a%00b" for noun in ("tasks", "contents", "accounts", "schedules")),
    f"/v1/tasks?limit={HUGE}",
    f"/v1/contents?since={LAST}",
    f"/v1/preview?cron=*&count={HUGE}",
    "/v1/accounts/" + "a" * 300,
    "/v1/wait?id=a%00b",
    "/v1/stats?since_seconds=1e308",
    "/v1/stats?since_seconds=nan",
]
UNSTORABLE_FIELDS: list[tuple[str, object]] = [
    *((field, NUL) for field in ("requirements", "tone", "category", "idempotency_key")),
    ("keywords", [NUL]),
    ("idempotency_key", "k" * 100_000),
    ("priority", HUGE),
    ("min_chars", -HUGE - 1),
    ("max_retries", 10**40),
    ("timeout_seconds", 1e308),
]
LIMITS = {"title": 200, "tone": 1_000, "audience": 1_000, "requirements": 20_000}
UNSTORABLE_TEXTS = [("title", NUL), ("tone", NUL), ("requirements", "x" * 5_000_000), ("audience", "x" * 5_000_000)]
UNSTORABLE: list[tuple[str, str, object]] = [
    *(("GET", path, None) for path in UNSTORABLE_QUERIES),
    *(
        ("POST", "/v1/tasks", {"account": "studio", "requests": [{"topic": "Tea", field: value}]})
        for field, value in UNSTORABLE_FIELDS
    ),
    *(("POST", "/v1/accounts", {"name": "other", field: value}) for field, value in UNSTORABLE_TEXTS),
]


@pytest.mark.parametrize(("method", "path", "body"), UNSTORABLE)
async def test_a_value_that_cannot_be_stored_is_refused(door: Door, method: str, path: str, body: object) -> None:
    sent = None if body is None else json.dumps(body).encode()
    status, headers, problem = await door.request(method, path, sent)
    assert status == 422, problem
    assert headers["Content-Type"].partition(";")[0] == "application/problem+json"
    assert problem["code"] == "invalid_input"
    assert not door.app.task_views, "nothing was stored"
    assert (await door.request("GET", "/v1/version"))[0] == 200, "the door still answers"


async def test_a_problem_names_the_place(door: Door) -> None:
    _, _, malformed = await door.request("POST", "/v1/tasks", b'{"account": "studio",\n "requests": [}')
    assert "line 2, byte 15" in malformed["detail"]
    body = b'{"account": "studio", "requests": [{"topic": "Tea"}, {"topic": "Tea", "priority": "high"}]}'
    _, _, wrong = await door.request("POST", "/v1/tasks", body)
    assert wrong["detail"] == "requests[1].priority: Expected 'int', got 'str'."
    assert wrong["faults"] == [{"index": 1, "detail": wrong["detail"]}]
    _, _, unknown = await door.request("POST", "/v1/tasks", b'{"account": "studio", "requests": [{"topik": "Tea"}]}')
    assert unknown["detail"] == "requests[0]: Unknown field 'topik'."
    assert unknown["fix"] == "Did you mean 'topic'?"
    _, _, word = await door.request("GET", "/v1/tasks?status=failed,fialed")
    assert word["detail"] == "status[1]: Invalid enum value 'fialed'."
    assert "failed, timeout" in word["fix"]
    _, headers, _ = await door.request("PUT", "/v1/tasks")
    assert headers["Allow"] == "GET, HEAD, POST"


async def test_all_bad_requests_are_told_at_once(door: Door) -> None:
    bad = b'{"topic": ""}, {"topic": "Tea"}, {"topic": "T", "priority": 11}'
    body = b'{"account": "studio", "batch": true, "requests": [' + bad + b"]}"
    _, _, problem = await door.request("POST", "/v1/tasks", body)
    assert [fault["index"] for fault in problem["faults"]] == [0, 2]


async def test_a_database_that_is_away_is_503(door: Door) -> None:
    door.app.database_is_away = True
    status, _, problem = await door.request("GET", "/v1/tasks")
    assert (status, problem["code"]) == (503, "database_unavailable")
    status, _, health = await door.request("GET", "/v1/health")
    assert (status, health["status"]) == (200, "ok")


async def test_ten_thousand_topics_fit_into_one_request(door: Door) -> None:
    requests = [{"topic": "t" * 100, "requirements": "r" * 1000}] * 10_000
    body = json.dumps({"account": "studio", "batch": True, "requests": requests}).encode()
    status, _, submitted = await door.request("POST", "/v1/tasks", body)
    assert status == 201
    assert len(submitted["tasks"]) == 10_000


async def test_pages_lead_to_each_other(door: Door) -> None:
    made = [await door.submitted(f"topic {number}") for number in range(5)]
    seen: list[str] = []
    after = ""
    while True:
        _, _, page = await door.request("GET", f"/v1/tasks?limit=2{after}")
        seen += [task["id"] for task in page["tasks"]]
        if page["next"] is None:
            break
        after = f"&after={page['next']}"
    assert seen == made[::-1]


@pytest.mark.parametrize(("field", "limit"), LIMITS.items())
async def test_texts_of_an_account_have_a_limit_and_the_message_says_it(door: Door, field: str, limit: int) -> None:
    async def made(length: int) -> tuple[int, Any]:
        body = json.dumps({"name": f"a{length}", field: "字" * length}).encode()
        status, _, told = await door.request("POST", "/v1/accounts", body)
        return status, told

    assert (await made(limit))[0] == 201
    status, told = await made(limit + 1)
    assert status == 422
    assert told["detail"] == f"{field}: The maximum is {limit:,} characters."


async def test_a_reason_has_a_limit_too(door: Door) -> None:
    body = json.dumps({"reason": "x" * 1_001}).encode()
    for verb in ("approve", "reject"):
        status, _, told = await door.request("POST", f"/v1/contents/abcd1234/{verb}", body)
        assert (status, told["detail"]) == (422, "reason: The maximum is 1,000 characters.")


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("/v1/tasks", wire.TaskFilter.__struct_fields__),
        ("/v1/contents", wire.ContentFilter.__struct_fields__),
        ("/v1/stats", wire.StatsQuery.__struct_fields__),
        ("/v1/schedules", wire_schedules.ScheduleFilter.__struct_fields__),
        ("/v1/preview", wire_schedules.PreviewQuery.__struct_fields__),
        ("/v1/wait", ("id", "batch", "timeout")),
    ],
)
async def test_an_empty_parameter_is_refused_and_never_taken_for_none(
    door: Door, path: str, names: tuple[str, ...]
) -> None:
    for name in names:
        for query in (f"{name}=", f"{name}=%20"):
            status, _, told = await door.request("GET", f"{path}?{query}")
            assert status == 422, query
            assert told["detail"] == f"{name}: The value is empty."


@pytest.mark.parametrize(("count", "following"), [(1, False), (2, False), (3, True)])
async def test_the_last_page_says_that_it_is_the_last(door: Door, count: int, following: bool) -> None:
    for _ in range(count):
        await door.submitted()
    _, _, page = await door.request("GET", "/v1/tasks?limit=2")
    assert (page["next"] is not None, len(page["tasks"])) == (following, min(count, 2))
    told = await door.ctl("task", "list", "--limit", "2")
    assert ("There are more" in told.err) is following
