"""The private PostgreSQL dies or freezes under a working daemon: nothing is lost, nothing is charged."""

import signal

import psutil

from tests.conftest import StartDaemon
from tests.running import Refused, RunningDaemon


async def test_a_killed_database_is_started_again_and_no_task_fails_for_it(start_daemon: StartDaemon) -> None:
    daemon = await start_daemon({"tasks": {"mode": "sync"}}, latency_seconds=0.3)
    await daemon.account()
    await daemon.submit(*(f"topic {number}" for number in range(8)))
    killed: list[int] = []
    for _ in range(2):
        killed.append(await _postgres(daemon, killed))
        psutil.Process(killed[-1]).send_signal(signal.SIGKILL)
        await daemon.until(lambda: _restarted(daemon, len(killed)))

    tasks = await daemon.until(lambda: _all_published(daemon))

    assert [task["state"] for task in tasks] == ["completed"] * 8
    assert [task["retry_count"] for task in tasks] == [0] * 8


async def _restarted(daemon: RunningDaemon, times: int) -> bool:
    return len(daemon.events("database_restarted")) == times


async def _postgres(daemon: RunningDaemon, not_these: list[int]) -> int:
    """The number of the server that answers, once it is another one."""

    async def answering() -> int:
        database = (await daemon.get("/health"))["database"]
        pid: int = database["pid"] or 0
        return pid if database["reachable"] and pid not in not_these else 0

    found: int = await daemon.until(answering)
    return found


async def _all_published(daemon: RunningDaemon) -> list[dict[str, object]]:
    try:
        tasks = await daemon.tasks(batch="last")
    except Refused as refused:
        assert refused.problem["code"] == "database_unavailable"
        return []
    return tasks if all(task["location"] for task in tasks) else []
