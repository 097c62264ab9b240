"""What the inside needs of the outside, as narrow protocols. Domain types only; no driver type crosses.

Every method of a store is one atomic write or one read. A write says whether it won: losing a race is normal and
changes nothing. All of them raise DatabaseUnavailable when PostgreSQL does not answer.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol
from uuid import UUID

from contenthubd.domain.account import Account
from contenthubd.domain.attempt import Child, Flight
from contenthubd.domain.content import ContentEvent, NewContent
from contenthubd.domain.outcome import CreatorRow, Outcome, Sick
from contenthubd.domain.publication import Publication, PublicationEvent, Receipt
from contenthubd.domain.task import Mode, NewTask, Rank, Task, TaskEvent, TaskState


class Clock(Protocol):
    """The only source of time and chance."""

    def now(self) -> datetime:
        """Aware UTC."""

    def random(self) -> float:
        """Uniform in [0, 1)."""

    def new_id(self) -> UUID:
        """A UUIDv7: unique, and sortable by the time it was made."""


class Stage(StrEnum):
    """The stages that run by themselves; ``Wake`` rings one of them, which is harmless at any time."""

    DISPATCH = "dispatch"
    POLL = "poll"
    PROMOTE = "promote"
    RESCUE = "rescue"
    HEARTBEAT = "heartbeat"
    FETCH = "fetch"
    PUBLISH = "publish"


Wake = Callable[[Stage], None]


class TaskQueue(Protocol):
    """Task ids in rank order, each at most once. Never the truth: an id may be lost, the database has it."""

    async def put(self, task_id: UUID, rank: Rank) -> None:
        """Add an id; never refuses, never waits. An id that is already there stays where it is."""

    async def take(self) -> UUID | None:
        """Remove and return the first id, None if there is none. Cancelling it loses no id."""

    async def remove(self, task_id: UUID) -> None:
        """Forget an id; nothing happens if it is not there."""

    async def count(self) -> int:
        """How many ids wait here."""

    async def clear(self) -> None:
        """Forget everything."""

    async def ping(self) -> None:
        """Raise Unavailable if the queue cannot be used."""


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
    died: bool = False
    outcome: str = ""
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
    instance: str


class TaskStore(Protocol):
    """Tasks and their way through the states."""

    async def submit(self, tasks: Sequence[NewTask], batch: NewBatch | None) -> list[Task]:
        """Insert tasks with their facts in one transaction, in order; a used idempotency key answers with its row."""

    async def waiting(self, limit: int, modes: Collection[Mode]) -> list[tuple[UUID, Rank]]:
        """The first ``limit`` pending tasks of these modes in rank order."""

    async def claim(
        self, ids: Collection[UUID], *, run_as: Mapping[Mode, Mode], slots: int, lease: Lease, now: datetime
    ) -> list[Task]:
        """Start an attempt for pending ids whose mode ``run_as`` names, while fewer than ``slots`` are open."""

    async def settle(self, settlement: Settlement) -> bool:
        """Write one decision; False if the task had moved on (nothing is changed then)."""

    async def promote(self, now: datetime, limit: int) -> tuple[list[tuple[UUID, Rank]], datetime | None]:
        """``retrying`` tasks whose time has come become ``pending``; and when the next one is due."""

    async def cancel(self, task_id: UUID, now: datetime, by: str) -> Task | None:
        """Cancel a task that is not final, abandoning its open attempt. None if the state did not allow it."""

    async def revive(self, task_id: UUID, now: datetime, by: str) -> Task | None:
        """A final task becomes pending as a fresh try. None if the state did not allow it."""

    async def get(self, task_id: UUID) -> Task:
        """One task; NotFound."""


class FlightStore(Protocol):
    """Attempts that are under way: the daemon's own and those the creator works on."""

    async def in_flight(self, instance: str) -> list[Flight]:
        """All attempts of this creator instance that have not ended, abandoned ones included."""

    async def own_child(self, task_id: UUID, attempt: int, child: Child) -> None:
        """Remember the process that works on an attempt."""

    async def renew(self, owner: str, until: datetime) -> None:
        """Extend every lease of this owner: the heartbeat."""

    async def expired(self, now: datetime, state_id: str, lease: Lease, limit: int) -> list[Flight]:
        """Attempts at the lease's instance that others hold: run out, or an earlier daemon's of this state directory"""

    async def take_over(self, flight: Flight, lease: Lease) -> bool:
        """Make an expired lease ours; False if someone else was quicker."""

    async def accepted_late(self, task_id: UUID, attempt: int, creator_task_id: str, at: datetime) -> None:
        """The creator accepted an attempt that was abandoned meanwhile: keep the id, its end must be awaited."""

    async def end(self, task_id: UUID, attempt: int, at: datetime, outcome: str) -> bool:
        """An attempt that no task waits for ended: it no longer counts. False if it had ended already."""

    async def requeued(self, task_id: UUID, attempt: int, at: datetime) -> bool:
        """Remember when the creator was last told to queue this attempt again; False if it has ended."""


