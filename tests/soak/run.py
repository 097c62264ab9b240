"""Batches of tasks through one daemon, with a look at it at every mark."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median
from typing import Any

from tests.bench import place
from tests.running import RunningDaemon
from tests.soak.marks import Mark

BATCH = 1000
MARKS = (1_000, 10_000, 25_000, 50_000, 75_000, 100_000, 200_000, 500_000, 1_000_000)
LOOKS = 9
PROBE_SECONDS = 0.1
SETTLE_SECONDS = 2.0
LOOK_SECONDS = 0.2
HOURS = 6.0


class Run:
    """One daemon from its first task to its last."""

    def __init__(self, daemon: RunningDaemon) -> None:
        self._daemon = daemon
        self._slowest = 0.0

    async def marks(self, tasks: int) -> AsyncIterator[Mark]:
        """Hand in ``tasks`` in batches; a mark at each of ``MARKS`` and at the end. RuntimeError if a task fails."""
        done, last, began = 0, 0, time.perf_counter()
        async with self._probed():
            while done < tasks:
                done += await self._batch(min(BATCH, tasks - done), done)
                if done in MARKS or done == tasks:
                    speed = (done - last) / (time.perf_counter() - began)
                    yield await self._mark(done, speed)
                    last, began, self._slowest = done, time.perf_counter(), 0.0

    async def _batch(self, count: int, done: int) -> int:
        await self._daemon.submit(*(f"Topic {done + number}" for number in range(count)))
        tasks = await self._daemon.settled(HOURS * 3600)
        failed = [task for task in tasks if task["state"] != "completed"]
        if failed or len(tasks) != count:
            raise RuntimeError(f"{len(failed)} of {len(tasks)} tasks failed: {failed[:1]}")
        return count

    async def _mark(self, tasks: int, speed: float) -> Mark:
        slowest = self._slowest
        await asyncio.sleep(SETTLE_SECONDS)
        looks = []
        for _ in range(LOOKS):
            looks.append(_look(self._daemon.pid))
            await asyncio.sleep(LOOK_SECONDS)
        rss, pss, database, files, threads, children = (median(column) for column in zip(*looks, strict=True))
        return Mark(
            tasks=tasks, rss_mb=rss, pss_mb=pss, database_mb=database, files=int(files), threads=int(threads),
            children=int(children), tasks_a_second=speed, door_ms=slowest * 1000,
            list_ms=await _milliseconds(lambda: self._daemon.get("/tasks", limit=50)),
            stats_ms=await _milliseconds(lambda: self._daemon.get("/stats")),
            one_task_ms=await _milliseconds(self._one_task),
        )  # fmt: skip

    async def _one_task(self) -> None:
        (task,) = await self._daemon.submit("One alone", batch=False)
        while (await self._daemon.get(f"/tasks/{task}"))["state"] != "completed":  # noqa: ASYNC110 - the fact lies in another process
            await asyncio.sleep(0.001)

    @asynccontextmanager
    async def _probed(self) -> AsyncIterator[None]:
        """Ask the simplest question all the time, and remember the slowest answer."""
        probing = asyncio.create_task(self._probe())
        try:
            yield
        finally:
            probing.cancel()
            await asyncio.wait([probing])

    async def _probe(self) -> None:
        while True:
            began = time.perf_counter()
            await self._daemon.get("/version")
            self._slowest = max(self._slowest, time.perf_counter() - began)
            await asyncio.sleep(PROBE_SECONDS)


async def _milliseconds(work: Callable[[], Awaitable[Any]]) -> float:
    took = []
    for _ in range(LOOKS):
        began = time.perf_counter()
        await work()
        took.append(time.perf_counter() - began)
    return median(took) * 1000


def _look(pid: int) -> tuple[float, float, float, int, int, int]:
    """RSS and PSS of the daemon and PSS of its database in MB; files, threads, children of the creator."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    lines = dict(line.split(":", 1) for line in status.splitlines())
    others = place.family(pid)[1:]
    database = [other for other in others if _name(other) == "postgres"]
    return (
        int(lines["VmRSS"].split()[0]) / 1024,
        place.pss_mb(pid),
        sum(map(place.pss_mb, database)),
        len(os.listdir(f"/proc/{pid}/fd")),
        int(lines["Threads"]),
        len(others) - len(database),
    )


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
