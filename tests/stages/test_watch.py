"""A long poll over many tasks leaves the database to others, however often something changes meanwhile."""

import time
from collections.abc import Collection
from datetime import timedelta
from uuid import UUID

import anyio

from contenthubd.adapters.postgres.views import PostgresViews
from contenthubd.control import wire
from contenthubd.desk.search import Search
from contenthubd.desk.waiting import Waiting
from contenthubd.desk.watch import REST, Watch
from contenthubd.ports.views import Row
from contenthubd.runtime.clock import SystemClock
from tests.stages.house import INSTANCE, House

COST = timedelta(seconds=0.03)


class Costly(PostgresViews):
    """A batch of so many tasks that reading it takes a while."""

    reads = 0

    async def waited(self, ids: Collection[UUID], batch_id: UUID | None) -> list[Row]:
        self.reads += 1
        time.sleep(COST.total_seconds())  # noqa: ASYNC251 - stands for a statement that keeps PostgreSQL busy
        return await super().waited(ids, batch_id)


async def test_reading_takes_a_tenth_of_the_time_at_most(house: House) -> None:
    views, clock = Costly(house.database), SystemClock()
    waiting = Waiting(
        house.pause, house.slots, views, clock, leased=lambda: True, draining=lambda: False, instance=INSTANCE
    )
    always = anyio.Event()
    always.set()
    watch = Watch(views, Search(views, house.accounts), clock, waiting, lambda: always)
    task = await house.add()
    first = await watch(wire.WaitQuery(id=(str(task.task_id),), timeout=0), None)
    views.reads, began = 0, clock.uptime()
    reply = await watch(wire.WaitQuery(id=(str(task.task_id),), since=first.cursor, timeout=1), None)
    elapsed = clock.uptime() - began
    assert reply.cursor == first.cursor
    assert (views.reads - 2) * COST * (1 + REST) <= elapsed
