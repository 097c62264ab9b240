"""Creator instances: each belongs to one living daemon, and what a lost one had is given another attempt."""

import asyncio
import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from contenthubd.domain.errors import InstanceTaken
from contenthubd.domain.outcome import RowState
from contenthubd.domain.publication import PublicationState
from contenthubd.domain.task import Mode, Task, TaskState
from contenthubd.stages.reclaim import Reclaim
from tests.stages.house import INSTANCE, LEASE, POLICY, STATE_ID, House
from tests.stages.scripted_creator import ScriptedCreator

OTHER_STATE = "1" * 32
LOST_AFTER = timedelta(days=1)
DAEMONS = 5


def events(logs: list[Any], name: str) -> list[Any]:
    """The logged events of one name."""
    return [entry for entry in logs if entry["event"] == name]


async def test_an_instance_belongs_to_one_state_directory_while_its_daemon_lives(house: House) -> None:
    await house.beat()
    other = House(house.database, house.clock, house.creator, state_id=OTHER_STATE)
    with pytest.raises(InstanceTaken) as caught:
        await other.beat()
    fault = caught.value
    until = re.findall(r"[0-9]{2}:[0-9]{2}:[0-9]{2} [+-][0-9]{4}", str(fault))
    assert len(until) == 2
    assert len(set(until)) == 1
    assert fault.what == "The creator instance 'main' belongs to another daemon on this database."
    assert "within the last 30 seconds" in fault.why
    assert "Stop the other daemon, which frees the instance at once" in fault.fix
    assert other.heartbeat.lease() is None, "who has no instance claims nothing"
    await house.unseen()
    await other.beat()
    assert other.heartbeat.lease() is not None


async def test_an_instance_that_is_given_up_is_free_at_once(house: House) -> None:
    await house.beat()
    other = House(house.database, house.clock, house.creator, state_id=OTHER_STATE)
    await other.heartbeat.give_up()  # what is not its own stays with whom it belongs to
    with pytest.raises(InstanceTaken):
        await other.beat()
    await house.heartbeat.give_up()
    assert house.heartbeat.lease() is None
    assert await house.instances.held_for("main") == timedelta()
    await other.beat()
    assert other.heartbeat.lease() is not None


async def test_who_lost_its_instance_claims_nothing_until_it_is_free_again(house: House) -> None:
    await house.beat()
    await house.unseen()
    other = House(house.database, house.clock, house.creator, state_id=OTHER_STATE)
    await other.beat()
    house.clock.advance(21)
    with pytest.raises(InstanceTaken):
        await house.beat()
    assert house.heartbeat.lease() is None
    await house.unseen()
    await house.beat()
    assert house.heartbeat.lease() is not None


async def test_of_many_daemons_at_once_one_gets_the_instance(house: House) -> None:
    many = [House(house.database, house.clock, state_id=str(number) * 32) for number in range(DAEMONS)]
    answers = await asyncio.gather(*(one.beat() for one in many), return_exceptions=True)
    assert sorted(type(answer).__name__ for answer in answers) == ["InstanceTaken"] * (DAEMONS - 1) + ["NoneType"]


@dataclass
class Pair:
    """A daemon that is gone with its host, and one on another instance that looks after what it left."""

    gone: House
    left: House

    def reclaim(self, after: timedelta = LOST_AFTER) -> Reclaim:
        return Reclaim(
            self.left.tasks, self.left.flights, self.left.instances, self.left.settle, self.left.clock,
            lease=self.left.heartbeat.lease, instance="elsewhere", after=after, every=LEASE / 2,
        )  # fmt: skip


@pytest.fixture
async def pair(house: House) -> Pair:
    left = House(house.database, house.clock, ScriptedCreator(), state_id=OTHER_STATE, instance="elsewhere")
    await left.beat()
    await house.beat()
    return Pair(house, left)


async def every_kind(house: House) -> tuple[list[Task], Task]:
    """One task in each state that occupies the creator; and one that was cancelled there."""
    submitted, _ = await house.accepted("已交")
    running, creator_task_id = await house.accepted("在写")
    house.creator.move(creator_task_id, state=RowState.RUNNING)
    await house.look()
    tasks = [submitted, running, await house.claimed("在交"), await house.claimed("同步", mode=Mode.SYNC)]
    assert [await house.state(task) for task in tasks] == ["submitted", "running", "submitting", "running"]
    cancelled, _ = await house.accepted("取消")
    await house.steer.cancel(cancelled.task_id, by="test")
    return tasks, cancelled


async def test_the_tasks_of_a_lost_instance_get_a_new_attempt_uncharged(pair: Pair) -> None:
    tasks, cancelled = await every_kind(pair.gone)
    await pair.gone.unseen(seconds=LOST_AFTER.total_seconds() - 60)
    await pair.left.beat()
    await pair.reclaim().tick()
    assert [await pair.gone.state(task) for task in tasks] == ["submitted", "running", "submitting", "running"]
    await pair.gone.unseen(seconds=LOST_AFTER.total_seconds() + 60)
    with capture_logs() as logs:
        assert await pair.reclaim().tick() == LEASE / 2
    assert [entry["instance"] for entry in events(logs, "instance_lost")] == [INSTANCE]
    for task in tasks:
        now = await pair.gone.now(task)
        assert (now.state, now.error_kind, now.retry_count, now.deaths) == ("retrying", "instance_lost", 0, 1)
        assert now.run_at == pair.left.clock.now()
    assert await pair.gone.state(cancelled) is TaskState.CANCELLED
    assert await pair.gone.value("SELECT count(*) FROM attempt WHERE ended_at IS NULL") == 0
    assert await pair.gone.value("SELECT data ->> 'instance' FROM fact WHERE name = 'instance_lost'") == INSTANCE
    await pair.reclaim().tick()
    assert await pair.gone.value("SELECT count(*) FROM fact WHERE name = 'instance_lost'") == 1, "told once"


