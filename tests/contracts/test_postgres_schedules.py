"""The schedule stores on PostgreSQL: what the tables refuse, what is kept, and that a tick touches only what is due."""

from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from contenthubd.adapters.postgres import schedules as statements
from contenthubd.adapters.postgres.engine import Database
from contenthubd.domain.account import Account
from contenthubd.domain.errors import NotFound
from contenthubd.domain.request import Request
from contenthubd.domain.schedule import CatchUp, FiringOutcome, Schedule, SkipReason
from contenthubd.domain.task import Mode
from contenthubd.ports.schedules import Decision, Verdict
from tests.clock import NOON, ManualClock
from tests.stages.house import House

HOUR = timedelta(hours=1)
CLOCK = ManualClock()


def hourly(name: str = "hourly", account: str = "demo", hours: int = 1) -> Schedule:
    """A schedule that is due ``hours`` after noon."""
    return Schedule(
        schedule_id=CLOCK.new_id(), name=name, account=account, cron="0 * * * *", time_zone="Asia/Shanghai",
        request=Request(topic="云", keywords=("a", "b"), mode=Mode.SYNC, timeout_seconds=1.5), catch_up=CatchUp.ALL,
        overlap=True, created_at=NOON, checked_until=NOON, due_at=NOON + hours * HOUR,
    )  # fmt: skip


@pytest.fixture
async def store(database: Database) -> statements.PostgresSchedules:
    """The store, and the account ``demo``."""
    await House(database).accounts.create(Account(account_id=CLOCK.new_id(), name="demo", created_at=NOON))
    return statements.PostgresSchedules(database)


async def skipped(store: statements.PostgresSchedules, schedule: Schedule, hours: int) -> Verdict:
    """Decide that a slot makes no task."""
    slot = NOON + hours * HOUR
    decision = Decision(schedule=schedule, at=slot, slot=slot, next_at=slot + HOUR, reason=SkipReason.MISSED)
    return (await store.decide(decision)).verdict


async def test_what_is_stored_comes_back(store: statements.PostgresSchedules) -> None:
    schedule = hourly()
    assert await store.create(schedule, "us")
    assert await store.by_name("hourly") == schedule
    assert not await store.create(hourly(), "us")
    assert await store.all("demo") == [schedule] == await store.all()
    assert await store.all("other") == []


async def test_a_name_that_is_not_there(store: statements.PostgresSchedules) -> None:
    with pytest.raises(NotFound, match="schedule list"):
        await store.by_name("hourly")
    await store.create(hourly(), "us")
    with pytest.raises(NotFound, match="Did you mean 'hourly'"):
        await store.by_name("hourli")


async def test_what_is_due_comes_longest_waiting_first(store: statements.PostgresSchedules) -> None:
    for name, hours in (("c", 3), ("a", 1), ("b", 2), ("d", 4), ("paused", 1)):
        await store.create(hourly(name, hours=hours), "us")
    await store.pause((await store.by_name("paused")).schedule_id, NOON, "us")
    due, following = await store.due(NOON + 3 * HOUR, 10)
    assert [one.name for one in due] == ["a", "b", "c"]
    assert following == NOON + 4 * HOUR
    assert [one.name for one in (await store.due(NOON + 3 * HOUR, 2))[0]] == ["a", "b"]
    assert await store.due(NOON, 10) == ([], NOON + HOUR)
    assert (await store.due(NOON + 9 * HOUR, 10))[1] is None


async def test_to_look_later_only_ever_means_later(store: statements.PostgresSchedules) -> None:
    schedule = hourly(hours=2)
    await store.create(schedule, "us")
    await store.postpone(schedule.schedule_id, NOON + HOUR)
    assert (await store.by_name("hourly")).due_at == NOON + 2 * HOUR
    await store.postpone(schedule.schedule_id, NOON + 3 * HOUR)
    assert (await store.by_name("hourly")).due_at == NOON + 3 * HOUR


async def test_a_decision_holds_only_for_what_was_read(store: statements.PostgresSchedules) -> None:
    first = hourly()
    await store.create(first, "us")
    assert await skipped(store, first, 2) is Verdict.SKIPPED
    assert await skipped(store, first, 3) is Verdict.LOST, "it was read before the slot at two was decided"
    read = await store.by_name("hourly")
    assert (read.checked_until, read.due_at) == (NOON + 2 * HOUR, NOON + 3 * HOUR)
    assert await skipped(store, read, 2) is Verdict.LOST
    assert await skipped(store, read, 1) is Verdict.LOST
    assert await skipped(store, read, 3) is Verdict.SKIPPED


