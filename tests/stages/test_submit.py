"""Submit: everything is resolved and stored once, whatever is asked at the same time; the queue is only told."""

import asyncio
from dataclasses import fields, replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from contenthubd.domain.errors import InvalidInput, NotFound
from contenthubd.domain.idempotency import KeyReused
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
    answers = await asyncio.gather(*(house.submit("demo", [Request(topic="云")], key="once") for _ in range(50)))
    assert len({stored[0][0].task_id for stored in answers}) == 1
    assert sum(created for stored in answers for _, created in stored) == 1
    assert await house.value("SELECT count(*) FROM task") == 1
    assert await house.value("SELECT count(*) FROM fact") == 1
    assert await house.queue.count() == 1


@pytest.mark.parametrize("batch", [False, True])
async def test_of_fifty_requests_with_one_key_one_wins_and_the_others_are_refused(house: House, batch: bool) -> None:
    async def ask(number: int) -> bool:
        try:
            await house.submit("demo", [Request(topic=f"第{number}个")], batch=batch, key="once")
        except KeyReused as refused:
            assert "topic was" in str(refused)
            return False
        return True

    assert sum(await asyncio.gather(*(ask(number) for number in range(50)))) == 1
    assert await house.value("SELECT count(*) FROM task") == 1
    assert await house.value("SELECT count(*) FROM batch") == int(batch)


CHANGES: dict[str, Any] = {
    "topic": "其他", "keywords": ["云"], "requirements": "短", "category": "科技", "tone": "", "audience": "学生",
    "min_chars": 1, "max_chars": 99_999, "priority": 1, "mode": Mode.SYNC, "auto_approve": False, "max_retries": 0,
    "timeout_seconds": 60.0,
}  # fmt: skip


@pytest.mark.parametrize("field", CHANGES)
@pytest.mark.parametrize("way", ["task", "line", "batch"])
async def test_a_used_key_with_another_value_is_refused(house: House, field: str, way: str) -> None:
    plain: dict[str, Any] = {"topic": "云计算", **({"idempotency_key": "k"} if way != "batch" else {})}
    key = "k" if way == "batch" else None
    await house.submit("demo", [Request(**plain)], batch=way == "batch", key=key)
    other = Request(**{**plain, field: CHANGES[field]})
    for ask in (house.submit, house.submit.check):
        with pytest.raises(KeyReused) as refused:
            await ask("demo", [other], batch=way != "task", key=key)
        assert f"{field.replace('_', ' ')} was" in str(refused.value)
        assert (refused.value.faults[0][0] == 0) == (way != "batch")
    assert await house.value("SELECT count(*) FROM task") == 1
    assert await house.value("SELECT count(*) FROM batch") == int(way == "batch")


async def test_a_field_is_new_to_the_table_above_only_when_it_is_tried_there() -> None:
    assert {*CHANGES, "idempotency_key"} == {field.name for field in fields(Request)}


async def test_defaults_may_change_between_a_request_and_its_repetition(house: House) -> None:
    first = await house.add(idempotency_key="k")
    house.submit.defaults = replace(house.submit.defaults, mode=Mode.SYNC, max_retries=9, auto_approve=False)
    assert (await house.add(idempotency_key="k")).task_id == first.task_id


async def test_a_row_that_kept_no_request_is_compared_by_what_it_was_made_with(house: House) -> None:
    first = await house.add(idempotency_key="k", priority=3)
    await house.database.changed(text("UPDATE task SET asked = NULL"))
    assert (await house.add(idempotency_key="k", priority=3)).task_id == first.task_id
    with pytest.raises(KeyReused, match="priority was 3, now 4"):
        await house.add(idempotency_key="k", priority=4)


async def test_one_used_key_takes_the_whole_batch_back(house: House) -> None:
    await house.add("旧", idempotency_key="b")
    requests = [Request(topic="一"), Request(topic="二", idempotency_key="b"), Request(topic="三", idempotency_key="c")]
    with pytest.raises(KeyReused) as refused:
        await house.submit("demo", requests, batch=True)
    assert [index for index, _ in refused.value.faults] == [1]
    assert await house.value("SELECT count(*) FROM task") == 1
    assert await house.value("SELECT count(*) FROM batch") == 0
    assert await house.value("SELECT count(*) FROM fact") == 1


