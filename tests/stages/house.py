"""The stages put together on a real database with the real queue, a clock that is moved, and ticks called by hand."""

from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import text

from contenthubd.adapters.creator.creator import CommandCreator
from contenthubd.adapters.postgres.accounts import PostgresAccounts
from contenthubd.adapters.postgres.engine import Database
from contenthubd.adapters.postgres.flights import PostgresFlights
from contenthubd.adapters.postgres.images import PostgresImages
from contenthubd.adapters.postgres.instances import PostgresInstances
from contenthubd.adapters.postgres.publications import PostgresPublications
from contenthubd.adapters.postgres.schedules import PostgresSchedules
from contenthubd.adapters.postgres.tasks import PostgresTasks
from contenthubd.adapters.postgres.views import PostgresViews
from contenthubd.adapters.queue.memory import MemoryQueue
from contenthubd.domain.account import Account
from contenthubd.domain.request import Request
from contenthubd.domain.retry import RetryPolicy
from contenthubd.domain.task import Mode, Task, TaskState
from contenthubd.ports.contents import ImageSource, Publisher
from contenthubd.ports.stage import Stage
from contenthubd.stages.attempt import Attempts
from contenthubd.stages.dispatch import Dispatch
from contenthubd.stages.fetch import Fetch
from contenthubd.stages.heartbeat import Heartbeat
from contenthubd.stages.pause import Pause
from contenthubd.stages.poll import Poll
from contenthubd.stages.promote import Promote
from contenthubd.stages.publish import Publish
from contenthubd.stages.rescue import Rescue
from contenthubd.stages.review import Review
from contenthubd.stages.schedule import Schedules
from contenthubd.stages.settle import Rules, Settle
from contenthubd.stages.slots import Slots
from contenthubd.stages.steer import Steer
from contenthubd.stages.submit import Defaults, Submit
from tests.clock import ManualClock
from tests.stages.scripted_creator import ScriptedCreator

STATE_ID = "0" * 32
INSTANCE = "main"
LEASE = timedelta(seconds=30)
POLICY = RetryPolicy(tuple(timedelta(seconds=delay) for delay in (30, 60, 120)), 0.1)
MINUTE = timedelta(minutes=1)


