"""One run: submit while faults come and go, heal everything, wait until all is over, check what must be true."""

import asyncio
import shutil
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.chaos import plan
from tests.chaos.client import Client
from tests.chaos.faults import fault
from tests.chaos.invariants import findings
from tests.chaos.place import LOOK_SECONDS, Place, place
from tests.chaos.plan import Order, Step
from tests.chaos.report import Report
from tests.chaos.watch import Watch, busiest_second

STUCK_SECONDS = 150.0
"""No fact for this long although everything is well: it hangs. The worker's longest backoff is a minute."""
UNFELT_SECONDS = 10.0
"""A fault that nobody has run into by then is healed all the same."""
SETTLED = "SELECT count(*) FROM task WHERE finished_at IS NOT NULL"
STATES = """
    SELECT CASE WHEN state = 'completed' THEN state ELSE concat_ws(': ', state, error_kind) END, count(*)
    FROM task GROUP BY 1
"""
ATTEMPTS = "SELECT count(*) FROM attempt"
STUCK = """
    SELECT concat_ws(' ', task.id, state, topic, 'attempt', attempt, 'retries', retry_count, 'deaths', deaths),
           (SELECT string_agg(concat_ws(' ', number, mode, outcome, owner, 'leased until', leased_until,
                                        creator_task_id, 'abandoned', abandoned_at), ' | ' ORDER BY number)
            FROM attempt WHERE task_id = task.id),
           (SELECT string_agg(concat_ws(' ', at, name, data), ' | ' ORDER BY fact.id) FROM fact WHERE task_id = task.id)
    FROM task WHERE finished_at IS NULL
        OR EXISTS (SELECT 1 FROM attempt WHERE task_id = task.id AND ended_at IS NULL)
"""


@dataclass(frozen=True, slots=True)
class Options:
    """What is run. Without ``paced`` nothing waits for seconds: a fault follows when enough tasks have settled, and is
    held until it was felt."""

    seed: int
    minutes: float
    tasks: int
    paced: bool = True
    tell: Callable[[str], None] = print
    keep_log: Path | None = None


@dataclass(slots=True)
class Run:
    """The moving parts of one run."""

    options: Options
    place: Place
    client: Client
    watch: Watch
    faults: Counter[str] = field(default_factory=Counter)
    locks: defaultdict[str, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))
    stuck: list[str] = field(default_factory=list)

    async def submit(self, orders: Sequence[Order], seconds: float) -> None:
        """All orders, spread over this time."""
        for order in orders:
            await self.client.submit(order)
            await self._wait(seconds / len(orders))

    async def mistreat(self, steps: Sequence[Step]) -> None:
        """All faults in their order; one of a part begins when its last one is over."""
        async with asyncio.TaskGroup() as held:
            for number, step in enumerate(steps):
                await self._wait(step.gap_seconds)
                if not self.options.paced:
                    await self._until(self._settled(number * self.options.tasks // (len(steps) + 1)))
                await self.locks[step.part].acquire()
                held.create_task(self._inflict(step))

    async def finish(self) -> None:
        """Wait until everything is over; ``stuck`` tells what is not when nothing moves any more."""
        clock = asyncio.get_running_loop()
        while await self.watch.unfinished() != 0:
            if clock.time() - self.watch.moved_at > STUCK_SECONDS:
                rows = await self.place.postgres.ask(STUCK)
                self.stuck = ["\n    ".join(str(cell) for cell in row) for row in rows]
                return
            await asyncio.sleep(LOOK_SECONDS)

    async def _inflict(self, step: Step) -> None:
        try:
            self.options.tell(step.name)
            self.place.active[step.part] += 1
            self.faults[step.name] += 1
            async with fault(self.place, step) as felt:
                if self.options.paced:
                    await asyncio.sleep(step.hold_seconds)
                else:
                    await self._until(felt, UNFELT_SECONDS)
        finally:
            self.place.active[step.part] -= 1
            self.locks[step.part].release()

    async def _wait(self, seconds: float) -> None:
        if self.options.paced:
            await asyncio.sleep(seconds)

    def _settled(self, wanted: int) -> Callable[[], Awaitable[bool]]:
        async def enough() -> bool:
            settled = await self.place.postgres.number(SETTLED)
            return settled is not None and settled >= wanted

        return enough

    async def _until(self, fact: Callable[[], Awaitable[bool]], seconds: float = float("inf")) -> None:
        clock = asyncio.get_running_loop()
        deadline = clock.time() + seconds
        while not await fact() and clock.time() < deadline:  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(LOOK_SECONDS)


async def run(options: Options) -> Report:
    """The whole of it."""
    steps = plan.faults(options.seed, options.minutes)
    orders = plan.orders(options.seed, options.tasks)
    began = asyncio.get_running_loop().time()
    async with place(options.seed) as made:
        watch = Watch(made)
        async with _beside(watch.run()):
            parts = Run(options, made, Client(made), watch)
            await parts.client.accounts()
            async with asyncio.TaskGroup() as both:
                both.create_task(parts.submit(orders, sum(step.gap_seconds for step in steps)))
                both.create_task(parts.mistreat(steps))
            options.tell("everything is healed")
            await parts.finish()
        exits = made.supervisor.exits.copy()
        await made.supervisor.stop()
        if options.keep_log is not None:
            shutil.copy(made.daemon.log_path, options.keep_log)
        return Report(
            seed=options.seed,
            seconds=asyncio.get_running_loop().time() - began,
            faults=parts.faults,
            states={row[0]: row[1] for row in await made.postgres.ask(STATES)},
            repeats=parts.client.repeats,
            attempts=await made.postgres.number(ATTEMPTS) or 0,
            exits=exits,
            longest_stall=watch.longest_stall_seconds,
            lines_a_second=busiest_second(made),
            peak_memory=watch.peak_memory_mb,
            findings=await findings(made, parts.client.acknowledged),
            stuck=parts.stuck,
        )


@asynccontextmanager
async def _beside(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Let it run meanwhile; its failure is ours."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
    if not task.cancelled():
        task.result()
