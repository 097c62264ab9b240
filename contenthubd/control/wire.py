"""What travels through the private door: one struct for every request and every reply.

Times are RFC 3339 strings in UTC (``2026-01-31T07:00:00Z``), durations are seconds, ids are canonical UUIDs. Replies
always carry every field, null where there is nothing to say, so that a program can rely on the names. Requests
refuse unknown fields. This module stands alone: contenthubctl is checked against it and knows nothing else.
"""

from typing import Annotated, Any, Literal

from msgspec import Meta, field

from contenthubd.control.bounds import Cursor, Instant, Line, Name, Names, Seconds, Text, Whole
from contenthubd.control.wire_parts import ImageView as ImageView
from contenthubd.control.wire_parts import Mode as Mode
from contenthubd.control.wire_parts import PublicationView as PublicationView
from contenthubd.control.wire_parts import Refusing as Refusing
from contenthubd.control.wire_parts import ReviewState as ReviewState
from contenthubd.control.wire_parts import State as State
from contenthubd.control.wire_parts import SteerQuery as SteerQuery
from contenthubd.control.wire_parts import SubmittedTask as SubmittedTask
from contenthubd.control.wire_parts import Telling as Telling
from contenthubd.control.wire_parts import WaitingFor as WaitingFor

API = "/v1"
MAX_WAIT_SECONDS = 25.0
MAX_PAGE = 1000
LAST_BATCH = "last"
"""In place of a batch id: the batch that was submitted last."""

PROBLEM_TYPE = "urn:contenthubd:problem:"


class TopicRequest(Refusing):
    """One topic as asked for; null means "as the account or the configuration says"."""

    topic: str
    keywords: Annotated[list[str], Meta(max_length=1000)] = field(default_factory=list)
    requirements: str = ""
    category: str = ""
    tone: str | None = None
    audience: str | None = None
    min_chars: Whole = 800
    max_chars: Whole = 3000
    priority: Whole = 5
    mode: Mode | None = None
    auto_approve: bool | None = None
    max_retries: Whole | None = None
    timeout_seconds: float | None = None
    idempotency_key: str | None = None


class SubmitRequest(Refusing):
    """POST /v1/tasks: one topic, or many as one batch, all or none of them."""

    account: Name
    requests: Annotated[list[TopicRequest], Meta(min_length=1, max_length=100_000)]
    batch: bool = False
    idempotency_key: Annotated[Name, Meta(min_length=1)] | None = None
    """Of the whole request: sent again with the same key it answers with the tasks of the first time."""
    dry_run: bool = False
    """Check everything, store nothing."""


class Listed(Refusing):
    """What both lists can be asked for; ``after`` is the last id of the page before."""

    account: Name | None = None
    batch: Name | None = None
    """A fragment of a batch id, or ``last``."""
    since: Instant | None = None
    limit: Annotated[int, Meta(ge=1, le=MAX_PAGE)] = 50
    after: Name | None = None


class TaskFilter(Listed):
    """GET /v1/tasks: newest first, unless ``sort`` says otherwise."""

    status: tuple[State, ...] = ()
    finished_since: Instant | None = None
    """Only those that ended then or later."""
    finished_until: Instant | None = None
    """Only those that ended before."""
    sort: Literal["created", "finished", "priority"] | None = None
    """``finished``, the default with a time of end: latest end first. ``priority``: waiting ones, the next first."""


class TaskQuery(Refusing):
    """GET /v1/tasks/{id}."""

    detail: bool = False
    """Attempts and timeline too."""


class ContentQuery(Refusing):
    """GET /v1/contents/{id}."""

    body: bool = False
    """The article's text too."""


class StatsQuery(Refusing):
    """GET /v1/stats."""

    since_seconds: Seconds = 86_400.0


class ContentFilter(Listed):
    """GET /v1/contents: newest first."""

    status: tuple[ReviewState, ...] = ()


class WaitQuery(Refusing):
    """GET /v1/wait: a long poll over some tasks or one batch."""

    id: Names = ()
    batch: Name | None = None
    timeout: Annotated[float, Meta(ge=0, le=MAX_WAIT_SECONDS)] = MAX_WAIT_SECONDS
    since: Cursor = ""
    """The ``cursor`` of the reply before; empty the first time."""


class Decision(Refusing):
    """POST /v1/contents/{id}/approve and …/reject."""

    reason: Line = ""


class NewAccount(Refusing):
    """POST /v1/accounts; null means "as the global configuration says"."""

    name: Name
    title: Name = ""
    mode: Mode | None = None
    auto_approve: bool | None = None
    tone: Line = ""
    audience: Line = ""
    requirements: Text = ""


# ------------------------------------------------------------------------------------------------------------- replies


class Submitted(Telling):
    """What a submit made, in the order of the request. After a dry run the ids are null."""

    account: str
    tasks: list[SubmittedTask]
    batch_id: str | None = None
    dry_run: bool = False


class AttemptView(Telling):
    """One try at a task."""

    attempt: int
    mode: Mode
    started_at: str
    ended_at: str | None = None
    abandoned_at: str | None = None
    """Since when nobody waits for it any more; it may still run at the creator."""
    outcome: str | None = None
    """Null while it is under way, here or (``abandoned_at``) at the creator alone."""
    charged: bool = False
    """Whether it used up one of the task's tries."""
    creator_task_id: str | None = None
    error_kind: str | None = None
    error: str | None = None
    exit_code: int | None = None
    stderr_tail: str = ""


class FactView(Telling):
    """One line of a task's timeline."""

    at: str
    name: str
    data: dict[str, Any] = field(default_factory=dict)


