"""What is measured while things go wrong: progress, stalls, memory; and afterwards how much was logged."""

import asyncio
from collections import Counter
from contextlib import suppress
from pathlib import Path

from tests.chaos.place import Place

EVERY_SECONDS = 0.25
PROGRESS = "SELECT coalesce(max(id), 0) FROM fact"
UNFINISHED = """
    SELECT (SELECT count(*) FROM task WHERE finished_at IS NULL) + (SELECT count(*) FROM attempt WHERE ended_at IS NULL)
         + (SELECT count(*) FROM publication WHERE state IN ('pending', 'publishing', 'retrying'))
         + (SELECT count(*) FROM image WHERE state = 'pending')
"""


class Watch:
    """Looks at the place all the time."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self.progress = 0
        self.moved_at = asyncio.get_running_loop().time()
        """When the last fact was written, or a fault was in force, as far as we saw."""
        self.longest_stall_seconds = 0.0
        self.peak_memory_mb = 0.0

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._look()
            await asyncio.sleep(EVERY_SECONDS)

    async def unfinished(self) -> int | None:
        """How many tasks, attempts, publications and images are still on their way; None if it cannot be told now."""
        return await self._place.postgres.number(UNFINISHED)

    async def _look(self) -> None:
        now = asyncio.get_running_loop().time()
        self.peak_memory_mb = max(self.peak_memory_mb, _peak_mb(self._place.daemon.pid))
        faulty = bool(+self._place.active)
        progress = None if faulty else await self._place.postgres.number(PROGRESS)
        if faulty or progress != self.progress or await self.unfinished() == 0:
            self.moved_at = now
        self.progress = self.progress if progress is None else progress
        self.longest_stall_seconds = max(self.longest_stall_seconds, now - self.moved_at)


def busiest_second(place: Place) -> int:
    """The most lines the daemon logged within one second."""
    seconds = Counter(str(event.get("timestamp"))[:19] for event in place.daemon.log)
    return max(seconds.values(), default=0)


def _peak_mb(pid: int) -> float:
    with suppress(FileNotFoundError, ProcessLookupError):
        for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return 0.0
