"""The plan's own numbers, from one run of the daemon with the bundled simulator in async mode, worker and all."""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

from tests.bench import place
from tests.bench.table import Line
from tests.running import RunningDaemon

TASKS = 30
LATENCY_SECONDS = 2.0
FAILURE_RATE = 0.1
REAL_ARTICLE_SECONDS = 240
SLOTS = 5


async def measure(folder: Path, _: Path) -> Sequence[Line]:
    """Thirty articles of two seconds, every tenth failing at the creator; what was seen meanwhile."""
    settings = {"tasks": {"poll_interval_seconds": 1, "retry_delays_seconds": [1, 2, 4]}}
    behaviour = {"latency_seconds": LATENCY_SECONDS, "jitter": 0, "failure_rate": FAILURE_RATE, "seed": 3}
    async with RunningDaemon.simulated(folder / "state", settings, **behaviour) as running:
        await running.account()
        began = time.perf_counter()
        await running.submit(*(f"Topic {number}" for number in range(TASKS)))
        submitted = time.perf_counter() - began
        slots, memory = await _watched(running)
        took = time.perf_counter() - began
        tasks = await running.settled()
    completed = sum(task["state"] == "completed" for task in tasks)
    tries = sum(task["attempt"] for task in tasks)
    overhead = took - tries / SLOTS * LATENCY_SECONDS
    return _report(submitted, slots, memory, completed / len(tasks), tries, overhead / (tries / SLOTS))


def _report(
    submitted: float, slots: int, memory: float, success: float, tries: int, lost_seconds: float
) -> Sequence[Line]:
    an_hour = 3600 / (REAL_ARTICLE_SECONDS + lost_seconds) * SLOTS
    longest = 3600 * SLOTS / 100 - lost_seconds
    return [
        Line(what=f"batch of {TASKS} submitted", ours=f"{submitted:.2f} s", target="< 5 s", met=submitted < 5),
        Line(what="tasks in flight at most", ours=str(slots), target="5", met=slots == SLOTS),
        Line(
            what=f"articles an hour at {REAL_ARTICLE_SECONDS} s each, computed", ours=f"{an_hour:.0f}",
            reference=f"{lost_seconds:.1f} s lost for each article here; 100 an hour need ≤ {longest:.0f} s each",
            target="> 100", met=an_hour > 100,
        ),
        Line(what="memory (PSS) of everything while working", ours=f"{memory:.0f} MB", target="< 500 MB",
             met=memory < 500),
        Line(
            what=f"articles that came out with {FAILURE_RATE:.0%} of tries failing", ours=f"{success:.0%}",
            reference=f"{tries} tries for {TASKS} tasks", target="> 95 %", met=success > 0.95,
        ),
    ]  # fmt: skip


async def _watched(running: RunningDaemon) -> tuple[int, float]:
    """Until all is over: the most slots in use, the most memory of the daemon and all it started, in MB."""
    slots, memory = 0, 0.0
    while True:
        stats = await running.get("/stats")
        slots = max(slots, stats["slots_used"])
        memory = max(memory, sum(map(place.pss_mb, place.family(running.pid))))
        if (await running.get("/wait", batch="last", timeout=0))["settled"]:
            return slots, memory
        await asyncio.sleep(0.2)
