"""Watching: progress, the end, and every way to stop before it."""

import asyncio
import json
import os
import pty
import signal
import threading
from contextlib import suppress
from typing import Any

import pytest

from contenthubd.control import wire
from contenthubd.ctl import words
from contenthubd.ctl.failure import FAILED, INTERRUPTED, OK, TIMED_OUT, UNREACHABLE
from contenthubd.domain.task import TaskState
from tests.control.conftest import Door, ended, line_with, until

GENERATE = ("content", "generate", "--account", "studio", "--topic", "京都的秋天", "--wait")


async def test_a_watch_tells_each_change_and_the_path(door: Door) -> None:
    process = await door.start_ctl(*GENERATE)
    await line_with("pending", process.stderr)
    task_id = next(iter(door.app.task_views))
    door.app.move(task_id, TaskState.RUNNING, expected_seconds=240.0)
    assert "expected to take 4:00" in await line_with("running", process.stderr)
    door.app.finish(task_id, "Autumn", "/published/autumn/index.md")
    result = await ended(process)
    assert result.code == OK
    assert "title     Autumn" in result.out
    assert "location  /published/autumn/index.md" in result.out
    assert "\x1b" not in result.err


async def test_a_failed_task_makes_the_watch_fail(door: Door) -> None:
    process = await door.start_ctl(*GENERATE, "--json")
    await line_with("pending", process.stderr)
    door.app.move(next(iter(door.app.task_views)), TaskState.FAILED, error_kind="llm", error="It broke.")
    result = await ended(process)
    assert result.code == FAILED
    told = json.loads(result.out)
    assert (told["account"], told["tasks"][0]["error"]) == ("studio", "It broke.")
    assert "failed" in result.err


async def test_a_batch_ends_with_a_table(door: Door) -> None:
    words = ("content", "batch-generate", "--account", "studio", "--file", "-", "--wait")
    process = await door.start_ctl(*words)
    assert process.stdin is not None
    process.stdin.write(b"Tea\nMate\nCocoa\n")
    process.stdin.write_eof()
    await line_with("pending", process.stderr)
    tea, mate, cocoa = door.app.task_views
    door.app.finish(tea, "On tea", "/published/tea/index.md")
    assert "1/3" in await line_with("completed", process.stderr)
    door.app.finish(mate, "On mate", None)
    door.app.move(cocoa, TaskState.CANCELLED)
    result = await ended(process)
    assert result.code == FAILED, "one was cancelled"
    assert [line.split()[1] for line in result.out.splitlines()] == ["STATE", "completed", "completed", "cancelled"]
    assert "/published/tea/index.md" in result.out
    assert "waiting for review" in result.out
    assert "2 of 3 completed, 1 published." in result.err


@pytest.mark.parametrize(("state", "code"), [("failed", FAILED), ("unknown", FAILED), ("published", OK)])
async def test_a_wait_ends_as_the_publication_ended(door: Door, state: str, code: int) -> None:
    task_id = await door.submitted()
    door.app.finish(task_id, "On tea", None)
    one = wire.PublicationView(
        id=task_id, target="directory", state=state, error="The disk is full.", tries=3, next_step="Free some space.",
        published_at="2026-01-31T07:00:00Z" if state == "published" else None, location="/tea",
    )  # fmt: skip
    door.app.move(task_id, TaskState.COMPLETED, content_state="approved", publications=[one])
    for command in (("task", "wait", task_id), ("task", "status", task_id)):
        told = await door.ctl(*command)
        assert told.code == (code if command[1] == "wait" else OK)
        assert ("The disk is full." in told.out, "Free some space." in told.out) == (state != "published",) * 2


