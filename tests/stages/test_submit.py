"""Submit: everything is resolved and stored once, whatever is asked at the same time; the queue is only told."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from contenthubd.domain.errors import InvalidInput, NotFound
from contenthubd.domain.request import Request
from contenthubd.domain.task import Mode, Task, TaskState
from contenthubd.ports.stage import Stage
from contenthubd.stages.submit import InvalidRequests, batch_of
from tests.stages.house import House


async def order(house: House, **values: Any) -> list[str]:
    """The topics in the order in which they would be claimed."""
    waiting = await house.tasks.waiting(10_000, [Mode.ASYNC, Mode.SYNC])
    return [(await house.tasks.get(task_id)).topic for task_id, _ in waiting]


async def several(house: House, topics: list[str], account: str = "demo", **values: Any) -> list[Task]:
    requests = [Request(topic=topic, **values) for topic in topics]
    return [task for task, _ in await house.submit(account, requests, batch=True)]


async def test_everything_is_resolved_at_submit(house: House) -> None:
    await house.account("desk", mode=Mode.SYNC, auto_approve=False, tone="轻松", requirements="用中文")
    more = {"max_retries": 1, "timeout_seconds": 90}
    task = await house.add("题目", "desk", keywords=["云", " 计算 "], audience="学生", **more)
    assert (task.mode, task.auto_approve, task.max_retries) == (Mode.SYNC, False, 1)
    assert task.timeout == timedelta(seconds=90)
    assert task.keywords == ("云", "计算")
    assert task.requirements.splitlines() == ["用中文", "目标读者：学生", "语气：轻松", "篇幅：800–3000 字"]
    assert (task.state, task.attempt, task.retry_count) == (TaskState.PENDING, 0, 0)
    assert await house.facts(task) == ["task_submitted"]
    assert await house.queue.take() == task.task_id
    assert house.rung[Stage.DISPATCH] == 1


async def test_the_task_wins_over_the_account_and_the_account_over_the_configuration(house: House) -> None:
    await house.account("desk", auto_approve=False)
    assert (await house.add(account="demo")).auto_approve
    assert not (await house.add(account="desk")).auto_approve
    assert (await house.add(account="desk", auto_approve=True)).auto_approve


async def test_fifty_submits_with_one_key_make_one_row(house: House) -> None:
    answers = await asyncio.gather(
        *(house.submit("demo", [Request(topic=f"第{number}个")], key="once") for number in range(50))
    )
    assert len({stored[0][0].task_id for stored in answers}) == 1
    assert sum(created for stored in answers for _, created in stored) == 1
    assert await house.value("SELECT count(*) FROM task") == 1
    assert await house.value("SELECT count(*) FROM fact") == 1
    assert await house.queue.count() == 1


async def test_a_used_key_belongs_to_its_account(house: House) -> None:
    await house.account("desk")
    first, second = await house.add(idempotency_key="k"), await house.add(account="desk", idempotency_key="k")
    assert first.task_id != second.task_id


async def test_a_used_key_answers_with_the_row_of_then_in_the_order_that_was_asked(house: House) -> None:
    old = await house.add("旧", idempotency_key="b")
    requests = [Request(topic="一", idempotency_key="a"), Request(topic="二", idempotency_key="b"), Request(topic="三")]
    stored = await house.submit("demo", requests, batch=True)
    assert [(task.topic, created) for task, created in stored] == [("一", True), ("旧", False), ("三", True)]
    assert stored[1][0].task_id == old.task_id


async def test_one_key_twice_in_one_submit_makes_one_row_and_two_answers(house: House) -> None:
    stored = await several(house, ["一", "二"], idempotency_key="same")
    assert [task.topic for task in stored] == ["一", "一"]
    assert await house.value("SELECT count(*) FROM task") == 1


async def test_batches_with_one_key_at_once_make_one_batch(house: House) -> None:
    requests = [Request(topic=f"第{number}个") for number in range(3)]
    answers = await asyncio.gather(*(house.submit("demo", requests, batch=True, key="batch") for _ in range(10)))
    assert len({batch_of(stored) for stored in answers}) == 1
    assert [[task.topic for task, _ in stored] for stored in answers] == [["第0个", "第1个", "第2个"]] * 10
    assert sum(all(created for _, created in stored) for stored in answers) == 1
    assert await house.value("SELECT count(*) FROM task") == 3


async def test_a_repeated_submit_queues_only_what_still_waits(house: House) -> None:
    task = await house.claimed(idempotency_key="k")
    again = await house.add(idempotency_key="k")
    assert (again.task_id, again.state) == (task.task_id, TaskState.SUBMITTING)
    assert await house.queue.count() == 0


async def test_accounts_take_turns_and_each_stays_first_in_first_out(house: House) -> None:
    await house.account("desk")
    await several(house, ["a1", "a2", "a3", "a4"])
    await several(house, ["b1", "b2"], "desk")
    assert await order(house) == ["a1", "b1", "a2", "b2", "a3", "a4"]


async def test_priority_comes_before_turns(house: House) -> None:
    await several(house, ["later", "last"], priority=5)
    await several(house, ["first", "second"], priority=1)
    assert await order(house) == ["first", "second", "later", "last"]


async def test_a_newcomer_joins_the_present_round(house: House) -> None:
    await house.account("desk")
    await several(house, [f"a{number}" for number in range(6)])
    await house.beat()
    house.slots.total = 3
    await house.dispatch.tick()
    assert [task.topic for task in house.started] == ["a0", "a1", "a2"]
    await several(house, ["b0", "b1"], "desk")
    await several(house, ["a6"])
    assert await order(house) == ["a3", "b0", "a4", "b1", "a5", "a6"]


async def test_a_task_that_returns_joins_the_present_round_and_drags_nobody_back(house: House) -> None:
    await house.account("desk")
    await house.account("late")
    old, *_ = await several(house, [f"a{number}" for number in range(8)])
    await house.steer.cancel(old.task_id, by="test")
    house.slots.total = 4
    await house.beat()
    await house.dispatch.tick()
    revived = await house.steer.revive(old.task_id, by="test")
    assert revived.rank.turn == 5
    await several(house, ["b0", "b1", "b2"], "desk")
    assert await order(house) == ["a0", "a5", "b0", "a6", "b1", "a7", "b2"]


async def test_a_full_queue_never_refuses(house: House) -> None:
    small = House(house.database, house.clock, memory=2)
    tasks = await several(small, [f"a{number}" for number in range(9)])
    assert await small.queue.count() == 2
    assert await house.value("SELECT count(*) FROM task WHERE state = 'pending'") == len(tasks)


async def test_nothing_is_stored_when_one_of_many_is_at_fault(house: House) -> None:
    long = "很" * 60_000
    requests = [Request(topic="好"), Request(topic="", priority=11), Request(topic="长", requirements=long)]
    with pytest.raises(InvalidRequests, match="2 of 3 tasks cannot be accepted") as caught:
        await house.submit("demo", requests, batch=True)
    assert [index for index, _ in caught.value.faults] == [1, 1, 2]
    assert await house.value("SELECT count(*) FROM task") == 0
    assert await house.value("SELECT count(*) FROM batch") == 0
    with pytest.raises(InvalidInput, match="The topic is empty"):
        await house.submit.check("demo", [Request(topic=" ")])
    await house.submit.check("demo", [Request(topic="好")])


async def test_an_unknown_account_is_told_with_the_nearest_name(house: House) -> None:
    with pytest.raises(NotFound, match="Did you mean 'demo'") as caught:
        await house.add(account="dmeo")
    assert caught.value.exit_code == 3


async def test_a_batch_has_its_row_and_a_single_task_has_none(house: House) -> None:
    [(single, _)] = stored = await house.submit("demo", [Request(topic="一")])
    assert batch_of(stored) is None and single.batch_id is None
    assert batch_of([]) is None
    together = await house.submit("demo", [Request(topic="一"), Request(topic="二")], batch=True)
    rows = await house.database.rows(text("SELECT id FROM batch"))
    assert [row.id for row in rows] == [batch_of(together)]
