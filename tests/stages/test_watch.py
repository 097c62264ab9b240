"""Long polls over many tasks leave the database to others, however many people wait and however often things change."""

import time
from collections.abc import Callable, Collection, Coroutine
from datetime import timedelta
from typing import Any
from uuid import UUID

import anyio
import pytest

from contenthubd.adapters.postgres.views import PostgresViews
from contenthubd.control import wire
from contenthubd.desk.looks import FRESH, Looks, Seen, Subject
from contenthubd.desk.search import Search
from contenthubd.desk.waiting import Waiting
from contenthubd.desk.watch import REST, Watch
from contenthubd.domain.errors import DatabaseUnavailable
from contenthubd.domain.request import Request
from contenthubd.domain.task import Task
from contenthubd.ports.clock import Clock
from contenthubd.ports.views import Row
from contenthubd.runtime.clock import SystemClock
from tests.stages.house import INSTANCE, House

COST = timedelta(seconds=0.03)


WAITERS = 50


class Counted(PostgresViews):
    """Counts how often the tasks of a watch are read; a read can be held up, or fail."""

    def __init__(self, house: House) -> None:
        super().__init__(house.database)
        self.reads = 0
        self.glances = 0
        self.found = 0
        self.open = anyio.Event()
        self.open.set()
        self.fault: DatabaseUnavailable | None = None

    async def waited(self, ids: Collection[UUID], batch_id: UUID | None) -> list[Row]:
        self.reads += 1
        await self.open.wait()
        if self.fault is not None:
            raise self.fault
        return await super().waited(ids, batch_id)

    async def last_batch(self) -> UUID | None:
        found = await super().last_batch()
        self.found += 1
        return found

    async def abandoned(self, instance: str) -> int:
        count = await super().abandoned(instance)
        self.glances += 1
        return count


class Costly(Counted):
    """A batch of so many tasks that reading it takes a while."""

    async def waited(self, ids: Collection[UUID], batch_id: UUID | None) -> list[Row]:
        time.sleep(COST.total_seconds())  # noqa: ASYNC251 - stands for a statement that keeps PostgreSQL busy
        return await super().waited(ids, batch_id)


class Bell:
    """What tells everybody in a daemon that something changed."""

    def __init__(self) -> None:
        self.event = anyio.Event()

    def __call__(self) -> anyio.Event:
        """The event that the next change sets."""
        return self.event

    def ring(self) -> None:
        """Something changed."""
        self.event.set()
        self.event = anyio.Event()


def waiting_of(house: House, views: Counted, clock: Clock) -> Waiting:
    return Waiting(
        house.pause, house.slots, views, clock, leased=lambda: True, draining=lambda: False, instance=INSTANCE
    )


def watch_of(house: House, views: Counted, bell: Bell) -> Watch:
    waiting = waiting_of(house, views, house.clock)
    return Watch(views, Search(views, house.accounts), house.clock, waiting, bell)


def looks_of(house: House, views: Counted, bell: Bell) -> Looks:
    return Looks(views, waiting_of(house, views, house.clock), house.clock, bell)


