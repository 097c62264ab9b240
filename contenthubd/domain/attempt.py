"""An attempt: one try at a task, a row of its own.

The attempt number is the fence of every write. An async attempt that the creator accepted needs no lease: it has
the creator's id and a deadline. An attempt we stopped waiting for (cancelled, timed out) is *abandoned*: it goes
on at the creator, counts against its capacity, and its late success is adopted while the task is not final.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from contenthubd.domain.moment import Moment
from contenthubd.domain.task import Mode, TaskState

MARK_PREFIX = "[ref "
MARK_LENGTH = len(MARK_PREFIX) + 32 + 1
NUMBER_LENGTH = 4


class AttemptOutcome(StrEnum):
    """What an attempt came to in the end; the same words guard the column (``outcome_known`` in schema.sql)."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CREATOR_SICK = "creator_sick"
    INTERRUPTED = "interrupted"
    DROPPED = "dropped"
    """Its task was cancelled, or completed by another attempt, before the creator had it."""
    DIED = "died"
    GIVEN_UP = "given_up"
    """Abandoned, and still not finished at the creator when we stopped watching it."""
    LATE_SUCCESS_DROPPED = "late_success_dropped"
    INSTANCE_LOST = "instance_lost"


def mark_of(task_id: UUID, attempt: int) -> str:
    """The line that makes one attempt's requirements findable at the creator: neutral, unique, of fixed length.

    The last four characters of the id's 32 hex digits make room for the attempt number; UUIDv7 keeps 58 random
    bits before them, so two tasks never share a mark.
    """
    return f"{MARK_PREFIX}{task_id.hex[:28]}{attempt % 0x10000:04x}]"


def with_mark(requirements: str, mark: str) -> str:
    """The requirements as they are handed to the creator: the mark is their last line."""
    return f"{requirements}\n{mark}"


def is_marked_otherwise(requirements: str, mark: str) -> bool:
    """Whether these requirements end with a mark that is not of this task: then they are surely another task's.

    An attempt may have adopted what an earlier attempt of its task left at the creator.
    """
    return marked_task(requirements) not in (None, task_part(mark))


def marked_task(requirements: str) -> str | None:
    """What tells the task whose mark ends these requirements from every other; None without a mark."""
    ending = requirements.rstrip()[-MARK_LENGTH:]
    marked = ending.startswith(MARK_PREFIX) and ending.endswith("]") and len(ending) == MARK_LENGTH
    return task_part(ending) if marked else None


def task_part(mark: str) -> str:
    """What the marks of all attempts of one task have in common: all but four digits and the bracket."""
    return mark[: -NUMBER_LENGTH - 1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """A process of ours, named so that a later daemon can tell whether it is still the same one."""

    pid: int
    started: int
    """Clock ticks after boot, field 22 of /proc/PID/stat."""
    boot_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Flight:
    """One unfinished attempt together with what is needed to judge it."""

    task_id: UUID
    attempt: int
    task_attempt: int
    state: TaskState
    mode: Mode
    mark: str
    claimed: Moment
    timeout: timedelta
    creator_task_id: str | None = None
    accepted_at: datetime | None = None
    abandoned_at: datetime | None = None
    requeued_at: datetime | None = None
    leased_until: datetime | None = None
    owner: str | None = None
    child: Child | None = None

    def age(self, now: Moment) -> timedelta:
        """How long ago it was claimed."""
        return now.since(self.claimed)

    def overdue(self, now: Moment) -> bool:
        """Whether it has used up its time."""
        return self.age(now) >= self.timeout

    @property
    def current(self) -> bool:
        """True while the task still waits for this very attempt."""
        return self.abandoned_at is None and self.attempt == self.task_attempt
