"""Dispatch: what may run is claimed once, in order, within the capacity; who has no fresh lease claims nothing."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

import pytest

from contenthubd.adapters.postgres.engine import Database
from contenthubd.adapters.postgres.tasks import PostgresTasks
from contenthubd.domain.attempt import AttemptOutcome
from contenthubd.domain.errors import DatabaseUnavailable
from contenthubd.domain.moment import Moment
from contenthubd.domain.outcome import ErrorKind, Sick
from contenthubd.domain.task import Mode, Task, TaskState
from contenthubd.ports.stage import Stage
from contenthubd.ports.tasks import Lease
from contenthubd.stages.dispatch import IDLE, RECHECK, REFRESH, lane_of
from tests.stages.house import INSTANCE, LEASE, House
from tests.stages.scripted_creator import Create

REDIS_DOWN = Sick(ErrorKind.CREATOR_REDIS_DOWN, "refused")
NO_KEYS = Sick(ErrorKind.API_KEYS_MISSING, "LLM_API_KEY")
NOTHING = timedelta()


async def fill(house: House, count: int, **values: Any) -> list[Task]:
    return [await house.add(f"第{number}个", **values) for number in range(count)]


async def test_a_claim_starts_an_attempt_under_a_lease(house: House) -> None:
    task = await house.claimed()
    assert (task.state, task.attempt, task.claimed_at) == (TaskState.SUBMITTING, 1, house.clock.now())
    row = await house.attempt(task)
    assert (row.number, row.mode, row.instance, row.owner) == (1, "async", INSTANCE, house.owner)
    assert row.leased_until == house.clock.now() + timedelta(seconds=30)
    assert await house.facts(task) == ["task_submitted", "task_claimed"]
    assert house.slots.used == 1


async def test_a_task_of_sync_mode_runs_at_once(house: House) -> None:
    task = await house.claimed(mode=Mode.SYNC)
    assert (task.state, task.mode) == (TaskState.RUNNING, Mode.SYNC)


async def test_no_more_are_claimed_than_there_are_places(house: House) -> None:
    await fill(house, 7)
    await house.beat()
    assert await house.dispatch.tick() == NOTHING
    assert await house.dispatch.tick() == IDLE
    assert [task.topic for task in house.started] == [f"第{number}个" for number in range(5)]
    assert await house.queue.count() == 2


async def test_the_database_counts_places_too_abandoned_attempts_included(house: House) -> None:
    tasks = [(await house.accepted(f"第{number}个"))[0] for number in range(5)]
    await house.steer.cancel(tasks[0].task_id, by="test")
    waiting = await house.add("第六个")
    other = House(house.database, house.clock, house.creator, run="second")
    await other.beat()
    assert await other.dispatch.tick() == RECHECK
    assert other.started == []
    assert other.slots.used == 5
    assert await house.state(waiting) is TaskState.PENDING


async def test_two_daemons_never_claim_one_task_twice(house: House) -> None:
    tasks = await fill(house, 6)
    other = House(house.database, house.clock, house.creator, run="second", total=12)
    house.slots.total = 12
    await house.beat()
    await other.beat()
    await asyncio.gather(house.dispatch.tick(), other.dispatch.tick())
    claimed = [task.task_id for task in (*house.started, *other.started)]
    assert sorted(claimed) == sorted(task.task_id for task in tasks)
    assert await house.value("SELECT count(*) FROM attempt") == 6


async def test_a_stale_heartbeat_claims_nothing(house: House) -> None:
    await house.add()
    assert await house.dispatch.tick() == IDLE
    await house.beat()
    house.clock.advance(21)
    assert await house.dispatch.tick() == IDLE
    assert house.started == []
    rung = house.rung[Stage.DISPATCH]
    await house.beat()
    assert house.rung[Stage.DISPATCH] == rung + 1, "a heartbeat that comes back lets dispatch go on at once"
    await house.dispatch.tick()
    assert len(house.started) == 1


async def test_an_id_that_was_lost_comes_back_by_itself(house: House) -> None:
    await fill(house, 2)
    await house.queue.clear("")
    await house.beat()
    await house.dispatch.tick()
    assert len(house.started) == 2


async def test_a_lost_id_comes_back_even_when_the_queue_never_runs_empty(house: House) -> None:
    house.slots.total = 1
    lost, *_ = await fill(house, 3)
    await house.beat()
    await house.dispatch.tick()
    assert [task.task_id for task in house.started] == [lost.task_id]
    await house.steer.cancel(lost.task_id, by="test")
    await house.steer.revive(lost.task_id, by="test")
    await house.queue.remove(lost.task_id)
    house.clock.advance(REFRESH.total_seconds())
    await house.flights.end(lost.task_id, 1, house.clock.now(), AttemptOutcome.DROPPED, house.owner)
    house.slots.give_back()
    house.started.clear()
    await house.beat()
    await house.dispatch.tick()
    assert [task.task_id for task in house.started] == [lost.task_id]


async def test_an_id_that_moved_on_costs_nothing(house: House) -> None:
    gone, wanted = await fill(house, 2)
    await house.tasks.cancel(gone.task_id, house.clock.now(), "somebody else")
    await house.beat()
    assert await house.dispatch.tick() == NOTHING
    assert [task.task_id for task in house.started] == [wanted.task_id]
    assert await house.dispatch.tick() == IDLE


async def test_more_tasks_than_the_queue_holds_keep_their_order(house: House) -> None:
    small = House(house.database, house.clock, house.creator, memory=3, total=12)
    await fill(small, 10)
    await small.beat()
    while await small.dispatch.tick() == NOTHING:
        pass
    assert [task.topic for task in small.started] == [f"第{number}个" for number in range(10)]


async def test_a_sick_creator_pauses_dispatch_longer_each_time_and_costs_nothing(house: House) -> None:
    task = await house.add()
    house.creator.sick = {Mode.ASYNC: NO_KEYS, Mode.SYNC: NO_KEYS}
    pauses = []
    for _ in range(7):
        await house.beat()
        pause = await house.dispatch.tick()
        assert await house.dispatch.tick() == pause, "asked too early, it only says how long is left"
        pauses.append(pause.total_seconds())
        house.clock.advance(pause.total_seconds())
    assert pauses == [1, 2, 4, 8, 16, 30, 30]
    assert house.creator.calls["ready"] == 14
    assert house.pause.sick == NO_KEYS
    assert (await house.now(task)).attempt == 0
    house.creator.sick = {}
    await house.beat()
    await house.dispatch.tick()
    assert [one.task_id for one in house.started] == [task.task_id]
    assert house.pause.sick is None


async def test_a_creator_that_falls_sick_at_work_pauses_dispatch_too(house: House) -> None:
    house.creator.script.append(Create(NO_KEYS))
    task = await house.claimed()
    await house.attempts.run(task)
    assert await house.state(task) is TaskState.PENDING
    assert (await house.now(task)).retry_count == 0
    await house.beat()
    assert await house.dispatch.tick() == timedelta(seconds=1)
    house.clock.advance(1)
    await house.dispatch.tick()
    [again] = house.started
    assert again.attempt == 2
    await house.attempts.run(again)
    assert await house.state(task) is TaskState.SUBMITTED
    assert house.pause.left == NOTHING


async def test_without_the_creators_redis_tasks_of_async_mode_run_in_sync_mode(house: House) -> None:
    house.creator.sick = {Mode.ASYNC: REDIS_DOWN}
    task = await house.claimed()
    assert (task.mode, task.state) == (Mode.SYNC, TaskState.RUNNING)
    assert (await house.now(task)).mode is Mode.ASYNC
    assert (await house.attempt(task)).mode == "sync"
    await house.attempts.run(task)
    assert await house.state(task) is TaskState.COMPLETED


async def test_they_wait_where_that_is_configured_and_others_go_on(house: House) -> None:
    patient = House(house.database, house.clock, house.creator, sync_when_down=False)
    patient.creator.sick = {Mode.ASYNC: REDIS_DOWN}
    waits, runs = await patient.add("等"), await patient.add("走", mode=Mode.SYNC)
    await patient.beat()
    await patient.dispatch.tick()
    assert [task.task_id for task in patient.started] == [runs.task_id]
    assert await patient.dispatch.tick() == RECHECK
    patient.creator.sick = {}
    await patient.dispatch.tick()
    assert [task.task_id for task in patient.started] == [runs.task_id, waits.task_id]


async def test_a_sickness_that_sync_mode_cannot_cure_does_not_change_the_mode(house: House) -> None:
    house.creator.sick = {Mode.ASYNC: Sick(ErrorKind.WORKER_GONE, "ended")}
    await house.add()
    await house.beat()
    assert await house.dispatch.tick() == RECHECK
    assert house.started == []


@pytest.mark.parametrize(
    ("run_as", "lane"),
    [
        ({Mode.ASYNC: Mode.ASYNC, Mode.SYNC: Mode.SYNC}, ""),
        ({Mode.SYNC: Mode.SYNC, Mode.ASYNC: Mode.SYNC}, ""),
        ({Mode.SYNC: Mode.SYNC}, "sync"),
        ({Mode.ASYNC: Mode.ASYNC}, "async"),
    ],
)
def test_daemons_share_a_lane_if_they_can_run_the_same_tasks(run_as: dict[Mode, Mode], lane: str) -> None:
    assert lane_of(run_as) == lane


class LateTasks(PostgresTasks):
    """The store on a server that freezes at a claim: nobody is answered in time, and it is done only ``later``."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.frozen = False
        self.later: list[Callable[[], Awaitable[list[Task]]]] = []

    async def claim(
        self, ids: Collection[UUID], *, run_as: Mapping[Mode, Mode], slots: int, lease: Lease, at: Moment
    ) -> list[Task]:
        claim = partial(super().claim, ids, run_as=run_as, slots=slots, lease=lease, at=at)
        if not self.frozen:
            return await claim()
        self.later.append(claim)
        raise DatabaseUnavailable("PostgreSQL does not answer.")

    async def thaw(self) -> None:
        for claim in self.later:
            await claim()