async def test_zero_means_never_and_who_has_no_fresh_lease_reclaims_nothing(pair: Pair) -> None:
    task, _ = await pair.gone.accepted()
    await pair.gone.unseen(seconds=10 * LOST_AFTER.total_seconds())
    await pair.reclaim(timedelta()).tick()
    pair.left.clock.advance(3600)
    await pair.reclaim().tick()
    assert await pair.gone.state(task) is TaskState.SUBMITTED


async def test_an_instance_nobody_registered_has_its_time_too(pair: Pair) -> None:
    task, _ = await pair.gone.accepted()
    await pair.gone.database.changed(text("DELETE FROM instance WHERE name = :name"), name=INSTANCE)
    await pair.reclaim().tick()
    assert await pair.gone.state(task) is TaskState.SUBMITTED
    await pair.gone.unseen(seconds=LOST_AFTER.total_seconds() + 60)
    await pair.reclaim().tick()
    assert await pair.gone.state(task) is TaskState.RETRYING


async def test_when_the_lost_host_comes_back_it_changes_nothing_of_what_was_given_away(pair: Pair) -> None:
    task, creator_task_id = await pair.gone.accepted()
    await pair.gone.unseen(seconds=LOST_AFTER.total_seconds() + 60)
    await pair.left.beat()
    await pair.reclaim().tick()
    second = await pair.left.again(task)
    pair.gone.creator.finish(creator_task_id)
    await pair.gone.beat()
    await pair.gone.look()
    await pair.gone.rescue.tick()
    assert await pair.gone.state(task) is TaskState.SUBMITTING
    await pair.left.attempts.run(second)
    assert (await pair.gone.attempt(task)).instance == "elsewhere"
    assert await pair.gone.state(task) is TaskState.SUBMITTED


async def publishing(house: House) -> Task:
    """A task whose article its daemon was just bringing to the target."""
    task = await house.completed()
    [_] = (await house.pool.claim_due(house.clock.now(), 1, house.owner, longest=POLICY.longest))[0]
    return task


async def test_what_a_lost_daemon_was_publishing_is_for_a_person_to_decide(pair: Pair) -> None:
    task = await publishing(pair.gone)
    await pair.gone.unseen(seconds=LOST_AFTER.total_seconds() + 60)
    await pair.left.beat()
    await pair.reclaim().tick()
    row = await pair.gone.publication(task)
    assert (row.state, row.owner) == (PublicationState.UNKNOWN, None)
    assert "may already be at the target" in row.error
    assert "publication_lost_sight" in await pair.gone.facts(task)


@pytest.mark.parametrize("renamed", [False, True])
async def test_so_is_what_was_being_published_when_the_state_directory_was_lost(house: House, renamed: bool) -> None:
    """The next daemon has the instance and another directory: it is not the owner, and no instance is ever lost."""
    await house.beat()
    task = await publishing(house)
    if renamed:
        await house.instances.hold("renamed", STATE_ID, LEASE)
    await house.unseen()
    heir = House(house.database, house.clock, house.creator, state_id=OTHER_STATE)
    await heir.beat()
    row = await house.publication(task)
    if renamed:
        assert row.state == PublicationState.PUBLISHING, "its daemon has gone on under another name"
    else:
        assert (row.state, row.owner) == (PublicationState.UNKNOWN, None)
        assert "may already be at the target" in row.error
        assert "publication_lost_sight" in await house.facts(task)


async def test_what_a_daemon_publishes_that_only_changed_its_instance_is_its_own(pair: Pair) -> None:
    task = await publishing(pair.gone)
    await pair.gone.instances.hold("renamed", STATE_ID, LEASE)
    await pair.gone.unseen(seconds=LOST_AFTER.total_seconds() + 60)
    await pair.left.beat()
    await pair.reclaim().tick()
    assert (await pair.gone.publication(task)).state == PublicationState.PUBLISHING
    assert await pair.gone.value("SELECT count(*) FROM instance WHERE name = :name", name=INSTANCE) == 0


async def test_poll_asks_nothing_while_the_instance_may_be_anothers(house: House) -> None:
    _, creator_task_id = await house.accepted()
    house.creator.forget(creator_task_id)
    house.clock.advance(3600)
    assert await house.poll.tick() == timedelta(seconds=30)
    assert house.creator.calls["rows"] == 0
    await house.polled()
    assert house.creator.calls["rows"] == 1


@pytest.mark.parametrize("back", [timedelta(hours=2), timedelta(days=400)])
async def test_an_instance_is_free_soon_although_the_clock_of_postgresql_was_set_back(
    house: House, back: timedelta
) -> None:
    await house.beat()
    await house.unseen(seconds=-back.total_seconds())
    heir = House(house.database, house.clock, state_id="1" * 32)
    store = house.instances
    assert not await store.hold(INSTANCE, "1" * 32, LEASE), "its daemon may live"
    assert await store.held_for(INSTANCE) <= LEASE
    await house.beat()
    assert not await store.hold(INSTANCE, "1" * 32, LEASE), "it lives, and renewed what was brought back"
    await house.unseen()
    await heir.beat()
    assert heir.heartbeat.lease() is not None


async def test_a_lost_instance_is_found_although_the_clock_of_postgresql_was_set_back(house: House) -> None:
    await house.beat()
    await house.unseen(seconds=-timedelta(days=400).total_seconds())
    hour = timedelta(hours=1)
    assert await house.instances.lost("other", hour) == []
    assert await house.instances.held_for(INSTANCE) <= hour
    await house.unseen(seconds=hour.total_seconds() + 1)
    assert await house.instances.lost("other", hour) == [INSTANCE]
