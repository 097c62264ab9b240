"""What a dead daemon's commands left behind must be proven gone before anybody looks for what they did."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from contenthubd.adapters.creator.creator import CommandCreator
from contenthubd.adapters.creator.process import Family, child_of, lives
from tests.contracts.creator_kit import FixedClock, settings_for, until

ENV = {"PATH": "/usr/bin:/bin"}
ONE_THREAD_LEFT = """
import ctypes, platform, threading, time
threading.Thread(target=time.sleep, args=(600,)).start()
ctypes.CDLL(None).syscall({"x86_64": 60, "aarch64": 93}[platform.machine()], 0)
"""
"""Ends its first thread, and only that, by the system call exit."""


@pytest.fixture
def dead_daemon(tmp_path: Path) -> Iterator[Family]:
    """The commands of an earlier daemon on the same state directory."""
    family = Family(settings_for(tmp_path).owner)
    yield family
    family.kill_others([])


async def test_orphans_are_gone_only_once_none_of_them_lives(tmp_path: Path, dead_daemon: Family) -> None:
    creator = CommandCreator(settings_for(tmp_path), FixedClock())
    assert creator.orphans_gone()
    left = [dead_daemon.spawn(number, ["sleep", "600"], ENV) for number in (1, 2)]
    children = [child_of(one.pid) for one in left]

    assert not creator.orphans_gone(), "they may live for a moment after the signal"

    await until(creator.orphans_gone, "the orphans are gone")
    assert not any(lives(child) for child in children)
    assert [one.reap() for one in left] == [-9, -9]


@pytest.fixture
def one_thread_left() -> Iterator[int]:
    """The pid of a process whose first thread ends at once."""
    with subprocess.Popen([sys.executable, "-I", "-c", ONE_THREAD_LEFT]) as process:
        yield process.pid
        process.kill()


async def test_a_process_lives_as_long_as_one_of_its_threads(one_thread_left: int) -> None:
    """Its first thread is a zombie, as that of a killed process may be while another still writes to the disk."""
    child = child_of(one_thread_left)
    stat = Path(f"/proc/{one_thread_left}/stat")
    await until(lambda: ") Z " in stat.read_text(), "the first thread ended")
    assert lives(child)
    os.kill(one_thread_left, signal.SIGKILL)
    await until(lambda: not lives(child), "the second thread ended too")
