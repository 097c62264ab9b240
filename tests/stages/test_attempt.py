"""Attempts: what the creator said, or did not say, is settled once; nothing is created twice over a lost answer."""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from datetime import timedelta

import anyio
import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from contenthubd.adapters.postgres.engine import Database
from contenthubd.adapters.postgres.tasks import PostgresTasks
from contenthubd.domain.errors import DatabaseUnavailable
from contenthubd.domain.outcome import CreatorRow, ErrorKind, Failed, RowState, Sick, TimedOut, Unknown
from contenthubd.domain.task import Mode, Task, TaskState
from contenthubd.ports.stage import Stage
from contenthubd.ports.tasks import Lease, Settlement
from tests.stages.house import INSTANCE, LEASE, House
from tests.stages.scripted_creator import CHILD, Create, ScriptedCreator

SICK = Sick(ErrorKind.DATABASE_MISSING, "locked")
CUT_OFF = Unknown("It did not answer in time and was killed.", -9, "tail")


@asynccontextmanager
async def at_work(house: House, task: Task) -> AsyncIterator[None]:
    """The attempt runs in the background and stands inside the creator; it has ended after the block."""
    house.creator.gate, house.creator.entered = anyio.Event(), anyio.Event()
    gate, entered = house.creator.gate, house.creator.entered
    async with anyio.create_task_group() as group:
        house.attempts.open(group)
        house.attempts.start(task)
        await entered.wait()
        house.creator.gate = None
        yield
        gate.set()


async def test_what_create_accepted_is_submitted(house: House) -> None:
    task, creator_task_id = await house.accepted()
    assert task.state is TaskState.SUBMITTED
    assert list(house.creator.table) == [creator_task_id]
    assert house.attempts.running == 0


async def test_attempts_need_an_open_group(house: House) -> None:
    with pytest.raises(RuntimeError, match="before the daemon's task group was open"):
        house.attempts.start(await house.claimed())


async def test_an_unknown_create_that_arrived_is_found_by_its_mark(house: House) -> None:
    house.creator.script.append(Create(CUT_OFF, stored=True))
    task, creator_task_id = await house.accepted()
    assert (task.state, task.retry_count) == (TaskState.SUBMITTED, 0)
    assert creator_task_id in house.creator.table
    assert house.creator.calls["create"] == 1


async def test_an_unknown_create_that_never_arrived_is_charged_after_several_looks(house: House) -> None:
    house.creator.script.append(Create(CUT_OFF))
    task = await house.claimed()
    await house.attempts.run(task)
    now = await house.now(task)
    assert (now.state, now.retry_count, now.error_kind) == (TaskState.RETRYING, 1, "create_unanswered")
    assert house.creator.calls["find"] == 3


async def test_a_row_that_arrives_between_two_looks_is_found(house: House) -> None:
    creator = Late()
    late = House(house.database, house.clock, creator)
    creator.script.append(Create(CUT_OFF))
    task, creator_task_id = await late.accepted()
    assert (task.state, task.retry_count) == (TaskState.SUBMITTED, 0)
    assert (list(creator.table), creator.calls["create"], creator.calls["find"]) == ([creator_task_id], 1, 2)


class Late(ScriptedCreator):
    """Its queue inserts the row of a task after the first look for it."""

    async def find(self, marks: Collection[str]) -> dict[str, CreatorRow] | Sick:
        found = await super().find(marks)
        for mark in [] if isinstance(found, Sick) else set(marks) - found.keys():
            self.add(f"late\n{mark}")
        return found


async def test_a_creator_too_sick_to_be_searched_is_asked_again_before_anything_is_created(house: House) -> None:
    house.creator.script.append(Create(CUT_OFF, stored=True))
    house.creator.sick_finds.extend([SICK, SICK])
    task, _ = await house.accepted()
    assert task.state is TaskState.SUBMITTED
    assert (house.creator.calls["create"], house.creator.calls["find"]) == (1, 3)


async def test_but_not_longer_than_the_attempt_may_take(house: House) -> None:
    house.creator.script.append(Create(CUT_OFF))
    house.creator.sick_finds.append(SICK)
    task = await house.claimed(timeout_seconds=60)
    house.clock.advance(60)
    await house.attempts.run(task)
    now = await house.now(task)
    assert (now.error_kind, now.retry_count, now.deaths) == ("creator_unavailable", 0, 1)
    assert house.creator.calls["find"] == 1


