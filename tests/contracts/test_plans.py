"""A long past costs nothing: every hot statement touches a handful of pages, however many tasks are finished.

Two databases with the same backlog, one with a past of ten thousand tasks. The real methods of the stores run on
both, as plans made for their values and as generic ones, and every page they touch is counted. A statement that walks
a big table, or that costs more on the long past than on the short one, fails here.

The full size, a million finished tasks: CONTENTHUB_FINISHED=1000000, or ``make explain``.
"""

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from itertools import product
from pathlib import Path
from typing import Any, Final, TypeVar
from uuid import UUID

import pytest
import uuid_utils.compat
from sqlalchemy import text

from contenthubd.adapters.postgres.engine import Database
from contenthubd.adapters.postgres.flights import PostgresFlights
from contenthubd.adapters.postgres.images import PostgresImages
from contenthubd.adapters.postgres.instances import PostgresInstances
from contenthubd.adapters.postgres.prune import PostgresRetention
from contenthubd.adapters.postgres.publications import PostgresPublications
from contenthubd.adapters.postgres.schedules import PostgresSchedules
from contenthubd.adapters.postgres.tasks import PostgresTasks
from contenthubd.adapters.postgres.views import PostgresViews
from contenthubd.domain.attempt import AttemptOutcome, Child
from contenthubd.domain.content import ContentEvent, NewContent
from contenthubd.domain.moment import Moment
from contenthubd.domain.publication import PublicationEvent
from contenthubd.domain.task import Mode, NewTask, TaskEvent, TaskState
from contenthubd.ports.tasks import Fact, Lease, NewBatch, Settlement
from contenthubd.ports.views import Listing
from tests.clock import NOON
from tests.conftest import TEMPLATE
from tests.contracts.million import MeasuredDatabase, fill
from tests.postgres_server import TestServer

FINISHED: Final = int(os.environ.get("CONTENTHUB_FINISHED", "100000"))
WAITING: Final = FINISHED // 10
SHORT: Final = 10_000
LONGEST: Final = timedelta(days=20_000)
LEASE: Final = Lease(owner="0/run", until=NOON + timedelta(seconds=30), length=timedelta(seconds=30), instance="main")
CHILD: Final = Child(pid=1, started=1, boot_id="boot")
SLACK: Final = 12
"""Pages a longer past may add: each index has a level or two more, and rows are joined in another order."""


