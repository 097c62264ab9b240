"""Clocks that are set, machines that slept, databases that were away: look first, then judge; nobody is charged."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from contenthubd.domain.outcome import ErrorKind, RowState, Sick, Unknown
from contenthubd.domain.task import Mode, Task, TaskState
from contenthubd.ports.stage import Stage
from tests.stages.house import House
from tests.stages.test_contents import Pictures, Shelf

STEPS = [-3600, -90, 90, 3600]
TIMEOUT = 1800
ABANDON = 3600
LOCKED = Sick(ErrorKind.DATABASE_MISSING, "locked")


def pause_of_the_machine(house: House) -> None:
    """It slept: time passed on both clocks, and nobody looked."""
    house.clock.advance(hours=3)


def another_boot(house: House) -> None:
    house.clock.reboot(seconds=3 * 3600)


def clock_set_forward(house: House) -> None:
    house.clock.step(hours=3)


def restarted(house: House) -> House:
    """The next daemon on the same state directory."""
    return House(house.database, house.clock, house.creator, run="second")


def the_same(house: House) -> House:
    return house


AWAY = [pause_of_the_machine, another_boot, clock_set_forward]


@pytest.mark.parametrize("away", AWAY)
@pytest.mark.parametrize("then", [the_same, restarted])
async def test_what_finished_while_nobody_looked_is_adopted(
    house: House, away: Callable[[House], None], then: Callable[[House], House]
) -> None:
    task, creator_task_id = await house.accepted(timeout_seconds=TIMEOUT)
    await house.polled()
    house.creator.finish(creator_task_id, "# 甲\n\n正文")
    away(house)
    house = then(house)
    await house.beat()
    await house.look()
    now = await house.now(task)
    assert (now.state, now.retry_count, now.attempt) == (TaskState.COMPLETED, 0, 1)
    assert house.creator.calls["create"] == 1


@pytest.mark.parametrize("away", AWAY[:2])
async def test_what_did_not_finish_is_timed_out_after_one_look(house: House, away: Callable[[House], None]) -> None:
    task, creator_task_id = await house.accepted(timeout_seconds=TIMEOUT)
    house.creator.move(creator_task_id, state=RowState.RUNNING)
    await house.polled()
    asked = house.creator.calls["rows"]
    away(house)
    house = restarted(house)
    await house.beat()
    await house.polled()
    assert house.creator.calls["rows"] == asked + 1, "it was looked at before it was judged"
    now = await house.now(task)
    assert (now.state, now.error_kind, now.retry_count) == (TaskState.RETRYING, "timed_out", 1)


async def test_a_creator_that_cannot_be_asked_judges_nobody_but_not_for_ever(house: House) -> None:
    task, creator_task_id = await house.accepted(timeout_seconds=60)
    house.creator.finish(creator_task_id)
    house.creator.sick_rows.extend([LOCKED] * 10_000)
    for _ in range(ABANDON // 30):
        await house.look()
        assert await house.state(task) is TaskState.SUBMITTED
    for _ in range(8):
        await house.look()
    now = await house.now(task)
    assert (now.state, now.error_kind, now.retry_count) == (TaskState.RETRYING, "creator_unavailable", 0)
    house.creator.sick_rows.clear()
    await house.look()
    assert await house.state(task) is TaskState.COMPLETED, "its article was finished all the time"


async def test_a_finished_article_that_cannot_be_had_ends_in_time(house: House) -> None:
    task, creator_task_id = await house.accepted(timeout_seconds=60)
    house.creator.finish(creator_task_id)
    house.creator.results[creator_task_id] = Unknown("result: It did not answer in time and was killed.")
    await house.look()
    house.clock.advance(60 + ABANDON + 60)
    await house.look()
    assert (await house.now(task)).error_kind == "creator_unavailable"


@pytest.mark.parametrize("by", STEPS)
@pytest.mark.parametrize("then", [the_same, restarted])
async def test_a_step_times_nothing_out_and_delays_no_look(
    house: House, by: int, then: Callable[[House], House]
) -> None:
    task, creator_task_id = await house.accepted(timeout_seconds=TIMEOUT)
    house.creator.move(creator_task_id, state=RowState.RUNNING)
    await house.look()
    house.clock.step(by)
    house = then(house)
    await house.beat()
    await house.look()
    assert await house.state(task) is TaskState.RUNNING
    house.creator.finish(creator_task_id)
    house.clock.advance(30)
    await house.polled()
    now = await house.now(task)
    assert (now.state, now.retry_count, now.attempt) == (TaskState.COMPLETED, 0, 1)


@pytest.mark.parametrize("by", STEPS)
async def test_a_deadline_is_kept_to_the_second_through_a_step(house: House, by: int) -> None:
    task, creator_task_id = await house.accepted(timeout_seconds=TIMEOUT)
    house.creator.move(creator_task_id, state=RowState.RUNNING)
    house.clock.advance(TIMEOUT / 2)
    house.clock.step(by)
    house.clock.advance(TIMEOUT / 2 - 1)
    await house.polled()
    assert await house.state(task) in (TaskState.SUBMITTED, TaskState.RUNNING)
    house.clock.advance(1)
    await house.polled()
    assert (await house.now(task)).error_kind == "timed_out"


@pytest.mark.parametrize("by", STEPS)
async def test_a_sync_attempt_has_its_time_whatever_the_wall_clock_says(house: House, by: int) -> None:
    task = await house.claimed(mode=Mode.SYNC, timeout_seconds=100)
    house.clock.advance(30)
    house.clock.step(by)
    await house.attempts.run(task)
    assert house.creator.left == [timedelta(seconds=70)]
    assert await house.state(task) is TaskState.COMPLETED


async def failed_once(house: House) -> Task:
    task, creator_task_id = await house.accepted()
    house.creator.move(creator_task_id, state=RowState.FAILED)
    await house.look()
    assert await house.state(task) is TaskState.RETRYING
    return task


@pytest.mark.parametrize("by", STEPS)
@pytest.mark.parametrize("then", [the_same, restarted])
async def test_a_retry_is_never_an_hour_late(house: House, by: int, then: Callable[[House], House]) -> None:
    task = await failed_once(house)
    house.clock.step(by)
    house = then(house)
    house.clock.advance(150)
    await house.promote.tick()
    now = await house.now(task)
    assert (now.state, now.retry_count) == (TaskState.PENDING, 1)


@pytest.mark.parametrize("by", [-2, -20, -90, -3600])
@pytest.mark.parametrize("passed", [0, 10])
async def test_a_retry_keeps_its_delay_when_the_clock_is_set_back(house: House, by: int, passed: int) -> None:
    await house.promote.tick()
    task = await failed_once(house)
    house.clock.advance(passed)
    house.clock.step(by)
    await house.promote.tick()
    assert house.rung[Stage.PUBLISH] >= 1
    house.clock.advance(29 - passed)
    await house.promote.tick()
    assert await house.state(task) is TaskState.RETRYING
    house.clock.advance(2)
    await house.promote.tick()
    assert await house.state(task) is TaskState.PENDING


@pytest.mark.parametrize("by", [-20, -90, -3600])
async def test_publications_and_images_keep_theirs_too(house: House, by: int) -> None:
    await house.completed()
    publish = house.publish_to({"shelf": Shelf()})
    house.clock.step(by)
    await house.promote.tick()
    await publish.tick()
    await house.fetch_from(Pictures()).tick()
    assert await house.value("SELECT count(*) FROM publication WHERE state = 'published'") == 1


@pytest.mark.parametrize("by", STEPS)
async def test_neither_is_a_publication_or_an_image(house: House, by: int) -> None:
    await house.completed()
    publish = house.publish_to({"shelf": Shelf()})
    house.clock.step(by)
    house.clock.advance(150)
    await publish.tick()
    await house.fetch_from(Pictures()).tick()
    assert await house.value("SELECT count(*) FROM publication WHERE state = 'published'") == 1


@pytest.mark.parametrize("by", STEPS)
async def test_claims_go_on_through_a_step(house: House, by: int) -> None:
    await house.claimed("甲")
    house.clock.step(by)
    house.clock.advance(1)
    await house.add("乙")
    await house.dispatch.tick()
    assert [task.topic for task in house.started] == ["乙"]
    await house.rescue.tick()
    assert await house.value("SELECT count(*) FROM attempt WHERE ended_at IS NULL") == 2, "nobody was rescued"
