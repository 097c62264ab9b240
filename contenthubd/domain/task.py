"""The life of a task, as data.

A task is one piece of content to generate. ``pending`` tasks wait in the queue. A claim starts an attempt: in async
mode the daemon hands the task to the creator (``submitting``), which acknowledges it (``submitted``) and works on it
(``running``); in sync mode our own child works on it at once (``running``). A charged failure with tries left waits
in ``retrying`` until ``run_at``. Four states are final and are left by hand only.

Why a table: a state that may be left by an event is a cell; an empty cell is an error (``step`` raises), so no code
path can invent a transition, and a test walks every cell. The writes in the store take their guards from this
table too: ``UPDATE … WHERE state = <the state it leaves> AND attempt = <the fence>``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

from contenthubd.domain.machine import Machine


class TaskState(StrEnum):
    """The words on the wire, in the tables and in the docs."""

    PENDING = "pending"
    SUBMITTING = "submitting"
    SUBMITTED = "submitted"
    RUNNING = "running"
    RETRYING = "retrying"
    COMPLETED = "completed"
    FAILED = "failed"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"


class Mode(StrEnum):
    """How the creator works for us: as a queue with a worker, or inside the very command we call."""

    ASYNC = "async"
    SYNC = "sync"


class TaskEvent(StrEnum):
    """What can happen to a task."""

    CLAIMED_ASYNC = "claimed_async"
    CLAIMED_SYNC = "claimed_sync"
    ACCEPTED = "accepted"
    STARTED = "started"
    SUCCEEDED = "succeeded"
    SUCCEEDED_LATE = "succeeded_late"
    FAILED = "failed"
    GAVE_UP = "gave_up"
    TIMED_OUT = "timed_out"
    RELEASED = "released"
    PROMOTED = "promoted"
    CANCELLED = "cancelled"
    REVIVED = "revived"


S, E = TaskState, TaskEvent

TRANSITIONS: Final[dict[tuple[TaskState, TaskEvent], TaskState]] = {
    (S.PENDING, E.CLAIMED_ASYNC): S.SUBMITTING,
    (S.PENDING, E.CLAIMED_SYNC): S.RUNNING,
    (S.PENDING, E.SUCCEEDED_LATE): S.COMPLETED,
    (S.PENDING, E.CANCELLED): S.CANCELLED,
    (S.SUBMITTING, E.ACCEPTED): S.SUBMITTED,
    (S.SUBMITTING, E.SUCCEEDED_LATE): S.COMPLETED,
    (S.SUBMITTING, E.FAILED): S.RETRYING,
    (S.SUBMITTING, E.GAVE_UP): S.FAILED,
    (S.SUBMITTING, E.TIMED_OUT): S.TIMEOUT,
    (S.SUBMITTING, E.RELEASED): S.PENDING,
    (S.SUBMITTING, E.CANCELLED): S.CANCELLED,
    (S.SUBMITTED, E.STARTED): S.RUNNING,
    (S.SUBMITTED, E.SUCCEEDED): S.COMPLETED,
    (S.SUBMITTED, E.SUCCEEDED_LATE): S.COMPLETED,
    (S.SUBMITTED, E.FAILED): S.RETRYING,
    (S.SUBMITTED, E.GAVE_UP): S.FAILED,
    (S.SUBMITTED, E.TIMED_OUT): S.TIMEOUT,
    (S.SUBMITTED, E.CANCELLED): S.CANCELLED,
    (S.RUNNING, E.SUCCEEDED): S.COMPLETED,
    (S.RUNNING, E.SUCCEEDED_LATE): S.COMPLETED,
    (S.RUNNING, E.FAILED): S.RETRYING,
    (S.RUNNING, E.GAVE_UP): S.FAILED,
    (S.RUNNING, E.TIMED_OUT): S.TIMEOUT,
    (S.RUNNING, E.RELEASED): S.PENDING,
    (S.RUNNING, E.CANCELLED): S.CANCELLED,
    (S.RETRYING, E.PROMOTED): S.PENDING,
    (S.RETRYING, E.SUCCEEDED_LATE): S.COMPLETED,
    (S.RETRYING, E.CANCELLED): S.CANCELLED,
    (S.FAILED, E.REVIVED): S.PENDING,
    (S.TIMEOUT, E.REVIVED): S.PENDING,
    (S.CANCELLED, E.REVIVED): S.PENDING,
}

FINAL: Final = frozenset({S.COMPLETED, S.FAILED, S.TIMEOUT, S.CANCELLED})
IN_FLIGHT: Final = frozenset({S.SUBMITTING, S.SUBMITTED, S.RUNNING})


_WORDS: Final = {E.REVIVED: "tried again", E.GAVE_UP: "given up", E.SUCCEEDED_LATE: "completed late"}
_MACHINE: Final = Machine("task", TRANSITIONS, words=_WORDS, look="contenthubctl task status")
step = _MACHINE.step
sources = _MACHINE.sources


@dataclass(frozen=True, slots=True, order=True)
class Rank:
    """A task's place in the queue: priority (1 first), then the account's turn in the round robin, then age."""

    priority: int
    turn: int
    sequence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One row of the task table, as the inside sees it. Times are aware UTC."""

    task_id: UUID
    account_id: UUID
    account: str
    state: TaskState
    mode: Mode
    topic: str
    requirements: str
    keywords: tuple[str, ...]
    min_chars: int
    max_chars: int
    rank: Rank
    auto_approve: bool
    max_retries: int
    timeout: timedelta
    attempt: int
    retry_count: int
    deaths: int
    created_at: datetime
    batch_id: UUID | None = None
    run_at: datetime | None = None
    claimed_at: datetime | None = None
    finished_at: datetime | None = None
    error_kind: str | None = None
    error: str | None = None

    @property
    def deadline_at(self) -> datetime | None:
        """When the present attempt times out: counted from its claim."""
        return self.claimed_at + self.timeout if self.claimed_at else None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTask:
    """A task as submit hands it to the store: everything resolved, nothing left to look up later."""

    task_id: UUID
    account_id: UUID
    mode: Mode
    topic: str
    requirements: str
    keywords: tuple[str, ...]
    min_chars: int
    max_chars: int
    priority: int
    auto_approve: bool
    max_retries: int
    timeout: timedelta
    created_at: datetime
    batch_id: UUID | None = None
    idempotency_key: str | None = None
    asked: Mapping[str, object] | None = None
    """What the request asked for, kept where an idempotency key may bring it again."""
