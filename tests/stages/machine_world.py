"""The world the state machine lives in: daemons that come and go on one database, each with its creator.

Nothing here waits for time: an attempt stops inside the creator until the machine answers it, the clock is moved by
hand, and a daemon that crashes writes nothing more. What must never happen, but happens where an exception would be
taken for a failed attempt, is noted in ``violations``.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import UUID

import anyio
from anyio.lowlevel import checkpoint
from sqlalchemy import Row, TextClause, text

from contenthubd.adapters.postgres.engine import Database
from contenthubd.adapters.postgres.invariants import INVARIANTS
from contenthubd.domain.attempt import mark_of, with_mark
from contenthubd.domain.errors import DatabaseUnavailable, FetchFailed, InstanceTaken, PublishFailed
from contenthubd.domain.outcome import Outcome, RowState
from contenthubd.domain.publication import Publication, Receipt
from contenthubd.domain.task import FINAL, Task, TaskState
from contenthubd.ports.flights import Key
from contenthubd.stages.reclaim import Reclaim
from tests.clock import ManualClock
from tests.stages.house import MINUTE, House
from tests.stages.scripted_creator import Create, ScriptedCreator

T = TypeVar("T")
SLOTS = 3
TARGETS = ("shelf", "wall")
STATE_IDS = {"main": "0" * 32, "second": "1" * 32}
USURPER = "2" * 32
ROUNDS = 150
"""How many rounds of everything, half a minute apart, surely bring the last task to its end."""

_EVERY_INVARIANT = text(
    " UNION ALL ".join(f"SELECT '{one.name}' AS name, offender FROM ({one.sql}) AS one" for one in INVARIANTS)  # noqa: S608 - only our own statements
)
_TASKS = text("SELECT id, state, attempt FROM task ORDER BY sequence")
_CROWDED = text("""
    SELECT instance, count(*) AS used FROM attempt WHERE ended_at IS NULL GROUP BY instance HAVING count(*) > :slots
""")
_OURS = text("SELECT task_id, number, error FROM attempt WHERE error_kind = 'internal_error'")
_UNANSWERED = text("SELECT task_id, number FROM attempt WHERE error_kind = 'create_unanswered' AND mode = 'async'")
_SETTLED = text("SELECT id FROM publication WHERE state IN ('published', 'unknown')")
_UNSENT = text("""
    SELECT publication.id FROM publication
    WHERE publication.state IN ('pending', 'retrying', 'publishing')
