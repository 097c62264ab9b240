"""Settle: each outcome is one write, guarded by all it was decided on; a write that lost its race changes nothing."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from anyio import create_task_group
from anyio.lowlevel import checkpoint
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from contenthubd.domain.attempt import AttemptOutcome
from contenthubd.domain.outcome import (
    Accepted,
    ErrorKind,
    Failed,
    Interrupted,
    Outcome,
    Picture,
    Sick,
    Succeeded,
    TimedOut,
    Unknown,
)
from contenthubd.domain.task import Mode, Task, TaskState
from contenthubd.ports.stage import Stage
from contenthubd.stages.settle import decide
from tests.stages.house import House

FAILED = Failed(ErrorKind.GENERATION_FAILED, "模型没有回答", 1, "last words", "creator-1")
ARTICLE = Succeeded("# 标题\n\n正文", (Picture("https://i/1", "一"), Picture("https://i/2")), "creator-1")


async def everything(house: House) -> list[Any]:
    """All rows that a settlement may touch."""
    found: list[Any] = []
    for table in ("task", "attempt", "content", "image", "publication", "fact"):
        statement = f"SELECT to_jsonb(t) AS row FROM {table} AS t ORDER BY 1"  # noqa: S608 - our own tables
        found += [row.row for row in await house.database.rows(text(statement))]
    return found


async def failed(house: House, task: Task, kind: ErrorKind = ErrorKind.GENERATION_FAILED) -> Task:
    assert await house.settle(task, Failed(kind, "cause"), owner=house.owner)
    return await house.now(task)


async def test_accepted(house: House) -> None:
    task = await house.claimed()
    assert await house.settle(task, Accepted("creator-1"), owner=house.owner)
    assert await house.state(task) is TaskState.SUBMITTED
    row = await house.attempt(task)
    assert (row.creator_task_id, row.accepted_at) == ("creator-1", house.clock.now())
    assert (row.owner, row.leased_until, row.ended_at) == (None, None, None)
    assert house.slots.used == 1
    assert house.rung[Stage.POLL] == 2, "by the first heartbeat, and by this"
    assert (await house.facts(task))[-1] == "task_accepted"


async def test_succeeded_writes_task_content_images_pool_and_facts_together(house: House) -> None:
    task = await house.claimed(mode=Mode.SYNC, priority=2)
    house.clock.advance(90)
    ended = house.clock.now() - timedelta(seconds=20)
    assert await house.settle(task, replace(ARTICLE, ended_at=ended), owner=house.owner)
    done, row, content = await house.now(task), await house.attempt(task), await house.content(task)
    assert (done.state, done.finished_at, done.error_kind) == (TaskState.COMPLETED, house.clock.now(), None)
    assert (row.outcome, row.ended_at, row.creator_ended_at) == ("succeeded", house.clock.now(), ended)
    assert (content.title, content.body, content.state) == ("标题", ARTICLE.article, "approved")
    assert content.reviewed_by == "auto"
    images = await house.database.rows(text("SELECT position, url, prompt, state FROM image ORDER BY position"))
    assert [tuple(image) for image in images] == [
        (1, "https://i/1", "一", "pending"),
        (2, "https://i/2", "", "pending"),
    ]
    publication = await house.publication(task)
    assert (publication.target, publication.state, publication.priority) == ("shelf", "pending", 2)
    assert (await house.facts(task))[-2:] == ["task_completed", "content_approved"]
    assert house.rung[Stage.FETCH] == 1
    assert house.slots.used == 0
    assert await house.flights.durations(5) == [timedelta(seconds=70)]


async def test_the_creators_end_is_kept_within_reason(house: House) -> None:
    for wrong, took in ((-3600, 0), (3600, 60)):
        task = await house.claimed(mode=Mode.SYNC)
        house.clock.advance(60)
        at = house.clock.now() + timedelta(seconds=wrong)
        assert await house.settle(task, replace(ARTICLE, ended_at=at), owner=house.owner)
        assert (await house.flights.durations(1))[0] == timedelta(seconds=took)
        house.clock.advance(1)


async def test_without_automatic_approval_a_content_waits_outside_the_pool(house: House) -> None:
    task = await house.claimed(mode=Mode.SYNC, auto_approve=False)
    assert await house.settle(task, Succeeded("没有标题的正文"), owner=house.owner)
    content = await house.content(task)
    assert (content.state, content.reviewed_at, content.title) == ("pending_review", None, "云计算")
    assert await house.publication(task) is None
    assert (await house.facts(task))[-1] == "content_awaits_review"
    assert house.rung[Stage.PUBLISH] == 1


FENCED = "```markdown\n---\ntitle: x\n---\n# C#\n\nWords.\n```"
WRAPPED = f"Sure, here is the article:\n\n{FENCED}\n\nLet me know about any changes!"
DOUBTFUL = "Sure, here is the article:\n\nWords without a heading."


async def test_a_wrapped_article_is_unwrapped_and_told(house: House) -> None:
    task = await house.claimed(mode=Mode.SYNC)
    assert await house.settle(task, Succeeded(WRAPPED), owner=house.owner)
    content = await house.content(task)
    assert (content.title, content.body, content.state, content.hold_reason) == (
        "C#",
        "# C#\n\nWords.\n",
        "approved",
        None,
    )
    assert (await house.facts(task))[-3:] == ["task_completed", "article_unwrapped", "content_approved"]


@pytest.mark.parametrize("late", [False, True])
async def test_a_doubtful_article_is_never_approved_by_itself(house: House, late: bool) -> None:
    task = await house.claimed()
    assert await house.settle(task, Accepted("creator-1"), owner=house.owner)
    if late:
        assert await house.settle(await house.now(task), TimedOut("slow"))
    assert await house.settle(await house.now(task), Succeeded(DOUBTFUL))
    content = await house.content(task)
    assert (content.state, content.reviewed_at, content.body) == ("pending_review", None, DOUBTFUL)
    assert content.hold_reason == "It begins as an answer to a request, not as an article."
    assert await house.publication(task) is None
    assert (await house.facts(task))[-2:] == ["content_held", "content_awaits_review"]


@pytest.mark.parametrize(
    "article", ["\u200b\ufeff", "\u3164", "#", "![]()", "```\n```", "<!-- x -->", "\u200b" * 5_000]
)
async def test_an_article_of_which_nothing_shows_is_a_failure(house: House, article: str) -> None:
    task = await house.claimed(mode=Mode.SYNC)
    assert await house.settle(task, Succeeded(article), owner=house.owner)
    assert ((await house.now(task)).error_kind, await house.content(task)) == (ErrorKind.ARTICLE_EMPTY, None)


async def test_an_image_that_did_not_come_is_lost_from_the_start(house: House) -> None:
    task = await house.claimed(mode=Mode.SYNC)
    article = "# T\n\n![a](image-placeholder-1)\n\n![b](image-placeholder-2)"
    assert await house.settle(task, Succeeded(article, (Picture("https://i/1"),)), owner=house.owner)
    images = await house.database.rows(text("SELECT position, url, state, error FROM image ORDER BY position"))
    assert [tuple(image)[:3] for image in images] == [
        (1, "https://i/1", "pending"),
        (2, "image-placeholder-2", "lost"),
    ]
    assert "did not deliver" in images[1].error
    assert "images_missing" in await house.facts(task)


async def test_a_long_article_does_not_hold_up_the_loop(house: House) -> None:
    """While five million characters are read, the loop turns."""
    task = await house.claimed(mode=Mode.SYNC)
    turns, done = 0, False

    async def turn() -> None:
        nonlocal turns
        while not done:
            turns += 1
            await checkpoint()

    async with create_task_group() as group:
        group.start_soon(turn)
        assert await house.settle(task, Succeeded("# T\n\n" + "Words.\n\n" * 600_000), owner=house.owner)
        done = True
    assert turns > 10
    assert (await house.content(task)).title == "T"


async def test_an_echoed_mark_is_removed_and_told(house: House) -> None:
    from contenthubd.domain.attempt import mark_of

    task = await house.claimed(mode=Mode.SYNC)
    mark = mark_of(task.task_id, 1)
    assert await house.settle(task, Succeeded(f"# 标题\n\n正文\n{mark}\n"), owner=house.owner)
    assert (await house.content(task)).body == "# 标题\n\n正文\n"
    assert "mark_removed" in await house.facts(task)


async def test_an_article_that_is_only_the_mark_is_empty(house: House) -> None:
    from contenthubd.domain.attempt import mark_of

    task = await house.claimed(mode=Mode.SYNC)
    assert await house.settle(task, Succeeded(f"\n{mark_of(task.task_id, 1)}\n"), owner=house.owner)
    now = await house.now(task)
    assert (now.state, now.error_kind, now.retry_count) == (TaskState.RETRYING, "article_empty", 1)
    assert await house.content(task) is None


async def test_what_postgresql_cannot_store_is_taken_out_and_loses_nothing_else(house: House) -> None:
    task = await house.claimed(mode=Mode.SYNC)
    outcome = Succeeded("# 标\x00题\n\n正\ud800文", (Picture("https://i/\x00", "\udfff画"),))
    assert await house.settle(task, outcome, owner=house.owner)
    content = await house.content(task)
    assert (content.title, content.body) == ("标题", "# 标题\n\n正文")
    other = await house.claimed("另一个")
    assert await house.settle(other, Failed(ErrorKind.REFUSED, "a\x00b\ud800", 1, "c\x00d"), owner=house.owner)
    row = await house.attempt(other)
    assert (row.error, row.stderr_tail) == ("ab", "cd")


@pytest.mark.parametrize("chance, share", [(0.0, 0.9), (0.5, 1.0), (0.999999, 1.1)])
async def test_failures_are_tried_again_later_and_later(house: House, chance: float, share: float) -> None:
    house.clock.chance = chance
    task = await house.claimed()
    for number, delay in enumerate((30, 60, 120), 1):
        waiting = await failed(house, task)
        assert (waiting.state, waiting.retry_count) == (TaskState.RETRYING, number)
        assert waiting.run_at is not None
        assert (waiting.run_at - house.clock.now()).total_seconds() == pytest.approx(delay * share, rel=1e-5)
        task = await house.again(task)
        assert (task.attempt, task.error) == (number + 1, None)
    over = await failed(house, task)
    assert (over.state, over.retry_count, over.error) == (TaskState.FAILED, 4, "cause")
    assert over.finished_at == house.clock.now()
    assert await house.value("SELECT count(*) FROM attempt WHERE outcome = 'failed'") == 4
    assert (await house.facts(task)).count("attempt_failed") == 3
    assert (await house.facts(task))[-1] == "task_gave_up"


@pytest.mark.parametrize("retries", [0, 1, 5])
async def test_each_task_has_its_own_number_of_retries(house: House, retries: int) -> None:
    task = await house.claimed(max_retries=retries)
    for _ in range(retries):
        assert (await failed(house, task)).state is TaskState.RETRYING
        task = await house.again(task)
    assert (await failed(house, task)).state is TaskState.FAILED


async def test_a_failure_keeps_its_traces(house: House) -> None:
    task = await house.claimed()
    assert await house.settle(task, FAILED, owner=house.owner)
    row = await house.attempt(task)
    assert (row.error_kind, row.error, row.exit_code) == ("generation_failed", "模型没有回答", 1)
    assert (row.stderr_tail, row.creator_task_id) == ("last words", "creator-1")
    assert house.rung[Stage.PROMOTE] == 1


async def test_a_refusal_is_final_at_once(house: House) -> None:
    now = await failed(house, await house.claimed(), ErrorKind.REFUSED)
    assert (now.state, now.error_kind, now.retry_count) == (TaskState.FAILED, "refused", 1)


@pytest.mark.parametrize("kind", [ErrorKind.STOPPED, ErrorKind.WORKER_DEAF, ErrorKind.CREATOR_REDIS_DOWN])
async def test_what_was_not_the_tasks_fault_is_tried_again_at_once_and_not_charged(
    house: House, kind: ErrorKind
) -> None:
    task = await house.claimed(max_retries=0)
    now = await failed(house, task, kind)
    assert (now.state, now.retry_count, now.run_at) == (TaskState.RETRYING, 0, house.clock.now())
    assert now.deaths == 0


async def test_from_the_third_dead_worker_on_a_task_is_charged(house: House) -> None:
    task = await house.claimed()
    for deaths in (1, 2):
        now = await failed(house, task, ErrorKind.WORKER_GONE)
        assert (now.state, now.deaths, now.retry_count) == (TaskState.RETRYING, deaths, 0)
        task = await house.again(task)
    for charged in (1, 2, 3):
        now = await failed(house, task, ErrorKind.WORKER_GONE)
        assert (now.state, now.retry_count) == (TaskState.RETRYING, charged)
        task = await house.again(task)
    now = await failed(house, task, ErrorKind.WORKER_GONE)
    assert (now.state, now.error_kind) == (TaskState.FAILED, "worker_gone")


@pytest.mark.parametrize(
    "outcome, state, kind",
    [
        (Unknown("cut off", 9, "tail"), TaskState.RETRYING, "create_unanswered"),
        (Sick(ErrorKind.API_KEYS_MISSING, "no keys"), TaskState.PENDING, "api_keys_missing"),
        (Interrupted(), TaskState.PENDING, None),
    ],
)
async def test_other_outcomes(house: House, outcome: Outcome, state: TaskState, kind: str | None) -> None:
    task = await house.claimed()
    assert await house.settle(task, outcome, owner=house.owner)
    now = await house.now(task)
    assert (now.state, now.error_kind) == (state, kind)
    assert now.retry_count == (1 if state is TaskState.RETRYING else 0)
    assert (await house.attempt(task)).ended_at == house.clock.now()
    assert house.slots.used == 0


async def test_a_timeout_in_async_mode_abandons_the_attempt_which_still_counts(house: House) -> None:
    task, _ = await house.accepted(max_retries=0)
    assert await house.settle(task, TimedOut("too slow"))
    now, row = await house.now(task), await house.attempt(task)
    assert (now.state, now.error_kind, now.retry_count) == (TaskState.TIMEOUT, "timed_out", 1)
    assert (row.ended_at, row.abandoned_at) == (None, house.clock.now())
    assert house.slots.used == 1


async def test_a_timeout_in_sync_mode_ends_the_attempt(house: House) -> None:
    task = await house.claimed(mode=Mode.SYNC)
    assert await house.settle(task, TimedOut("too slow"), owner=house.owner)
    row = await house.attempt(task)
    assert (await house.state(task), row.outcome, row.abandoned_at) == (TaskState.RETRYING, "timed_out", None)


OUTCOMES: list[Outcome] = [Accepted("x"), ARTICLE, FAILED, TimedOut("t"), Unknown("u"), Interrupted()]


@pytest.mark.parametrize("outcome", OUTCOMES, ids=lambda outcome: type(outcome).__name__)
async def test_a_stale_decision_changes_no_row(house: House, outcome: Outcome) -> None:
    mode = Mode.SYNC if isinstance(outcome, Succeeded) else Mode.ASYNC
    task = await house.claimed(mode=mode)
    before = await everything(house)
    stale = {
        "owner": (task, {"owner": "somebody/else"}),
        "attempt": (replace(task, attempt=2), {"owner": house.owner}),
        "earlier attempt": (replace(task, attempt=2), {"owner": house.owner, "attempt": 1}),
        "state": (replace(task, state=TaskState.SUBMITTED if mode is Mode.SYNC else TaskState.RUNNING), {}),
        "cell": (replace(task, state=TaskState.CANCELLED), {}),
    }
    for why, (seen, options) in stale.items():
        assert not await house.settle(seen, outcome, **options), why  # type: ignore[arg-type]  # a table of options
        assert await everything(house) == before, why
    assert house.slots.used == 1


async def test_two_settlements_at_once_one_wins(house: House) -> None:
    task = await house.claimed(mode=Mode.SYNC)
    won = await asyncio.gather(*(house.settle(task, ARTICLE, owner=house.owner) for _ in range(6)))
    assert sorted(won) == [False] * 5 + [True]
    assert await house.value("SELECT count(*) FROM content") == 1
    assert await house.value("SELECT count(*) FROM fact WHERE name = 'task_completed'") == 1


async def test_settling_and_cancelling_at_once_never_lock_each_other(house: House) -> None:
    for number in range(40):
        task = await house.claimed(f"第{number}个", mode=Mode.SYNC)
        won, cancelled = await asyncio.gather(
            house.settle(task, ARTICLE, owner=house.owner), house.tasks.cancel(task.task_id, house.clock.now(), "test")
        )
        assert won == (cancelled is None)
        await house.flights.end(task.task_id, 1, house.clock.now(), AttemptOutcome.DROPPED, house.owner)
        house.slots.correct(0, house.slots.changes)


async def test_all_or_nothing(house: House) -> None:
    """A content that the database refuses takes the whole settlement with it."""
    task = await house.claimed(mode=Mode.SYNC)
    settlement = decide(task, 1, ARTICLE, house.settle.rules, house.clock, owner=house.owner)
    assert settlement.content is not None
    before = await everything(house)
    with pytest.raises(DBAPIError, match="content_body_check"):
        await house.tasks.settle(replace(settlement, content=replace(settlement.content, body="")))
    assert await everything(house) == before
    assert await house.tasks.settle(settlement)


async def test_started_is_told_once(house: House) -> None:
    task, _ = await house.accepted()
    assert await house.settle.started(task)
    assert await house.state(task) is TaskState.RUNNING
    assert not await house.settle.started(task)
    assert (await house.facts(task)).count("task_started") == 1
    assert (await house.attempt(task)).ended_at is None


async def test_deciding_twice_gives_the_same(house: House) -> None:
    task = await house.claimed()
    rules, clock = house.settle.rules, house.clock
    first, second = (decide(task, 1, FAILED, rules, clock, owner="me") for _ in range(2))
    assert first == second
