"""Rescue: what a dead daemon held is judged by where it was, once, and by nobody while its owner lives."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import text

from contenthubd.adapters.postgres.engine import Database
from contenthubd.adapters.postgres.tasks import PostgresTasks
from contenthubd.domain.attempt import mark_of, with_mark
from contenthubd.domain.errors import DatabaseUnavailable, InstanceTaken
from contenthubd.domain.outcome import ErrorKind, RowState, Sick, Succeeded, Unknown
from contenthubd.domain.task import Mode, Task, TaskState
from contenthubd.ports.stage import Stage
from contenthubd.ports.tasks import Settlement
from contenthubd.stages.rescue import AGAIN
from tests.stages.house import INSTANCE, LEASE, House
from tests.stages.scripted_creator import CHILD

OTHER_STATE = "1" * 32


async def next_daemon(house: House, run: str = "second") -> House:
    """The daemon that comes after one that died, on the same state directory."""
    heir = House(house.database, house.clock, house.creator, run=run)
    await heir.beat()
    return heir


def left_at_the_creator(house: House, task: Task, state: RowState = RowState.PENDING, number: int = 1) -> str:
    """The row of an attempt whose daemon died before it heard of it."""
    return house.creator.add(with_mark(task.requirements, mark_of(task.task_id, number)), state)


async def test_submitting_without_a_row_goes_back_uncharged(house: House) -> None:
    task = await house.claimed()
    heir = await next_daemon(house)
    assert await heir.rescue.tick() == LEASE / 2
    now = await house.now(task)
    assert (now.state, now.retry_count, now.deaths) == (TaskState.PENDING, 0, 1)
    assert (await house.attempt(task)).outcome == "interrupted"
    await heir.dispatch.tick()
    assert [one.attempt for one in heir.started] == [2]


async def test_submitting_with_a_row_is_accepted_and_never_created_again(house: House) -> None:
    task = await house.claimed()
    creator_task_id = left_at_the_creator(house, task)
    heir = await next_daemon(house)
    await heir.rescue.tick()
    row = await house.attempt(task)
    assert (await house.state(task), row.creator_task_id, row.owner) == (TaskState.SUBMITTED, creator_task_id, None)
    assert (await house.now(task)).deaths == 0
    house.creator.finish(creator_task_id)
    await heir.look()
    assert await house.state(task) is TaskState.COMPLETED
    assert house.creator.calls["create"] == 0


async def test_submitted_and_running_need_no_rescue(house: House) -> None:
    task, creator_task_id = await house.accepted()
    heir = await next_daemon(house)
    house.clock.advance(3600)
    await heir.beat()
    await heir.rescue.tick()
    assert await house.state(task) is TaskState.SUBMITTED
    house.creator.finish(creator_task_id)
    await heir.look()
    assert await house.state(task) is TaskState.COMPLETED


@pytest.mark.parametrize("row", [None, RowState.RUNNING, RowState.UNKNOWN])
async def test_a_sync_run_that_was_cut_off_is_not_charged(house: House, row: RowState | None) -> None:
    task = await house.claimed(mode=Mode.SYNC)
    if row is not None:
        left_at_the_creator(house, task, row)
    heir = await next_daemon(house)
    await heir.rescue.tick()
    now = await house.now(task)
    assert (now.state, now.error_kind, now.retry_count, now.deaths) == (TaskState.PENDING, None, 0, 1)
    assert (await house.attempt(task)).ended_at is not None


async def test_a_sync_run_that_had_failed_is_charged(house: House) -> None:
    task = await house.claimed(mode=Mode.SYNC)
    house.creator.move(left_at_the_creator(house, task, RowState.FAILED), error="LLM said no")
    heir = await next_daemon(house)
    await heir.rescue.tick()
    now = await house.now(task)
    assert (now.state, now.error_kind, now.retry_count) == (TaskState.RETRYING, "generation_failed", 1)
    assert now.error == "LLM said no"


async def test_what_a_cut_off_sync_run_finished_later_is_taken_before_another_is_created(house: House) -> None:
    task = await house.claimed(mode=Mode.SYNC)
    creator_task_id = left_at_the_creator(house, task, RowState.RUNNING)
    heir = await next_daemon(house)
    await heir.rescue.tick()
    house.creator.finish(creator_task_id, "# 做完了")
    await heir.dispatch.tick()
    [again] = heir.started
    await heir.attempts.run(again)
    assert await house.state(task) is TaskState.COMPLETED
    assert house.creator.calls["generate"] == 0


async def test_a_sync_article_that_was_finished_after_all_is_taken(house: House) -> None:
    task = await house.claimed(mode=Mode.SYNC)
    house.creator.finish(left_at_the_creator(house, task), "# 做完了")
    heir = await next_daemon(house)
    await heir.rescue.tick()
    assert await house.state(task) is TaskState.COMPLETED
    assert (await house.content(task)).title == "做完了"
    assert heir.rung[Stage.PUBLISH] == 1


@pytest.mark.parametrize("trouble", [Sick(ErrorKind.DATABASE_MISSING, "locked"), Unknown("no answer")])
async def test_a_finished_article_that_cannot_be_had_now_is_not_lost(house: House, trouble: Sick | Unknown) -> None:
    task = await house.claimed(mode=Mode.SYNC)
    creator_task_id = left_at_the_creator(house, task)
    house.creator.finish(creator_task_id)
    house.creator.results[creator_task_id] = trouble
    heir = await next_daemon(house)
    assert await heir.rescue.tick() == AGAIN
    assert await house.state(task) is TaskState.RUNNING
    house.creator.results[creator_task_id] = Succeeded("# 做完了")
    assert await heir.rescue.tick() == LEASE / 2
    assert await house.state(task) is TaskState.COMPLETED


async def test_but_it_is_not_waited_for_beyond_the_deadline(house: House) -> None:
    task = await house.claimed(mode=Mode.SYNC, timeout_seconds=60)
    creator_task_id = left_at_the_creator(house, task)
    house.creator.finish(creator_task_id)
    house.creator.results[creator_task_id] = Unknown("no answer")
    house.clock.advance(60)
    heir = await next_daemon(house)
    assert await heir.rescue.tick() == LEASE / 2
    assert await house.state(task) is TaskState.RETRYING


async def test_an_old_child_is_ended_first(house: House) -> None:
    task = await house.claimed(mode=Mode.SYNC)
    await house.flights.own_child(task.task_id, 1, CHILD, house.owner)
    heir = await next_daemon(house)
    house.creator.children_end = False
    assert await heir.rescue.tick() == AGAIN
    assert await house.state(task) is TaskState.RUNNING
    assert house.creator.calls["find"] == 0
    house.creator.children_end = True
    await heir.rescue.tick()
    assert await house.state(task) is TaskState.PENDING


async def test_nothing_is_looked_up_while_a_create_of_the_dead_daemon_may_still_store_its_row(house: House) -> None:
    """The process of a create is not noted on its attempt, so all that the dead daemon left must be gone."""
    task = await house.claimed()
    heir = await next_daemon(house)
    house.creator.orphans_end = False
    assert await heir.rescue.tick() == AGAIN
    assert await house.state(task) is TaskState.SUBMITTING
    assert house.creator.calls["find"] == 0
    creator_task_id = left_at_the_creator(house, task)
    house.creator.orphans_end = True
    await heir.rescue.tick()
    assert await house.state(task) is TaskState.SUBMITTED
    assert (await house.attempt(task)).creator_task_id == creator_task_id


async def test_without_expired_leases_no_process_is_looked_at(house: House) -> None:
    await house.beat()
    await house.rescue.tick()
    assert house.creator.calls["orphans_gone"] == 0


async def test_a_creator_that_cannot_be_searched_postpones_everything(house: House) -> None:
    task = await house.claimed()
    house.creator.sick_finds.append(Sick(ErrorKind.DATABASE_MISSING, "locked"))
    heir = await next_daemon(house)
    assert await heir.rescue.tick() == AGAIN
    assert await house.state(task) is TaskState.SUBMITTING
    assert await heir.rescue.tick() == LEASE / 2
    assert await house.state(task) is TaskState.PENDING


async def test_an_abandoned_create_that_arrived_is_awaited(house: House) -> None:
    task = await house.claimed()
    await house.steer.cancel(task.task_id, by="test")
    creator_task_id = left_at_the_creator(house, task)
    heir = await next_daemon(house)
    await heir.rescue.tick()
    row = await house.attempt(task)
    assert (row.creator_task_id, row.owner, row.ended_at) == (creator_task_id, None, None)
    assert heir.rung[Stage.POLL] == 2, "by its first heartbeat, and by this"
    house.creator.finish(creator_task_id)
    await heir.look()
    assert (await house.attempt(task)).outcome == "late_success_dropped"
    assert await house.state(task) is TaskState.CANCELLED


@pytest.mark.parametrize("mode", list(Mode))
async def test_an_abandoned_attempt_that_came_to_nothing_ends(house: House, mode: Mode) -> None:
    task = await house.claimed(mode=mode)
    await house.steer.cancel(task.task_id, by="test")
    if mode is Mode.SYNC:
        left_at_the_creator(house, task, RowState.RUNNING)
    heir = await next_daemon(house)
    heir.slots.take(1)
    await heir.rescue.tick()
    assert (await house.attempt(task)).outcome == "died"
    assert heir.slots.used == 0


@pytest.mark.parametrize("mode", Mode)
async def test_three_daemons_dead_over_one_task_are_poison(house: House, mode: Mode) -> None:
    task = await house.claimed(mode=mode)
    for number in range(3):
        heir = await next_daemon(house, f"heir {number}")
        await heir.rescue.tick()
        await heir.dispatch.tick()
    now = await house.now(task)
    assert (now.state, now.error_kind, now.deaths, now.retry_count) == (TaskState.FAILED, "poison", 3, 1)
    assert now.error == (
        "The daemon crashed too often while working on this task. Last: "
        "The daemon crashed while it called content-creator."
    )


async def test_a_living_owner_is_left_alone_as_long_as_its_lease(house: House) -> None:
    task = await house.claimed()
    other = House(house.database, house.clock, house.creator, state_id=OTHER_STATE)
    await house.unseen()
    await other.beat()
    for _ in range(9):
        house.clock.advance(10)
        with pytest.raises(InstanceTaken):
            await house.beat()
        await other.beat()
        await other.rescue.tick()
    assert await house.state(task) is TaskState.SUBMITTING, "nine leases long"
    house.clock.advance(31)
    await other.beat()
    await other.rescue.tick()
    assert await house.state(task) is TaskState.PENDING


async def test_without_a_fresh_heartbeat_nothing_is_taken_over(house: House) -> None:
    task = await house.claimed()
    heir = House(house.database, house.clock, house.creator, run="second")
    assert await heir.rescue.tick() == LEASE / 2
    assert await house.state(task) is TaskState.SUBMITTING


async def test_two_rescuers_at_once_rescue_once(house: House) -> None:
    task = await house.claimed()
    house.clock.advance(31)
    rescuers = [House(house.database, house.clock, house.creator, run=f"run {number}") for number in (2, 3, 4)]
    for rescuer in rescuers:
        await rescuer.beat()
    await asyncio.gather(*(rescuer.rescue.tick() for rescuer in rescuers))
    now = await house.now(task)
    assert (now.state, now.deaths) == (TaskState.PENDING, 1)
    assert (await house.facts(task)).count("task_released") == 1


class Going(PostgresTasks):
    """The store of a database that goes away when a rescue is to be settled."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.away = True

    async def settle(self, settlement: Settlement) -> bool:
        if self.away:
            raise DatabaseUnavailable("PostgreSQL does not answer.")
        return await super().settle(settlement)