""")
_EMPTY = text("TRUNCATE account, batch, task, attempt, content, image, publication, fact, instance CASCADE")


class LossyDatabase(Database):
    """A database whose answers can get lost: once, for the coroutine that asked for it."""

    _left = 0
    _done = False
    _asker: asyncio.Task[Any] | None = None

    def lose(self, number: int, *, done: bool) -> None:
        """The ``number``-th statement from now on is not answered; ``done`` says whether it was carried out."""
        self._left, self._done, self._asker = number, done, asyncio.current_task()

    def keep(self) -> None:
        """Answer everything again."""
        self._asker = None

    async def rows(self, statement: TextClause, **values: Any) -> Sequence[Row[Any]]:
        """As ever, or unanswered."""
        return await self._answered(lambda: super(LossyDatabase, self).rows(statement, **values))

    async def changed(self, statement: TextClause, **values: Any) -> int:
        """As ever, or unanswered."""
        return await self._answered(lambda: super(LossyDatabase, self).changed(statement, **values))

    async def _answered(self, run: Callable[[], Awaitable[T]]) -> T:
        if asyncio.current_task() is not self._asker:
            return await run()
        self._left -= 1
        if self._left > 0:
            return await run()
        self._asker = None
        if self._done:
            await run()
        raise DatabaseUnavailable("The answer was lost.")


@dataclass
class Call:
    """A command of the creator that runs just now."""

    task: Task
    mark: str
    answered: anyio.Event = field(default_factory=anyio.Event)
    answer: Create | None = None


class GatedCreator(ScriptedCreator):
    """Every ``create`` and ``generate`` runs until it is answered; each attempt may come only once."""

    def __init__(self, violations: list[str]) -> None:
        super().__init__()
        self.running: dict[Key, Call] = {}
        self._violations = violations
        self._came: set[Key] = set()

    async def _work(self, task: Task, mark: str, well: Callable[[str], Outcome]) -> Outcome:
        key = task.task_id, task.attempt
        if key in self._came:
            self._violations.append(f"attempt {task.attempt} of task {task.task_id} was given to the creator twice")
        self._came.add(key)
        call = self.running[key] = Call(task, mark)
        self.entered.set()
        try:
            await call.answered.wait()
        finally:
            del self.running[key]
        self.script.clear()
        if call.answer is not None:
            self.script.append(call.answer)
        return await super()._work(task, mark, well)


class Shelf:
    """A target that answers the same receipt when asked twice, and fails when it is told to (port ``Publisher``)."""

    def __init__(self, violations: list[str]) -> None:
        self.fails = False
        self.settled: set[UUID] = set()
        self._violations = violations
        self._sent: defaultdict[UUID, list[int]] = defaultdict(list)

    async def publish(self, publication: Publication) -> Receipt:
        """Note that it came; PublishFailed when told to."""
        sent = self._sent[publication.publication_id]
        if publication.publication_id in self.settled or publication.attempt in sent:
            self._violations.append(f"publication {publication.publication_id} was sent again, after tries {sent}")
        sent.append(publication.attempt)
        if self.fails:
            raise PublishFailed("The target is closed.")
        return Receipt(remote_id=str(publication.content_id), location=f"/{publication.content_id}")


class Album:
    """A source of images (port ``ImageSource``)."""

    fails = False

    async def fetch(self, url: str, content_id: UUID, position: int) -> tuple[str, str, int]:
        """The same picture for everyone; FetchFailed when told to."""
        if self.fails:
            raise FetchFailed("The image is gone.")
        return f"{content_id}/{position}.png", "image/png", 1


class Daemon:
    """One run of a daemon: its stages, and the attempts that its creator works on for it."""

    def __init__(self, world: "World", instance: str, state_id: str, run: int) -> None:
        self.world, self.instance, self.state_id, self.run = world, instance, state_id, run
        self.creator = world.creators[instance]
        self.house = House(
            world.database, world.clock, self.creator,
            run=f"run{run}", state_id=state_id, instance=instance, total=SLOTS, memory=4, targets=TARGETS,
        )  # fmt: skip
        self.fetch = self.house.fetch_from(world.album, max_retries=1)
        self.publish = self.house.publish_to(dict.fromkeys(TARGETS, world.shelf), max_retries=1)
        self.reclaim = Reclaim(
            self.house.tasks, self.house.flights, self.house.instances, self.house.settle, world.clock,
            lease=self.house.heartbeat.lease, instance=instance, after=10 * MINUTE, every=MINUTE,
        )  # fmt: skip
        self.jobs: dict[Key, asyncio.Task[None]] = {}

    @property
    def calls(self) -> list[Call]:
        """What the creator works on for this daemon, oldest first."""
        return [call for key, call in self.creator.running.items() if key in self.jobs]

    async def beat(self) -> None:
        """Renew the leases; a daemon whose instance was taken merely may not claim."""
        try:
            await self.house.beat()
        except InstanceTaken:
            return

    async def begin(self, number: int) -> None:
        """Let a claimed attempt run until the creator has it."""
        task = self.house.started.pop(number)
        self.creator.entered = anyio.Event()
        job = asyncio.create_task(self.house.attempts.run(task))
        entered = asyncio.create_task(self.creator.entered.wait())
        self.jobs[task.task_id, task.attempt] = job
        await asyncio.wait((job, entered), return_when=asyncio.FIRST_COMPLETED)
        entered.cancel()
        await self.reap()

    async def answer(self, call: Call, answer: Create | None) -> None:
        """Let the creator's command end, and the attempt with it."""
        call.answer = answer
        call.answered.set()
        await self.jobs.pop((call.task.task_id, call.task.attempt))

    async def reap(self) -> None:
        """Wait for the attempts that were interrupted."""
        for _ in range(4):  # anyio hands a cancellation on in the loop's next round
            await checkpoint()
        for key in [key for key in self.jobs if key not in self.creator.running]:
            await self.jobs.pop(key)

    async def crash(self, *, stored: bool) -> None:
        """Die now; ``stored`` says whether the commands that ran get as far as storing their row."""
        for call in self.calls:
            if stored:
                self.creator.add(with_mark(call.task.requirements, call.mark))
        self.house.attempts.close()
        for job in self.jobs.values():
            await job
        self.jobs.clear()