async def together(ask: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async with anyio.create_task_group() as people:
        for _ in range(WAITERS):
            people.start_soon(ask)


async def a_batch(house: House) -> list[Task]:
    made = await house.submit("demo", [Request(topic=f"Tea {number}") for number in range(30)], batch=True)
    return [task for task, _ in made]


async def test_one_read_of_a_batch_tells_everybody(house: House) -> None:
    views, bell = Counted(house), Bell()
    tasks, watch = await a_batch(house), watch_of(house, views, bell)
    house.slots.take(house.slots.total)  # what keeps tasks waiting is asked of the database, too
    cursor = (await watch(wire.WaitQuery(batch="last"), None)).cursor
    views.reads = views.glances = views.found = 0
    told: list[wire.WaitReply] = []

    async def one() -> None:
        told.append(await watch(wire.WaitQuery(batch="last", since=cursor, timeout=25), None))

    async with anyio.create_task_group() as people:
        people.start_soon(together, one)
        while (views.found, views.glances) != (WAITERS, 1):  # noqa: ASYNC110 - no event tells that all have come
            await anyio.sleep(0.001)
        await anyio.wait_all_tasks_blocked()
        await house.steer.cancel(tasks[3].task_id, by="anna")
        bell.ring()
    assert [[one.state for one in reply.changed if one.id == str(tasks[3].task_id)] for reply in told] == [
        ["cancelled"]
    ] * WAITERS
    assert (views.reads, views.glances) == (2, 2), "when they came, and when something changed"


async def test_what_changes_during_a_read_is_seen_by_the_next_one(house: House) -> None:
    views, bell = Counted(house), Bell()
    await a_batch(house)
    looks, subject = looks_of(house, views, bell), Subject(await views.last_batch())
    views.open = anyio.Event()
    seen: list[Seen] = []

    async def one() -> None:
        with looks.at(subject) as look:
            seen.append(await look())

    async with anyio.create_task_group() as people:
        people.start_soon(together, one)
        await anyio.wait_all_tasks_blocked()
        bell.ring()
        views.open.set()
    assert [one.changed.is_set() for one in seen] == [True] + [False] * (WAITERS - 1)
    assert views.reads == 2


async def test_whoever_leaves_during_a_read_leaves_it_to_the_others(house: House) -> None:
    views, bell = Counted(house), Bell()
    await a_batch(house)
    looks, subject = looks_of(house, views, bell), Subject(await views.last_batch())
    views.open = anyio.Event()
    seen: list[Seen] = []

    async def one() -> None:
        with looks.at(subject) as look:
            seen.append(await look())

    async with anyio.create_task_group() as people:
        async with anyio.create_task_group() as leaving:
            leaving.start_soon(one)
            await anyio.wait_all_tasks_blocked()
            people.start_soon(together, one)
            await anyio.wait_all_tasks_blocked()
            leaving.cancel_scope.cancel()
        views.open.set()
    assert len(seen) == WAITERS
    assert views.reads == 2


async def test_a_database_that_is_away_is_asked_once_for_everybody(house: House) -> None:
    views, bell = Counted(house), Bell()
    looks, subject = looks_of(house, views, bell), Subject(None, frozenset({(await house.add()).task_id}))
    views.open, views.fault = anyio.Event(), DatabaseUnavailable("PostgreSQL does not answer.")
    refused: list[str] = []

    async def one() -> None:
        with looks.at(subject) as look, pytest.raises(DatabaseUnavailable) as raised:
            await look()
        refused.append(str(raised.value))

    with looks.at(subject) as look:
        async with anyio.create_task_group() as people:
            people.start_soon(together, one)
            await anyio.wait_all_tasks_blocked()
            views.open.set()
        assert (len(refused), views.reads) == (WAITERS, 1)
        views.fault = None
        house.clock.advance(1)
        assert (await look()).counts == {"pending": 1}, "it is back"


async def test_what_another_daemon_changes_is_read_soon(house: House) -> None:
    views, bell = Counted(house), Bell()
    looks = looks_of(house, views, bell)
    tasks = await a_batch(house)
    seen: list[Seen] = []
    with looks.at(Subject(None, frozenset({tasks[0].task_id}))) as look:
        seen.append(await look())
        await house.steer.cancel(tasks[0].task_id, by="anna")
        seen.append(await look())
        house.clock.advance(FRESH.total_seconds())
        seen.append(await look())
    assert [one.rows[0]["state"] for one in seen] == ["pending", "pending", "cancelled"]
    with looks.at(Subject(None, frozenset({tasks[0].task_id}))) as look:
        await look()
    assert views.reads == 3, "what was read is kept only while somebody waits"


async def test_reading_takes_a_tenth_of_the_time_at_most(house: House) -> None:
    views, clock = Costly(house), SystemClock()

    def always() -> anyio.Event:
        changed = anyio.Event()
        changed.set()
        return changed

    watch = Watch(views, Search(views, house.accounts), clock, waiting_of(house, views, clock), always)
    task = await house.add()
    first = await watch(wire.WaitQuery(id=(str(task.task_id),), timeout=0), None)
    views.reads, began = 0, clock.uptime()
    reply = await watch(wire.WaitQuery(id=(str(task.task_id),), since=first.cursor, timeout=1), None)
    elapsed = clock.uptime() - began
    assert reply.cursor == first.cursor
    assert views.reads >= 2, "it looked again"
    assert (views.reads - 2) * COST * (1 + REST) <= elapsed
