"""What the daemon costs while nothing is to be done."""

import asyncio
import time
from pathlib import Path

from tests.bench import place
from tests.bench.table import Line
from tests.running import RunningDaemon

SECONDS = 25.0
TASKS = 10
SETTLE_SECONDS = 3.0


async def measure(folder: Path, _: Path) -> list[Line]:
    """CPU over a while, then memory; a daemon on an existing database that has worked and has its connections open."""
    async with RunningDaemon.simulated(folder / "state", latency_seconds=0) as running:
        await running.account()
        await _work(running)
        await running.stop()
        await running.start()  # a first start also brings the tables, whose tools then stay in memory
        await _work(running)
        await running.close_client()
        await asyncio.sleep(SETTLE_SECONDS)
        everyone = [running.pid, *filter(_is_postgres, place.family(running.pid))]
        began, before, before_all = time.perf_counter(), place.cpu_seconds(running.pid), _cpu(everyone)
        await asyncio.sleep(SECONDS)
        passed = time.perf_counter() - began
        share = (place.cpu_seconds(running.pid) - before) / passed * 100
        share_all = (_cpu(everyone) - before_all) / passed * 100
        daemon, whole = place.pss_mb(running.pid), sum(map(place.pss_mb, everyone))
    return [
        Line(what=f"idle CPU of the daemon over {SECONDS:.0f} s", ours=f"{share:.2f} % of a core", target="≤ 0.1 %",
             met=share <= 0.1),
        Line(what="… with its PostgreSQL", ours=f"{share_all:.2f} % of a core"),
        Line(what="idle memory (PSS) of the daemon", ours=f"{daemon:.0f} MB", target="≤ 60 MB", met=daemon <= 60),
        Line(what="… with its PostgreSQL", ours=f"{whole:.0f} MB", target="≤ 80 MB", met=whole <= 80),
    ]  # fmt: skip


async def _work(running: RunningDaemon) -> None:
    await running.submit(*(f"Topic {number}" for number in range(TASKS)))
    await running.settled()


def _is_postgres(pid: int) -> bool:
    return Path(f"/proc/{pid}/comm").read_text(encoding="ascii").strip() == "postgres"


def _cpu(processes: list[int]) -> float:
    return sum(place.cpu_seconds(pid) for pid in processes)
