"""What people look at: pages that neither skip nor repeat, ids found by either end, numbers that add up."""

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from contenthubd.adapters.postgres.engine import Database
from contenthubd.domain.outcome import ErrorKind, Failed, Picture, Succeeded
from contenthubd.domain.request import Request
from contenthubd.domain.task import Mode, Task
from contenthubd.ports.views import Listing
from tests.stages.house import House
from tests.stages.scripted_creator import Create


@pytest.fixture
async def house(database: Database) -> House:
    """The stages on a fresh database with one account."""
    made = House(database)
    await made.account()
    return made


async def batch(house: House, *topics: str, account: str = "demo") -> list[Task]:
    requests = [Request(topic=topic) for topic in topics]
    return [task for task, _ in await house.submit(account, requests, batch=True)]


async def article(house: House, topic: str, *, auto_approve: bool = True) -> Task:
    house.creator.script.append(Create(Succeeded(f"# {topic}\n\n正文", (Picture("https://i/1", "画"),), "creator-1")))
    task = await house.claimed(topic, mode=Mode.SYNC, auto_approve=auto_approve)
    await house.attempts.run(task)
    return await house.now(task)


async def test_tasks_are_paged_newest_first_without_gaps(house: House) -> None:
    for number in range(7):
        await house.add(f"第{number}个")
    seen: list[str] = []
    after: UUID | None = None
    while rows := await house.views.tasks(Listing(limit=3, after=after)):
        seen += [row["topic"] for row in rows]
        after = rows[-1]["id"]
        await house.add("后来的")
    assert seen == [f"第{number}个" for number in reversed(range(7))]


async def test_a_batch_is_paged_in_the_order_it_was_submitted(house: House) -> None:
    tasks = await batch(house, "甲", "乙", "丙", "丁")
    await batch(house, "别的")
    first = await house.views.tasks(Listing(limit=2, batch_id=tasks[0].batch_id))
    rest = await house.views.tasks(Listing(limit=9, batch_id=tasks[0].batch_id, after=first[-1]["id"]))
    assert [row["topic"] for row in (*first, *rest)] == ["甲", "乙", "丙", "丁"]


async def test_lists_are_filtered_by_what_is_asked_for(house: House) -> None:
    await house.account("desk")
    old = await house.add("旧")
    house.clock.advance(hours=1)
    new, other = await house.add("新"), await house.add("别的", account="desk")
    await house.steer.cancel(new.task_id, by="test")

    async def topics(**wanted: object) -> list[str]:
        return [row["topic"] for row in await house.views.tasks(Listing(limit=9, **wanted))]  # type: ignore[arg-type]  # a test's own filter

    assert await topics() == ["别的", "新", "旧"]
    assert await topics(account="desk") == ["别的"]
    assert await topics(states=("pending",)) == ["别的", "旧"]
    assert await topics(states=("cancelled", "failed")) == ["新"]
    assert await topics(since=house.clock.now()) == ["别的", "新"]
    assert await topics(since=house.clock.now(), account="demo", states=("cancelled",)) == ["新"]
    assert await topics(only=old.task_id) == ["旧"]
    assert (await topics(only=other.batch_id or other.task_id)) == ["别的"]


async def test_contents_are_listed_with_images_and_publications(house: House) -> None:
    first = await article(house, "一")
    second = await article(house, "二", auto_approve=False)
    rows = await house.views.contents(Listing(limit=9))
    assert [(row["topic"], row["state"]) for row in rows] == [("二", "pending_review"), ("一", "approved")]
    assert rows[1]["chars"] == len("# 一\n\n正文")
    assert rows[1]["images"] == [
        {"position": 1, "state": "pending", "url": "https://i/1", "prompt": "画", "path": None, "error": None}
    ]
    assert [one["target"] for one in rows[1]["publications"]] == ["shelf"]
    assert rows[0]["publications"] == []
    assert [row["topic"] for row in await house.views.contents(Listing(limit=1))] == ["二"]
    after = Listing(limit=9, after=rows[0]["id"])
    assert [row["task_id"] for row in await house.views.contents(after)] == [first.task_id]
    waiting = Listing(limit=9, states=("pending_review",), account="demo")
    assert [row["task_id"] for row in await house.views.contents(waiting)] == [second.task_id]
    assert await house.views.body(rows[1]["id"]) == "# 一\n\n正文"
    assert await house.views.body(house.clock.new_id()) == ""


