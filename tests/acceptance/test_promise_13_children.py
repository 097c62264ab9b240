"""Timeout, cancel, stop and even the daemon's sudden death leave no descendant of a child alive, and free its slot.

The creator of these tests starts grandchildren that leave its group, its session, their parent and its environment,
hold its output open and ignore every signal that can be ignored; then it hangs itself.
"""

import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from tests.acceptance.hostile import alive, daemon_on, pids_in
from tests.running import RunningDaemon

SLEEP = 'trap "" TERM INT HUP; echo $$ >pid-$1.new; mv pid-$1.new pid-$1; while :; do sleep 600; done'
CREATE = f"""
  trap '' TERM INT HUP
  echo $$ >pid-child
  sh -c '{SLEEP}' sh group &
  setsid sh -c '{SLEEP}' sh session &
  (setsid sh -c '{SLEEP}' sh parent &)
  (env -i setsid /bin/sh -c '{SLEEP}' sh environment &)
  (env -i setsid /bin/sh -c '{SLEEP}' sh output >/dev/null 2>&1 &)
  while :; do sleep 600; done
"""
EVERYBODY = 6
Start = Callable[..., Awaitable[RunningDaemon]]


@pytest.fixture
async def start(state_dir: Path) -> AsyncIterator[Start]:
    """A daemon with the hostile creator; any number of them, all on the same instance name."""
    started: list[RunningDaemon] = []

    async def begin(**tasks: object) -> RunningDaemon:
        place = state_dir.with_name(f"state{len(started)}")
        daemon = daemon_on(place, CREATE, **tasks)
        started.append(daemon)
        await daemon.start()
        await daemon.account()
        return daemon

    yield begin
    for daemon in started:
        await daemon.stop()


async def running(daemon: RunningDaemon) -> tuple[str, list[int]]:
    """A task whose child runs with all its grandchildren; its id and their pids."""
    (task,) = await daemon.submit("Runaway", batch=False)
    folder = daemon.state_dir / "creator" / "default"

    async def all_there() -> list[int]:
        return found if len(found := pids_in(folder)) == EVERYBODY else []

    pids = await daemon.until(all_there)
    assert alive(pids) == pids
    return task, pids


async def gone(daemon: RunningDaemon, pids: list[int]) -> None:
    async def nobody() -> bool:
        return not alive(pids)

    await daemon.until(nobody)


async def slots_are_free(daemon: RunningDaemon) -> None:
    async def free() -> bool:
        health = await daemon.get("/health")
        return (health["pipeline"]["slots_used"], health["creator"]["children"]) == (0, 0)

    await daemon.until(free)


async def reached(daemon: RunningDaemon, task: str, state: str) -> None:
    async def there() -> bool:
        return bool((await daemon.get(f"/tasks/{task}"))["state"] == state)

    await daemon.until(there)


async def test_a_timeout_leaves_nobody(start: Start) -> None:
    daemon = await start(timeout_seconds=5, poll_interval_seconds=1)
    task, pids = await running(daemon)
    await reached(daemon, task, "timeout")
    await gone(daemon, pids)
    await slots_are_free(daemon)


async def test_a_cancelled_task_leaves_nobody(start: Start) -> None:
    daemon = await start()
    task, pids = await running(daemon)
    await daemon.post(f"/tasks/{task}/cancel")
    await reached(daemon, task, "cancelled")
    await gone(daemon, pids)
    await slots_are_free(daemon)


async def test_a_planned_stop_leaves_nobody(start: Start) -> None:
    daemon = await start()
    _, pids = await running(daemon)
    assert await daemon.stop() == 0
    assert alive(pids) == []


async def test_what_a_killed_daemon_left_ends_with_its_next_start_and_no_other_daemons_children_do(
    start: Start,
) -> None:
    daemon, other = await start(), await start()
    _, pids = await running(daemon)
    _, others = await running(other)
    await daemon.end(signal.SIGKILL)
    assert alive(pids) == pids, "a killed daemon ends nobody"
    for path in (daemon.state_dir / "creator" / "default").glob("pid-*"):
        path.unlink()
    await daemon.start()
    assert sum(event["count"] for event in daemon.events("creator_leftovers_killed")) >= EVERYBODY
    await gone(daemon, pids)
    assert alive(others) == others
