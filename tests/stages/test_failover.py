"""Failover: one fact for each change of the queue, written late rather than never."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from contenthubd.adapters.postgres.engine import Database
from contenthubd.adapters.postgres.facts import PostgresFacts
from contenthubd.adapters.queue.failover import SoleQueueWatch
from contenthubd.domain.errors import DatabaseUnavailable
from contenthubd.ports.queue import QueueUse
from contenthubd.stages.failover import EVERY, Failover
from tests.clock import ManualClock

STATE_ID = "0" * 32


class Watched:
    """A queue whose use a test sets (port ``QueueWatch``)."""

    def __init__(self, use: QueueUse) -> None:
        self.use = use
        self.checks = 0

    async def check(self) -> None:
        """Counted."""
        self.checks += 1

    def in_use(self) -> QueueUse:
        """As set."""
        return self.use


async def facts(database: Database) -> list[Any]:
    rows = await database.rows(text("SELECT at, name, task_id, data FROM fact ORDER BY id"))
    return [(row.at, row.name, row.task_id, row.data["kind"], row.data["why"]) for row in rows]


async def test_each_change_is_one_fact_however_often_it_looks(database: Database) -> None:
    clock = ManualClock()
    redis = QueueUse(kind="redis", since=clock.now())
    memory = QueueUse(kind="memory", since=clock.advance(10), why="It went.", degraded=True)
    queue = Watched(redis)
    stage = Failover(queue, PostgresFacts(database), state_id=STATE_ID)
    for use in (redis, memory, QueueUse(kind="redis", since=clock.advance(10))):
        queue.use = use
        assert [await stage.tick() for _ in range(3)] == [EVERY] * 3
    assert queue.checks == 9
    assert [fact[1:4] for fact in await facts(database)] == [
        ("queue_changed", None, "redis"), ("queue_changed", None, "memory"), ("queue_changed", None, "redis"),
    ]  # fmt: skip
    assert (await facts(database))[1][0] == memory.since
    assert (await facts(database))[1][4] == "It went."


async def test_a_fact_that_could_not_be_written_is_written_later(database: Database) -> None:
    clock = ManualClock()
    absent = Database("postgresql+asyncpg://nobody@/none?host=/nonexistent", command_timeout=5)
    queue = SoleQueueWatch("memory", clock, "It is configured so.")
    stage = Failover(queue, PostgresFacts(absent), state_id=STATE_ID)
    with pytest.raises(DatabaseUnavailable):
        await stage.tick()
    stage._facts = PostgresFacts(database)
    clock.advance(timedelta(hours=1).total_seconds())
    await stage.tick()
    [(at, *_)] = await facts(database)
    assert at == queue.in_use().since
    await absent.close()
