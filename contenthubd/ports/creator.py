"""The external generator."""

from collections.abc import Awaitable, Callable, Collection
from datetime import timedelta
from typing import Protocol

from contenthubd.domain.attempt import Child
from contenthubd.domain.outcome import CreatorRow, Outcome, Sick
from contenthubd.domain.task import Mode, Task


class Creator(Protocol):
    """The external generator. Every method decides by what was printed, never by the exit code."""

    async def ready(self, mode: Mode) -> Sick | None:
        """None if work can be given to the creator in this mode, else why not. Cheap; asked before each dispatch."""

    async def create(self, task: Task, mark: str) -> Outcome:
        """Async mode: Accepted, Failed, Unknown or Sick."""

    async def generate(
        self, task: Task, mark: str, timeout: timedelta, started: Callable[[Child], Awaitable[None]]
    ) -> Outcome:
        """Sync mode: Succeeded, Failed, TimedOut, Unknown or Sick. Cancelling it kills and reaps the child's group."""

    async def rows(self, wanted: Collection[str]) -> dict[str, CreatorRow] | Sick:
        """The creator's rows for the wanted ids, read page by page until all were seen; absent ids are absent."""

    async def find(self, marks: Collection[str]) -> dict[str, CreatorRow] | Sick:
        """The rows whose requirements end with one of the marks, by mark."""

    async def result(self, creator_task_id: str) -> Outcome:
        """The article and images of a completed row."""

    async def cause(self, creator_task_id: str) -> str | None:
        """The true cause of a failure, from the worker's error log; None if it is not there."""

    async def requeue(self, creator_task_id: str) -> bool:
        """Queue a pending row again if, and only if, no job for it exists; True if that was done."""


class CreatorWatch(Protocol):
    """What the creator's surroundings say without a command."""

    def fingerprint(self) -> object:
        """Changes whenever the creator's database does; two different ``object()`` when that is not known."""

    def worker_alive(self, worker_id: str) -> bool | None:
        """Whether a worker of ours still lives; None if it is not one of ours."""

    def in_flight(self, count: int) -> None:
        """Be told how many attempts the creator's worker has: one child is kept for asking while there are any."""

    def end_child(self, child: Child) -> bool:
        """Kill what an earlier daemon left behind, if it still is the same process; True once it is gone."""

    def orphans_gone(self) -> bool:
        """Kill every command that an earlier daemon left behind; True once none of them lives any more."""
