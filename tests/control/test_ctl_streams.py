"""Standard streams that are missing, full, closed early, of another encoding, or a terminal."""

import asyncio
import os
import pty
import shlex
import sys
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contenthubd.ctl.failure import OK, UNHEARD, UNREACHABLE
from contenthubd.domain.task import TaskState
from contenthubd.streams import visible
from tests.control.conftest import Door, Result, ended, plain_environment

CTL = f"{shlex.quote(sys.executable)} -m contenthubd.ctl.main"
DAEMON = f"{shlex.quote(sys.executable)} -m contenthubd"
EVIL = "京都 \x1b]0;owned\x07\x1b[2J\x9b2J\u202egnp.exe\x7f\r\x1b[8mhidden"


async def shell(script: str, env: Mapping[str, str] | None = None) -> Result:
    """What a shell script says; its streams are pipes."""
    process = await asyncio.create_subprocess_exec(
        "bash", "-c", script, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE, env={**plain_environment(), **(env or {})},
    )  # fmt: skip
    return await ended(process)


COMMANDS = [
    f"{CTL} help exit-codes",
    f"{CTL} --help",
    f"{CTL} task list --help",
    f"{DAEMON} --help",
    f"{DAEMON} --version",
]


@pytest.mark.parametrize("command", COMMANDS)
async def test_a_full_stream_is_told_in_one_sentence(command: str) -> None:
    told = await shell(f"{command} >/dev/full")
    assert told.code == 1
    assert told.err.count("\n") == 1
    assert "Standard output cannot be written: No space left on device." in told.err


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", ">&- 2>&- <&-", "2>/dev/full", ">&- 2>/dev/full"])
@pytest.mark.parametrize("command", COMMANDS)
async def test_a_stream_that_is_missing_is_nowhere(command: str, closed: str) -> None:
    told = await shell(f"{command} {closed}")
    assert (told.code, told.err) == (0, "")
    assert bool(told.out) == (">&-" not in closed.replace("2>&-", ""))


async def test_talk_never_lands_in_the_data(door: Door) -> None:
    socket = {"CONTENTHUBD_SOCKET": str(door.socket)}
    told = await shell(f"{CTL} task list -o json 2>&-", socket)
    assert told.out.startswith("{")
    assert "No such tasks" not in told.out
    made = await shell(f"{CTL} submit --account studio --topic Tea -o name 2>/dev/full", socket)
    assert made.code == OK
    assert len(made.out.splitlines()) == 1
    assert (await shell(f"{CTL} health 2>&-", {"CONTENTHUBD_SOCKET": "/nowhere"})).code == UNREACHABLE


async def test_a_reader_that_went_away_ends_no_work(door: Door) -> None:
    ids = [await door.submitted(f"topic {number}") for number in range(3)]
    gone = f"exec 9> >(exec true); sleep 0; {CTL} {{}} >&9; echo code $? >&2"
    socket = {"CONTENTHUBD_SOCKET": str(door.socket)}
    for words in (f"task cancel {' '.join(ids)}", "task list -o jsonl", "task list", "--help", "account list --json"):
        told = await shell(gone.replace("{}", words), socket)
        assert told.err == "code 0\n", words
    assert {view.state for view in door.app.task_views.values()} == {"cancelled"}


async def test_a_wait_that_nobody_reads_ends_like_any_program_in_a_pipe(door: Door) -> None:
    identity = await door.submitted()
    reading, writing = os.pipe()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "contenthubd.ctl.main", "wait", identity, stdin=asyncio.subprocess.DEVNULL,
        stdout=writing, stderr=writing, env={**plain_environment(), "CONTENTHUBD_SOCKET": str(door.socket)},
    )  # fmt: skip
    os.close(writing)
    await asyncio.to_thread(os.read, reading, 1000)
    os.close(reading)
    door.app.move(identity, TaskState.SUBMITTING, attempt=1)
    assert await process.wait() == UNHEARD


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "gbk", "ascii:strict", "cp1252:strict"])
async def test_another_encoding_fails_nothing(door: Door, encoding: str) -> None:
    identity = await door.submitted("京都の秋 🍵 é")
    door.app.finish(identity, "京都の秋 🍵 é", "/there/京都.md")
    for words in (("wait", identity), ("task", "list"), ("task", "show"), ("content", "list", "--json"), ("help",)):
        process = await door.start_ctl(*words, env={"PYTHONIOENCODING": encoding, "LC_ALL": "C"})
        _, err = await process.communicate()
        assert b"Traceback" not in err
        assert process.returncode == (2 if words == ("task", "show") else OK)


async def on_terminal(door: Door, *words: str) -> bytes:
    """What a command writes to a terminal."""
    main, terminal = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "contenthubd.ctl.main", "--color", "always", *words, stdout=terminal, stderr=terminal,
        env={**plain_environment(), "CONTENTHUBD_SOCKET": str(door.socket), "TERM": "xterm"},
    )  # fmt: skip
    os.close(terminal)
    told = b""
    try:
        while part := await asyncio.to_thread(os.read, main, 4096):
            told += part
    except OSError:  # the other end of a terminal is closed so
        pass
    finally:
        os.close(main)
    await process.wait()
    return told


FORMS = [
    ("content", "show", "{}", "--body"), ("content", "show", "{}"), ("content", "show", "{}", "--json"),
    ("content", "list"), ("content", "list", "-o", "jsonl"), ("content", "reject", "{}"), ("task", "list"),
    ("wait", "{}"), ("task", "status", "{}", "--detail"), ("task", "status", "{}", "-o", "json"),
]  # fmt: skip


@pytest.mark.parametrize("words", FORMS, ids=" ".join)
async def test_nothing_foreign_steers_a_terminal(door: Door, words: tuple[str, ...]) -> None:
    identity = await door.submitted()
    door.app.finish(identity, EVIL, None)
    door.app.move(identity, TaskState.COMPLETED, topic=EVIL, error=EVIL, hint=EVIL)
    (content,) = door.app.content_views
    shown = (await on_terminal(door, *(content if "content" in words and one == "{}" else one.replace("{}", identity)
                                      for one in words))).decode()  # fmt: skip
    assert "Traceback" not in shown
    for steering in ("\x1b]", "\x1b[2J", "\x9b", "\u202e", "\x07", "\x7f", "\x1b[8m"):
        assert steering not in shown, repr(shown)


async def test_a_body_goes_raw_into_a_pipe(door: Door) -> None:
    identity = await door.submitted()
    door.app.finish(identity, EVIL.replace("\r", ""), None)
    (content,) = door.app.content_views
    assert EVIL.replace("\r", "") in (await door.ctl("content", "show", content, "--body")).out


@given(st.text())
def test_visible_text_steers_nothing_and_keeps_words(text: str) -> None:
    shown = visible(text)
    assert not any((char < " " and char not in "\n\t") or "\x7f" <= char <= "\x9f" for char in shown)
    assert visible(shown) == shown


@pytest.mark.parametrize("text", ["👨‍👩‍👧 joined", "نمی‌خواهم", "全角　空格", "e\u0301", "a\u00a0b", "🏳️‍🌈", "क्‍ष"])
def test_words_stay_as_they_are(text: str) -> None:
    assert visible(text) == text