class World:
    """The database, the clock and every daemon; ``zombies`` are daemons whose instance was taken by another."""

    def __init__(self, database: LossyDatabase) -> None:
        self.database = database
        self.clock = ManualClock()
        self.violations: list[str] = []
        self.creators = {name: GatedCreator(self.violations) for name in STATE_IDS}
        self.shelf, self.album = Shelf(self.violations), Album()
        self.runs: Counter[str] = Counter()
        self.daemons = {name: self._new(name, state_id) for name, state_id in STATE_IDS.items()}
        self.zombies: list[Daemon] = []
        self.seen: dict[UUID, tuple[TaskState, int]] = {}
        self.revived: set[UUID] = set()

    async def start(self) -> None:
        """An empty database with two accounts."""
        async with self.database.transaction() as connection:
            await connection.execute(_EMPTY)
        house = self.daemons["main"].house
        await house.account("demo")
        await house.account("desk", auto_approve=False)
        for daemon in self.daemons.values():
            await daemon.beat()

    def _new(self, instance: str, state_id: str) -> Daemon:
        self.runs[instance] += 1
        return Daemon(self, instance, state_id, self.runs[instance])

    async def crash(self, instance: str, *, stored: bool) -> None:
        """Kill a daemon at this very moment; the next one on its state directory begins."""
        dead = self.daemons[instance]
        await dead.crash(stored=stored)
        self.daemons[instance] = self._new(instance, dead.state_id)

    async def usurp(self, instance: str) -> None:
        """A frozen daemon's creator instance is taken by one on another state directory; then the first one thaws."""
        frozen = self.daemons[instance]
        await self.unseen(instance)
        state_id = STATE_IDS[instance] if frozen.state_id == USURPER else USURPER
        # A state directory is locked by whoever runs on it.
        for zombie in [one for one in self.zombies if (one.instance, one.state_id) == (instance, state_id)]:
            await zombie.crash(stored=False)
            self.zombies.remove(zombie)
        self.zombies.append(frozen)
        self.daemons[instance] = self._new(instance, state_id)
        await self.daemons[instance].beat()

    async def unseen(self, instance: str) -> None:
        """Nobody has seen this instance's daemon for an hour, by the database's own clock."""
        statement = "UPDATE instance SET seen_until = now() - interval '1 hour' WHERE name = :name"
        await self.database.changed(text(statement), name=instance)

    async def ids(self) -> list[UUID]:
        """Every task, oldest first."""
        return [row.id for row in await self.database.rows(_TASKS)]

    async def reap(self) -> None:
        """Wait for what was interrupted anywhere."""
        for daemon in (*self.daemons.values(), *self.zombies):
            await daemon.reap()

    # -------------------------------------------------------------------------------------------- what must always hold

    async def check(self) -> None:
        """Every invariant, now."""
        assert self.violations == []
        assert [tuple(row) for row in await self.database.rows(_EVERY_INVARIANT)] == []
        assert [tuple(row) for row in await self.database.rows(_CROWDED, slots=SLOTS)] == []
        assert [tuple(row) for row in await self.database.rows(_OURS)] == []
        known = {row.requirements.splitlines()[-1] for one in self.creators.values() for row in one.table.values()}
        for row in await self.database.rows(_UNANSWERED):
            assert mark_of(row.task_id, row.number) not in known, f"{row.task_id} was given up, but the creator has it"
        for row in await self.database.rows(_TASKS):
            state, attempt = self.seen.get(row.id, (TaskState.PENDING, 0))
            assert row.attempt >= attempt, f"task {row.id} fell back from attempt {attempt} to {row.attempt}"
            stays = state is TaskState.COMPLETED or (state in FINAL and row.id not in self.revived)
            assert not stays or row.state == state, f"task {row.id} left {state} for {row.state} by itself"
            self.seen[row.id] = TaskState(row.state), row.attempt
        self.revived.clear()
        self.shelf.settled = {row.id for row in await self.database.rows(_SETTLED)}

    # ------------------------------------------------------------------------------------------------ and in the end

    async def heal(self) -> None:
        """Let everything go well from now on, until nothing is left to do."""
        self.shelf.fails = self.album.fails = False
        for zombie in self.zombies:
            await zombie.crash(stored=False)
        self.zombies.clear()
        for _ in range(ROUNDS):
            if not await self._unfinished():
                return
            for daemon in self.daemons.values():
                await self._round(daemon)
            await self.check()
        raise AssertionError(f"never came to an end: {await self._unfinished()}")

    async def _unfinished(self) -> list[object]:
        tasks = [(row.id, row.state) for row in await self.database.rows(_TASKS) if row.state not in FINAL]
        return [*tasks, *(("publication", row.id) for row in await self.database.rows(_UNSENT))]

    async def _round(self, daemon: Daemon) -> None:
        creator, house = daemon.creator, daemon.house
        creator.sick.clear()
        creator.sick_rows.clear()
        creator.sick_finds.clear()
        creator.children_end = creator.orphans_end = True
        await daemon.beat()
        for call in daemon.calls:
            await daemon.answer(call, None)
        for creator_task_id, row in list(creator.table.items()):
            if row.state in (RowState.PENDING, RowState.RUNNING, RowState.WAITING):
                creator.finish(creator_task_id)
        for stage in (house.look, house.promote.tick, house.rescue.tick, house.dispatch.tick, daemon.fetch.tick):
            await daemon.beat()
            await stage()
        while house.started:
            await daemon.begin(0)
        await daemon.publish.tick()
