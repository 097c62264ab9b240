"""The daemon ends in the middle of the work, by accident and on purpose; after the next start all is finished."""

import signal

from tests.real.conftest import StartRun
from tests.real.realrun import RealRun, assert_articles, assert_completed, assert_nothing_doubled, command_line


async def test_killed_in_async_mode(start_run: StartRun) -> None:
    """Two articles are being written, two tasks are just being handed over, one waits."""
    run = await start_run(poll_interval_seconds=2, max_concurrent=4)
    run.services.hold()
    first = await run.submit("one", "two")
    await run.writing(2)
    before = {row.creator_task_id for row in run.creator_tasks()}
    await run.submit("three", "four", "five")
    await claimed(run, 4)
    (old,) = run.workers()
    await run.daemon.end(signal.SIGKILL)
    await run.daemon.start()
    run.services.release()
    tasks = await run.settled()
    assert_completed(tasks, count=5)
    assert {task["creator_task_id"] for task in tasks if task["id"] in first} == before
    await assert_articles(run, tasks)
    await assert_nothing_doubled(run)
    await ended(run, old)


async def test_killed_in_sync_mode(start_run: StartRun) -> None:
    """What its own children wrote is lost with them, which costs each of those tasks one retry and no other."""
    run = await start_run(mode="sync", retry_delays_seconds=[1], max_concurrent=3)
    run.services.hold()
    await run.submit("one", "two", "three", "four")
    await run.writing(3)
    children = [row["child_pid"] for row in await run.query("SELECT child_pid FROM attempt")]
    await run.daemon.end(signal.SIGKILL)
    await run.daemon.start()
    for child in children:
        await ended(run, child)
    run.services.release()
    tasks = await run.settled()
    assert [(task["state"], task["retry_count"]) for task in tasks] == [("completed", 1)] * 3 + [("completed", 0)]
    await assert_articles(run, tasks)
    await assert_nothing_doubled(run)


async def test_planned_stop(start_run: StartRun) -> None:
    """SIGTERM, a grace that is too short for the articles, and a new start: nobody is charged for it."""
    run = await start_run({"stop_grace_seconds": 0.5}, poll_interval_seconds=2, max_concurrent=4, max_retries=0)
    run.services.hold()
    await run.submit("one", "two", mode="async")
    await run.writing(2)
    await run.submit("three", "four", "five", mode="sync")
    await run.writing(4)
    assert await run.daemon.stop() == 0
    assert run.workers() == []
    run.services.release()
    await run.daemon.start()
    tasks = await run.settled()
    assert_completed(tasks, count=5)
    assert await run.query("SELECT id FROM task WHERE deaths > 0") == []
    assert [task["attempt"] for task in tasks] == [2, 2, 2, 2, 1]
    await assert_articles(run, tasks)
    await assert_nothing_doubled(run)


async def claimed(run: RealRun, count: int) -> None:
    """Wait until so many tasks were ever claimed; the last of them are being handed over then."""

    async def found() -> bool:
        return len(run.daemon.events("task_claimed")) >= count

    await run.daemon.until(found)


async def ended(run: RealRun, pid: int) -> None:
    """Wait until a process is gone (nobody's zombie counts as gone)."""

    async def found() -> bool:
        return not command_line(pid)

    await run.daemon.until(found)
