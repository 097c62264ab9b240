"""Whatever happens in whatever order: random walks over everything that can happen to tasks, then an end to all.

Two daemons with an instance each work on one real database. They crash at any moment, answers of the database get
lost, instances are taken over by others, clocks stand still or step back; after every step all invariants are asked in
SQL, and when everything goes well again at last, every task must come to its end.

The walks are the same in every run. Many more of them: CONTENTHUB_WALKS=2000 (how many), or ``make machine``.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import text

from contenthubd.domain.content import ContentEvent, ContentState
from contenthubd.domain.errors import Conflict, DatabaseUnavailable
from contenthubd.domain.idempotency import KeyReused
from contenthubd.domain.outcome import (
    ErrorKind,
    Failed,
    Picture,
    RowState,
    Sick,
    Succeeded,
    TimedOut,
    Unknown,
)
from contenthubd.domain.request import Request
from contenthubd.domain.task import Mode
from tests.conftest import TEMPLATE
from tests.postgres_server import TestServer
from tests.stages.machine_world import Daemon, LossyDatabase, World
from tests.stages.scripted_creator import Create

WALKS: Final = int(os.environ.get("CONTENTHUB_WALKS", "12"))
STEPS: Final = 40

_SICK: Final = Sick(ErrorKind.CREATOR_REDIS_DOWN, "away")
_BROKEN: Final = Sick(ErrorKind.DATABASE_MISSING, "locked")
_ARTICLE: Final = Succeeded("# 标题\n\n正文", (Picture("https://images/1", "画"),))
ANSWERS: Final = {
    "well": None,
    "failed": Create(Failed(ErrorKind.GENERATION_FAILED, "no")),
    "refused": Create(Failed(ErrorKind.REFUSED, "never")),
    "sick": Create(_SICK),
    "unknown": Create(Unknown("cut off")),
    "unknown but stored": Create(Unknown("cut off"), stored=True),
}
ASYNC_ANSWERS: Final = {"stored and finished": Create(Unknown("cut off"), stored=True, row=RowState.RUNNING)}
SYNC_ANSWERS: Final = {
    "timed out": Create(TimedOut("too long")),
    "pictures": Create(_ARTICLE),
    "empty": Create(Succeeded(" \n")),
}
ROWS: Final = ("finished", "empty", "unreadable", "running", "failed", "cancelled", "forgotten", "orphaned", "no job")
TICKS: Final = ("beat", "dispatch", "look", "promote", "rescue", "fetch", "publish", "reclaim")

daemons = st.sampled_from(("main", "main", "second"))
places = st.integers(0, 20)
priorities = st.sampled_from((1, 5, 5, 10))
seconds = st.sampled_from((0.5, 1, 11, 31, 31, 61, 130, 700, 3700))


class Walk(RuleBasedStateMachine):
    """One walk. ``place`` counts through whatever there is to choose from."""

    database: LossyDatabase
    runner: asyncio.Runner

    def __init__(self) -> None:
        super().__init__()
        self.world = World(self.database)

    def run(self, step: Coroutine[Any, Any, None]) -> None:
        """One step, and what it interrupted."""

        async def whole() -> None:
            await step
            await self.world.reap()

        self.runner.run(whole())

    @initialize()
    def begin(self) -> None:
        """Some tasks of either mode, the first two under way."""

        async def step() -> None:
            await self.world.start()
            house = self.world.daemons["main"].house
            for mode in (Mode.ASYNC, Mode.SYNC, Mode.ASYNC):
                await house.add(account="demo", mode=mode)
            await house.dispatch.tick()
            for _ in range(2):
                await self.world.daemons["main"].begin(0)

        self.run(step())

    # ------------------------------------------------------------------------------------------------- what people do

    @rule(
        name=daemons, account=st.sampled_from(("demo", "desk")), count=st.integers(1, 3), priority=priorities,
        mode=st.sampled_from((None, Mode.SYNC)), auto=st.sampled_from((None, None, True, False)),
        key=st.sampled_from((None, None, "甲", "乙")), own_key=st.booleans(), retries=st.integers(0, 2),
        timeout=st.sampled_from((20.0, 60.0, 1800.0)),
    )  # fmt: skip
    def submit(
        self, name: str, account: str, count: int, priority: int, mode: Mode | None, auto: bool | None,
        key: str | None, own_key: bool, retries: int, timeout: float,
    ) -> None:  # fmt: skip
        """Some topics for one account."""
        requests = [
            Request(
                topic=f"题{number}", priority=priority, mode=mode, auto_approve=auto, max_retries=retries,
                timeout_seconds=timeout, idempotency_key=f"{key}{number}" if key and own_key else None,
            )
            for number in range(count)
        ]  # fmt: skip

        async def step() -> None:
            try:
                answer = await self.world.daemons[name].house.submit(account, requests, key=None if own_key else key)
            except KeyReused:
                assert key is not None
                return
            assert key is not None or (len(answer) == count and all(new for _, new in answer))

        self.run(step())

    @rule(name=daemons, place=places, revive=st.booleans())
    def steer(self, name: str, place: int, revive: bool) -> None:
        """Cancel or revive any task; the state may not allow it."""

        async def step() -> None:
            ids = await self.world.ids()
            if not ids:
                return
            task_id, steer = ids[place % len(ids)], self.world.daemons[name].house.steer
            try:
                await (steer.revive if revive else steer.cancel)(task_id, by="walk")
            except Conflict:
                return
            if revive:
                self.world.revived.add(task_id)

        self.run(step())

    @rule(place=places, event=st.sampled_from((ContentEvent.APPROVED, ContentEvent.REJECTED)))
    def review(self, place: int, event: ContentEvent) -> None:
        """Approve or reject any content; the state may not allow it."""

        async def step() -> None:
            rows = await self.world.database.rows(text("SELECT id, state FROM content ORDER BY sequence"))
            if not rows:
                return
            row = rows[place % len(rows)]
            review = self.world.daemons["main"].house.review
            try:
                await review(row.id, ContentState(row.state), event, by="walk", reason="")
            except Conflict:
                return

        self.run(step())

    # ------------------------------------------------------------------------------------------------- what daemons do

    @rule(name=daemons, tick=st.sampled_from(TICKS), lost=st.integers(-6, 4), done=st.booleans())
    def tick(self, name: str, tick: str, lost: int, done: bool) -> None:
        """One tick of a stage, during which the answer to one statement may get lost."""

        async def step() -> None:
            if lost > 0:
                self.world.database.lose(lost, done=done)
            try:
                await _tick(self.world.daemons[name], tick)()
            except DatabaseUnavailable:
                return
            finally:
                self.world.database.keep()

        self.run(step())

    @rule(name=daemons, place=places)
    def start(self, name: str, place: int) -> None:
        """Heartbeat and dispatch, then one claimed attempt begins."""

        async def step() -> None:
            daemon = self.world.daemons[name]
            await daemon.beat()
            await daemon.house.dispatch.tick()
            if daemon.house.started:
                await daemon.begin(place % len(daemon.house.started))

        self.run(step())

    @rule(place=places, how=st.data())
    def answer(self, place: int, how: st.DataObject) -> None:
        """Any command of a creator ends, also one of a daemon that lost its instance."""
        running = [
            (daemon, call)
            for daemon in (*self.world.daemons.values(), *self.world.zombies)
            for call in daemon.calls
        ]  # fmt: skip
        if not running:
            return
        daemon, call = running[place % len(running)]
        answers = {**ANSWERS, **(SYNC_ANSWERS if call.task.mode is Mode.SYNC else ASYNC_ANSWERS)}
        name = how.draw(st.sampled_from(("well", "well", "well", *answers)))
        self.run(daemon.answer(call, answers[name]))

    # ------------------------------------------------------------------------------------------- what the creator does

    @rule(name=daemons, place=places, what=st.sampled_from(("finished", "finished", *ROWS)))
    def work(self, name: str, place: int, what: str) -> None:
        """Something happens to a row of the creator."""
        creator = self.world.creators[name]
        ids = [one for one, row in creator.table.items() if row.state in (RowState.PENDING, RowState.RUNNING)]
        if not ids:
            return
        creator_task_id = ids[place % len(ids)]
        match what:
            case "finished":
                creator.finish(creator_task_id)
                creator.results[creator_task_id] = _ARTICLE
            case "empty" | "unreadable":
                creator.finish(creator_task_id)
                outcome = Unknown("cut off") if what == "unreadable" else Succeeded("")
                creator.results[creator_task_id] = outcome
            case "running":
                creator.move(creator_task_id, state=RowState.RUNNING)
            case "orphaned":
                creator.workers["dead"] = False
                creator.move(creator_task_id, state=RowState.RUNNING, worker_id="dead")
            case "failed" | "cancelled":
                creator.move(creator_task_id, state=RowState(what), error="no")
            case "forgotten":
                creator.forget(creator_task_id)
            case "no job":
                creator.without_job.add(creator_task_id)

    @rule(name=daemons, what=st.sampled_from(("well", "well", "redis", "all", "rows", "finds", "child")))
    def condition(self, name: str, what: str) -> None:
        """The creator, its lists, or its children behave from now on."""
        creator = self.world.creators[name]
        creator.sick = {Mode.ASYNC: _SICK} if what == "redis" else dict.fromkeys(Mode, _BROKEN) if what == "all" else {}
        creator.sick_rows.clear()
        if what == "rows":
            creator.sick_rows.append(_BROKEN)
        creator.children_end = what != "child"

    @rule(name=daemons)
    def rescue_without_rows(self, name: str) -> None:
        """A sweep that cannot look into the creator's rows."""

        async def step() -> None:
            daemon = self.world.daemons[name]
            daemon.creator.sick_finds.append(_BROKEN)
            await daemon.beat()
            await daemon.house.rescue.tick()
            daemon.creator.sick_finds.clear()

        self.run(step())

    @rule(target_fails=st.booleans(), album_fails=st.booleans())
    def outside(self, target_fails: bool, album_fails: bool) -> None:
        """The publishing target and the image provider work, or not."""
        self.world.shelf.fails, self.world.album.fails = target_fails, album_fails

    # ------------------------------------------------------------------------------------------------- what goes wrong

    @rule(by=seconds)
    def advance(self, by: float) -> None:
        """Time passes."""
        self.world.clock.advance(by)

    @rule(by=st.sampled_from((-3600, -90, -5, -0.1, 2, 90, 3600)))
    def step_clock(self, by: float) -> None:
        """The wall clock is set, back or forward; no time passes."""
        self.world.clock.step(by)

    @rule(name=daemons)
    def lose_the_queue(self, name: str) -> None:
        """The ids are gone; the database has them."""
        self.run(self.world.daemons[name].house.queue.clear(""))

    @rule(name=daemons, stored=st.booleans())
    def crash(self, name: str, stored: bool) -> None:
        """A daemon dies, and its next run begins."""
        self.run(self.world.crash(name, stored=stored))

    @rule(name=daemons)
    def usurp(self, name: str) -> None:
        """A daemon is frozen for so long that another one takes its creator instance; then it thaws."""
        self.run(self.world.usurp(name))

    @precondition(lambda self: bool(self.world.zombies))
    @rule(place=places, tick=st.sampled_from(TICKS))
    def zombie(self, place: int, tick: str) -> None:
        """A daemon that lost its instance does not know it yet."""
        zombies = self.world.zombies

        async def step() -> None:
            await _tick(zombies[place % len(zombies)], tick)()

        self.run(step())

    @rule()
    def lose_a_host(self) -> None:
        """The second instance was not seen for long: the first gives its tasks another try."""

        async def step() -> None:
            await self.world.unseen("second")
            await self.world.daemons["main"].beat()
            await self.world.daemons["main"].reclaim.tick()

        self.run(step())

    # -------------------------------------------------------------------------------------------- what always holds

    @invariant()
    def everything_holds(self) -> None:
        """After every step."""
        self.run(self.world.check())

    def teardown(self) -> None:
        """All is well again: every task comes to its end, and nobody is left working."""
        self.run(self.world.heal())
        self.run(self.world.check())


def _tick(daemon: Daemon, name: str) -> Callable[[], Awaitable[object]]:
    house = daemon.house
    ticks: dict[str, Callable[[], Awaitable[object]]] = {
        "beat": daemon.beat,
        "dispatch": house.dispatch.tick,
        "look": house.poll.tick,
        "promote": house.promote.tick,
        "rescue": house.rescue.tick,
        "fetch": daemon.fetch.tick,
        "publish": daemon.publish.tick,
        "reclaim": daemon.reclaim.tick,
    }
    return ticks[name]


@pytest.fixture
def machine(postgres: TestServer) -> Iterator[type[Walk]]:
    """The machine on a database of its own."""
    with asyncio.Runner() as runner:
        url = runner.run(postgres.fresh_database(TEMPLATE))
        database = LossyDatabase(url)
        yield type("Walk", (Walk,), {"database": database, "runner": runner})
        runner.run(database.close())
        runner.run(postgres.drop(url))


def test_every_walk_comes_to_an_end_and_breaks_nothing(machine: type[Walk]) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=WALKS,
            stateful_step_count=STEPS,
            derandomize=True,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