async def freeze(house: House) -> LateTasks:
    """Let one dispatch freeze in its claim; the store, which answers again from then on."""
    late = house.tasks
    assert isinstance(late, LateTasks)
    late.frozen = True
    await house.beat()
    with pytest.raises(DatabaseUnavailable):
        await house.dispatch.tick()
    late.frozen = False
    return late


@pytest.fixture
async def freezing(database: Database) -> House:
    """The stages on a server that can freeze."""
    made = House(database, tasks=LateTasks(database))
    await made.account()
    return made


async def test_a_claim_that_was_made_although_nobody_answered_is_started(freezing: House) -> None:
    house = freezing
    house.slots.total = 2
    tasks = await fill(house, 2, mode=Mode.SYNC)
    late = await freeze(house)
    await late.thaw()
    await house.dispatch.tick()
    assert {(task.task_id, task.attempt, task.mode) for task in house.started} == {
        (task.task_id, 1, Mode.SYNC) for task in tasks
    }
    await house.dispatch.tick()
    assert len(house.started) == 2, "each is started once"
    assert house.slots.used == 2


async def test_a_claim_that_turns_up_late_is_started_once_and_a_cancelled_one_is_ended(freezing: House) -> None:
    house = freezing
    wanted, unwanted = await fill(house, 2)
    late = await freeze(house)
    house.creator.sick = {mode: NO_KEYS for mode in Mode}
    await house.dispatch.tick()
    assert house.started == []
    await late.thaw()
    await house.steer.cancel(unwanted.task_id, by="test")
    await house.dispatch.tick()
    assert [task.task_id for task in house.started] == [wanted.task_id]
    assert (await house.attempt(unwanted)).outcome == "dropped"


