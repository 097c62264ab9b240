"""How stages are run: a loop that contains failures, leases that are kept alive, one owner per state directory."""

import errno
import os
import signal
import socket
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
from anyio.abc import TaskStatus
from structlog.testing import capture_logs

from contenthubd.domain.errors import DatabaseUnavailable, StateDirectoryError, StateDirectoryTaken
from contenthubd.ports.stage import Stage
from contenthubd.runtime import lifecycle
from contenthubd.runtime.clock import SystemClock
from contenthubd.runtime.loop import Loop
from tests.clock import ManualClock
from tests.stages.house import House

MINUTE = timedelta(minutes=1)


class Ticks:
    """A stage that counts its ticks and fails when it is told."""

    def __init__(self) -> None:
        self.count = 0
        self.fault: Exception | None = None
        self.ticked = anyio.Event()
        self.on_tick: Callable[[], None] = lambda: None

    async def tick(self) -> timedelta:
        self.count += 1
        self.ticked.set()
        self.ticked = anyio.Event()
        self.on_tick()
        if self.fault:
            raise self.fault
        return MINUTE


async def test_failures_are_contained_counted_and_paused_longer_each_time() -> None:
    ticks, clock = Ticks(), ManualClock()
    loop = Loop("poll", ticks.tick, clock)
    assert await loop.once() == MINUTE
    assert loop.ticked_at == clock.now()
    ticks.fault = DatabaseUnavailable("PostgreSQL does not answer.")
    pauses = [(await loop.once()).total_seconds() for _ in range(7)]
    assert pauses == [1, 2, 4, 8, 16, 30, 30]
    assert (loop.failures, loop.last_error) == (7, "DatabaseUnavailable: PostgreSQL does not answer.")
    ticks.fault = ZeroDivisionError("a fault of ours")
    assert (await loop.once()).total_seconds() == 30
    assert loop.last_error == "ZeroDivisionError: a fault of ours"
    ticks.fault = None
    clock.advance(5)
    assert await loop.once() == MINUTE
    assert (loop.failures, loop.last_error, loop.ticked_at) == (0, "", clock.now())


async def test_ten_minutes_of_failures_by_turns_make_one_line_for_each_cause() -> None:
    ticks = Ticks()
    loop = Loop("poll", ticks.tick, ManualClock())
    causes = ("refused", "no answer in time", "the database system is starting up")
    with capture_logs() as logs:
        for number in range(600):
            ticks.fault = DatabaseUnavailable(causes[number % len(causes)])
            assert await loop.once() <= timedelta(seconds=30)
        ticks.fault = None
        assert await loop.once() == MINUTE
        ticks.fault = DatabaseUnavailable(causes[0])
        await loop.once()
    assert [entry["event"] for entry in logs] == ["stage_failed"] * 3 + ["stage_recovered", "stage_failed"]


async def test_a_loop_ticks_when_it_is_woken_and_a_ring_during_a_tick_is_not_lost() -> None:
    ticks = Ticks()
    loop = Loop("poll", ticks.tick, ManualClock())
    async with anyio.create_task_group() as group:
        first = ticks.ticked
        group.start_soon(loop.run)
        await first.wait()
        second = ticks.ticked
        ticks.on_tick = lambda: loop.wake() if ticks.count == 2 else None
        loop.wake()
        await second.wait()
        with anyio.fail_after(60):
            while ticks.count < 3:
                await anyio.lowlevel.checkpoint()
        group.cancel_scope.cancel()
    assert ticks.count == 3


async def test_a_heartbeat_keeps_leases_alive_and_trusts_them_for_less_than_they_last(house: House) -> None:
    assert house.heartbeat.lease() is None
    task = await house.claimed()
    assert house.rung[Stage.RESCUE] == 1
    house.clock.advance(20)
    assert house.heartbeat.lease() is not None
    assert await house.heartbeat.tick() == timedelta(seconds=10)
    assert (await house.attempt(task)).leased_until == house.clock.now() + timedelta(seconds=30)
    assert house.rung[Stage.RESCUE] == 1, "only a heartbeat that comes back rings"
    house.clock.advance(20.5)
    assert house.heartbeat.lease() is None


