"""What the creator stands on is taken away in the middle of the work; every task still ends by itself."""

import os
import signal
from datetime import UTC, datetime

from tests.real.conftest import StartRun
from tests.real.realrun import RealRun, assert_articles, assert_completed, assert_nothing_doubled

AWAY_SECONDS = 10.0


async def test_worker_killed(start_run: StartRun) -> None:
    """What the worker had is given to the creator anew, at nobody's cost; what had not begun is not touched."""
    run = await start_run(poll_interval_seconds=2, max_concurrent=3)
    run.services.hold()
    await run.submit("one", "two", "three", "four")
    await run.writing(3)
    killed = await run.worker()
    os.kill(killed, signal.SIGKILL)
    run.services.release()
    tasks = await run.settled()
    assert_completed(tasks, count=4)
    assert [task["attempt"] for task in tasks] == [2, 2, 2, 1]
    for task in tasks[:3]:
        first, _ = await run.attempts(task["id"])
        assert first["error_kind"] == "worker_gone"
    assert await run.worker() != killed
    await assert_articles(run, tasks)
    await assert_nothing_doubled(run)


async def test_redis_away(start_run: StartRun) -> None:
    """Two articles are being written, two have only a job in the Redis that forgets it, two wait here."""
    run = await start_run(poll_interval_seconds=2, max_concurrent=4)
    run.services.hold()
    await run.submit("one", "two")
    await run.writing(2)
    worker = await run.worker()
    os.kill(worker, signal.SIGSTOP)
    queued = await run.submit("three", "four")
    await accepted(run, queued)
    waiting = await run.submit("five", "six")
    run.redis.kill()
    os.kill(worker, signal.SIGCONT)
    run.services.release()
    await gone_for(run, AWAY_SECONDS)
    run.redis.start()
    tasks = await run.settled()
    assert_completed(tasks, count=6)
    assert {str(event["task_id"]) for event in run.daemon.events("task_requeued")} == set(queued)
    assert [task["attempt"] for task in tasks if task["id"] in queued] == [1, 1]
    assert "sync" in {attempt["mode"] for task_id in waiting for attempt in await run.attempts(task_id)}
    await assert_articles(run, tasks)
    await assert_nothing_doubled(run)


async def accepted(run: RealRun, task_ids: list[str]) -> None:
    """Wait until the creator has these tasks."""

    async def found() -> bool:
        return {task["id"] for task in await run.daemon.tasks(status="submitted")} >= set(task_ids)

    await run.daemon.until(found)


async def gone_for(run: RealRun, seconds: float) -> None:
    """Wait until the daemon has missed the creator's Redis this long and works on without it."""

    async def found() -> bool:
        since = await run.redis_away_since()
        away = (datetime.now(UTC) - since).total_seconds() if since else 0.0
        return away >= seconds and bool(await run.query("SELECT 1 FROM attempt WHERE mode = 'sync'"))

    await run.daemon.until(found)
