"""On an idle system: from the moment a task is handed in until the creator's process runs, against a bare spawn."""

import asyncio
import time
from pathlib import Path

from tests.bench import instant, place
from tests.bench.table import Line, middle, quantile
from tests.running import RunningDaemon

COUNT = 60
PAUSE_SECONDS = 0.03


async def measure(folder: Path, program: Path) -> list[Line]:
    """Ours and a bare spawn in turn; the creator itself writes down when it began."""
    bare: list[float] = []
    handed, accepted = [], []
    async with place.daemon(folder, [str(program)]) as running:
        ours = running.state_dir / "creator" / "default" / "starts"
        other = folder / "starts"
        ours.touch()
        other.touch()
        for number in range(COUNT):
            before = time.time()
            await instant.create(program, folder, f"t{number}")
            bare.append(_started(other, number) - before)
            sent, answered = await _submitted(running, ours, number)
            handed.append(_started(ours, number) - sent)
            accepted.append(_started(ours, number) - answered)
    spawn, p50, p95 = middle(bare) * 1000, middle(handed) * 1000, quantile(handed, 0.95) * 1000
    since = middle(accepted) * 1000
    return [
        Line(
            what="idle: request sent → creator runs, p50", ours=f"{p50:.1f} ms", reference=f"{spawn:.1f} ms bare spawn",
            ratio=p50 / spawn, target="≤ 5 ms", met=p50 <= 5,
        ),
        Line(what="… p95", ours=f"{p95:.1f} ms", reference=f"{quantile(bare, 0.95) * 1000:.1f} ms", target="≤ 10 ms",
             met=p95 <= 10),
        Line(
            what="… of it: request answered → creator runs, p50", ours=f"{since:.1f} ms",
            reference=f"{spawn:.1f} ms bare spawn", ratio=since / spawn, target="≤ 2.0", met=since <= 2 * spawn,
        ),
    ]  # fmt: skip


async def _submitted(running: RunningDaemon, starts: Path, number: int) -> tuple[float, float]:
    """Hand one task in and wait until its process began and the daemon is idle again; when sent, when answered."""
    sent = time.time()
    await running.submit(f"t{number}", batch=False)
    answered = time.time()
    await place.over(running)
    await asyncio.sleep(PAUSE_SECONDS)
    return sent, answered


def _started(starts: Path, number: int) -> float:
    lines = (line.split() for line in starts.read_text(encoding="ascii").splitlines())
    return next(float(at) for topic, at in lines if topic == f"t{number}")
