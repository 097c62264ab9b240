"""Topics become articles on the real content-creator, in both modes, at the polling interval of production."""

from datetime import timedelta
from itertools import pairwise
from typing import Any

from tests.real.conftest import StartRun
from tests.real.realrun import RealRun, assert_articles, assert_completed, assert_nothing_doubled, mark_of

LONG, ECHO, FAILING = "LONG 一篇很长的文章", "ECHO 回声", "FAIL 必败"
TOPICS = ("云计算趋势", "Edge computing", ECHO, LONG, *(f"第 {number} 个选题" for number in range(5, 11)))
CAUSE = "Request failed with status code 400"
"""What the creator's client says when the language model refuses; the table forgets it within seconds."""
RETRY_DELAYS = (1, 2)
JITTER = 0.1


async def test_async_mode(start_run: StartRun) -> None:
    """Ten topics and one that always fails, handed to the creator's worker."""
    await ten_topics(await start_run(**production("async")))


async def test_sync_mode(start_run: StartRun) -> None:
    """The same in children of our own."""
    await ten_topics(await start_run(**production("sync")))


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
