"""Topics become articles on the real content-creator, unattended, whatever ends in the middle of the work.

First the plain case, in both modes, at the polling interval of production. Then what the creator stands on is taken
away (its worker, its Redis), then the daemon itself ends, by accident and on purpose. No test helps the daemon out:
it only disturbs, waits until every task ended by itself, and looks at what came of it.
"""

import os
import signal
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from tests.real.conftest import StartRun
from tests.real.package import missing
from tests.real.realrun import (
    RealRun,
    assert_articles,
    assert_completed,
    assert_nothing_doubled,
    command_line,
    mark_of,
)

MISSING = missing()
pytestmark = (
    [pytest.mark.skip(reason=f"the real content-creator cannot be installed here: {MISSING}")] if MISSING else []
)
LONG, ECHO, FAILING = "LONG 一篇很长的文章", "ECHO 回声", "FAIL 必败"
TOPICS = ("云计算趋势", "Edge computing", ECHO, LONG, *(f"第 {number} 个选题" for number in range(5, 11)))
CAUSE = "Request failed with status code 400"
"""What the creator's client says when the language model refuses; the table forgets it within seconds."""
RETRY_DELAYS = (1, 2)
JITTER = 0.1
AWAY_SECONDS = 10.0


async def test_async_mode(start_run: StartRun) -> None:
    """Ten topics and one that always fails, handed to the creator's worker."""
    await ten_topics(await start_run(as_installed=True, **production("async")))


async def test_sync_mode(start_run: StartRun) -> None:
    """The same in children of our own."""
    await ten_topics(await start_run(**production("sync")))


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
    """What its own children wrote is lost with them: each of those tasks is tried again and keeps its retries."""
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
    assert [(task["state"], task["retry_count"]) for task in tasks] == [("completed", 0)] * 4
    assert [len(await run.attempts(task["id"])) for task in tasks] == [2, 2, 2, 1]
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


def production(mode: str) -> dict[str, Any]:
    """As in production, but for shorter pauses between tries."""
    return {"mode": mode, "poll_interval_seconds": 30, "max_retries": 2, "retry_delays_seconds": list(RETRY_DELAYS)}


async def ten_topics(run: RealRun) -> None:
    await run.submit(*TOPICS[:5], FAILING, *TOPICS[5:])
    tasks = await run.settled()
    failing = tasks.pop(5)
    assert_completed(tasks, count=10)
    assert len(run.published()) == 10
    await assert_articles(run, tasks)
    await assert_nothing_doubled(run)
    await assert_long(run, by_topic(tasks, LONG))
    await assert_echo(run, by_topic(tasks, ECHO))
    await assert_true_failure(run, failing)


def by_topic(tasks: list[dict[str, Any]], topic: str) -> dict[str, Any]:
    return next(task for task in tasks if task["topic"] == topic)


async def assert_long(run: RealRun, task: dict[str, Any]) -> None:
    """More than a pipe holds came through whole."""
    body = await run.body(task)
    assert len(body.encode()) > 64 * 1024
    assert body in run.services.articles


async def assert_echo(run: RealRun, task: dict[str, Any]) -> None:
    """The creator stored our mark inside the article; nothing of ours is left in what we publish."""
    mark = mark_of(task["id"], task["attempt"])
    (row,) = [row for row in run.creator_tasks() if row.creator_task_id == task["creator_task_id"]]
    assert row.article is not None
    assert mark in row.article
    (article,) = [article for article in run.published() if article.content_id == task["content_id"]]
    assert "[ref " not in article.text
    facts = await run.query("SELECT name FROM fact WHERE name = 'mark_removed'")
    assert len(facts) == 1


async def assert_true_failure(run: RealRun, task: dict[str, Any]) -> None:
    """Three creates with growing pauses in between, and the language model's refusal at the end."""
    assert task["state"] == "failed"
    assert task["error_kind"] == "generation_failed"
    assert task["error"] == CAUSE
    assert task["content_id"] is None
    attempts = await run.attempts(task["id"])
    assert len({attempt["creator_task_id"] for attempt in attempts}) == 3
    assert [attempt["error"] for attempt in attempts] == [CAUSE] * 3
    for (before, after), delay in zip(pairwise(attempts), RETRY_DELAYS, strict=True):
        assert after["claimed_at"] - before["ended_at"] >= timedelta(seconds=delay * (1 - JITTER))


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