class History(Protocol):
    """What the past says."""

    async def durations(self, limit: int) -> list[timedelta]:
        """Claim to end of the latest successful attempts, newest first."""


@dataclass(frozen=True, slots=True)
class DueImage:
    """An image to fetch now."""

    content_id: UUID
    position: int
    url: str
    tries: int


class ImageStore(Protocol):
    """Images between their provider's address and our directory."""

    async def due_images(self, now: datetime, limit: int) -> tuple[list[DueImage], datetime | None]:
        """Images that are neither fetched nor lost and whose time has come; and when the next one is due."""

    async def image_fetched(self, image: DueImage, path: str, media_type: str, size: int, now: datetime) -> None:
        """The image lies at ``path`` (relative to the image directory); ``size`` in bytes."""

    async def image_failed(self, image: DueImage, cause: str, retry_at: datetime | None, now: datetime) -> None:
        """A try failed; ``retry_at`` None gives the image up: a lost image never loses an article."""


class PublicationStore(Protocol):
    """The publish pool."""

    async def claim_due(self, now: datetime, limit: int, owner: str) -> tuple[list[Publication], datetime | None]:
        """Due pool entries of approved contents with settled images, in priority order; and when the next is due."""

    async def settle_publication(
        self,
        publication: Publication,
        event: PublicationEvent,
        *,
        now: datetime,
        receipt: Receipt | None = None,
        error: str = "",
        retry_at: datetime | None = None,
    ) -> bool:
        """Write what came of one; False if it had moved on."""

    async def release_stale(self, state_id: str, alive: str) -> int:
        """Entries that an earlier daemon of this state directory left in ``publishing`` are due again; how many."""

    async def review(
        self,
        content_id: UUID,
        event: ContentEvent,
        *,
        by: str,
        reason: str,
        now: datetime,
        pool: Sequence[tuple[UUID, str]],
    ) -> bool:
        """Approve (``pool``: publication ids and targets to add) or reject; False if the state does not allow it."""


Row = dict[str, Any]
"""A row as people look at it, named as on the wire."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """Which rows of a list are wanted; empty and None mean "any"."""

    limit: int
    states: tuple[str, ...] = ()
    account: str | None = None
    batch_id: UUID | None = None
    since: datetime | None = None
    after: UUID | None = None
    only: UUID | None = None


class Views(Protocol):
    """Read models for people. Reads only."""

    async def find_ids(self, noun: str, fragment: str) -> list[UUID]:
        """Up to six ids of a task, content or batch that begin or end so (hex digits); a content also by its task."""

    async def last_batch(self) -> UUID | None:
        """The batch that was submitted last."""

    async def tasks(self, listing: Listing) -> list[Row]:
        """A page of tasks, newest first (in order of submit within one batch)."""

    async def task(self, task_id: UUID) -> Row:
        """One task with its place in the queue, its attempts and its timeline."""

    async def contents(self, listing: Listing) -> list[Row]:
        """A page of contents without bodies, newest first (in order of submit within one batch)."""

    async def body(self, content_id: UUID) -> str:
        """A content's article."""

    async def waited(self, ids: Collection[UUID], batch_id: UUID | None) -> list[Row]:
        """What a waiting person needs to know of these tasks, or of a batch's."""

    async def counts(self, since: datetime, hour: datetime) -> tuple[list[Row], list[Row]]:
        """Open tasks by state; tasks finished since then by state, with the last hour's and the median seconds."""


class AccountStore(Protocol):
    """Accounts."""

    async def create(self, account: Account) -> bool:
        """False if the name is taken."""

    async def by_name(self, name: str) -> Account:
        """One account; NotFound (with the nearest name)."""

    async def all(self) -> list[Account]:
        """Every account by name."""


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
        """Changes whenever the creator's database does; two different ``object()`` when that cannot be told."""

    def worker_alive(self, worker_id: str) -> bool | None:
        """Whether a worker of ours still lives; None if it is not one of ours."""

    def in_flight(self, count: int) -> None:
        """Be told how many attempts the creator's worker has: one child is kept for asking while there are any."""

    def end_child(self, child: Child) -> bool:
        """Kill what an earlier daemon left behind, if it still is the same process; True once it is gone."""


class Publisher(Protocol):
    """One target."""

    async def publish(self, publication: Publication) -> Receipt:
        """Bring the content to the target, at most once: doing it again answers the same receipt. PublishFailed."""


class ImageSource(Protocol):
    """Where images come from."""

    async def fetch(self, url: str, content_id: UUID, position: int) -> tuple[str, str, int]:
        """Store the image; answers (relative path, media type, bytes). FetchFailed."""
