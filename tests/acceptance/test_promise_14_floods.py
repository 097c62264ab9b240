"""Output without end, without sense or without room; children that ignore SIGTERM or cannot be started.

One daemon meets them all. Each attempt ends with its own reason, the daemon's memory stays where it was, and the next
task is an article again.
"""

from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.hostile import creator, daemon_on, forget_peak, peak_mb
from tests.running import RunningDaemon

MOST_MB = 20
GOOD = 'good "$3"'
CREATE = r"""
case "$2" in
  *one-line*) head -c 100000000 /dev/zero | tr '\0' x; exit 0 ;;
  *long-line*) head -c 50000000 /dev/zero | tr '\0' x; exit 0 ;;
  *endless*) exec yes ;;
  *complaints*) yes >&2 ;;
  *garbage*) head -c 100000 /dev/urandom; exit 0 ;;
  *nothing*) exit 0 ;;
  *stubborn*) trap '' TERM INT HUP; while :; do sleep 1; done ;;
  *killed*) kill -9 $$ ;;
  *) good "$3" ;;
esac
"""
ENDS = {
    "one-line": ("failed", "output_unreadable"),
    "long-line": ("failed", "output_unreadable"),
    "endless": ("failed", "output_unreadable"),
    "complaints": ("failed", "output_unreadable"),
    "garbage": ("failed", "output_unreadable"),
    "nothing": ("failed", "output_unreadable"),
    "stubborn": ("timeout", "timed_out"),
    "killed": ("failed", "child_killed"),
}


async def ended(daemon: RunningDaemon, topic: str, **values: Any) -> tuple[str, str | None]:
    """State and reason of a task that came to its end."""
    (task,) = await daemon.submit(topic, batch=True, **values)
    (found,) = await daemon.settled()
    assert found["id"] == task
    return found["state"], found.get("error_kind")


async def test_every_bad_child_has_its_own_end_and_costs_no_memory(state_dir: Path) -> None:
    async with daemon_on(state_dir, CREATE) as daemon:
        await daemon.account()
        for _ in range(20):
            assert await ended(daemon, "good") == ("completed", None)
        forget_peak(daemon.pid)
        before = peak_mb(daemon.pid)
        for topic, end in ENDS.items():
            limit = {"timeout_seconds": 5.0} if topic == "stubborn" else {}
            assert (topic, *await ended(daemon, topic, **limit)) == (topic, *end)
            assert await ended(daemon, "good") == ("completed", None)
            assert peak_mb(daemon.pid) - before <= MOST_MB, topic


@pytest.mark.parametrize(("mode", "word"), [(0o644, "Permission denied"), (None, "No such file")])
async def test_a_child_that_cannot_be_started_costs_no_try_and_work_goes_on_when_it_can(
    state_dir: Path, mode: int | None, word: str
) -> None:
    daemon = daemon_on(state_dir, GOOD)
    (program,) = (Path(part) for part in daemon.settings["creator"]["command"])
    program.unlink() if mode is None else program.chmod(mode)

    async def told() -> bool:
        faults = (await daemon.get("/health"))["faults"]
        return any(fault["part"] == "creator" and word in fault["what"] for fault in faults)

    async with daemon:
        await daemon.account()
        await daemon.submit("later")
        await daemon.until(told)
        creator(state_dir.parent, GOOD)
        (task,) = await daemon.settled()
        assert (task["state"], task["retry_count"]) == ("completed", 0)