class Past:
    """The stores on one database, and some of its rows."""

    def __init__(self, database: MeasuredDatabase) -> None:
        self.database = database
        self.tasks, self.flights = PostgresTasks(database), PostgresFlights(database)
        self.views, self.images = PostgresViews(database), PostgresImages(database)
        self.pool = PostgresPublications(database, Path("/images"))
        self.retention = PostgresRetention(database)
        self.instances, self.schedules = PostgresInstances(database), PostgresSchedules(database)

    async def remember(self) -> None:
        """Look up the rows that the statements ask for, at no cost."""
        self.pending = await self._ids("SELECT id FROM task WHERE state = 'pending' ORDER BY sequence LIMIT 5")
        self.last_pending = (await self._ids("SELECT id FROM task ORDER BY sequence DESC LIMIT 1"))[0]
        self.under_way = (await self._ids("SELECT id FROM task WHERE state = 'submitted' LIMIT 1"))[0]
        self.middle = (await self._ids("SELECT id FROM task WHERE state = 'completed' ORDER BY sequence OFFSET 500"))[0]
        self.retrying = (await self._ids("SELECT id FROM task WHERE state = 'retrying' LIMIT 1"))[0]
        self.failed = (await self._ids("SELECT id FROM task WHERE state = 'failed' LIMIT 1"))[0]
        self.content = (await self._ids("SELECT id FROM content ORDER BY sequence OFFSET 500 LIMIT 1"))[0]
        self.review = (await self._ids("SELECT id FROM content WHERE state = 'pending_review' LIMIT 1"))[0]
        self.batch = (await self._ids("SELECT batch_id FROM task WHERE batch_id IS NOT NULL OFFSET 500 LIMIT 1"))[0]
        self.account = (await self._ids("SELECT id FROM account WHERE name = 'account7'"))[0]

        self.flight = replace((await self.flights.in_flight("main"))[0], owner="0/gone", leased_until=NOON)
        self.image = (await self.images.due_images(NOON, 1, longest=LONGEST))[0][0]
        self.publication = (await self.pool.claim_due(NOON, 1, "0/run", longest=LONGEST))[0][0]

    async def _ids(self, statement: str) -> list[UUID]:
        return [row[0] for row in await self.database.rows(text(statement))]

    def new(self, count: int, key: str | None = None) -> list[NewTask]:
        """Tasks to submit."""
        return [
            NewTask(
                task_id=uuid_utils.compat.uuid7(), account_id=self.account, batch_id=None, mode=Mode.ASYNC, topic="t",
                requirements="r", keywords=(), min_chars=1, max_chars=2, priority=5, auto_approve=True, max_retries=3,
                timeout=timedelta(minutes=30), created_at=NOON, idempotency_key=key and f"{key}{number}",
            )
            for number in range(count)
        ]  # fmt: skip

    def new_batch(self, key: str | None = None) -> NewBatch:
        """A batch to submit."""
        return NewBatch(
            batch_id=uuid_utils.compat.uuid7(), account_id=self.account, created_at=NOON, idempotency_key=key
        )

    def settlement(self, event: TaskEvent, enters: TaskState, content: NewContent | None = None) -> Settlement:
        """What ends the attempt that is under way."""
        return Settlement(
            task_id=self.under_way, attempt=1, task_attempt=1, leaves=TaskState.SUBMITTED, enters=enters, event=event,
            at=NOON, outcome=AttemptOutcome.SUCCEEDED if content else AttemptOutcome.FAILED, content=content,
            error_kind=None if content else "lost",
            run_at=NOON if enters is TaskState.RETRYING else None, facts=(Fact("told"),),
        )  # fmt: skip

    def article(self) -> NewContent:
        """A content with an image and a pool entry."""
        return NewContent(
            content_id=uuid_utils.compat.uuid7(), title="t", body="b", approved=True, images=(("u", "p"),),
            publication_ids=((uuid_utils.compat.uuid7(), "shelf"),),
        )  # fmt: skip


AnyDatabase = TypeVar("AnyDatabase", bound=Database)
Ask = Callable[[Past], Awaitable[object]]
BOTH: Final = {Mode.ASYNC: Mode.ASYNC, Mode.SYNC: Mode.SYNC}
FINAL_STATES: Final = ("cancelled", "completed", "failed", "timeout")
AN_HOUR: Final = timedelta(hours=1)


def _listed(**wanted: Any) -> Ask:
    return lambda past: past.views.tasks(Listing(limit=50, **wanted))


def _contents(**wanted: Any) -> Ask:
    return lambda past: past.views.contents(Listing(limit=50, **wanted))