async def test_a_sync_attempt_remembers_its_child_and_has_the_time_that_is_left(house: House) -> None:
    task = await house.claimed(mode=Mode.SYNC, timeout_seconds=100)
    house.clock.advance(30)
    async with at_work(house, task):
        row = await house.attempt(task)
        assert (row.child_pid, row.child_started, row.child_boot_id) == (CHILD.pid, CHILD.started, CHILD.boot_id)
        assert house.creator.left == [timedelta(seconds=70)]
    assert await house.state(task) is TaskState.COMPLETED


async def test_a_claim_that_waited_too_long_has_no_negative_time(house: House) -> None:
    house.creator.script.append(Create(TimedOut("no time")))
    task = await house.claimed(mode=Mode.SYNC, timeout_seconds=10)
    house.clock.advance(60)
    await house.attempts.run(task)
    assert house.creator.left == [timedelta()]
    assert (await house.now(task)).error_kind == "timed_out"


async def test_cancelling_a_sync_task_kills_its_child_and_frees_the_place(house: House) -> None:
    task = await house.claimed(mode=Mode.SYNC)
    async with at_work(house, task):
        cancelled = await house.steer.cancel(task.task_id, by="test")
        assert cancelled.state is TaskState.CANCELLED
    assert await house.state(task) is TaskState.CANCELLED
    assert (await house.attempt(task)).outcome == "dropped"
    assert (house.slots.used, house.attempts.running) == (0, 0)


async def test_cancelling_a_submitting_task_lets_create_finish_and_awaits_its_end(house: House) -> None:
    task = await house.claimed()
    async with at_work(house, task):
        await house.steer.cancel(task.task_id, by="test")
    row = await house.attempt(task)
    assert await house.state(task) is TaskState.CANCELLED
    assert row.creator_task_id in house.creator.table
    assert (row.owner, row.ended_at) == (None, None)
    assert house.slots.used == 1, "the creator works on it: it takes a place"
    house.creator.finish(row.creator_task_id)
    await house.look()
    assert (await house.attempt(task)).outcome == "late_success_dropped"
    assert await house.content(task) is None
    assert house.slots.used == 0


async def test_cancelling_a_submitting_task_whose_create_fails_frees_the_place(house: House) -> None:
    task = await house.claimed()
    house.creator.script.append(Create(Failed(ErrorKind.REFUSED, "no")))
    async with at_work(house, task):
        await house.steer.cancel(task.task_id, by="test")
    assert (await house.attempt(task)).outcome == "dropped"
    assert house.slots.used == 0


async def test_a_task_cancelled_and_revived_may_run_beside_its_old_attempt(house: House) -> None:
    first = await house.claimed()
    async with at_work(house, first):
        gate = house.creator.gate
        await house.steer.cancel(first.task_id, by="test")
        await house.steer.revive(first.task_id, by="test")
        await house.beat()
        await house.dispatch.tick()
        [second] = house.started
        assert gate is None
        await house.attempts.run(second)
        assert await house.state(second) is TaskState.SUBMITTED
        assert house.attempts.running == 1
    assert house.attempts.running == 0
    old, new = await house.attempt(first, 1), await house.attempt(first, 2)
    assert old.creator_task_id and new.creator_task_id and old.creator_task_id != new.creator_task_id
    assert house.slots.used == 2


async def test_a_planned_stop_costs_a_sync_task_nothing(house: House) -> None:
    task = await house.claimed(mode=Mode.SYNC)
    async with at_work(house, task):
        house.attempts.interrupt_all()
    now = await house.now(task)
    assert (now.state, now.retry_count, now.deaths, now.error_kind) == (TaskState.PENDING, 0, 0, None)
    assert (await house.attempt(task)).outcome == "interrupted"
    assert house.rung[Stage.DISPATCH] > 0


async def test_a_planned_stop_never_cuts_off_a_create(house: House) -> None:
    task = await house.claimed()
    async with at_work(house, task):
        house.attempts.interrupt_all()
        house.attempts.interrupt(task.task_id)
    assert await house.state(task) is TaskState.SUBMITTED


async def test_the_last_step_of_a_stop_leaves_an_unfinished_create_to_the_next_daemon(house: House) -> None:
    task = await house.claimed()
    async with at_work(house, task):
        house.attempts.close()
    assert await house.state(task) is TaskState.SUBMITTING
    assert (await house.attempt(task)).owner == house.owner


