"""Somebody sets the wall clock of a running daemon, or of one that is down: nothing is lost, charged or delayed.

Only the daemon's own clock is set. The clocks that measure intervals go on as ever, and so do those of PostgreSQL and
of the creator, as if they were on other machines; besides, ``time.sleep`` fails under faketime.
"""

import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.running import RunningDaemon

STEPS = [90, -3600, -90, 3600]
"""Seconds, while it runs. Every step in every situation: ``tests/stages/test_clocks.py``."""
TIMEOUT_SECONDS = 80
"""Of a task: shorter than the shortest step."""

needs_faketime = pytest.mark.skipif(shutil.which("faketime") is None, reason="faketime is not installed")


def library() -> str:
    """Where faketime has its library. It fails if another user's of the same pid was killed; not again and again."""
    command = ["faketime", "-m", "-f", "+0", "printenv", "LD_PRELOAD"]
    answers = (subprocess.run(command, capture_output=True, text=True, timeout=60).stdout.strip() for _ in range(20))
    return next(filter(None, answers))


class WallClock:
    """The wall clock of the processes that run with ``environ``."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self.step(0)
        self.environ = {
            "LD_PRELOAD": library(),
            "FAKETIME_TIMESTAMP_FILE": str(path),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_DISABLE_SHM": "1",
            "NO_FAKE_STAT": "1",
        }

    def step(self, seconds: int) -> None:
        """Set it forward, or back."""
        self._offset += seconds
        following = self._path.with_suffix(".new")
        following.write_text(f"{self._offset:+d}\n", encoding="ascii")
        following.replace(self._path)


@pytest.fixture
def wall_clock(tmp_path: Path) -> Iterator[WallClock]:
    """A clock that can be set."""
    yield WallClock(tmp_path / "clock")


def daemon_with(clock: WallClock, state_dir: Path, mode: str) -> RunningDaemon:
    tasks = {"mode": mode, "timeout_seconds": TIMEOUT_SECONDS}
    daemon = RunningDaemon.simulated(state_dir, {"tasks": tasks}, latency_seconds=0.5, images=0)
    daemon.prepared = True
    daemon.environ |= clock.environ
    return daemon


async def states(daemon: RunningDaemon, ids: list[str]) -> list[tuple[str, int]]:
    """State and charged tries of these tasks."""
    return [(task["state"], task["retry_count"]) for task in await daemon.tasks() if task["id"] in ids]


async def at_work(daemon: RunningDaemon, by: int) -> list[str]:
    """The ids of two new tasks that the creator has."""
    ids = await daemon.submit(f"一 {by}", f"二 {by}")

    async def begun() -> bool:
        return not {"pending", "submitting"} & {state for state, _ in await states(daemon, ids)}

    await daemon.until(begun)
    return ids


async def ends_well(daemon: RunningDaemon, ids: list[str]) -> None:
    async def ended() -> bool:
        return {state for state, _ in await states(daemon, ids)} <= {"completed", "failed", "timeout", "cancelled"}

    await daemon.until(ended)
    assert await states(daemon, ids) == [("completed", 0)] * 2


async def told_in_health(daemon: RunningDaemon) -> bool:
    said = (await daemon.get("/health"))["pipeline"]["clock"]
    return bool(daemon.events("clock_stepped")) and bool(
        re.fullmatch(r"set (forward|back) by [\d,]+ seconds at .+", said)
    )


@needs_faketime
@pytest.mark.parametrize(
    ("mode", "end", "while_down"),
    # A sync run that is cut off by a kill is charged, as ever.
    [("async", signal.SIGKILL, [-3600, 90]), ("sync", signal.SIGTERM, [3600, -90])],
)
async def test_a_step_loses_charges_and_delays_nothing(
    wall_clock: WallClock, state_dir: Path, mode: str, end: signal.Signals, while_down: list[int]
) -> None:
    async with daemon_with(wall_clock, state_dir, mode) as daemon:
        await daemon.account()
        for by in STEPS:
            ids = await at_work(daemon, by)
            wall_clock.step(by)
            await ends_well(daemon, ids)
            # From the first step on: all of them between two looks would leave the clock as it was.
            await daemon.until(partial(told_in_health, daemon))
        for by in while_down:
            ids = await at_work(daemon, by)
            await daemon.end(end)
            wall_clock.step(by)
            await daemon.start()
            await ends_well(daemon, ids)
        tasks = await daemon.tasks()
    assert len(tasks) == 2 * len(STEPS + while_down), "nothing was lost"
