"""What happens between two awaits: a cancel between a claim and its start, a rescue cut short, a clock set back."""

from datetime import timedelta
from uuid import UUID

import anyio
import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from contenthubd.adapters.postgres.flights import PostgresFlights
from contenthubd.domain.attempt import Child
from contenthubd.domain.errors import DatabaseUnavailable
from contenthubd.domain.outcome import ErrorKind, Failed, Sick
from contenthubd.domain.task import Mode, TaskState
from contenthubd.stages import dispatch as dispatching
from contenthubd.stages import promote as promoting
from contenthubd.stages.attempt import Attempts
from contenthubd.stages.dispatch import REFRESH
from tests.stages.house import LEASE, House
from tests.stages.scripted_creator import Create
from tests.stages.test_rescue import Going

AN_HOUR = timedelta(hours=1)
REDIS_DOWN = Sick(ErrorKind.CREATOR_REDIS_DOWN, "No [creator] redis_url is set, which async mode needs.")
NO_KEYS = Sick(ErrorKind.API_KEYS_MISSING, "no key")


async def test_a_task_that_is_cancelled_between_its_claim_and_its_start_keeps_no_child(house: House) -> None:
    """Cancel kills what works on the task; here nothing does yet, so the child has to learn of it itself."""
    task = await house.claimed(mode=Mode.SYNC)
    await house.steer.cancel(task.task_id, by="ann")
    house.creator.gate = anyio.Event()  # it would never come to an end by itself
    with anyio.fail_after(60):
        await house.attempts.run(task)
    assert (await house.attempt(task)).outcome == "dropped"
    assert house.slots.used == 0


async def rescued_in_two_tries(heir: House, going: Going) -> None:
    """The database goes away in the middle of the first."""
    with pytest.raises(DatabaseUnavailable):
        await heir.rescue.tick()
    going.away = False
    await heir.rescue.tick()
    await heir.rescue.tick()


@pytest.mark.parametrize("mode", list(Mode))
async def test_a_claim_that_nobody_began_costs_nothing_even_if_its_rescue_needs_two_tries(
    house: House, mode: Mode
) -> None:
    going = Going(house.database)
    daemon = House(house.database, house.clock, house.creator, tasks=going)
    await daemon.add(mode=mode)
    await daemon.beat()
    lease = daemon.heartbeat.lease()
    assert lease is not None
    ids = [task_id for task_id, _ in await going.waiting(5, tuple(Mode))]
    both = {one: one for one in Mode}
    [task] = await going.claim(ids, run_as=both, slots=5, lease=lease, at=daemon.clock.moment())
    daemon.clock.advance(LEASE.total_seconds() + 1)
    await daemon.beat()
    await rescued_in_two_tries(daemon, going)
    now = await daemon.now(task)
    assert (now.state, now.retry_count, now.deaths) == (TaskState.PENDING, 0, 0)


async def test_what_another_daemon_left_still_counts_as_its_death_at_the_second_try(house: House) -> None:
    task = await house.claimed(mode=Mode.SYNC)
    going = Going(house.database)
    heir = House(house.database, house.clock, house.creator, run="second", tasks=going)
    await heir.beat()
    await rescued_in_two_tries(heir, going)
    now = await heir.now(task)
    assert (now.state, now.retry_count, now.deaths) == (TaskState.PENDING, 0, 1)


async def test_a_clock_that_is_set_back_does_not_prolong_the_pause_of_a_sick_creator(house: House) -> None:
    house.creator.sick = {mode: NO_KEYS for mode in Mode}
    await house.add()
    await house.beat()
    await house.dispatch.tick()
    assert house.pause.left
    house.creator.sick = {}
    left = house.pause.left
    house.clock.step(-AN_HOUR.total_seconds())
    assert house.pause.left == left
    house.clock.advance(left.total_seconds())
    await house.beat()
    await house.dispatch.tick()
    assert len(house.started) == 1


async def test_nor_does_it_put_off_the_next_look_into_the_database(house: House) -> None:
    """The queue never runs empty, and what it does not know of is first."""
    await house.beat()
    await house.dispatch.tick()
    forgotten = await house.add("first", priority=1)
    await house.queue.remove(forgotten.task_id)
    await house.add("second")
    house.clock.step(-AN_HOUR.total_seconds())
    house.clock.advance(REFRESH.total_seconds())
    await house.beat()
    await house.dispatch.tick()
    assert [task.topic for task in house.started] == ["first", "second"]


async def test_a_row_that_somebody_holds_makes_promote_wait_and_not_spin(house: House) -> None:
    task = await house.claimed()
    house.creator.script.append(Create(Failed(ErrorKind.LOST, "gone")))
    await house.attempts.run(task)
    house.clock.advance(600)
    async with house.database.transaction() as connection:
        await connection.execute(text("SELECT 1 FROM task FOR UPDATE"))
        assert await house.promote.tick() >= timedelta(seconds=1)
    assert await house.promote.tick() == promoting.IDLE
    assert await house.state(task) is TaskState.PENDING


# ------------------------------------------------------------------------------------------ a fault that nobody misses


def without_async(house: House, *, sync_when_down: bool) -> House:
    """A daemon whose tasks are meant to run in sync mode, at a creator that has no Redis."""
    daemon = House(house.database, house.clock, house.creator, sync_when_down=sync_when_down)
    daemon.async_missed = False
    daemon.creator.sick = {Mode.ASYNC: REDIS_DOWN}
    return daemon


async def test_a_studio_that_works_in_sync_mode_does_not_miss_what_only_async_mode_needs(house: House) -> None:
    daemon = without_async(house, sync_when_down=False)
    await daemon.claimed(mode=Mode.SYNC)
    assert daemon.pause.sick is None
    daemon.creator.sick = {mode: NO_KEYS for mode in Mode}
    await daemon.dispatch.tick()
    assert daemon.pause.sick == NO_KEYS, "what concerns both modes is missed by everybody"


async def test_but_a_task_that_waits_for_async_mode_does(house: House) -> None:
    daemon = without_async(house, sync_when_down=False)
    waits = await daemon.add()
    await daemon.beat()
    for _ in range(3):
        assert await daemon.dispatch.tick() == dispatching.RECHECK
        assert daemon.pause.sick == REDIS_DOWN
    await daemon.steer.cancel(waits.task_id, by="ann")
    await daemon.dispatch.tick()
    await daemon.dispatch.tick()
    assert daemon.pause.sick is None


# ------------------------------------------------------------------------------- a child, and a database that is away


class Forgetful(PostgresFlights):
    """A store that cannot take down which child works on an attempt."""

    async def own_child(self, task_id: UUID, attempt: int, child: Child, owner: str) -> bool:
        """Never."""
        raise DatabaseUnavailable("PostgreSQL does not answer.")


async def test_a_child_that_cannot_be_taken_down_is_watched_all_the_same(house: House) -> None:
    """Who waits for the database looks neither at the child's deadline nor at how much it writes."""
    task = await house.claimed(mode=Mode.SYNC)
    attempts = Attempts(
        house.creator, Forgetful(house.database), house.flights, house.settle, house.clock, house.slots, house.pause,
        house.ring, owner=house.owner,
    )  # fmt: skip
    with anyio.fail_after(60), capture_logs() as logs:
        await attempts.run(task)
    assert await house.state(task) is TaskState.COMPLETED
    assert "child_not_noted" in [entry["event"] for entry in logs]
