"""Leases: of the attempts that are alive, for as long as their outcome can be written; and what is rescued when."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import anyio
import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from contenthubd.adapters.postgres.engine import Database
from contenthubd.adapters.postgres.tasks import PostgresTasks
from contenthubd.domain.attempt import with_mark
from contenthubd.domain.errors import DatabaseUnavailable
from contenthubd.domain.outcome import Accepted, ErrorKind, Interrupted, Outcome, Sick, Succeeded
from contenthubd.domain.task import Mode, Task, TaskState
from contenthubd.ports.tasks import Lease, Settlement
from contenthubd.stages.rescue import AGAIN, LIMIT
from tests.stages.house import INSTANCE, LEASE, House
from tests.stages.scripted_creator import CHILD, Create, ScriptedCreator
from tests.stages.test_attempt import at_work

OTHER_STATE = "1" * 32


def events(logs: list[Any], name: str) -> list[Any]:
    """The logged events of one name."""
    return [entry for entry in logs if entry["event"] == name]


@pytest.mark.parametrize("mode", list(Mode))
async def test_a_task_three_times_as_long_as_its_lease_runs_once(house: House, mode: Mode) -> None:
    task = await house.claimed(mode=mode)
    async with at_work(house, task):
        for _ in range(9):
            house.clock.advance(LEASE.total_seconds() / 3)
            await house.beat()
            await house.rescue.tick()
            await house.dispatch.tick()
    now = await house.now(task)
    assert now.state is (TaskState.COMPLETED if mode is Mode.SYNC else TaskState.SUBMITTED)
    assert (now.attempt, now.deaths, now.retry_count) == (1, 0, 0)
    assert house.creator.calls["create"] + house.creator.calls["generate"] == 1


class Refusing(PostgresTasks):
    """A store that cannot write the outcome of one task; all else goes well."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.refused: set[object] = set()
        self.seen = anyio.Event()

    async def settle(self, settlement: Settlement) -> bool:
        if settlement.task_id in self.refused:
            self.seen.set()
            raise DatabaseUnavailable("PostgreSQL does not answer.")
        return await super().settle(settlement)


@pytest.fixture
def refusing(house: House) -> tuple[House, Refusing]:
    """A daemon whose store refuses outcomes by task."""
    tasks = Refusing(house.database)
    return House(house.database, house.clock, house.creator, tasks=tasks), tasks


async def test_only_the_lease_of_what_cannot_be_written_runs_out(refusing: tuple[House, Refusing]) -> None:
    house, store = refusing
    stuck, other = await house.claimed(mode=Mode.SYNC), await house.claimed(mode=Mode.SYNC)
    until = (await house.attempt(stuck)).leased_until
    store.refused.add(stuck.task_id)
    async with at_work(house, other), anyio.create_task_group() as group:
        group.start_soon(house.attempts.run, stuck)
        await store.seen.wait()
        house.clock.advance(10)
        await house.beat()
        assert (await house.attempt(stuck)).leased_until == until
        assert (await house.attempt(other)).leased_until == house.clock.now() + LEASE
        house.clock.advance(60)
        await house.beat()
        await house.rescue.tick()
        assert await house.state(stuck) is TaskState.RUNNING, "nobody took it over: its outcome is kept"
        store.refused.clear()
    assert [await house.state(task) for task in (stuck, other)] == [TaskState.COMPLETED] * 2


async def test_whoever_can_write_takes_it_over_and_the_late_writer_changes_nothing(
    refusing: tuple[House, Refusing],
) -> None:
    house, store = refusing
    task = await house.claimed()
    store.refused.add(task.task_id)
    house.creator.script.append(Create(Sick(ErrorKind.DATABASE_MISSING, "locked")))
    with capture_logs() as logs:
        async with anyio.create_task_group() as group:
            group.start_soon(house.attempts.run, task)
            await store.seen.wait()
            house.clock.advance(31)
            heir = House(house.database, house.clock, house.creator, run="second")
            await heir.beat()
            await heir.rescue.tick()
            assert await house.state(task) is TaskState.PENDING
            before = await house.facts(task)
            store.refused.clear()
    assert await house.facts(task) == before
    assert (await house.attempt(task)).outcome == "interrupted"
    [lost] = events(logs, "lease_lost")
    assert (lost["task_id"], lost["attempt"], lost["outcome"]) == (str(task.task_id), 1, "Sick")


LATE: Mapping[str, Outcome] = {
    "accepted": Accepted("creator-9"),
    "succeeded": Succeeded("# 标题\n\n正文", (), "creator-9"),
    "sick": Sick(ErrorKind.DATABASE_MISSING, "locked"),
    "interrupted": Interrupted(),
}


