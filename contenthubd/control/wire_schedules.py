"""What travels through the private door about schedules; the rules of ``wire`` hold here too."""

from typing import Annotated, Literal

from msgspec import Meta

from contenthubd.control.bounds import Name, RowNumber
from contenthubd.control.wire import Refusing, State, Telling, TopicRequest

CatchUp = Literal["skip", "once", "all"]
MAX_PREVIEW = 100


class NewSchedule(Refusing):
    """POST /v1/schedules: the request becomes a task at each slot of the cron expression."""

    name: Name
    account: Name
    cron: Name
    """Minute, hour, day of month, month, day of week."""
    request: TopicRequest
    """``{date}`` in topic and requirements stands for the slot's day."""
    time_zone: Annotated[Name, Meta(min_length=1)] = "UTC"
    catch_up: CatchUp = "once"
    overlap: bool = False


class ScheduleFilter(Refusing):
    """GET /v1/schedules."""

    account: Name | None = None


class FiringFilter(Refusing):
    """GET /v1/schedules/{name}/firings: newest first; ``after`` is the last id of the page before."""

    limit: Annotated[int, Meta(ge=1, le=1000)] = 50
    after: RowNumber | None = None


class PreviewQuery(Refusing):
    """GET /v1/preview: of a stored schedule, or of an expression that need not be stored."""

    schedule: Name | None = None
    cron: Name | None = None
    time_zone: Name | None = None
    """Of the expression, UTC if it is left out; a stored schedule has its own."""
    count: Annotated[int, Meta(ge=1, le=MAX_PREVIEW)] = 5


class ScheduleView(Telling):
    """A schedule. ``next_at`` is null while it is paused, or its time zone is not known on the daemon's machine."""

    name: str
    account: str
    cron: str
    time_zone: str
    catch_up: CatchUp
    overlap: bool
    request: TopicRequest
    created_at: str
    checked_until: str
    next_at: str | None = None
    paused_at: str | None = None


class ScheduleList(Telling):
    """Schedules by name."""

    schedules: list[ScheduleView]


class FiringView(Telling):
    """What one slot came to. ``slot_at`` is null if it was fired by hand, ``task_id`` if there is no task."""

    id: int
    slot_at: str | None
    at: str
    outcome: Literal["fired", "skipped"]
    slots: int = 1
    """How many slots it stands for: it and those missed before it."""
    reason: Literal["missed", "overlap", "refused"] | None = None
    detail: str = ""
    task_id: str | None = None
    task_state: State | None = None


class FiringPage(Telling):
    """One page of firings; ``next`` is the ``after`` of the following one, null at the end."""

    firings: list[FiringView]
    next: int | None = None


class Slot(Telling):
    """One time: in UTC, and as clocks in the schedule's zone show it."""

    at: str
    local: str


class Preview(Telling):
    """The next times of a cron expression."""

    cron: str
    time_zone: str
    slots: list[Slot]
