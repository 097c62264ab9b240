"""What the database itself refuses, and what the stores promise beyond what the stages' tests use."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from contenthubd.adapters.postgres.engine import Database
from contenthubd.domain.attempt import AttemptOutcome
from contenthubd.domain.errors import NotFound
from contenthubd.domain.task import Mode, TaskState
from contenthubd.ports.tasks import Lease
from tests.clock import ManualClock
from tests.stages.house import INSTANCE, LEASE, House
from tests.stages.scripted_creator import CHILD


@pytest.fixture
async def house(database: Database) -> House:
    """The stages on a fresh database with one account."""
    made = House(database)
    await made.account()
    return made


IMPOSSIBLE = {
    "UPDATE task SET state = 'dreaming', finished_at = NULL": "task_state_check",
    "UPDATE task SET mode = 'both'": "task_mode_check",
    "UPDATE task SET priority = 0": "task_priority_check",
    "UPDATE task SET priority = 11": "task_priority_check",
    "UPDATE task SET retry_count = -1": "task_retry_count_check",
    "UPDATE task SET timeout_seconds = 0": "task_timeout_seconds_check",
    "UPDATE task SET min_chars = 5000": "length_possible",
    "UPDATE task SET state = 'cancelled', finished_at = NULL": "finished_if_final",
    "UPDATE task SET state = 'pending'": "finished_if_final",
    "UPDATE task SET run_at = now()": "run_at_if_retrying",
    "UPDATE task SET state = 'retrying', finished_at = NULL": "run_at_if_retrying",
    "UPDATE task SET state = 'failed', error_kind = NULL": "error_if_failed",
    "UPDATE task SET state = 'running', finished_at = NULL, claimed_at = NULL": "claimed_if_in_flight",
    "UPDATE attempt SET outcome = NULL": "outcome_if_ended",
    "UPDATE attempt SET owner = 'me'": "lease_has_owner",
    "UPDATE attempt SET number = 0": "attempt_number_check",
    "UPDATE content SET body = ''": "content_body_check",
    "UPDATE content SET state = 'lost'": "content_state_check",
    "UPDATE content SET reviewed_by = NULL": "review_has_reviewer",
    "UPDATE content SET reviewed_at = NULL, reviewed_by = NULL": "decided_is_reviewed",
    "UPDATE publication SET state = 'published'": "receipt_if_published",
    "UPDATE publication SET published_at = now()": "receipt_if_published",
    "UPDATE publication SET owner = 'me'": "owner_while_publishing",
    "UPDATE publication SET state = 'publishing'": "owner_while_publishing",
    "INSERT INTO image (content_id, position, url, state, due_at) SELECT id, 0, 'u', 'pending', now() FROM content": (
        "image_position_check"
    ),
    "INSERT INTO image (content_id, position, url, state, due_at) SELECT id, 1, 'u', 'fetched', now() FROM content": (
        "path_if_fetched"
    ),
    "INSERT INTO content (id, task_id, account_id, state, title, body, created_at)"
    " SELECT gen_random_uuid(), task_id, account_id, 'pending_review', '', 'b', now() FROM content": (
        "content_task_id_key"
    ),
    "INSERT INTO publication (id, content_id, target, state, priority, due_at, created_at)"
    " SELECT gen_random_uuid(), content_id, target, 'pending', 5, now(), now() FROM publication": (
        "publication_content_id_target_key"
    ),
    "INSERT INTO batch (id, account_id, created_at) VALUES (gen_random_uuid(), gen_random_uuid(), now())": (
        "batch_account_id_fkey"
    ),
    "DELETE FROM task": "content_task_id_fkey",
}


async def test_the_database_refuses_rows_that_cannot_be_meant(house: House) -> None:
    await house.completed()
    before = await house.value("SELECT md5(string_agg(t::text, '')) FROM task AS t")
    for statement, constraint in IMPOSSIBLE.items():
        with pytest.raises(IntegrityError, match=constraint):
            await house.database.changed(text(statement))
    assert await house.value("SELECT md5(string_agg(t::text, '')) FROM task AS t") == before


async def test_accounts(database: Database) -> None:
    house = House(database)
    with pytest.raises(NotFound, match="contenthubctl account create demo"):
        await house.accounts.by_name("demo")
    made = await house.account("demo", title="演示", mode=Mode.SYNC, auto_approve=False, tone="轻松", audience="学生")
    assert not await house.accounts.create(replace(made, account_id=house.clock.new_id()))
    await house.account("anna")
    assert await house.accounts.by_name("demo") == made
    assert [account.name for account in await house.accounts.all()] == ["anna", "demo"]
    with pytest.raises(NotFound, match="Did you mean 'anna'"):
        await house.accounts.by_name("ana")
    with pytest.raises(NotFound, match="account list"):
        await house.accounts.by_name("something else")


async def test_an_unknown_task_is_not_found(house: House) -> None:
    with pytest.raises(NotFound, match="There is no task"):
        await house.tasks.get(house.clock.new_id())


async def test_a_flight_is_read_as_it_was_written(house: House) -> None:
    task = await house.claimed(mode=Mode.SYNC, timeout_seconds=77)
    assert await house.flights.own_child(task.task_id, 1, CHILD, house.owner)
    assert not await house.flights.own_child(task.task_id, 1, replace(CHILD, pid=1), "other")
    [flight] = await house.flights.in_flight(INSTANCE)
    assert flight.current
    assert (flight.child, flight.owner, flight.mode, flight.state) == (CHILD, house.owner, Mode.SYNC, TaskState.RUNNING)
    assert (flight.claimed, flight.timeout) == (house.clock.moment(), timedelta(seconds=77))


async def test_a_lease_is_taken_over_once_and_only_from_its_owner(house: House) -> None:
    await house.claimed()
    [flight] = await house.flights.in_flight(INSTANCE)
    until = house.clock.now()
    leases = [Lease(owner=f"other/{number}", until=until, length=LEASE, instance=INSTANCE) for number in range(4)]
    won = await asyncio.gather(*(house.flights.take_over(flight, lease) for lease in leases))
    assert sorted(won) == [False, False, False, True]


async def test_only_the_owners_leases_are_renewed_and_of_those_only_the_living(house: House) -> None:
    ours, theirs, forgotten = [await house.claimed() for _ in range(3)]
    await house.database.changed(text("UPDATE attempt SET owner = 'other' WHERE task_id = :id"), id=theirs.task_id)
    until = house.clock.now() + timedelta(hours=1)
    await house.flights.renew(house.owner, until, [(ours.task_id, 1), (theirs.task_id, 1), (forgotten.task_id, 2)])
    assert (await house.attempt(ours)).leased_until == until
    assert (await house.attempt(theirs)).leased_until < until
    assert (await house.attempt(forgotten)).leased_until < until
    await house.flights.renew(house.owner, until + timedelta(hours=1), [])
    assert (await house.attempt(ours)).leased_until == until


async def test_an_attempt_that_is_waited_for_can_only_be_settled(house: House) -> None:
    task = await house.claimed()
    now = house.clock.now()
    assert not await house.flights.end(task.task_id, 1, now, AttemptOutcome.DROPPED, house.owner)
    assert not await house.flights.accepted_late(task.task_id, 1, "creator-1", now, house.owner)
    assert (await house.attempt(task)).creator_task_id is None
    await house.steer.cancel(task.task_id, by="test")
    assert not await house.flights.end(task.task_id, 1, now, AttemptOutcome.DROPPED, "other")
    assert not await house.flights.accepted_late(task.task_id, 1, "creator-2", now, "other")
    assert await house.flights.accepted_late(task.task_id, 1, "creator-1", now, house.owner)
    row = await house.attempt(task)
    assert (row.creator_task_id, row.owner) == ("creator-1", None)
    assert not await house.flights.end(task.task_id, 1, now, AttemptOutcome.DROPPED, house.owner)
    assert await house.flights.end(task.task_id, 1, now, AttemptOutcome.DROPPED, None)
    assert not await house.flights.end(task.task_id, 1, now, AttemptOutcome.DROPPED, None)
    assert not await house.flights.requeued(task.task_id, 1, now)


async def test_what_was_never_meant_for_an_attempt_changes_nothing(house: House) -> None:
    task = await house.claimed()
    before = dict((await house.attempt(task))._mapping)
    now, unknown = house.clock.now(), house.clock.new_id()
    for task_id, attempt in ((unknown, 1), (task.task_id, 2)):
        assert not await house.flights.own_child(task_id, attempt, CHILD, house.owner)
        assert not await house.flights.accepted_late(task_id, attempt, "x", now, house.owner)
        assert not await house.flights.end(task_id, attempt, now, AttemptOutcome.DROPPED, house.owner)
        assert not await house.flights.requeued(task_id, attempt, now)
    assert dict((await house.attempt(task))._mapping) == before


async def test_history_tells_successes_only_newest_first(house: House) -> None:
    assert await house.flights.durations(10) == []
    for seconds in (10, 20, 30):
        task, creator_task_id = await house.accepted()
        house.clock.advance(seconds)
        house.creator.finish(creator_task_id, at=house.clock.now())
        await house.look()
        assert await house.state(task) is TaskState.COMPLETED
    task = await house.claimed()
    await house.steer.cancel(task.task_id, by="test")
    await house.flights.end(task.task_id, 1, house.clock.now(), AttemptOutcome.DROPPED, house.owner)
    assert [took.total_seconds() for took in await house.flights.durations(2)] == [30, 20]


PLANS = {
    "claims and refills": "SELECT id FROM task WHERE state = 'pending' ORDER BY priority, turn, sequence LIMIT 100",
    "promotions": "SELECT id FROM task WHERE state = 'retrying' AND run_at <= now() ORDER BY run_at LIMIT 100",
    "open attempts": "SELECT * FROM attempt WHERE ended_at IS NULL AND instance = 'main'",
    "lists": "SELECT * FROM task ORDER BY sequence DESC LIMIT 20",
    "the pool": "SELECT id FROM publication WHERE state IN ('pending', 'retrying') ORDER BY priority, due_at LIMIT 20",
    "images": "SELECT url FROM image WHERE state = 'pending' AND due_at <= now() ORDER BY due_at LIMIT 10",
}


async def test_the_work_of_a_tick_does_not_grow_with_what_is_finished(house: House) -> None:
    await house.database.changed(
        text("""
        INSERT INTO task (id, account_id, state, mode, topic, requirements, min_chars, max_chars, priority, turn,
                          auto_approve, max_retries, timeout_seconds, created_at, finished_at)
        SELECT gen_random_uuid(), account.id, 'completed', 'async', 't', 'r', 1, 2, 5, 0, true, 3, 60, now(), now()
        FROM account, generate_series(1, 20000)
    """)
    )
    await house.database.changed(
        text("""
        INSERT INTO attempt (task_id, number, mode, instance, claimed_at, ended_at, outcome)
        SELECT id, 1, 'async', 'main', now(), now(), 'failed' FROM task
    """)
    )
    await house.database.changed(text("ANALYZE"))
    for what, statement in PLANS.items():
        rows = await house.database.rows(text(f"EXPLAIN {statement}"))
        plan = "\n".join(str(row[0]) for row in rows)
        assert "Seq Scan on task" not in plan and "Seq Scan on attempt" not in plan, f"{what}:\n{plan}"


async def test_many_claims_and_settlements_at_once_end_exactly_once(house: House) -> None:
    wide = House(house.database, ManualClock(), house.creator, total=40)
    tasks = [await wide.add(f"第{number}个", mode=Mode.SYNC) for number in range(40)]
    await wide.beat()
    while len(wide.started) < len(tasks):
        await wide.dispatch.tick()

    async def all_of(act: Any) -> None:
        await asyncio.gather(*(act(task) for task in wide.started))

    async def cancel(task: Any) -> None:
        await wide.tasks.cancel(task.task_id, wide.clock.now(), "test")

    await asyncio.gather(all_of(wide.attempts.run), all_of(cancel))
    final = await house.database.rows(text("SELECT state, count(*) AS n FROM task GROUP BY state"))
    assert sum(row.n for row in final) == 40
    assert {row.state for row in final} <= {"completed", "cancelled"}
    completed = await house.value("SELECT count(*) FROM task WHERE state = 'completed'")
    assert await house.value("SELECT count(*) FROM content") == completed
    assert await house.value("SELECT count(*) FROM attempt WHERE ended_at IS NULL") == 0
    assert wide.slots.used == 0
