"""A stop leaves nothing of the creator's commands behind, not even what left their process groups long before."""

import signal

import psutil

from tests.conftest import StartDaemon
from tests.running import PATIENCE_SECONDS, RunningDaemon


async def test_a_stop_ends_what_finished_commands_left_in_other_sessions(start_daemon: StartDaemon) -> None:
    daemon = await start_daemon(
        {"tasks": {"mode": "sync"}}, latency_seconds=0.1, misbehaviour="fork", misbehaviour_on="create"
    )
    await daemon.account()
    await daemon.submit("one", "two")
    await daemon.settled()
    left = _left(daemon)

    assert await daemon.stop() == 0

    killed = [event["count"] for event in daemon.events("creator_leftovers_killed")]
    assert sum(killed) == 2, "the commands did leave processes behind"
    _, alive = psutil.wait_procs(left, timeout=PATIENCE_SECONDS)
    assert alive == []


async def test_health_says_that_the_daemon_is_stopping(start_daemon: StartDaemon) -> None:
    daemon = await start_daemon({"tasks": {"mode": "sync"}, "daemon": {"stop_grace_seconds": 900}}, latency_seconds=600)
    await daemon.account()
    await daemon.submit("one")
    await daemon.until(lambda: _running(daemon))
    assert (await daemon.get("/health"))["status"] == "ok"

    assert daemon.process is not None
    daemon.process.send_signal(signal.SIGTERM)
    await daemon.until(lambda: _stopping(daemon))
    told = await daemon.get("/health")
    assert [fault["part"] for fault in told["faults"]] == ["daemon"]
    assert "contenthubd is stopping" in told["faults"][0]["what"]
    assert told["creator"]["sick"] is None
    assert await daemon.stop() == 0, "a second signal hurries"


async def _running(daemon: RunningDaemon) -> bool:
    return bool((await daemon.get("/health"))["pipeline"]["attempts_in_child_processes"])


async def _stopping(daemon: RunningDaemon) -> bool:
    return bool((await daemon.get("/health"))["status"] == "stopping")


def _left(daemon: RunningDaemon) -> list[psutil.Process]:
    workdir = str(daemon.state_dir)
    found = []
    for process in psutil.process_iter():
        try:
            if process.cwd().startswith(workdir) and "create" in process.cmdline():
                found.append(process)
        except psutil.Error:
            continue
    return found