async def test_contents_of_a_batch_follow_its_order_whichever_was_first_done(house: House) -> None:
    tasks = await batch(house, "甲", "乙", "丙")
    await house.beat()
    await house.dispatch.tick()
    for task in reversed(house.started):
        await house.attempts.run(task)
    flights = {flight.task_id: flight for flight in await house.flights.in_flight("main")}
    for task in reversed(tasks):
        house.creator.finish(flights[task.task_id].creator_task_id or "", f"# {task.topic}")
        await house.look()
    wanted = Listing(limit=2, batch_id=tasks[0].batch_id)
    first = await house.views.contents(wanted)
    rest = await house.views.contents(Listing(limit=2, batch_id=tasks[0].batch_id, after=first[-1]["id"]))
    assert [row["topic"] for row in (*first, *rest)] == ["甲", "乙", "丙"]


async def test_ids_are_found_by_either_end(house: House) -> None:
    task = await article(house, "一")
    content = await house.content(task)
    for end in (task.task_id.hex, task.task_id.hex[:28], task.task_id.hex[-6:]):
        assert await house.views.find_ids("task", end) == [task.task_id]
        assert await house.views.find_ids("content", end) == [content.id]
    assert await house.views.find_ids("content", content.id.hex[-6:]) == [content.id]
    assert await house.views.find_ids("batch", task.task_id.hex) == []
    [one] = await batch(house, "甲")
    assert one.batch_id is not None
    assert await house.views.find_ids("batch", one.batch_id.hex[-7:]) == [one.batch_id]


async def test_an_ambiguous_id_is_told_by_more_than_one_and_never_by_all(house: House) -> None:
    for _ in range(9):
        await house.add()
    start = (await house.views.tasks(Listing(limit=1)))[0]["id"].hex[:4]
    assert len(await house.views.find_ids("task", start)) == 6
    assert await house.views.find_ids("task", "f" * 31) == []


async def test_an_id_that_matches_at_the_start_and_at_the_end_is_found_once(house: House) -> None:
    same = UUID("abcabc00-0000-7000-8000-000000abcabc")
    task = await house.add()
    await house.database.changed(text("UPDATE task SET id = :same WHERE id = :id"), same=same, id=task.task_id)
    assert await house.views.find_ids("task", "abcabc") == [same]
    assert await house.views.find_ids("task", "cba") == [], "an end is not read backwards"


async def test_the_last_batch(house: House) -> None:
    assert await house.views.last_batch() is None
    await batch(house, "甲")
    house.clock.advance(1)
    [last] = await batch(house, "乙")
    await house.add("单个")
    assert await house.views.last_batch() == last.batch_id


@pytest.mark.parametrize("by", [-3600, -90, 90, 3600])
async def test_the_last_batch_is_the_last_one_through_a_step_of_the_clock(house: House, by: int) -> None:
    await batch(house, "甲")
    house.clock.step(by)
    [last] = await batch(house, "乙")
    assert await house.views.last_batch() == last.batch_id


async def test_a_task_tells_its_place_its_attempts_and_its_story(house: House) -> None:
    tasks = await batch(house, "甲", "乙", "丙")
    assert [(await house.views.task(task.task_id))["position"] for task in tasks] == [1, 2, 3]
    await house.beat()
    await house.dispatch.tick()
    await house.settle(house.started[0], Failed(ErrorKind.LOST, "gone", 1, "tail"), owner=house.owner)
    row = await house.views.task(tasks[0].task_id)
    assert (row["position"], row["state"], row["account"]) == (None, "retrying", "demo")
    [attempt] = row["attempts"]
    assert (attempt["attempt"], attempt["outcome"], attempt["error_kind"], attempt["stderr_tail"]) == (
        1, "failed", "lost", "tail",
    )  # fmt: skip
    assert [fact["name"] for fact in row["facts"]] == ["task_submitted", "task_claimed", "attempt_failed"]


