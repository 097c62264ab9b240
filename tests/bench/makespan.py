"""Fifty articles of four minutes with five places, in virtual time: the real stages, a real PostgreSQL, a moved clock.

The creator needs exactly the time it is told. What is lost is what polling notices late; a poller that asks every 30
seconds, as the plan has it, is computed beside it.
"""

import math
import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import text

from contenthubd.adapters.postgres.embedded import EmbeddedPostgres
from contenthubd.adapters.postgres.engine import Database
from contenthubd.adapters.postgres.migrate import upgrade
from contenthubd.domain.request import Request
from contenthubd.ports.stage import Stage
from tests.bench.table import Line, middle
from tests.stages.house import House

TASKS = 50
SLOTS = 5
SECONDS = 240.0
SPREAD = 0.2
INTERVAL = 30.0
BEAT = timedelta(seconds=10)


async def measure(folder: Path) -> list[Line]:
    """Articles that all take the same time, then articles that differ."""
    chance = random.Random(7)  # noqa: S311 - the same articles each time; guards nothing
    uneven = [SECONDS * chance.uniform(1 - SPREAD, 1 + SPREAD) for _ in range(TASKS)]
    postgres = EmbeddedPostgres(folder / "postgres", durable=False)
    database = Database((await postgres.start()).replace("postgresql://", "postgresql+asyncpg://", 1))
    try:
        await upgrade(database)
        lines = await _lines(database, "192 to 288 s", "uneven", uneven)  # first: without any history
        return (await _lines(database, "240 s each", "even", [SECONDS] * TASKS))[:1] + lines
    finally:
        await database.close()
        await postgres.stop()


async def _lines(database: Database, name: str, account: str, durations: Sequence[float]) -> list[Line]:
    run = Run(database, account, durations)
    makespan, late, calls = await run.through()
    ideal, _, _ = planned(durations, None)
    fixed, fixed_late, fixed_calls = planned(durations, INTERVAL)
    return [
        Line(
            what=f"makespan of {TASKS} articles, {name}, {SLOTS} at once", ours=f"{makespan:.0f} s",
            reference=f"{ideal:.0f} s ideal; {fixed:.0f} s polling every 30 s", ratio=makespan / ideal,
            target="≤ 1.05", met=makespan / ideal <= 1.05,
        ),
        Line(
            what="… a finish noticed after, median", ours=f"{late:.1f} s", reference=f"{fixed_late:.1f} s",
            target="≤ 5 s", met=late <= 5,
        ),
        Line(
            what="… list calls", ours=str(calls), reference=str(fixed_calls), ratio=calls / fixed_calls,
            target="≤ 1.0", met=calls <= fixed_calls,
        ),
    ]  # fmt: skip


def planned(durations: Sequence[float], interval: float | None) -> tuple[float, float, int]:
    """First come, first served, a finish noticed at once or at the next look: makespan, median lateness, looks."""
    free = [0.0] * SLOTS
    late = []
    for duration in durations:
        end = free.pop(free.index(min(free))) + duration
        noticed = math.ceil(end / interval) * interval if interval else end
        free.append(noticed)
        late.append(noticed - end)
    return max(free), middle(late), math.ceil(max(free) / interval) if interval else 0


class Run:
    """One virtual run."""

    def __init__(self, database: Database, account: str, durations: Sequence[float]) -> None:
        self._house = House(database, targets=())
        self._account = account
        self._durations = durations
        self._left = iter(durations)
        self._ends: dict[str, datetime] = {}
        self._working: set[str] = set()

    async def through(self) -> tuple[float, float, int]:
        """Makespan and median lateness in seconds, calls."""
        house = self._house
        await house.account(self._account)
        await house.submit(self._account, [Request(topic=f"Topic {number}") for number in range(len(self._durations))])
        began = beat_at = look_at = house.clock.now()
        while len(late := await self._lateness()) < len(self._durations):
            now = house.clock.now()
            if now >= beat_at:
                await house.beat()
                beat_at = now + BEAT
            if now >= look_at or house.rung.pop(Stage.POLL, 0):
                look_at = now + await house.poll.tick()
            while house.rung.pop(Stage.DISPATCH, 0):
                await self._dispatched()
            self._wake_at(min([beat_at, max(look_at, now + timedelta(milliseconds=1)), *map(self._end, self._working)]))
        return (house.clock.now() - began).total_seconds(), middle(late), house.poll.calls

    async def _dispatched(self) -> None:
        house = self._house
        await house.dispatch.tick()
        for task in house.started:
            known = set(house.creator.table)
            await house.attempts.run(task)
            for creator_task_id in house.creator.table.keys() - known:
                self._ends[creator_task_id] = house.clock.now() + timedelta(seconds=next(self._left))
                self._working.add(creator_task_id)
        house.started.clear()

    def _wake_at(self, moment: datetime) -> None:
        """Let time pass; the creator finishes what is over by then."""
        clock = self._house.clock
        clock.advance(max(moment - clock.now(), timedelta()).total_seconds())
        for creator_task_id in [one for one in self._working if self._end(one) <= clock.now()]:
            self._house.creator.finish(creator_task_id, at=self._end(creator_task_id))
            self._working.remove(creator_task_id)

    def _end(self, creator_task_id: str) -> datetime:
        return self._ends[creator_task_id]

    async def _lateness(self) -> list[float]:
        statement = text("SELECT creator_task_id, ended_at FROM attempt WHERE outcome = 'succeeded'")
        rows = await self._house.database.rows(statement)
        return [
            (row.ended_at - self._ends[row.creator_task_id]).total_seconds()
            for row in rows
            if row.creator_task_id in self._ends
        ]
