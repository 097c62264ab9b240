"""Tasks: the writes that move them, each atomic, each guarded, each saying whether it won."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from contenthubd.domain.attempt import AttemptOutcome
from contenthubd.domain.content import NewContent
from contenthubd.domain.moment import Moment
from contenthubd.domain.task import Mode, NewTask, Rank, Task, TaskEvent, TaskState


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that happened, named in the past tense."""

    name: str
    data: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """One attempt's end (or progress) as one write: what the task leaves and enters, and all that is stored with it."""

    task_id: UUID
    attempt: int
    leaves: TaskState
    enters: TaskState
    event: TaskEvent
    task_attempt: int
    """The fence: the task's attempt number when this was decided (differs from ``attempt`` for a late success)."""
    at: datetime
    owner: str | None = None
    """Whose lease the write needs; None for attempts that the creator owns."""
    ends_attempt: bool = True
    abandons: bool = False
    charged: bool = False
    """Uses up one of the task's tries; kept on the attempt too."""
    died: bool = False
    outcome: AttemptOutcome | None = None
    """Kept if the attempt ends."""
    run_at: datetime | None = None
    creator_task_id: str | None = None
    creator_ended_at: datetime | None = None
    error_kind: str | None = None
    error: str | None = None
    exit_code: int | None = None
    stderr_tail: str = ""
    content: NewContent | None = None
    facts: tuple[Fact, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NewBatch:
    """Tasks submitted together."""

    batch_id: UUID
    account_id: UUID
    created_at: datetime
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """Who holds an attempt, until when, and the creator instance it is given to."""

    owner: str
    until: datetime
    length: timedelta
    """``until`` is never further away than this, unless the wall clock was set since."""
    instance: str


class SubmitStore(Protocol):
    """Where tasks begin."""

    async def submit(self, tasks: Sequence[NewTask], batch: NewBatch | None) -> list[Task]:
        """Insert tasks with their facts in one transaction, in order; a used idempotency key answers with its row.

        KeyReused, and nothing is stored, if a key was used with other values. A batch of which every task was known
        before is not stored. Tasks of a known batch that were removed since are left out.
        """

    async def known(self, tasks: Sequence[NewTask], batch: NewBatch | None) -> list[bool]:
        """For each task, whether ``submit`` would answer with an earlier one; KeyReused. Stores nothing."""


class TaskStore(Protocol):
    """Tasks and their way through the states."""

    async def waiting(self, limit: int, modes: Collection[Mode]) -> list[tuple[UUID, Rank]]:
        """The first ``limit`` pending tasks of these modes in rank order."""

    async def claim(
        self, ids: Collection[UUID], *, run_as: Mapping[Mode, Mode], slots: int, lease: Lease, at: Moment
    ) -> list[Task]:
        """Start an attempt for pending ids whose mode ``run_as`` names, while fewer than ``slots`` are open."""

    async def settle(self, settlement: Settlement) -> bool:
        """Write one decision; False if the task had moved on (nothing is changed then)."""

    async def promote(
        self, now: datetime, limit: int, *, longest: timedelta
    ) -> tuple[list[tuple[UUID, Rank]], datetime | None]:
        """``retrying`` tasks whose time has come become ``pending``; and when the next one is due.

        Due is also what would wait for more than ``longest``: no retry does, so the wall clock was set back since.
        """

    async def cancel(self, task_id: UUID, now: datetime, by: str) -> Task | None:
        """Cancel a task that is not final, abandoning its open attempt. None if the state did not allow it."""

    async def revive(self, task_id: UUID, now: datetime, by: str) -> Task | None:
        """A final task becomes pending as a fresh try. None if the state did not allow it."""

    async def hurry(self, task_id: UUID, now: datetime, by: str) -> Task | None:
        """A ``retrying`` task becomes ``pending`` before its time; its retries stay counted. None if it is not one."""

    async def get(self, task_id: UUID) -> Task:
        """One task; NotFound."""


class PlanStore(Protocol):
    """Whatever is planned ahead by the wall clock. DatabaseUnavailable."""

    async def set_back(self, by: timedelta, now: datetime) -> None:
        """The wall clock was set back: retries, publications and images planned ahead come by so much earlier.

        None of them comes before ``now``.
        """
