"""What one attempt can come to: a closed union. The creator port returns these; ``settle`` turns them into writes.

The important distinction is between a *failed task* (charged: it uses up a try) and a *sick creator* (uncharged:
no task could have succeeded, so dispatch pauses instead), and between both and *unknown* (the command was cut off:
the creator may or may not have the task, so it is looked up by its mark before anything is created again).
"""

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final


class ErrorKind(StrEnum):
    """Why an attempt or the creator failed; stable words for operators, alerts and statistics."""

    GENERATION_FAILED = "generation_failed"
    REFUSED = "refused"
    OUTPUT_UNREADABLE = "output_unreadable"
    ARTICLE_EMPTY = "article_empty"
    LOST = "lost"
    CREATE_UNANSWERED = "create_unanswered"
    CHILD_KILLED = "child_killed"
    TIMED_OUT = "timed_out"
    POISON = "poison"
    INTERNAL_ERROR = "internal_error"
    INSTANCE_LOST = "instance_lost"
    NO_PROCESS = "no_process"
    CREATOR_MISSING = "creator_missing"
    CREATOR_DIRECTORY = "creator_directory"
    CREATOR_CHANGED = "creator_changed"
    DATABASE_MISSING = "database_missing"
    API_KEYS_MISSING = "api_keys_missing"
    STOPPED = "stopped"
    WORKER_GONE = "worker_gone"
    WORKER_DEAF = "worker_deaf"
    CREATOR_REDIS_DOWN = "creator_redis_down"
    CREATOR_UNAVAILABLE = "creator_unavailable"


HINTS: Final[dict[ErrorKind, str]] = {
    ErrorKind.OUTPUT_UNREADABLE: "Run [creator] command by hand with `list --json` in [creator] workdir and check "
    "what it prints; contenthubd understands llm-content-creator 0.2.0.",
    ErrorKind.NO_PROCESS: "The system refuses to start another process: free memory, or raise the limits of this "
    "service (LimitNOFILE, TasksMax).",
    ErrorKind.CREATOR_MISSING: "Install llm-content-creator (npm install -g llm-content-creator@0.2.0) or set "
    "[creator] command to its path.",
    ErrorKind.CREATOR_CHANGED: "Install the version that contenthubd is made for: npm install -g "
    "llm-content-creator@0.2.0.",
    ErrorKind.CREATOR_DIRECTORY: "Make [creator] workdir a directory that the daemon may write, with room on its disk.",
    ErrorKind.DATABASE_MISSING: "content-creator cannot open data/content-creator.db in [creator] workdir: see "
    "logs/app.exceptions.log there.",
    ErrorKind.API_KEYS_MISSING: "Put LLM_API_KEY, LLM_BASE_URL, TAVILY_API_KEY and ARK_API_KEY into the file named by "
    "[creator] env_file.",
    ErrorKind.WORKER_GONE: "contenthubd restarts the creator's worker automatically. If this repeats, see the files "
    "in logs/ in [creator] workdir.",
    ErrorKind.WORKER_DEAF: "contenthubd restarts the creator's worker automatically.",
    ErrorKind.CREATOR_UNAVAILABLE: "Run [creator] command by hand with `list --json` in [creator] workdir and check "
    "what it prints. The task is retried automatically.",
    ErrorKind.CREATOR_REDIS_DOWN: 'Start the Redis named by [creator] redis_url, or set on_redis_down = "sync".',
}

PERMANENT: Final = frozenset({ErrorKind.REFUSED, ErrorKind.POISON})
"""Kinds that another try cannot cure."""

UNCHARGED: Final = frozenset(
    {
        ErrorKind.STOPPED,
        ErrorKind.WORKER_GONE,
        ErrorKind.WORKER_DEAF,
        ErrorKind.CREATOR_REDIS_DOWN,
        ErrorKind.INSTANCE_LOST,
        ErrorKind.CREATOR_UNAVAILABLE,
    }
)
"""Failures of a task that were the creator's, not the task's: tried again without using up a retry."""

COUNTED: Final = frozenset({ErrorKind.WORKER_GONE, ErrorKind.INSTANCE_LOST, ErrorKind.CREATOR_UNAVAILABLE})
"""Those of them that are counted all the same: from the third on (``creator.poison_limit``) each is charged, so that
nothing is both uncharged and repeated without end."""


_NUMBER: Final = re.compile(r"\d+")

NO_ADDRESS: Final = "about:unreadable"
"""In the place of an address that the creator did not give in a readable form: the image is lost."""


@dataclass(frozen=True, slots=True)
class Picture:
    """An image as the creator names it; ``url`` may be http(s) or a data: URL and dies within about a day."""

    url: str
    prompt: str = ""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The creator stored the task under its own id."""

    creator_task_id: str


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The article, verbatim, and its images."""

    article: str
    pictures: tuple[Picture, ...] = ()
    creator_task_id: str | None = None
    ended_at: datetime | None = None
    """When the creator says it was done; we notice later."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The attempt came to nothing."""

    kind: ErrorKind
    cause: str
    exit_code: int | None = None
    stderr_tail: str = ""
    creator_task_id: str | None = None
    spawned: bool = True
    """False only if the command surely never ran, so that the creator cannot have the task."""


@dataclass(frozen=True, slots=True)
class TimedOut:
    """The attempt's deadline passed; at the creator it may go on (``creator_task_id``)."""

    cause: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """The command was cut off: whether the creator has the task must be looked up by its mark."""

    cause: str
    exit_code: int | None = None
    stderr_tail: str = ""


@dataclass(frozen=True, slots=True)
class Sick:
    """The creator cannot work at all just now."""

    kind: ErrorKind
    cause: str
    spawned: bool = True
    """False only if the command surely never ran, so that the creator cannot have the task."""

    @property
    def hint(self) -> str:
        """What a person can do about it."""
        return HINTS.get(self.kind, "")

    @property
    def gist(self) -> str:
        """The same for the same trouble: programs put times and process numbers into what they say."""
        return f"{self.kind}: {_NUMBER.sub('', self.cause)}"


@dataclass(frozen=True, slots=True)
class Interrupted:
    """A planned stop cut the attempt short; it costs nothing."""


Outcome = Accepted | Succeeded | Failed | TimedOut | Unknown | Sick | Interrupted


class RowState(StrEnum):
    """The creator's own words for a task's state."""

    PENDING = "pending"
    RUNNING = "running"
    WAITING = "waiting"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"
    """Not a word of the creator's: what it says of the task could not be read, and nothing follows from it."""


@dataclass(frozen=True, slots=True)
class CreatorRow:
    """One task as the creator's ``list --json`` tells it."""

    creator_task_id: str
    state: RowState
    requirements: str
    error: str | None = None
    worker_id: str | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    unread: str = ""
    """Why its state could not be read, where the creator did answer; the same words for the same fault."""