class House:
    """One daemon's stages; a second House on the same database is another daemon (``run``), or the next one.

    ``real`` is asked instead of the scripted creator.
    """

    def __init__(
        self,
        database: Database,
        clock: ManualClock | None = None,
        creator: ScriptedCreator | None = None,
        *,
        real: CommandCreator | None = None,
        tasks: PostgresTasks | None = None,
        run: str = "first",
        state_id: str = STATE_ID,
        instance: str = INSTANCE,
        total: int = 5,
        memory: int = 100,
        sync_when_down: bool = True,
        targets: tuple[str, ...] = ("shelf",),
    ) -> None:
        self.database = database
        self.clock = clock or ManualClock()
        self.creator = creator or ScriptedCreator()
        asked = real or self.creator
        self.owner = f"{state_id}/{run}"
        self.rung: Counter[Stage] = Counter()
        self.started: list[Task] = []
        self.tasks, self.flights = tasks or PostgresTasks(database), PostgresFlights(database)
        self.accounts, self.views = PostgresAccounts(database), PostgresViews(database)
        self.pool, self.images = PostgresPublications(database, Path("/images")), PostgresImages(database)
        self.async_missed = True
        self.queue = MemoryQueue(memory)
        self.slots = Slots(total, self.ring)
        self.pause = Pause(self.clock)
        self.settle = self._settle(targets)
        self.attempts = Attempts(
            asked, self.flights, self.flights, self.settle, self.clock, self.slots, self.pause, self.ring,
            owner=self.owner, first_pause=0.001,
        )  # fmt: skip
        self.instance, self.instances = instance, PostgresInstances(database)
        self.heartbeat = self._heartbeat()
        self.dispatch = self._dispatch(asked, sync_when_down=sync_when_down, refill=memory + 1)
        self._put_together(asked, targets)

    def _dispatch(self, asked: ScriptedCreator | CommandCreator, *, sync_when_down: bool, refill: int) -> Dispatch:
        return Dispatch(
            self.tasks, self.flights, self.queue, asked, self.clock, self.slots, self.pause,
            lease=self.heartbeat.lease, start=self._note, sync_when_down=sync_when_down, refill=refill,
            async_missed=lambda: self.async_missed,
        )  # fmt: skip

    def _settle(self, targets: tuple[str, ...]) -> Settle:
        rules = Rules(retry=POLICY, poison_limit=3, targets=targets)
        return Settle(self.tasks, self.queue, self.clock, rules, self.slots, self.ring)

    def _heartbeat(self) -> Heartbeat:
        return Heartbeat(
            self.flights, self.instances, self.clock, self.ring,
            owner=self.owner, instance=self.instance, length=LEASE, alive=lambda: self.attempts.alive,
        )  # fmt: skip

    def _put_together(self, asked: ScriptedCreator | CommandCreator, targets: tuple[str, ...]) -> None:
        """The stages that no other stage asks."""
        self.poll = Poll(
            self.tasks, self.flights, self.flights, asked, asked, self.settle, self.attempts, self.clock,
            self.slots, instance=self.instance, interval=timedelta(seconds=30), abandon=timedelta(hours=1),
            held=lambda: self.heartbeat.lease() is not None,
        )  # fmt: skip
        self.promote = Promote(
            self.tasks, self.tasks, self.queue, self.clock, self.ring,
            longest=lambda: self.settle.rules.retry.longest,
        )  # fmt: skip
        self.rescue = Rescue(
            self.tasks, self.flights, asked, asked, self.settle, self.attempts, self.clock, self.slots, self.ring,
            lease=self.heartbeat.lease, state_id=self.owner.partition("/")[0], every=LEASE / 2,
        )  # fmt: skip
        self.steer = Steer(self.tasks, self.queue, self.attempts, self.clock, self.ring)
        self.review = Review(self.pool, self.clock, self.ring, targets=targets)
        defaults = Defaults(mode=Mode.ASYNC, auto_approve=True, max_retries=3, timeout=timedelta(seconds=1800))
        self.submit = Submit(self.tasks, self.accounts, self.queue, self.clock, defaults, self.ring)
        self.schedule_store = PostgresSchedules(self.database)
        self.schedules = Schedules(
            self.schedule_store, self.schedule_store, self.submit, self.queue, self.clock, self.ring
        )

    def _note(self, task: Task) -> None:
        """What dispatch starts is ours at once, and begins when the test says so."""
        self.attempts.hold(task)
        self.started.append(task)

    def ring(self, stage: Stage) -> None:
        """Count who was woken."""
        self.rung[stage] += 1

    def fetch_from(self, source: ImageSource, max_retries: int = 2) -> Fetch:
        """The fetch stage with a source of images."""
        return Fetch(self.images, source, self.clock, self.ring, policy=POLICY, max_retries=max_retries)

    def publish_to(self, publishers: Mapping[str, Publisher], max_retries: int = 2) -> Publish:
        """The publish stage with its targets."""
        return Publish(
            self.pool, publishers, self.clock,
            owner=self.owner, state_id=self.owner.partition("/")[0], policy=POLICY, max_retries=max_retries,
        )  # fmt: skip

    # ---------------------------------------------------------------------------------------------- shorter ways there

    async def account(self, name: str = "demo", **values: Any) -> Account:
        """Create an account."""
        made = Account(account_id=self.clock.new_id(), name=name, created_at=self.clock.now(), **values)
        assert await self.accounts.create(made)
        return made

    async def add(self, topic: str = "云计算", account: str = "demo", **values: Any) -> Task:
        """Submit one topic; its task."""
        [(task, _)] = await self.submit(account, [Request(topic=topic, **values)])
        return task

    async def claimed(self, topic: str = "云计算", **values: Any) -> Task:
        """A task that was submitted and claimed by the dispatch stage, its attempt not begun."""
        task = await self.add(topic, **values)
        await self.beat()
        await self.dispatch.tick()
        [found] = [one for one in self.started if one.task_id == task.task_id]
        self.started.remove(found)
        return found

    async def accepted(self, topic: str = "云计算", **values: Any) -> tuple[Task, str]:
        """A task that the creator has accepted; with the creator's id."""
        task = await self.claimed(topic, **values)
        await self.attempts.run(task)
        creator_task_id = await self.value(
            "SELECT creator_task_id FROM attempt WHERE task_id = :id AND number = :n", id=task.task_id, n=task.attempt
        )
        return await self.now(task), creator_task_id

    async def completed(self, topic: str = "云计算", article: str = "# 标题\n\n正文", **values: Any) -> Task:
        """A task that went all the way in async mode."""
        task, creator_task_id = await self.accepted(topic, **values)
        self.creator.finish(creator_task_id, article)
        await self.look()
        return await self.now(task)

    async def beat(self) -> None:
        """Renew the leases, and with them the right to claim."""
        await self.heartbeat.tick()

    async def unseen(self, instance: str = INSTANCE, *, seconds: float = 1) -> None:
        """The instance's daemon was alive until so many seconds ago."""
        statement = "UPDATE instance SET seen_until = now() - make_interval(secs => :seconds) WHERE name = :name"
        assert await self.database.changed(text(statement), seconds=seconds, name=instance) == 1

    async def look(self) -> timedelta:
        """A polling round that is surely due."""
        await self.polled()
        self.clock.advance(30)
        return await self.polled()

    async def polled(self) -> timedelta:
        """A tick of poll behind a fresh heartbeat."""
        await self.beat()
        return await self.poll.tick()

    async def again(self, task: Task) -> Task:
        """Promote, claim and return the next attempt of a task that waits for its retry."""
        waiting = await self.now(task)
        if waiting.run_at is not None:
            self.clock.advance((waiting.run_at - self.clock.now()).total_seconds())
        await self.promote.tick()
        await self.beat()
        self.started.clear()
        await self.dispatch.tick()
        [found] = [one for one in self.started if one.task_id == task.task_id]
        self.started.clear()
        return found

    async def now(self, task: Task) -> Task:
        """The task as it is stored."""
        return await self.tasks.get(task.task_id)

    async def state(self, task: Task) -> TaskState:
        """The state that is stored."""
        return (await self.now(task)).state

    async def attempt(self, task: Task, number: int | None = None) -> Any:
        """The row of an attempt (default: the task's latest)."""
        statement = "SELECT * FROM attempt WHERE task_id = :id AND (number = :n OR :n = 0) ORDER BY number DESC LIMIT 1"
        return await self.database.first(text(statement), id=task.task_id, n=number or 0)

    async def facts(self, task: Task | UUID) -> list[str]:
        """The names of a task's facts, in order."""
        task_id = task if isinstance(task, UUID) else task.task_id
        rows = await self.database.rows(text("SELECT name FROM fact WHERE task_id = :id ORDER BY id"), id=task_id)
        return [row.name for row in rows]

    async def content(self, task: Task) -> Any:
        """The content's row, None if there is none."""
        return await self.database.first(text("SELECT * FROM content WHERE task_id = :id"), id=task.task_id)

    async def publication(self, task: Task) -> Any:
        """The row of the content's entry in the pool."""
        statement = "SELECT p.* FROM publication p JOIN content c ON c.id = p.content_id WHERE c.task_id = :id"
        return await self.database.first(text(statement), id=task.task_id)

    async def value(self, statement: str, **values: Any) -> Any:
        """The first value of a statement."""
        row = await self.database.first(text(statement), **values)
        return row[0] if row else None