class Stuttering(PostgresTasks):
    """The store of a database that refuses the next ``refusals`` settlements, as one does that is away for a moment."""

    def __init__(self, database: Database, refusals: int) -> None:
        super().__init__(database)
        self.refusals = refusals
        self.refused = anyio.Event()

    async def settle(self, settlement: Settlement) -> bool:
        if self.refusals:
            self.refusals -= 1
            self.refused.set()
            raise DatabaseUnavailable("PostgreSQL does not answer.")
        return await super().settle(settlement)


async def test_an_outcome_that_cannot_be_written_is_kept_and_written_later(house: House) -> None:
    house = House(house.database, tasks=Stuttering(house.database, 3))
    task = await house.claimed(mode=Mode.SYNC)
    with capture_logs() as logs:
        await house.attempts.run(task)
    told = [entry["event"] for entry in logs if entry["event"].startswith("write_")]
    assert told == ["write_postponed", "write_succeeded_after_retry"], "however often it was tried"
    assert await house.state(task) is TaskState.COMPLETED


async def test_what_can_never_be_written_does_not_hold_up_a_stop(house: House) -> None:
    away = Stuttering(house.database, 1_000_000)
    house = House(house.database, tasks=away)
    task = await house.claimed(mode=Mode.SYNC)
    async with anyio.create_task_group() as group:
        group.start_soon(house.attempts.run, task)
        await away.refused.wait()
        assert house.attempts.running == 1, "a stop waits for it as long as it may"
        house.attempts.close()
    assert await house.state(task) is TaskState.RUNNING
    assert house.attempts.running == 0


async def test_an_attempt_that_another_daemon_took_over_is_left_to_it(house: House) -> None:
    task = await house.claimed()
    async with at_work(house, task):
        house.clock.advance(31)
        [flight] = await house.flights.in_flight(INSTANCE)
        theirs = Lease(owner="other/daemon", until=house.clock.now() + LEASE, length=LEASE, instance=INSTANCE)
        assert await house.flights.take_over(flight, theirs)
        house.creator.script.append(Create(Failed(ErrorKind.GENERATION_FAILED, "no")))
    row = await house.attempt(task)
    assert (await house.state(task), row.owner, row.ended_at) == (TaskState.SUBMITTING, "other/daemon", None)


async def test_so_is_one_that_was_accepted_meanwhile(house: House) -> None:
    task = await house.claimed()
    async with at_work(house, task):
        await house.database.changed(text("UPDATE attempt SET owner = 'other/daemon'"))
    row = await house.attempt(task)
    assert (row.owner, row.creator_task_id) == ("other/daemon", None)
    assert len(house.creator.table) == 1, "its new owner will find it by its mark"


async def test_a_late_success_elsewhere_kills_the_child_that_is_not_needed_any_more(house: House) -> None:
    task, creator_task_id = await house.accepted(timeout_seconds=60)
    await house.polled()
    house.clock.advance(60)
    await house.polled()
    assert await house.state(task) is TaskState.RETRYING
    house.creator.sick = {Mode.ASYNC: Sick(ErrorKind.CREATOR_REDIS_DOWN, "gone")}
    second = await house.again(task)
    assert second.mode is Mode.SYNC
    async with at_work(house, second):
        house.creator.finish(creator_task_id, "# 迟到\n\n正文")
        await house.look()
        assert await house.state(task) is TaskState.COMPLETED
    assert (await house.content(task)).title == "迟到"
    assert [(await house.attempt(task, number)).outcome for number in (1, 2)] == ["succeeded", "dropped"]
    assert house.slots.used == 0


async def test_many_attempts_at_once_each_settle_their_own(house: House) -> None:
    house.creator.script.extend(
        [Create(CUT_OFF, stored=True, row=RowState.RUNNING), Create(SICK), Create(Failed(ErrorKind.REFUSED, "no"))]
    )
    tasks = [await house.claimed(f"第{number}个") for number in range(5)]
    await asyncio.gather(*(house.attempts.run(task) for task in tasks))
    states = [await house.state(task) for task in tasks]
    assert sorted(states) == ["failed", "pending", "submitted", "submitted", "submitted"]
    assert house.slots.used == 3
