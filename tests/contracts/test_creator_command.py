"""One command of the creator, whatever it does: hangs, forks, floods, ignores signals, cannot be started."""

import asyncio
import errno
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from contenthubd.adapters.creator.command import Commands, Cut, Ended, Finished, NotStarted
from contenthubd.adapters.creator.process import (
    TRACE,
    child_of,
    end_child,
    lives,
    started_ticks,
)
from contenthubd.adapters.creator.slots import Slots
from contenthubd.domain.attempt import Child
from tests.contracts.creator_kit import script, settings_for, until

ENV = {"PATH": os.environ["PATH"], "ONLY": "this"}
SOON = timedelta(milliseconds=300)
LONG = timedelta(seconds=120)
MEBIBYTE = 1024 * 1024


def commands(folder: Path, command: tuple[str, ...], **changes: object) -> Commands:
    settings = settings_for(folder, command, **changes)
    settings.workdir.mkdir(exist_ok=True)
    return Commands(settings)


def finished(ended: Ended) -> Finished:
    assert isinstance(ended, Finished)
    return ended


def pid_in(path: Path) -> int:
    return int(path.read_text()) if path.exists() and path.read_text().endswith("\n") else 0


async def cancelled_when(running: "asyncio.Task[Ended]", path: Path) -> None:
    await until(lambda: pid_in(path), "the script wrote a pid")
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


class TestOutput:
    async def test_two_megabytes_arrive_whole(self, tmp_path: Path) -> None:
        body = "head -c 2000000 /dev/zero; echo said >&2; exit 3"
        ended = await commands(tmp_path, script(tmp_path, body)).run([], env=ENV)
        assert (len(finished(ended).stdout), finished(ended).exit_code) == (2_000_000, 3)
        assert finished(ended).stderr_tail == "said"

    async def test_only_the_end_of_stderr_is_kept(self, tmp_path: Path) -> None:
        body = "head -c 100000 /dev/zero >&2; echo last >&2"
        ended = await commands(tmp_path, script(tmp_path, body)).run([], env=ENV)
        assert len(finished(ended).stderr) == 4096
        assert finished(ended).stderr.endswith(b"last\n")

    async def test_arguments_arrive_byte_by_byte(self, tmp_path: Path) -> None:
        words = ["--topic=--help", "--x=a\nb", "--x=$(id) `id` \"'\\", "--x=🎉 مرحبا", "", " lead", "\x1b[31m"]
        words.append("é" * 60_000)
        ended = await commands(tmp_path, script(tmp_path, "printf '%s\\0' \"$@\"")).run(words, env=ENV)
        assert finished(ended).stdout.decode().split("\0")[:-1] == words

    async def test_surroundings(self, tmp_path: Path) -> None:
        body = "import os, sys; print(os.getcwd(), sys.stdin.read(), os.getsid(0), os.getpgrp(), sorted(os.environ))"
        program = (sys.executable, "-I", "-c", body)
        ended = finished(await commands(tmp_path, program).run([], env={"ONLY": "this", "LC_CTYPE": "C.UTF-8"}))
        names = sorted([TRACE, "ONLY", "LC_CTYPE"])
        assert ended.stdout.decode() == f"{tmp_path / 'creator'}  {ended.pid} {ended.pid} {names}\n"


class TestEnd:
    async def test_a_command_that_hangs_is_killed_at_its_deadline(self, tmp_path: Path) -> None:
        body = "trap '' TERM INT HUP; while :; do sleep 1; done"
        ended = finished(await commands(tmp_path, script(tmp_path, body)).run([], env=ENV, timeout=SOON))
        assert (ended.cut, ended.exit_code) == (Cut.DEADLINE, -9)
        assert started_ticks(ended.pid) == 0, "reaped"

    async def test_a_flood_is_cut_off_and_not_read(self, tmp_path: Path) -> None:
        creator = commands(tmp_path, script(tmp_path, "exec yes"), max_output_bytes=MEBIBYTE)
        ended = finished(await creator.run([], env=ENV, timeout=LONG))
        assert (ended.cut, ended.stdout) == (Cut.FLOOD, b"")
        assert started_ticks(ended.pid) == 0

    async def test_a_flood_of_a_command_that_ended_counts_too(self, tmp_path: Path) -> None:
        creator = commands(tmp_path, script(tmp_path, "head -c 2000000 /dev/zero >&2"), max_output_bytes=MEBIBYTE)
        assert finished(await creator.run([], env=ENV)).cut is Cut.FLOOD

    @pytest.mark.parametrize("start", ["sleep 600 &", "setsid sleep 600 &"], ids=["same group", "own session"])
    async def test_cancelling_ends_grandchildren_too(self, tmp_path: Path, start: str) -> None:
        path = tmp_path / "pid"
        body = f'{start}\ntrap "" TERM\necho $! > {path}\nwait'
        running = asyncio.create_task(commands(tmp_path, script(tmp_path, body)).run([], env=ENV, timeout=LONG))
        await cancelled_when(running, path)
        await until(lambda: not lives(child_of(pid_in(path))), "the grandchild is gone")

    async def test_what_a_finished_command_leaves_in_its_group_is_ended(self, tmp_path: Path) -> None:
        path = tmp_path / "pid"
        body = f"sleep 600 >/dev/null 2>&1 &\necho $! > {path}"
        await commands(tmp_path, script(tmp_path, body)).run([], env=ENV)
        await until(lambda: not lives(child_of(pid_in(path))), "the grandchild is gone")

    async def test_a_grandchild_that_holds_stdout_does_not_hold_us(self, tmp_path: Path) -> None:
        ended = finished(await commands(tmp_path, script(tmp_path, "setsid sleep 600 & echo $!")).run([], env=ENV))
        assert ended.cut is None
        end_child(child_of(int(ended.stdout)))

    async def test_the_child_is_told_before_it_is_waited_for(self, tmp_path: Path) -> None:
        go = tmp_path / "go"
        told: list[Child] = []

        async def remember(child: Child) -> None:
            told.append(child)
            assert lives(child)
            go.touch()

        body = f"until [ -e {go} ]; do sleep 0.01; done"
        ended = finished(await commands(tmp_path, script(tmp_path, body)).run([], env=ENV, started=remember))
        assert [child.pid for child in told] == [ended.pid]

    async def test_if_telling_fails_the_child_is_ended(self, tmp_path: Path) -> None:
        told: list[Child] = []

        async def refuse(child: Child) -> None:
            told.append(child)
            raise LookupError("not stored")

        with pytest.raises(LookupError):
            await commands(tmp_path, script(tmp_path, "sleep 600")).run([], env=ENV, timeout=LONG, started=refuse)
        assert not lives(told[0])