async def test_the_history_is_read_in_pages(store: statements.PostgresSchedules) -> None:
    await store.create(hourly(), "us")
    for hours in range(1, 6):
        assert await skipped(store, await store.by_name("hourly"), hours) is Verdict.SKIPPED
    schedule_id = (await store.by_name("hourly")).schedule_id
    page = await store.history(schedule_id, 2)
    assert [one.slot_at for one in page] == [NOON + 5 * HOUR, NOON + 4 * HOUR]
    rest = await store.history(schedule_id, 10, before=page[-1].firing_id)
    assert [one.slot_at for one in rest] == [NOON + hours * HOUR for hours in (3, 2, 1)]


async def test_only_the_newest_firings_are_kept(store: statements.PostgresSchedules, database: Database) -> None:
    schedule, other = hourly(), hourly("other")
    for one in (schedule, other):
        await store.create(one, "us")
        await database.changed(_OLD_FIRINGS, id=one.schedule_id, count=statements.KEPT, noon=NOON)
    await skipped(store, schedule, 1)
    kept = await store.history(schedule.schedule_id, 2 * statements.KEPT)
    assert len(kept) == statements.KEPT
    assert kept[0].slot_at == NOON + HOUR
    assert len(await store.history(other.schedule_id, 2 * statements.KEPT)) == statements.KEPT


async def test_a_firing_outlives_its_task(store: statements.PostgresSchedules, database: Database) -> None:
    house = House(database)
    await store.create(hourly(), "us")
    task = await house.schedules.run("hourly", by="us")
    await database.changed(text("DELETE FROM fact WHERE task_id = :id"), id=task.task_id)
    await database.changed(text("DELETE FROM task WHERE id = :id"), id=task.task_id)
    [firing] = await store.history((await store.by_name("hourly")).schedule_id, 10)
    assert (firing.outcome, firing.task_id, firing.task_state) == (FiringOutcome.FIRED, None, None)


@pytest.mark.parametrize(
    "values",
    [
        "now(), now(), 1, 'fired', 'missed'",
        "now(), now(), 1, 'skipped', NULL",
        "now(), now(), 0, 'fired', NULL",
        "now(), now(), 1, 'lost', NULL",
    ],
)
async def test_rows_that_cannot_be_meant_are_refused(
    store: statements.PostgresSchedules, database: Database, values: str
) -> None:
    await store.create(hourly(), "us")
    columns = "schedule_id, slot_at, at, slots, outcome, reason"
    with pytest.raises(IntegrityError):
        await database.changed(text(f"INSERT INTO firing ({columns}) SELECT id, {values} FROM schedule"))  # noqa: S608 - the values stand above


async def test_a_slot_has_one_firing(store: statements.PostgresSchedules, database: Database) -> None:
    schedule = hourly()
    await store.create(schedule, "us")
    await skipped(store, schedule, 1)
    again = text(
        "INSERT INTO firing (schedule_id, slot_at, at, slots, outcome) "
        "SELECT id, :slot, :slot, 1, 'fired' FROM schedule"
    )
    with pytest.raises(IntegrityError):
        await database.changed(again, slot=NOON + HOUR)


async def test_a_tick_reads_what_is_due_and_nothing_else(
    store: statements.PostgresSchedules, database: Database
) -> None:
    await store.create(hourly(), "us")
    await database.changed(_MANY_SCHEDULES, later=NOON + 100 * HOUR)
    await database.changed(text("ANALYZE schedule"))
    for statement in (statements._DUE, statements._NEXT):
        values = {"now": NOON + HOUR, **({"limit": 50} if statement is statements._DUE else {})}
        plan = "\n".join(row[0] for row in await database.rows(text(f"EXPLAIN {statement.text}"), **values))
        assert "schedule_due" in plan, plan
        assert "Seq Scan on schedule" not in plan, plan


_OLD_FIRINGS = text("""
    INSERT INTO firing (schedule_id, slot_at, at, slots, outcome)
    SELECT :id, CAST(:noon AS timestamptz) - n * interval '1 hour', :noon, 1, 'fired' FROM generate_series(1, :count) n
""")
_MANY_SCHEDULES = text("""
    INSERT INTO schedule (id, account_id, name, cron, time_zone, request, catch_up, overlap, created_at,
                          checked_until, due_at)
    SELECT gen_random_uuid(), account_id, 'news-' || n, cron, time_zone, request, catch_up, overlap, created_at,
           checked_until, CAST(:later AS timestamptz) FROM schedule, generate_series(1, 5000) n
""")