async def test_a_rescue_that_the_database_cuts_short_is_done_later(house: House) -> None:
    task = await house.claimed()
    going = Going(house.database)
    heir = House(house.database, house.clock, house.creator, run="second", tasks=going)
    await heir.beat()
    with pytest.raises(DatabaseUnavailable):
        await heir.rescue.tick()
    going.away = False
    await heir.beat()
    assert await heir.rescue.tick() == AGAIN, "the sweep goes on behind it, and begins anew"
    assert await heir.rescue.tick() == LEASE / 2
    assert await house.state(task) is TaskState.PENDING


async def test_many_are_rescued_page_by_page(house: House) -> None:
    wide = House(house.database, house.clock, house.creator, total=150)
    tasks = [await wide.add(f"第{number}个") for number in range(120)]
    await wide.beat()
    await wide.dispatch.tick()
    await wide.dispatch.tick()
    assert await house.value("SELECT count(*) FROM task WHERE state = 'submitting'") == len(tasks)
    heir = await next_daemon(house)
    assert await heir.rescue.tick() == timedelta()
    assert await heir.rescue.tick() == LEASE / 2
    assert await house.value("SELECT count(*) FROM task WHERE state = 'pending'") == len(tasks)


async def test_attempts_of_another_instance_are_not_ours_to_count(house: House) -> None:
    await house.claimed()
    await house.database.changed(text("UPDATE attempt SET instance = 'elsewhere'"))
    assert await house.flights.in_flight(INSTANCE) == []
