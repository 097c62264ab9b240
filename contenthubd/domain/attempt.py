"""An attempt: one try at a task, a row of its own.

The attempt number is the fence of every write. An async attempt that the creator accepted needs no lease: it has
the creator's id and a deadline. An attempt we stopped waiting for (cancelled, timed out) is *abandoned*: it goes
on at the creator, counts against its capacity, and its late success is adopted while the task is not final.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from contenthubd.domain.task import Mode, TaskState

MARK_PREFIX = "[ref "
MARK_LENGTH = len(MARK_PREFIX) + 32 + 1


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
    """Whether these requirements end with the mark of another attempt: then they are surely another task's."""
    ending = requirements.rstrip()[-MARK_LENGTH:]
    return ending.startswith(MARK_PREFIX) and ending.endswith("]") and len(ending) == MARK_LENGTH and ending != mark


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
    claimed_at: datetime
    timeout: timedelta
    creator_task_id: str | None = None
    accepted_at: datetime | None = None
    abandoned_at: datetime | None = None
    requeued_at: datetime | None = None
    leased_until: datetime | None = None
    owner: str | None = None
    child: Child | None = None

    @property
    def deadline_at(self) -> datetime:
        """When this attempt times out."""
        return self.claimed_at + self.timeout

    @property
    def current(self) -> bool:
        """True while the task still waits for this very attempt."""
        return self.abandoned_at is None and self.attempt == self.task_attempt