@pytest.mark.parametrize("outcome", LATE)
async def test_a_stale_owner_changes_no_row_and_says_lease_lost(house: House, outcome: str) -> None:
    task = await house.claimed()
    [flight] = await house.flights.in_flight(INSTANCE)
    theirs = Lease(owner="other/daemon", until=house.clock.now() + LEASE, length=LEASE, instance=INSTANCE)
    assert await house.flights.take_over(flight, theirs)
    rows = [dict((await house.attempt(task))._mapping), await house.now(task), await house.facts(task)]
    house.creator.script.append(Create(LATE[outcome]))
    with capture_logs() as logs:
        await house.attempts.run(task)
    assert [dict((await house.attempt(task))._mapping), await house.now(task), await house.facts(task)] == rows
    assert await house.content(task) is None
    assert len(events(logs, "lease_lost")) == 1
    assert house.attempts.held == frozenset()


async def test_a_sync_child_whose_attempt_is_anothers_is_ended_at_once(house: House) -> None:
    task = await house.claimed(mode=Mode.SYNC)
    await house.database.changed(text("UPDATE attempt SET owner = 'other/daemon'"))
    house.creator.gate = anyio.Event()  # it would never come to an end by itself
    with anyio.fail_after(60):
        await house.attempts.run(task)
    row = await house.attempt(task)
    assert (row.owner, row.child_pid, row.ended_at) == ("other/daemon", None, None)


async def test_a_lease_that_was_renewed_since_it_was_read_is_not_taken_over(house: House) -> None:
    task = await house.claimed()
    house.clock.advance(31)
    stranger = Lease(owner="other/daemon", until=house.clock.now() + LEASE, length=LEASE, instance=INSTANCE)
    [flight] = await house.flights.expired(house.clock.now(), OTHER_STATE, stranger, held=(), after=None, limit=10)
    await house.beat()
    assert not await house.flights.take_over(flight, stranger)
    assert (await house.attempt(task)).owner == house.owner


async def test_a_claim_that_nobody_began_runs_out_and_costs_nothing(house: House) -> None:
    """The claim was made, its answer was lost, and the daemon has long forgotten about it."""
    for mode in Mode:
        await house.add(mode=mode)
    await house.beat()
    both = {mode: mode for mode in Mode}
    lease = house.heartbeat.lease()
    assert lease is not None
    ids = [task_id for task_id, _ in await house.tasks.waiting(5, tuple(Mode))]
    claimed = await house.tasks.claim(ids, run_as=both, slots=5, lease=lease, at=house.clock.moment())
    house.clock.advance(10)
    await house.beat()
    await house.rescue.tick()
    assert [await house.state(task) for task in claimed] == [task.state for task in claimed]
    house.clock.advance(21)
    await house.beat()
    await house.rescue.tick()
    for task in claimed:
        now = await house.now(task)
        assert (now.state, now.retry_count, now.deaths) == (TaskState.PENDING, 0, 0)


# ------------------------------------------------------------------------------------------------ a rescue's sweep


async def test_a_page_that_cannot_be_freed_starves_nobody(house: House) -> None:
    """A hundred children that do not die are older than one attempt that needs no more than a look."""
    wide = House(house.database, house.clock, house.creator, total=2 * LIMIT)
    stuck = [await wide.add(f"第{number}个", mode=Mode.SYNC) for number in range(LIMIT)]
    free = await wide.add("最后")
    await wide.beat()
    while await wide.dispatch.tick() == timedelta():
        pass
    for task in stuck:
        assert await wide.flights.own_child(task.task_id, 1, CHILD, wide.owner)
    heir = House(house.database, house.clock, house.creator, run="second")
    await heir.beat()
    heir.creator.children_end = False
    assert await heir.rescue.tick() == timedelta()
    assert await heir.rescue.tick() == AGAIN
    assert await house.state(free) is TaskState.PENDING
    assert [await house.state(task) for task in stuck] == [TaskState.RUNNING] * LIMIT
    heir.creator.children_end = True
    assert [await heir.rescue.tick() for _ in range(2)] == [timedelta(), LEASE / 2]
    assert [await house.state(task) for task in stuck] == [TaskState.PENDING] * LIMIT