WRITES: Final[Mapping[str, tuple[int, Ask]]] = {
    "submit one": (200, lambda past: past.tasks.submit(past.new(1), None)),
    "submit with a key": (200, lambda past: past.tasks.submit(past.new(1, "new"), None)),
    "submit a batch": (
        5000,
        lambda past: past.tasks.submit(past.new(100), past.new_batch()),
    ),
    "claim": (400, lambda past: past.tasks.claim(past.pending, run_as=BOTH, slots=25, lease=LEASE, at=Moment(NOON))),
    "settle": (200, lambda past: past.tasks.settle(past.settlement(TaskEvent.FAILED, TaskState.RETRYING))),
    "settle with content": (
        200,
        lambda past: past.tasks.settle(past.settlement(TaskEvent.SUCCEEDED, TaskState.COMPLETED, past.article())),
    ),
    "promote nothing": (50, lambda past: past.tasks.promote(NOON, 500, longest=LONGEST)),
    "promote": (45_000, lambda past: past.tasks.promote(NOON + timedelta(days=99), 500, longest=LONGEST)),
    "hurry": (200, lambda past: past.tasks.hurry(past.retrying, NOON, "me")),
    "cancel": (200, lambda past: past.tasks.cancel(past.pending[0], NOON, "me")),
    "revive": (200, lambda past: past.tasks.revive(past.failed, NOON, "me")),
    "renew": (200, lambda past: past.flights.renew("0/run", NOON, [(past.under_way, 1)])),
    "own child": (50, lambda past: past.flights.own_child(past.under_way, 1, CHILD, "0/run")),
    "take over": (50, lambda past: past.flights.take_over(past.flight, LEASE)),
    "accepted late": (50, lambda past: past.flights.accepted_late(past.under_way, 1, "theirs", NOON, "0/run")),
    "end": (50, lambda past: past.flights.end(past.under_way, 1, NOON, AttemptOutcome.DROPPED, "0/run")),
    "requeued": (50, lambda past: past.flights.requeued(past.under_way, 1, NOON)),
    "image fetched": (100, lambda past: past.images.image_fetched(past.image, "p", "image/png", 1, NOON)),
    "image failed": (100, lambda past: past.images.image_failed(past.image, "no", NOON, NOON)),
    "publication settled": (
        100, lambda past: past.pool.settle_publication(past.publication, PublicationEvent.FAILED, now=NOON, error="no")
    ),
    "hold the instance": (100, lambda past: past.instances.hold("main", "0", AN_HOUR)),
    "submit a batch with a key": (5000, lambda past: past.tasks.submit(past.new(100), past.new_batch("new"))),
    "publications": (3000, lambda past: past.pool.claim_due(NOON, 20, "0/run", longest=LONGEST)),
    "no publications": (
        1000,
        lambda past: past.pool.claim_due(NOON - timedelta(days=9999), 20, "0/run", longest=LONGEST),
    ),
    "release stale": (20, lambda past: past.pool.release_stale("0", "")),
    "review": (
        200,
        lambda past: past.pool.review(past.review, ContentEvent.REJECTED, by="me", reason="", now=NOON, pool=[]),
    ),
    "prune tasks": (9000, lambda past: past.retention.prune_tasks(TaskState.COMPLETED, NOON, None, 50)),
    "prune nothing": (
        250, lambda past: past.retention.prune_tasks(TaskState.COMPLETED, NOON - timedelta(days=9999), None, 50)
    ),
    "prune facts": (500, lambda past: past.retention.prune_facts(NOON - timedelta(days=9999), 50)),
}  # fmt: skip
READS: Final[Mapping[str, tuple[int, Ask]]] = {
    "refill": (1200, lambda past: past.tasks.waiting(1001, list(BOTH))),
    "refill of a rare mode": (50, lambda past: past.tasks.waiting(1001, [Mode.SYNC])),
    "get": (20, lambda past: past.tasks.get(past.middle)),
    "in flight": (200, lambda past: past.flights.in_flight("main")),
    "expired": (
        60, lambda past: past.flights.expired(NOON, "0", LEASE, held=[(past.under_way, 1)], after=None, limit=100)
    ),
    "lost instances": (20, lambda past: past.instances.lost("main", AN_HOUR)),
    "due schedules": (20, lambda past: past.schedules.due(NOON, 50)),
    "durations": (120, lambda past: past.flights.durations(50)),
    "due images": (200, lambda past: past.images.due_images(NOON, 20, longest=LONGEST)),
    "no due images": (50, lambda past: past.images.due_images(NOON - timedelta(days=9999), 20, longest=LONGEST)),
    "tasks": (1500, _listed()),
    "tasks deep": (1500, lambda past: _listed(after=past.middle)(past)),
    "tasks by state": (6000, _listed(states=("failed", "timeout"))),
    "tasks by a state deep": (1500, lambda past: _listed(states=("completed",), after=past.middle)(past)),
    "tasks of an account": (1500, _listed(account="account7")),
    "tasks of an account deep": (1500, lambda past: _listed(account="account7", after=past.middle)(past)),
    "tasks of an account by state": (4000, _listed(account="account7", states=("completed",))),
    "tasks of a batch": (1500, lambda past: _listed(batch_id=past.batch)(past)),
    "tasks since": (1500, _listed(since=NOON - AN_HOUR)),
    "tasks by their end": (2500, _listed(sort="finished", states=FINAL_STATES)),
    "failed tasks by their end": (3000, _listed(sort="finished", states=("failed", "timeout"))),
    "tasks that ended lately": (
        1500, _listed(sort="finished", states=FINAL_STATES, finished_since=NOON - AN_HOUR, finished_until=NOON)
    ),
    "tasks of an account by their end": (3000, _listed(sort="finished", states=FINAL_STATES, account="account7")),
    "tasks by their end deep": (
        3000, lambda past: _listed(sort="finished", states=FINAL_STATES, after=past.middle)(past)
    ),
    "tasks in the order they start": (1500, _listed(sort="priority")),
    "tasks of an account in the order they start": (1500, _listed(sort="priority", account="account7")),
    "abandoned attempts": (200, lambda past: past.views.abandoned("main")),
    "one task": (50, lambda past: _listed(only=past.middle)(past)),
    "contents": (1500, _contents()),
    "contents deep": (1500, lambda past: _contents(after=past.content)(past)),
    "contents by state": (1500, _contents(states=("published",))),
    "contents of an account": (1500, _contents(account="account7")),
    "contents of a batch": (2500, lambda past: _contents(batch_id=past.batch)(past)),
    "contents since": (1500, _contents(since=NOON - AN_HOUR)),
    "task detail": (100, lambda past: past.views.task(past.middle)),
    "position at the end": (100 + WAITING, lambda past: past.views.task(past.last_pending)),
    "waited": (100, lambda past: past.views.waited([past.middle, past.under_way], None)),
    "waited batch": (1000, lambda past: past.views.waited([], past.batch)),
    "task by the beginning": (50, lambda past: past.views.find_ids("task", past.middle.hex[:12])),
    "task by the end": (50, lambda past: past.views.find_ids("task", past.middle.hex[-8:])),
    "content by the end": (80, lambda past: past.views.find_ids("content", past.content.hex[-8:])),
    "last batch": (1000, lambda past: past.views.last_batch()),
    "counts": (500 + WAITING, lambda past: past.views.counts(NOON - AN_HOUR, NOON - AN_HOUR)),
}  # fmt: skip
ASKED: Final = {**WRITES, **READS}
PLANS: Final = ("force_custom_plan", "force_generic_plan")