def test_a_state_directory_has_one_owner_and_keeps_its_id(tmp_path: Path) -> None:
    new_id, place = SystemClock().new_id(), tmp_path / "new" / "state"
    with lifecycle.owned(place, new_id) as first:
        assert first == new_id.hex
        with (
            pytest.raises(StateDirectoryTaken, match=rf"\(process {os.getpid()}\) already uses"),
            lifecycle.owned(place, SystemClock().new_id()),
        ):
            raise AssertionError("never entered")
    with lifecycle.owned(place, SystemClock().new_id()) as second:
        assert second == first
    (place / "daemon.lock").write_text("garbage\n")
    with lifecycle.owned(place, new_id) as third:
        assert third == new_id.hex


def test_a_full_disk_does_not_take_the_id_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It names leases and publications under way: with another id nobody would ever look after them again."""
    with lifecycle.owned(tmp_path, SystemClock().new_id()) as first:
        pass

    def full(handle: int, data: bytes, offset: int) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as disk, pytest.raises(StateDirectoryError, match="cannot be written"):
        disk.setattr(os, "pwrite", full)
        lifecycle.owned(tmp_path, SystemClock().new_id()).__enter__()
    with lifecycle.owned(tmp_path, SystemClock().new_id()) as again:
        assert again == first


def test_an_owner_that_left_no_name_is_told_too(tmp_path: Path) -> None:
    with lifecycle.owned(tmp_path, SystemClock().new_id()):
        (tmp_path / "daemon.lock").write_text("")
        with pytest.raises(StateDirectoryError, match="Another contenthubd already uses"):
            lifecycle.owned(tmp_path, SystemClock().new_id()).__enter__()


def test_a_state_directory_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StateDirectoryError, match="cannot be used") as caught:
        lifecycle.owned(tmp_path / "file" / "state", SystemClock().new_id()).__enter__()
    assert "--state-dir" in caught.value.fix


async def test_signals_arrive_one_after_another() -> None:
    received: list[signal.Signals] = []

    async def listen(*, task_status: TaskStatus[None]) -> None:
        async for number in lifecycle.signals(task_status.started):
            received.append(number)

    previous = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # would end the tests if nobody listened yet
    try:
        async with anyio.create_task_group() as group:
            await group.start(listen)
            with anyio.fail_after(60):
                while len(received) < 2:  # the kernel joins signals that come too fast
                    os.kill(os.getpid(), signal.SIGHUP)
                    await anyio.sleep(0.01)
            group.cancel_scope.cancel()
    finally:
        signal.signal(signal.SIGHUP, previous)
    assert set(received) == {signal.SIGHUP}


@pytest.mark.parametrize("abstract", [False, True])
def test_systemd_is_told_where_it_listens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, abstract: bool) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    lifecycle.notify("READY=1")
    name = f"contenthubd-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind("\0" + name if abstract else name)
        monkeypatch.setenv("NOTIFY_SOCKET", "@" + name if abstract else name)
        lifecycle.notify("STOPPING=1")
        assert systemd.recv(100) == b"STOPPING=1"


def test_a_systemd_that_does_not_listen_ends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It starts itself anew now and then, and a container may inherit an address that leads nowhere."""
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    with capture_logs() as logs:
        lifecycle.notify("READY=1")
    assert [(entry["event"], entry["state"]) for entry in logs] == [("systemd_notify_failed", "READY=1")]


def test_a_systemd_that_reads_nothing_does_not_stop_the_daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd, capture_logs() as logs:
        systemd.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        for _ in range(10_000):
            lifecycle.notify("STATUS=" + "x" * 1000)
            if logs:
                break
    assert logs[0]["event"] == "systemd_notify_failed"


def test_the_systems_clock_is_aware_and_its_ids_sort_by_time() -> None:
    clock = SystemClock()
    assert clock.now().utcoffset() == timedelta()
    assert 0 <= clock.random() < 1
    ids = [clock.new_id() for _ in range(100)]
    assert ids == sorted(ids)
    assert {one.version for one in ids} == {7}