class Faulty(PostgresTasks):
    """A store with a fault of ours: the results of one task it cannot write at all."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.broken: set[tuple[object, str]] = set()

    async def settle(self, settlement: Settlement) -> bool:
        if {(settlement.task_id, settlement.outcome), (settlement.task_id, "*")} & self.broken:
            raise ZeroDivisionError("a fault of ours")
        return await super().settle(settlement)


async def test_one_that_fails_with_a_fault_of_ours_starves_nobody_either(house: House) -> None:
    tasks = [await house.claimed(f"第{number}个") for number in range(3)]
    store = Faulty(house.database)
    heir = House(house.database, house.clock, house.creator, run="second", tasks=store)
    await heir.beat()
    store.broken.add((min(task.task_id for task in tasks), "*"))
    await heir.rescue.tick()
    assert sorted([await house.state(task) for task in tasks]) == ["pending", "pending", "submitting"]


async def test_a_sick_creator_is_told_once_however_long_it_is_sick(house: House) -> None:
    await house.claimed()
    heir = House(house.database, house.clock, house.creator, run="second")
    await heir.beat()
    said = (f"16:{number:04}: locked, process {number}" for number in range(600))
    house.creator.sick_finds.extend(Sick(ErrorKind.DATABASE_MISSING, one) for one in said)
    with capture_logs() as logs:
        for _ in range(600):
            assert await heir.rescue.tick() == AGAIN
        assert await heir.rescue.tick() == LEASE / 2
    assert len(events(logs, "rescue_postponed")) == 1


# ----------------------------------------------------------------------------------------------- faults of our own


class Broken(ScriptedCreator):
    """A creator whose adapter has a fault of ours, before or after the creator was reached."""

    def __init__(self, *, stored: bool = False, find_too: bool = False) -> None:
        super().__init__()
        self._stored = stored
        self._find_too = find_too

    async def create(self, task: Task, mark: str) -> Outcome:
        if self._stored:
            self.add(with_mark(task.requirements, mark))
        raise ZeroDivisionError("a fault of ours")

    async def find(self, marks: Any) -> Any:
        if self._find_too:
            raise ZeroDivisionError("another one")
        return await super().find(marks)

    async def generate(self, task: Task, mark: str, timeout: timedelta, started: Any) -> Outcome:
        raise ZeroDivisionError("a fault of ours")


@pytest.mark.parametrize("mode", list(Mode))
async def test_a_fault_of_ours_over_one_task_charges_it_and_spares_the_daemon(house: House, mode: Mode) -> None:
    broken = House(house.database, house.clock, Broken())
    task = await broken.claimed(mode=mode)
    with capture_logs() as logs:
        await broken.attempts.run(task)
    now = await house.now(task)
    assert (now.state, now.error_kind, now.retry_count) == (TaskState.RETRYING, "internal_error", 1)
    assert now.error == "contenthubd hit an internal error: ZeroDivisionError: a fault of ours"
    [told] = events(logs, "attempt_crashed")
    assert isinstance(told["exc_info"], ZeroDivisionError)
    assert (broken.attempts.held, broken.slots.used) == (frozenset(), 0)


async def test_but_what_reached_the_creator_is_found_and_not_created_twice(house: House) -> None:
    broken = House(house.database, house.clock, Broken(stored=True))
    task = await broken.claimed()
    await broken.attempts.run(task)
    assert await house.state(task) is TaskState.SUBMITTED
    assert len(broken.creator.table) == 1


async def test_an_outcome_that_can_never_be_written_becomes_a_failure(house: House) -> None:
    store = Faulty(house.database)
    faulty = House(house.database, house.clock, tasks=store)
    task = await faulty.claimed(mode=Mode.SYNC)
    store.broken.add((task.task_id, "succeeded"))
    await faulty.attempts.run(task)
    now = await house.now(task)
    assert (now.state, now.error_kind, now.retry_count) == (TaskState.RETRYING, "internal_error", 1)


async def test_what_not_even_that_helps_is_left_to_its_lease_and_is_poison_in_the_end(house: House) -> None:
    broken = House(house.database, house.clock, Broken(find_too=True))
    task = await broken.add()
    for number in (1, 2, 3):
        await broken.beat()
        await broken.dispatch.tick()
        [claimed] = [one for one in broken.started if one.attempt == number]
        with capture_logs() as logs:
            await broken.attempts.run(claimed)
        assert len(events(logs, "attempt_left_to_its_lease")) == 1
        assert await house.state(task) is TaskState.SUBMITTING
        broken.clock.advance(31)
        await broken.beat()
        broken.creator._find_too = False  # type: ignore[attr-defined]  # the rescue finds the fault repaired
        await broken.rescue.tick()
        broken.creator._find_too = True  # type: ignore[attr-defined]  # and the next attempt does not
        assert not broken.attempts.crashed((task.task_id, number)), "what was rescued is forgotten"
    now = await house.now(task)
    assert (now.state, now.error_kind, now.deaths) == (TaskState.FAILED, "poison", 3)
    assert "task_gave_up" in await house.facts(task)


async def test_crashed_attempts_that_others_rescue_are_not_remembered_without_bound(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("contenthubd.stages.attempt.MOST_CRASHED", 2)
    broken = House(house.database, house.clock, Broken(find_too=True))
    keys = []
    for number in range(4):
        task = await broken.claimed(f"第{number}个")
        await broken.attempts.run(task)
        keys.append((task.task_id, task.attempt))
    assert [broken.attempts.crashed(key) for key in keys] == [False, False, True, True]