async def test_a_claim_that_was_never_made_is_made_again(freezing: House) -> None:
    house = freezing
    tasks = await fill(house, 2)
    await freeze(house)
    await house.dispatch.tick()
    assert [task.task_id for task in house.started] == [task.task_id for task in tasks]
    assert {(await house.now(task)).attempt for task in tasks} == {1}


async def test_while_a_claim_is_in_doubt_a_stale_heartbeat_is_asked_again_soon(freezing: House) -> None:
    house = freezing
    await fill(house, 1)
    await freeze(house)
    house.clock.advance(25)
    assert await house.dispatch.tick() == RECHECK
    house.clock.advance(120)
    house.creator.sick = {mode: NO_KEYS for mode in Mode}
    await house.beat()
    await house.dispatch.tick()
    house.clock.advance(25)
    assert await house.dispatch.tick() == IDLE, "doubts end"


async def test_the_claim_itself_is_guarded(house: House) -> None:
    task = await house.add()
    lease = Lease(owner=house.owner, until=house.clock.now(), length=LEASE, instance=INSTANCE)
    both = {mode: mode for mode in Mode}

    async def claim(**changes: object) -> list[Task]:
        values: dict[str, object] = {"run_as": both, "slots": 5, "lease": lease, "at": house.clock.moment()}
        return await house.tasks.claim([task.task_id], **(values | changes))  # type: ignore[arg-type]  # a test's own values

    assert await claim(slots=0) == []
    assert await claim(run_as={Mode.SYNC: Mode.SYNC}) == []
    assert len(await claim()) == 1
    assert await claim() == []
    elsewhere = replace(lease, instance="elsewhere")
    assert await claim(lease=elsewhere) == []
    assert (await house.now(task)).attempt == 1