async def test_a_replayed_batch_leaves_no_empty_one(house: House) -> None:
    first = await house.submit("demo", [Request(topic="一", idempotency_key="a")], batch=True)
    second = await house.submit("demo", [Request(topic="二", idempotency_key="b")], batch=True)
    both = [Request(topic="一", idempotency_key="a"), Request(topic="二", idempotency_key="b")]
    assert await house.submit.check("demo", both, batch=True) == [False, False]
    again = await house.submit("demo", both, batch=True)
    assert [created for _, created in again] == [False, False]
    assert batch_of(again) is None
    assert batch_of(await house.submit("demo", both[:1], batch=True)) == batch_of(first)
    assert await house.value("SELECT count(*) FROM batch") == 2
    assert await house.views.last_batch() == batch_of(second)


async def test_an_empty_batch_of_an_earlier_version_is_not_the_last(house: House) -> None:
    made = await house.submit("demo", [Request(topic="一")], batch=True)
    await house.database.changed(
        text("""
        INSERT INTO batch (id, account_id, created_at)
        SELECT gen_random_uuid(), account_id, created_at + interval '1 day' FROM batch
    """)
    )
    assert await house.views.last_batch() == batch_of(made)


async def test_a_batch_key_with_more_or_fewer_topics_is_refused(house: House) -> None:
    three = [Request(topic=f"{number}") for number in range(3)]
    await house.submit("demo", three, batch=True, key="batch")
    for other, told in (
        (three[:2], "a batch of 3 tasks; this one has 2"),
        ([*three, Request(topic="3")], "a batch of 3 tasks; this one has 4"),
        (three[::-1], "task 1 differs: topic was '0', now '2'"),
    ):
        with pytest.raises(KeyReused, match=told):
            await house.submit("demo", other, batch=True, key="batch")
    assert await house.value("SELECT count(*) FROM batch") == 1


async def test_a_batch_of_which_tasks_were_removed_is_still_known(house: House) -> None:
    three = [Request(topic=f"{number}") for number in range(3)]
    await house.submit("demo", three, batch=True, key="batch")
    await house.database.changed(text("DELETE FROM task WHERE topic = '1'"))
    again = await house.submit("demo", three, batch=True, key="batch")
    assert [(task.topic, created) for task, created in again] == [("0", False), ("2", False)]
    with pytest.raises(KeyReused, match="with other values"):
        await house.submit("demo", [*three[:2], Request(topic="x")], batch=True, key="batch")


async def test_batches_with_the_same_keys_in_another_order_do_not_wait_for_each_other(house: House) -> None:
    requests = [Request(topic=f"{number}", idempotency_key=f"k{number}") for number in range(40)]
    orders = [requests, requests[::-1]] * 5
    answers = await asyncio.gather(*(house.submit("demo", one, batch=True) for one in orders))
    assert sum(created for stored in answers for _, created in stored) == 40
    assert await house.value("SELECT count(*) FROM batch") == 1


async def test_ten_thousand_keys_are_compared_at_once(house: House) -> None:
    requests = [Request(topic=f"{number}", idempotency_key=f"k{number}") for number in range(10_000)]
    await house.submit("demo", requests[:9000], batch=True)
    stored = await house.submit("demo", requests, batch=True)
    assert [created for _, created in stored] == [False] * 9000 + [True] * 1000
    assert [task.topic for task, _ in stored] == [request.topic for request in requests]


async def test_a_used_key_belongs_to_its_account(house: House) -> None:
    await house.account("desk")
    first, second = await house.add(idempotency_key="k"), await house.add(account="desk", idempotency_key="k")
    assert first.task_id != second.task_id


async def test_a_used_key_answers_with_the_row_of_then_in_the_order_that_was_asked(house: House) -> None:
    old = await house.add("旧", idempotency_key="b")
    requests = [Request(topic="一", idempotency_key="a"), Request(topic="旧", idempotency_key="b"), Request(topic="三")]
    stored = await house.submit("demo", requests, batch=True)
    assert [(task.topic, created) for task, created in stored] == [("一", True), ("旧", False), ("三", True)]
    assert stored[1][0].task_id == old.task_id


async def test_one_key_twice_in_one_submit_is_refused(house: House) -> None:
    requests = [Request(topic=one, idempotency_key=key) for one, key in (("一", "a"), ("二", "b"), ("三", "a"))]
    with pytest.raises(InvalidRequests) as refused:
        await house.submit("demo", requests, batch=True)
    assert refused.value.faults == [(2, "Requests 1 and 3 have the same idempotency key 'a'.")]
    assert await house.value("SELECT count(*) FROM task") == 0


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