class WaitedTask(Telling):
    """A task as a waiting person needs it: what changes while it goes its way."""

    id: str
    state: State
    topic: str
    attempt: int = 0
    claimed_at: str | None = None
    run_at: str | None = None
    finished_at: str | None = None
    expected_seconds: float | None = None
    """How long such a task usually takes from its claim: the median of the latest ones; null without history."""
    position: int | None = None
    """Place in the queue, 1 is next; null unless pending."""
    error_kind: str | None = None
    error: str | None = None
    retry_count: int = 0
    max_retries: int = 3
    waiting_for: WaitingFor | None = None
    """Null unless pending or retrying."""
    content_id: str | None = None
    content_state: ReviewState | None = None
    hold_reason: str | None = None
    """Why its article was not approved automatically."""
    publications: list[PublicationView] = field(default_factory=list)
    """Of its article; empty while there is none, and when the article is not in the pool."""


class TaskView(WaitedTask, kw_only=True):
    """A task. ``attempts`` and ``facts`` are filled when asked for; ``hold_reason``: see ContentView."""

    account: str
    mode: Mode
    created_at: str
    batch: str | None = None
    priority: int = 5
    auto_approve: bool = True
    deadline_at: str | None = None
    hint: str | None = None
    """What a person can do about it."""
    creator_task_id: str | None = None
    title: str | None = None
    published_at: str | None = None
    location: str | None = None
    """Where the first publication lies, when there is one."""
    attempts: list[AttemptView] = field(default_factory=list)
    facts: list[FactView] = field(default_factory=list)


class TaskPage(Telling):
    """One page of tasks; ``next`` is the ``after`` of the following one, null at the end."""

    tasks: list[TaskView]
    next: str | None = None


class WaitReply(Telling):
    """The answer of a long poll: at once if something changed since ``since``, else at the timeout.

    ``changed`` holds at least the tasks that changed, all of them when ``since`` was empty; told twice does no harm.
    ``settled`` is true when every task is final and no publication of theirs is still on its way.
    """

    changed: list[WaitedTask]
    counts: dict[str, int]
    """Tasks by state, over all that are waited for."""
    total: int
    all_final: bool
    settled: bool
    cursor: str
    waiting_for: WaitingFor | None = None
    """What the first pending task of them waits for."""


class Stats(Telling):
    """What happened in the last ``since_seconds``, and what is going on now."""

    since_seconds: float
    states: dict[str, int]
    """Tasks by state; final ones only if they finished in the period."""
    finished: int = 0
    completed_last_hour: int = 0
    success_rate: float | None = None
    """Completed of all finished in the period, 0 to 1; cancelled ones left out; null if none finished."""
    median_seconds: float | None = None
    """From claim to end of the completed ones."""
    waiting: int = 0
    """Tasks that are ready to start, and wait."""
    waiting_for: WaitingFor | None = None
    """What the next of them waits for."""
    queue_waiting: int = 0
    """How many task ids the queue holds; it is filled from the database when it is needed."""
    queue_kind: str = "memory"
    slots_used: int = 0
    slots_total: int = 0


class ContentView(Telling):
    """An article. ``body`` is filled when asked for; ``hold_reason``: what a person should look at."""

    id: str
    task_id: str
    account: str
    state: ReviewState
    title: str
    topic: str
    chars: int
    created_at: str
    batch: str | None = None
    reviewed_at: str | None = None
    reviewed_by: str | None = None
    review_reason: str | None = None
    hold_reason: str | None = None
    images: list[ImageView] = field(default_factory=list)
    publications: list[PublicationView] = field(default_factory=list)
    next_step: str = ""
    """What a person can do so that it is published, where something keeps it from that."""
    body: str | None = None


class ContentPage(Telling):
    """One page of contents; ``next`` is the ``after`` of the following one, null at the end."""

    contents: list[ContentView]
    next: str | None = None


class AccountView(Telling):
    """An account."""

    name: str
    created_at: str
    title: str = ""
    mode: Mode | None = None
    auto_approve: bool | None = None
    tone: str = ""
    audience: str = ""
    requirements: str = ""


class AccountList(Telling):
    """Every account by name."""

    accounts: list[AccountView]


class HealthFault(Telling):
    """Something that is not as it should be, and what to do about it."""

    part: str
    """database, queue, creator, worker, publisher …"""
    what: str
    hint: str = ""


class Health(Telling):
    """How the daemon and what it needs are doing."""

    status: Literal["ok", "degraded", "starting", "stopping"]
    version: str
    uptime_seconds: float
    database: dict[str, Any] = field(default_factory=dict)
    queue: dict[str, Any] = field(default_factory=dict)
    creator: dict[str, Any] = field(default_factory=dict)
    pipeline: dict[str, Any] = field(default_factory=dict)
    control_socket: dict[str, Any] = field(default_factory=dict)
    faults: list[HealthFault] = field(default_factory=list)


class Version(Telling):
    """Who answers."""

    version: str
    python: str
    pid: int


class ConfigEntry(Telling):
    """One key of the configuration in force; secrets are masked."""

    key: str
    value: Any
    origin: str = "default"
    needs_restart: bool = False
    after_restart: Any = None
    """What a reload read, where it comes into force only at the next start."""


class ConfigList(Telling):
    """The whole configuration in force."""

    config: list[ConfigEntry]


class Fault(Telling):
    """One of several faults. ``index`` counts the requests of a submit from 0; null for what is about the whole."""

    detail: str
    index: int | None = None


class Problem(Telling):
    """An error as RFC 9457 has it. ``detail`` says what happened, ``why`` the reason, ``fix`` what to do."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    why: str = ""
    fix: str = ""
    faults: list[Fault] = field(default_factory=list)