class TestStart:
    @pytest.mark.parametrize(
        ("name", "number"), [("absent", errno.ENOENT), ("plain", errno.EACCES), ("absent/x", errno.ENOENT)]
    )
    async def test_a_program_that_cannot_be_run(self, tmp_path: Path, name: str, number: int) -> None:
        (tmp_path / "plain").write_text("no program")
        ended = await commands(tmp_path, (str(tmp_path / name),)).run([], env=ENV)
        assert isinstance(ended, NotStarted)
        assert isinstance(ended.error, OSError)
        assert ended.error.errno == number

    @pytest.mark.parametrize("word", ["x" * 131_072, "a\0b", "\ud800"], ids=["too long", "NUL", "half a character"])
    async def test_an_argument_that_cannot_be_passed(self, tmp_path: Path, word: str) -> None:
        ended = await commands(tmp_path, script(tmp_path, "exit 0")).run([word], env=ENV)
        assert isinstance(ended, NotStarted)

    async def test_the_longest_argument_is_passed(self, tmp_path: Path) -> None:
        ended = await commands(tmp_path, script(tmp_path, 'printf %s "$1" | wc -c')).run(["x" * 131_071], env=ENV)
        assert finished(ended).stdout == b"131071\n"


class TestSlots:
    async def test_never_more_children_than_slots(self, tmp_path: Path) -> None:
        marks = tmp_path / "marks"
        program = script(tmp_path, f"echo + >> {marks}\nsleep 0.05\necho - >> {marks}")
        creator = commands(tmp_path, program, max_children=3)
        async with asyncio.TaskGroup() as group:
            for number in range(12):
                group.create_task(creator.run([], env=ENV, asking=number % 2 == 0))
        now, most = 0, 0
        for line in marks.read_text().split():
            now += 1 if line == "+" else -1
            most = max(most, now)
        assert (now, creator.slots.taken) == (0, 0)
        assert most <= 3

    async def test_a_deadline_that_passes_while_waiting_starts_nothing(self, tmp_path: Path) -> None:
        creator = commands(tmp_path, script(tmp_path, "sleep 600"), max_children=1)
        async with creator.slots.place(asking=True):
            ended = await creator.run([], env=ENV, timeout=SOON)
        assert isinstance(ended, NotStarted)
        assert isinstance(ended.error, TimeoutError)
        assert creator.slots.taken == 0

    async def test_one_is_kept_for_asking(self) -> None:
        slots = Slots(2)
        slots.keep_one(True)
        async with slots.place(asking=False):
            worker = asyncio.create_task(hold(slots, asking=False))
            async with slots.place(asking=True):
                assert slots.taken == 2
            await settle()
            assert slots.taken == 1, "the kept place stays empty"
            slots.keep_one(False)
            await settle()
            assert slots.taken == 2
        await end(worker)
        assert slots.taken == 0

    async def test_with_one_slot_both_still_get_their_turn(self) -> None:
        slots = Slots(1)
        slots.keep_one(True)
        async with slots.place(asking=False):
            asking = asyncio.create_task(hold(slots, asking=True))
            await settle()
            assert slots.taken == 1
        await settle()
        assert slots.taken == 1
        await end(asking)

    async def test_who_gives_up_waiting_leaves_no_gap(self) -> None:
        slots = Slots(1)
        async with slots.place(asking=True):
            waiting = [asyncio.create_task(hold(slots, asking=True)) for _ in range(2)]
            await settle()
            await end(waiting[0])
        await settle()
        assert slots.taken == 1
        await end(waiting[1])
        assert slots.taken == 0

    async def test_who_gives_up_at_the_moment_of_its_turn_passes_it_on(self) -> None:
        slots = Slots(1)
        async with slots.place(asking=True):
            waiting = [asyncio.create_task(hold(slots, asking=True)) for _ in range(2)]
            await settle()
        waiting[0].cancel()
        await settle()
        assert slots.taken == 1
        await end(waiting[1])
        assert slots.taken == 0


async def hold(slots: Slots, *, asking: bool) -> None:
    async with slots.place(asking=asking):
        await asyncio.Event().wait()


async def settle() -> None:
    """Let everybody take the steps that need no waiting."""
    for _ in range(10):
        await asyncio.sleep(0)


async def end(running: "asyncio.Task[None]") -> None:
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


class TestChild:
    def test_a_process_is_told_from_a_later_one_of_the_same_number(self) -> None:
        child = subprocess.Popen(["sleep", "600"])
        try:
            found = child_of(child.pid)
            assert lives(found)
            assert not lives(Child(pid=found.pid, started=found.started + 1, boot_id=found.boot_id))
            assert not lives(Child(pid=found.pid, started=found.started, boot_id="another boot"))
        finally:
            child.kill()
            child.wait()
        assert not lives(found)
        assert not end_child(found)
