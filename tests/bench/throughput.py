"""How many tasks a second the daemon brings to an end, against a loop that only runs the same commands."""

from datetime import datetime
from pathlib import Path

from tests.bench import instant, place
from tests.bench.table import Line, middle
from tests.running import RunningDaemon

ROUNDS = 3
COUNT = 200


async def measure(folder: Path, program: Path) -> list[Line]:
    """Ours and the bare loop in turn."""
    bare, completed, published = [], [], []
    async with place.daemon(folder, [str(program)]) as running:
        await _round(running)  # warm: connections, prepared statements
        for _ in range(ROUNDS):
            bare.append(COUNT / await instant.bare_loop(program, folder, COUNT))
            begun, finished, seen = await _round(running)
            completed.append(COUNT / (finished - begun))
            published.append(COUNT / (seen - begun))
    limit, ours, files = middle(bare), middle(completed), middle(published)
    return [
        Line(
            what="tasks completed, instant creator, 5 at once, all recorded",
            ours=f"{ours:.0f}/s", reference=f"{limit:.0f}/s bare loop of the same commands", ratio=ours / limit,
            target="600/s (one child each)", met=ours >= 600,
        ),
        Line(
            what="… and published as files, each synced to disk",
            ours=f"{files:.0f}/s", reference=f"{limit:.0f}/s", ratio=files / limit,
        ),
    ]  # fmt: skip


async def _round(running: RunningDaemon) -> tuple[float, float, float]:
    """One batch: first claim, last finish, last publication (at most 0.1 s late), as seconds since 1970."""
    await running.submit(*(f"Topic {number}" for number in range(COUNT)))
    await place.over(running)
    tasks = await running.settled()
    seen = datetime.now().astimezone().timestamp()
    failed = [task for task in tasks if task["state"] != "completed"]
    if failed or len(tasks) != COUNT:
        raise RuntimeError(f"{len(failed)} of {len(tasks)} tasks failed: {failed[:1]}")
    return min(map(_claimed, tasks)), max(map(_finished, tasks)), seen


def _claimed(task: dict[str, str]) -> float:
    return datetime.fromisoformat(task["claimed_at"]).timestamp()


def _finished(task: dict[str, str]) -> float:
    return datetime.fromisoformat(task["finished_at"]).timestamp()