@pytest.fixture
async def pasts(postgres: TestServer) -> AsyncIterator[tuple[str, str]]:
    """The addresses of a database with a short past and of one with a long past, the same backlog in both."""
    urls = [await postgres.fresh_database(TEMPLATE) for _ in range(2)]
    for url, finished in zip(urls, (SHORT, FINISHED), strict=True):
        async with closing(Database(url, command_timeout=900)) as filling:
            await fill(filling, finished=finished, waiting=WAITING)
    yield urls[0], urls[1]
    for url in urls:
        await postgres.drop(url)


@asynccontextmanager
async def closing(database: AnyDatabase) -> AsyncIterator[AnyDatabase]:
    """Give the connections back, whatever happens."""
    try:
        yield database
    finally:
        await database.close()


async def _measured(past: Past, ask: Ask, plan: str) -> tuple[int, set[str]]:
    past.database.plan, past.database.pages, past.database.scanned = plan, 0, set()
    await ask(past)
    return past.database.pages, past.database.scanned


async def test_a_long_past_costs_nothing(pasts: tuple[str, str]) -> None:
    offenders = []
    async with closing(MeasuredDatabase(pasts[0])) as one, closing(MeasuredDatabase(pasts[1])) as other:
        few, many = Past(one), Past(other)
        await few.remember()
        await many.remember()
        for plan, (name, (most, ask)) in product(PLANS, ASKED.items()):
            short, _ = await _measured(few, ask, plan)
            long, scanned = await _measured(many, ask, plan)
            told = f"{name:30} {plan:18} pages {short:6} with a short past {long:6} with a long one, {most:6} allowed"
            print(told)
            if scanned or long > most or long > 4 * short + SLACK:
                offenders.append(f"{told}, walked through: {', '.join(scanned) or 'nothing'}")
    assert offenders == []