@pytest.mark.parametrize(
    ("task", "text"),
    [
        ({"state": "failed", "retry_count": 4, "attempt": 4}, "tried 4 times (3 retries)"),
        ({"state": "failed", "retry_count": 1, "attempt": 1}, "tried 1 time (0 retries)"),
        ({"state": "running", "retry_count": 3, "attempt": 4}, "try 4 of 4"),
        ({"state": "retrying", "retry_count": 2, "attempt": 3}, "try 3 of 4 is next, tried 3 times so far"),
        ({"state": "pending", "retry_count": 0, "attempt": 1}, "try 1 of 4 is next, tried 1 time so far"),
        ({"state": "failed", "retry_count": 1, "attempt": 2}, "tried 2 times (1 counted)"),
        ({"state": "cancelled", "retry_count": 0, "attempt": 1}, "tried 1 time (not counted)"),
        ({"state": "cancelled", "retry_count": 0, "attempt": 0}, "not tried"),
        ({"state": "failed", "retry_count": 2, "attempt": 2}, "tried 2 times (1 retry)"),
        ({"state": "completed", "retry_count": 0, "attempt": 1}, "succeeded on try 1 of 4"),
        ({"state": "completed", "retry_count": 1, "attempt": 5}, "succeeded on try 2 of 4 (attempt 5)"),
        ({"state": "running", "retry_count": 0, "attempt": 3}, "try 1 of 4 (attempt 3)"),
        ({"state": "pending", "retry_count": 0, "attempt": 0}, "not tried yet, at most 4 times"),
    ],
)
def test_tries_never_exceed_what_is_possible(task: dict[str, Any], text: str) -> None:
    assert words.tries({**task, "max_retries": 3}) == text


async def test_wait_for_the_last_batch(door: Door) -> None:
    await door.ctl("content", "batch-generate", "--account", "studio", "--file", "-", stdin="Tea\n")
    door.app.finish(next(iter(door.app.task_views)), "On tea", "/tea")
    result = await door.ctl("task", "wait", "--batch", "last", "--json")
    assert result.code == OK
    assert [task["location"] for task in json.loads(result.out)["tasks"]] == ["/tea"]


async def test_ctrl_c_stops_the_watch_and_says_how_to_come_back(door: Door) -> None:
    process = await door.start_ctl(*GENERATE)
    await line_with("pending", process.stderr)
    process.send_signal(signal.SIGINT)
    result = await ended(process)
    task_id = next(iter(door.app.task_views))
    assert result.code == INTERRUPTED
    assert f"contenthubctl task wait {task_id[-8:]}" in result.err
    assert door.app.task_views[task_id].state == "pending"


async def test_a_timeout_has_its_own_exit_code(door: Door) -> None:
    task_id = await door.submitted()
    result = await door.ctl("wait", task_id, "--timeout", "0.2s")
    assert result.code == TIMED_OUT
    assert f"contenthubctl task wait {task_id[-8:]}" in result.err


async def test_a_daemon_that_comes_back_is_waited_for(door: Door) -> None:
    process = await door.start_ctl(*GENERATE, "--reconnect", "2m")
    await line_with("pending", process.stderr)
    await door.close()
    await line_with("Trying again for 120 s", process.stderr)
    door.app.finish(next(iter(door.app.task_views)), "Autumn", "/autumn")
    await door.open()
    result = await ended(process)
    assert result.code == OK, result.err
    assert "The daemon is back." in result.err
    assert "/autumn" in result.out


async def test_a_daemon_that_stays_away_ends_the_watch(door: Door) -> None:
    process = await door.start_ctl(*GENERATE, "--reconnect", "0.3s")
    await line_with("pending", process.stderr)
    await door.close()
    result = await ended(process)
    assert result.code == UNREACHABLE
    assert "Watch again with: contenthubctl task wait" in result.err


async def test_a_wrong_socket_is_not_waited_for(door: Door) -> None:
    await door.close()
    result = await door.ctl("task", "wait", "abcd1234")
    assert result.code == UNREACHABLE
    assert "Trying again" not in result.err


async def test_a_terminal_gets_a_bar(door: Door) -> None:
    ours, theirs = pty.openpty()
    shown = bytearray()

    def read() -> None:
        with suppress(OSError):  # the other end is closed: that is how a terminal ends
            while chunk := os.read(ours, 65_536):
                shown.extend(chunk)

    reader = threading.Thread(target=read)
    reader.start()
    process = await door.start_ctl(*GENERATE, stderr=theirs, env={"TERM": "xterm", "COLUMNS": "80"})
    os.close(theirs)
    await until(lambda: b"pending" in shown)
    task_id = next(iter(door.app.task_views))
    door.app.move(task_id, TaskState.RUNNING, claimed_at="2026-01-31T07:00:00Z", expected_seconds=240.0)
    await until(lambda: b"longer than the usual 4:00" in shown)
    door.app.finish(task_id, "Autumn", "/autumn")
    result = await ended(process)
    await asyncio.to_thread(reader.join)
    os.close(ours)
    assert result.code == OK
    assert b"\x1b[?25h" in shown, "the cursor is shown again"
    assert "/autumn" in result.out
