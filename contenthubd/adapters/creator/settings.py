"""What the creator adapter has to be told. The configuration's own types stop at the composition root."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Final, Literal

MEBIBYTE: Final = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerTimes:
    """How patiently the worker is minded; all in seconds."""

    look: float = 2.0
    """Between two looks while tasks are in flight or something is wrong."""
    idle_look: float = 30.0
    redis_away: float = 2.5
    """A Redis that was gone this long leaves the worker deaf (it gives up after about 2.8)."""
    waits_too_long: float = 20.0
    """A task may wait this long beside a worker with room."""
    patience: float = 5.0
    """Between SIGTERM and SIGKILL for a worker that is replaced."""
    first_backoff: float = 1.0
    longest_backoff: float = 60.0
    steady: float = 60.0
    """A worker that ran this long starts with the first backoff again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CreatorSettings:
    """One creator instance: its command line, its working directory, its Redis, its worker."""

    command: tuple[str, ...]
    workdir: Path
    instance: str
    """Letters, digits, '.', '_' and '-': part of worker ids and file names."""
    owner: str
    """Names the state directory: processes are marked with it."""
    worker_command: tuple[str, ...] = ()
    """Empty: found beside ``command``."""
    redis_url: str = ""
    """Empty: nothing is pinged; the real package can then work in sync mode only."""
    env_file: Path | None = None
    proxy: str = ""
    manage_worker: bool = True
    on_redis_down: Literal["sync", "wait"] = "sync"
    max_children: int = 5
    concurrency: int = 5
    command_timeout: timedelta = timedelta(seconds=10)
    """For every command but the one that generates in sync mode."""
    look_again: timedelta = timedelta(seconds=3)
    """Between two looks at a creator that was sick."""
    page_size: int = 200
    max_output_bytes: int = 2 * MEBIBYTE
    """What one command may print; more is not read. A page of rows that is larger is asked for in pieces."""
    max_article_bytes: int = 8 * MEBIBYTE
    """The same for the commands that print an article: the longest that can be asked for takes less than a tenth."""
    worker_times: WorkerTimes = WorkerTimes()
    environ: Mapping[str, str] = field(default_factory=dict)
    """The daemon's own environment, from which a few names are handed on."""

    @property
    def simulated(self) -> bool:
        """Whether the command is the bundled simulator, which needs no Redis to work in async mode."""
        names = (part.rsplit("/", 1)[-1] for part in self.command)
        return any(name in ("content-creator-simulator", "contenthubd.simulator") for name in names)
