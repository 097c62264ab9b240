"""A stop leaves nothing of the creator's commands behind, not even what left their process groups long before."""

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