async def test_who_waits_sees_states_and_what_is_still_to_be_published(house: House) -> None:
    done = await article(house, "一")
    [open_one] = await batch(house, "二")
    rows = await house.views.waited([done.task_id, open_one.task_id], None)
    assert [(row["state"], len(row["publications"])) for row in rows] == [("completed", 1), ("pending", 0)]
    assert rows[0]["publications"][0]["state"] == "pending"
    assert rows[0]["last_fact"] > 0
    [only] = await house.views.waited([], open_one.batch_id)
    assert only["id"] == open_one.task_id
    assert await house.views.waited([], house.clock.new_id()) == []


async def test_numbers(house: House) -> None:
    for seconds in (10, 20, 60):
        _, creator_task_id = await house.accepted()
        house.clock.advance(seconds)
        house.creator.finish(creator_task_id)
        await house.polled()
        house.clock.advance(30)
        await house.polled()
        house.clock.advance(hours=1)
    refused = await house.claimed()
    await house.settle(refused, Failed(ErrorKind.REFUSED, "no"), owner=house.owner)
    await house.add()
    now = house.clock.now()
    open_states, finished = await house.views.counts(now - timedelta(days=1), now - timedelta(hours=1.5))
    assert open_states == [{"state": "pending", "count": 1}]
    ended = {row["state"]: row for row in finished}
    assert (ended["completed"]["count"], ended["completed"]["last_hour"], ended["failed"]["count"]) == (3, 1, 1)
    assert float(ended["completed"]["median"]) == 40
    assert ended["failed"]["median"] is None


async def ended(house: House, topic: str, minutes: int, kind: ErrorKind = ErrorKind.REFUSED) -> Task:
    """A task that failed so many minutes after noon."""
    task = await house.claimed(topic)
    house.clock.advance(minutes=minutes)
    await house.settle(task, Failed(kind, "no", 1, ""), owner=house.owner)
    return await house.now(task)


async def test_tasks_are_listed_by_their_end_whatever_their_states(house: House) -> None:
    begun = house.clock.now()
    first, second = await ended(house, "一", 10), await ended(house, "二", 10)
    third = await article(house, "三")
    await house.add("等")
    states = ("cancelled", "completed", "failed", "timeout")

    async def topics(**wanted: Any) -> list[str]:
        listing = replace(Listing(limit=9, sort="finished", states=states), **wanted)
        return [row["topic"] for row in await house.views.tasks(listing)]

    assert await topics() == ["三", "二", "一"]
    assert await topics(states=("failed", "timeout")) == ["二", "一"]
    assert await topics(finished_since=begun + timedelta(minutes=15)) == ["三", "二"]
    assert await topics(finished_until=begun + timedelta(minutes=15)) == ["一"]
    assert await topics(account="demo", states=("completed",)) == ["三"]
    assert await topics(account="nobody") == []
    assert await topics(limit=1) == ["三"]
    assert await topics(after=third.task_id) == ["二", "一"]
    assert await topics(after=second.task_id) == [first.topic]


async def test_waiting_tasks_are_listed_in_the_order_they_start(house: House) -> None:
    for topic, priority in (("晚", 9), ("早", 1), ("中", 5)):
        await house.submit("demo", [Request(topic=topic, priority=priority)])
    page = await house.views.tasks(Listing(limit=2, sort="priority"))
    assert [row["topic"] for row in page] == ["早", "中"]
    rest = await house.views.tasks(Listing(limit=2, sort="priority", after=page[-1]["id"], account="demo"))
    assert [row["topic"] for row in rest] == ["晚"]
