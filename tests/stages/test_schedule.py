"""Schedules on a real database: each slot once, however many daemons look and whatever their clocks say."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import anyio
import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from contenthubd.adapters.postgres.engine import Database
from contenthubd.desk.schedules import ScheduleDesk
from contenthubd.domain.cron import Cron
from contenthubd.domain.errors import Conflict, InvalidInput, NotFound
from contenthubd.domain.request import Request
from contenthubd.domain.schedule import CatchUp, FiringOutcome, Schedule, SkipReason
from contenthubd.domain.task import Mode, TaskState
from contenthubd.ports.schedules import Decision, Verdict
from contenthubd.ports.stage import Stage
from contenthubd.stages.schedule import IDLE, LIMIT, LOOK_AGAIN
from tests.clock import NOON, ManualClock
from tests.stages.house import House

US = "uid 1000"
MINUTE = timedelta(minutes=1)
_FACTS = text("SELECT name FROM fact WHERE name LIKE 'schedule%' ORDER BY id")


async def made(house: House, name: str = "news", **values: Any) -> Schedule:
    """A schedule for every five minutes, stored now."""
    now = house.clock.now()
    given = {"cron": "*/5 * * * *", "time_zone": "UTC", "request": Request(topic="News of {date}"), **values}
    return await house.schedules.create(
        Schedule(
            schedule_id=house.clock.new_id(), name=name, account="demo", created_at=now, checked_until=now,
            due_at=Cron(given["cron"], given["time_zone"]).next(now), **given,
        ),
        by=US,
    )  # fmt: skip


async def told(house: House, schedule: Schedule) -> list[tuple[str, int, str | None]]:
    """What became of its slots, oldest first: minutes since noon, how many it stands for, why there is no task."""
    firings = await house.schedule_store.history(schedule.schedule_id, 1000)
    return [
        (f"{(one.slot_at - NOON) / MINUTE:g}" if one.slot_at else "by hand", one.slots, one.reason)
        for one in reversed(firings)
    ]


async def tasks(house: House) -> int:
    """How many tasks there are."""
    return int(await house.value("SELECT count(*) FROM task"))


async def cancel_all(house: House) -> None:
    """End every task that waits."""
    for task_id, _ in await house.tasks.waiting(1000, list(Mode)):
        await house.steer.cancel(task_id, by=US)


async def worked_off(house: House) -> int:
    """Tick until there is something to wait for; how many ticks that were."""
    for count in range(1, 1000):
        if await house.schedules.tick():
            return count
    raise AssertionError("there is always something due")


async def second(house: House, minutes: float) -> House:
    """Another daemon on the same database, whose clock is ahead."""
    return House(house.database, ManualClock(house.clock.now() + minutes * MINUTE), run="second")


async def test_a_slot_becomes_a_task_at_its_time(house: House) -> None:
    schedule = await made(house, request=Request(topic="News of {date}", keywords=("a", "b"), mode=Mode.SYNC))
    assert await house.schedules.tick() == IDLE
    assert await tasks(house) == 0
    house.clock.advance(minutes=4, seconds=30)
    assert await house.schedules.tick() == timedelta(seconds=30)
    house.clock.advance(30)
    assert await house.schedules.tick() == IDLE
    [firing] = await house.schedule_store.history(schedule.schedule_id, 10)
    assert (firing.slot_at, firing.outcome, firing.task_state) == (
        NOON + 5 * MINUTE, FiringOutcome.FIRED, TaskState.PENDING,
    )  # fmt: skip
    assert firing.task_id is not None
    task = await house.tasks.get(firing.task_id)
    assert (task.topic, task.keywords, task.mode, task.account) == ("News of 2026-03-01", ("a", "b"), Mode.SYNC, "demo")
    assert await house.queue.take() == task.task_id
    assert house.rung[Stage.DISPATCH]
    assert await house.facts(task) == ["task_submitted", "schedule_fired"]


async def test_two_daemons_with_clocks_ten_minutes_apart_take_turns(house: House) -> None:
    schedule = await made(house, overlap=True)
    ahead = await second(house, 10)
    for _ in range(30):
        house.clock.advance(minutes=1)
        ahead.clock.advance(minutes=1)
        await house.schedules.tick()
        await ahead.schedules.tick()
    slots = [slot for slot, _, _ in await told(house, schedule)]
    assert slots == [f"{minute}" for minute in range(10, 41, 5)], "the first two were due together and became one"
    assert await tasks(house) == len(slots)


@pytest.mark.parametrize("catch_up", CatchUp)
async def test_many_daemons_at_once_fire_each_slot_once(house: House, catch_up: CatchUp) -> None:
    schedule = await made(house, overlap=True, catch_up=catch_up)
    daemons = [house, await second(house, 0), await second(house, 10), await second(house, 10)]
    for _ in range(6):
        async with anyio.create_task_group() as group:
            for daemon in daemons:
                daemon.clock.advance(minutes=5)
                group.start_soon(worked_off, daemon)
    rows = await told(house, schedule)
    slots = [slot for slot, _, _ in rows]
    assert len(set(slots)) == len(slots)
    assert sum(count for _, count, _ in rows) == 8, "40 minutes have passed on the clock that is ahead"
    assert await tasks(house) == len([reason for _, _, reason in rows if reason is None])
    assert await house.value("SELECT count(*) FROM firing WHERE task_id IS NOT NULL") == await tasks(house)


async def test_a_clock_stepped_back_fires_nothing_twice(house: House) -> None:
    schedule = await made(house, overlap=True)
    house.clock.advance(minutes=10)
    await worked_off(house)
    for step in (-10, 5, -60, 30, 34):  # it is 12:09 in the end
        house.clock.step(minutes=step)
        assert await worked_off(house) == 1
    assert await told(house, schedule) == [("10", 2, None)]
    house.clock.advance(minutes=6)
    await worked_off(house)
    assert await told(house, schedule) == [("10", 2, None), ("15", 1, None)]


@pytest.mark.parametrize(
    ("catch_up", "expected"),
    [
        (CatchUp.SKIP, [("1440", 288, SkipReason.MISSED)]),
        (CatchUp.ONCE, [("1440", 288, None)]),
        (CatchUp.ALL, [(f"{minute}", 1, None) for minute in range(5, 1441, 5)]),
    ],
)
async def test_after_a_day_without_a_daemon(
    house: House, catch_up: CatchUp, expected: list[tuple[str, int, str | None]]
) -> None:
    schedule = await made(house, overlap=True, catch_up=catch_up)
    house.clock.advance(minutes=1443)
    await worked_off(house)
    assert await told(house, schedule) == expected
    assert await tasks(house) == len([reason for _, _, reason in expected if reason is None])
    house.clock.advance(minutes=2)
    await worked_off(house)
    assert (await told(house, schedule))[-1] == ("1445", 1, None)


async def test_a_slot_is_skipped_while_the_task_before_is_not_finished(house: House) -> None:
    schedule = await made(house)
    for _ in range(3):
        house.clock.advance(minutes=5)
        await worked_off(house)
    await cancel_all(house)
    house.clock.advance(minutes=5)
    await worked_off(house)
    assert await told(house, schedule) == [
        ("5", 1, None), ("10", 1, SkipReason.OVERLAP), ("15", 1, SkipReason.OVERLAP), ("20", 1, None),
    ]  # fmt: skip
    skipped = (await house.schedule_store.history(schedule.schedule_id, 10))[1]
    first = (await house.schedule_store.history(schedule.schedule_id, 10))[3]
    assert str(first.task_id) in skipped.detail
    assert await house.value("SELECT count(*) FROM fact WHERE name = 'schedule_skipped'") == 2


async def test_with_all_the_slots_wait_for_each_other_instead(house: House) -> None:
    schedule = await made(house, catch_up=CatchUp.ALL)
    house.clock.advance(minutes=17)
    assert await worked_off(house) == 2, "one fires, the next one waits"
    assert await house.schedules.tick() == LOOK_AGAIN
    await cancel_all(house)
    house.clock.advance(LOOK_AGAIN.total_seconds())
    await worked_off(house)
    assert await told(house, schedule) == [("5", 1, None), ("10", 1, None)]


async def test_a_schedule_that_waits_does_not_hold_up_others(house: House) -> None:
    await made(house, catch_up=CatchUp.ALL)
    other = await made(house, "other", overlap=True)
    house.clock.advance(minutes=5)
    await worked_off(house)
    house.clock.advance(minutes=5)
    await worked_off(house)
    assert await told(house, other) == [("5", 1, None), ("10", 1, None)]


async def test_slots_that_pass_while_it_is_paused_are_not_caught_up(house: House) -> None:
    schedule = await made(house, catch_up=CatchUp.ALL, overlap=True)
    await house.schedules.pause("news", by=US)
    with pytest.raises(Conflict):
        await house.schedules.pause("news", by=US)
    house.clock.advance(minutes=32)
    assert await house.schedules.tick() == IDLE
    await house.schedules.resume("news", by=US)
    with pytest.raises(Conflict):
        await house.schedules.resume("news", by=US)
    assert house.rung[Stage.SCHEDULE] == 2
    await worked_off(house)
    assert await told(house, schedule) == []
    house.clock.advance(minutes=3)
    await worked_off(house)
    assert await told(house, schedule) == [("35", 1, None)]


async def test_a_decision_made_before_the_pause_is_lost(house: House) -> None:
    schedule = await made(house)
    house.clock.advance(minutes=5)
    task = await house.submit.resolved("demo", schedule.request)
    decision = Decision(schedule=schedule, at=house.clock.now(), slot=schedule.due_at, task=task)
    await house.schedules.pause("news", by=US)
    assert (await house.schedule_store.decide(decision)).verdict is Verdict.LOST
    await house.schedules.delete("news", by=US)
    assert (await house.schedule_store.decide(decision)).verdict is Verdict.LOST
    assert await tasks(house) == 0


async def test_by_hand_it_fires_at_once_and_moves_no_slot(house: House) -> None:
    schedule = await made(house, overlap=True)
    await house.schedules.pause("news", by=US)
    first = await house.schedules.run("news", by=US)
    assert first.topic == "News of 2026-03-01"
    assert (await house.schedules.run("news", by=US)).task_id != first.task_id
    assert await told(house, schedule) == [("by hand", 1, None)] * 2
    await house.schedules.resume("news", by=US)
    house.clock.advance(minutes=5)
    await worked_off(house)
    assert (await told(house, schedule))[-1] == ("5", 1, None)


async def test_by_hand_nothing_overlaps_either(house: House) -> None:
    await made(house)
    first = await house.schedules.run("news", by=US)
    with pytest.raises(Conflict, match=str(first.task_id)):
        await house.schedules.run("news", by=US)
    await cancel_all(house)
    await house.schedules.run("news", by=US)
    with pytest.raises(NotFound, match="Did you mean 'news'"):
        await house.schedules.run("new", by=US)


async def test_a_request_that_is_not_acceptable_any_more_is_told_and_the_schedule_goes_on(house: House) -> None:
    schedule = await made(house)
    await house.value("UPDATE account SET requirements = repeat('x', 200000) RETURNING 1")
    house.clock.advance(minutes=5)
    await worked_off(house)
    [refused] = await house.schedule_store.history(schedule.schedule_id, 10)
    assert (refused.reason, refused.task_id) == (SkipReason.REFUSED, None)
    assert "200,0" in refused.detail
    await house.value("UPDATE account SET requirements = '' RETURNING 1")
    house.clock.advance(minutes=5)
    await worked_off(house)
    assert (await told(house, schedule))[-1] == ("10", 1, None)


async def test_a_time_zone_this_machine_does_not_know_stops_only_its_own_schedule(house: House) -> None:
    lost = await made(house, "lost")
    other = await made(house, "other")
    await house.value("UPDATE schedule SET time_zone = 'Mars/Olympus' WHERE name = 'lost' RETURNING 1")
    house.clock.advance(minutes=5)
    await worked_off(house)
    assert await told(house, other) == [("5", 1, None)]
    desk = ScheduleDesk(house.schedules, house.accounts, house.clock)
    assert [(view.name, view.next_at is None) for view in await desk.schedules(None)] == [
        ("lost", True),
        ("other", False),
    ]
    await house.value("UPDATE schedule SET time_zone = 'UTC' WHERE name = 'lost' RETURNING 1")
    house.clock.advance(minutes=1)
    await worked_off(house)
    assert await told(house, lost) == [("5", 1, None)]


async def test_new_rules_of_a_time_zone_move_the_next_look_only(house: House) -> None:
    schedule = await made(house)
    await house.value("UPDATE schedule SET due_at = :early RETURNING 1", early=NOON)
    assert await house.schedules.tick() == IDLE
    assert await told(house, schedule) == []
    assert (await house.schedule_store.by_name("news")).due_at == NOON + 5 * MINUTE


async def test_many_schedules_are_worked_off_in_turns(house: House) -> None:
    for number in range(LIMIT + 3):
        await made(house, f"news-{number}")
    house.clock.advance(minutes=5)
    assert await worked_off(house) == 2
    assert await tasks(house) == LIMIT + 3


@pytest.mark.parametrize(
    ("request_", "told_"),
    [
        (Request(topic=""), "The topic is empty."),
        (Request(topic="a", priority=11), "priority"),
        (Request(topic="a", idempotency_key="k"), "idempotency key"),
    ],
)
async def test_what_no_task_could_be_made_of_is_refused_at_once(house: House, request_: Request, told_: str) -> None:
    with pytest.raises(InvalidInput, match=told_):
        await made(house, request=request_)
    assert await house.schedule_store.all() == []


async def test_a_name_is_taken_once_and_free_again(house: House) -> None:
    schedule = await made(house)
    with pytest.raises(Conflict, match="already"):
        await made(house)
    await house.schedules.run("news", by=US)
    await house.schedules.delete("news", by=US)
    assert await house.schedule_store.history(schedule.schedule_id, 10) == []
    assert await tasks(house) == 1
    await made(house)
    names = await house.database.rows(_FACTS)
    assert [row.name for row in names] == ["schedule_created", "schedule_fired", "schedule_deleted", "schedule_created"]


async def test_task_and_firing_are_written_together_or_not_at_all(house: House) -> None:
    schedule = await made(house)
    house.clock.advance(minutes=5)
    task = replace(await house.submit.resolved("demo", schedule.request), priority=11)
    decision = Decision(schedule=schedule, at=house.clock.now(), slot=schedule.due_at, task=task)
    with pytest.raises(IntegrityError):
        await house.schedule_store.decide(decision)
    assert await told(house, schedule) == []
    assert (await house.schedule_store.by_name("news")).checked_until == NOON
    await worked_off(house)
    assert await told(house, schedule) == [("5", 1, None)]


async def test_a_task_whose_id_never_reached_the_queue_is_found_all_the_same(house: House, database: Database) -> None:
    schedule = await made(house)
    house.clock.advance(minutes=5)
    task = await house.submit.resolved("demo", schedule.request)
    decision = Decision(schedule=schedule, at=house.clock.now(), slot=schedule.due_at, task=task)
    assert (await house.schedule_store.decide(decision)).verdict is Verdict.FIRED
    following = House(database, house.clock, run="second")
    await following.beat()
    await following.dispatch.tick()
    assert [one.task_id for one in following.started] == [task.task_id]
