"""Where a measurement runs: a directory, the instant creator in it, and a daemon that uses it."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.running import RunningDaemon, short_directory

NOBODY = ["/nonexistent/content-creator"]
"""A creator that is not there: tasks are accepted and wait, so that submitting is measured alone."""


@asynccontextmanager
async def directory() -> AsyncIterator[Path]:
    """A new directory, removed in the end."""
    folder = short_directory()
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@asynccontextmanager
async def daemon(folder: Path, command: list[str], *, database_url: str = "") -> AsyncIterator[RunningDaemon]:
    """A daemon in sync mode with this creator command and an account; with a PostgreSQL of its own if none is named."""
    settings: Mapping[str, Mapping[str, Any]] = {
        "creator": {"command": command, "manage_worker": False},
        "tasks": {"mode": "sync"},
        "database": {"url": database_url},
        "queue": {"type": "memory"},
    }
    async with RunningDaemon(folder / "state", settings) as running:
        await running.account()
        yield running


async def over(running: RunningDaemon) -> None:
    """Wait until no task waits or runs, asking seldom enough not to disturb."""
    while True:
        asked = [await running.get("/tasks", status=state, limit=1) for state in ("running", "pending")]
        if not any(answer["tasks"] for answer in asked):
            return
        await asyncio.sleep(0.1)


def family(pid: int) -> list[int]:
    """A process and all its descendants."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        parent = _parent(entry) if entry.name.isdigit() else None
        if parent is not None:
            children.setdefault(parent, []).append(int(entry.name))
    found = [pid]
    for one in found:
        found += children.get(one, [])
    return found


def pss_mb(pid: int) -> float:
    """A process's share of memory in MB; 0 if it has ended."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in text.splitlines() if line.startswith("Pss:")), 0.0)


def cpu_seconds(pid: int) -> float:
    """The CPU time of a process's threads, to the nanosecond."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((thread / "schedstat").read_text(encoding="ascii").split()[0]) for thread in threads) / 1e9


def cores() -> int:
    """How many cores there are."""
    return os.cpu_count() or 1


def _parent(process: Path) -> int | None:
    try:
        stat = (process / "stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    return int(stat.rpartition(")")[2].split()[1])
