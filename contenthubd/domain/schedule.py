"""A schedule: a stored request that becomes a task at each slot of a cron expression.

A slot is one time of the schedule. ``checked_until`` is the last slot that was decided; it only moves forward, so a
clock that is stepped back decides nothing again. ``due_at`` only says when to look at the schedule next.
"""

import re
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

from contenthubd.domain.cron import Cron
from contenthubd.domain.errors import InvalidInput
from contenthubd.domain.request import Request
from contenthubd.domain.task import TaskState

ON_TIME: Final = timedelta(minutes=2)
"""A slot that is seen so late at most was not missed: twice the longest time between two looks."""
_PLACEHOLDER: Final = re.compile(r"\{\{? ?([^\W\d]\w{0,30})(?:[:.][^{}\n]{0,30})? ?\}\}?")
_OF_TIME: Final = frozenset({
    "date", "day", "today", "now", "time", "datetime", "timestamp", "year", "month", "week", "weekday", "hour",
    "minute", "yesterday", "tomorrow", "日期", "今天", "今日", "时间", "日", "月", "年", "星期", "昨天", "明天",
})  # fmt: skip
DATE: Final = "{date}"
"""Stands in topic and requirements for the slot's day in the schedule's time zone."""


class CatchUp(StrEnum):
    """What becomes of slots that were missed while no daemon ran: none, the latest, or every one of them."""

    SKIP = "skip"
    ONCE = "once"
    ALL = "all"


class FiringOutcome(StrEnum):
    """What a slot came to."""

    FIRED = "fired"
    SKIPPED = "skipped"


class SkipReason(StrEnum):
    """Why a slot made no task."""

    MISSED = "missed"
    """No daemon ran then, and the schedule does not catch up."""
    OVERLAP = "overlap"
    """The task of an earlier slot was not finished."""
    REFUSED = "refused"
    """The request is not acceptable any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """One row of the schedule table."""

    schedule_id: UUID
    name: str
    account: str
    cron: str
    time_zone: str
    request: Request
    catch_up: CatchUp = CatchUp.ONCE
    overlap: bool = False
    created_at: datetime
    checked_until: datetime
    due_at: datetime
    paused_at: datetime | None = None

    def times(self) -> Cron:
        """When it fires."""
        return Cron(self.cron, self.time_zone)

    def request_at(self, slot: datetime) -> Request:
        """The request of one slot, its day filled in."""
        day = slot.astimezone(self.times().zone).date().isoformat()
        wanted = self.request
        return replace(
            wanted, topic=wanted.topic.replace(DATE, day), requirements=wanted.requirements.replace(DATE, day)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """One decision: the slot, how many slots it stands for, whether it was missed, and when the next one comes."""

    slot: datetime
    slots: int
    missed: bool
    next_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Firing:
    """One row of the firing table; without a slot it was fired by hand."""

    firing_id: int
    slot_at: datetime | None
    at: datetime
    slots: int
    outcome: FiringOutcome
    reason: SkipReason | None = None
    detail: str = ""
    task_id: UUID | None = None
    task_state: TaskState | None = None


def due(schedule: Schedule, now: datetime) -> Due | None:
    """The next decision, None if no slot is due. With ``all`` it is the oldest slot, else the latest stands for all."""
    times = schedule.times()
    if schedule.catch_up is CatchUp.ALL:
        oldest = times.next(schedule.checked_until)
        found = (oldest, 1) if oldest <= now else None
    else:
        found = times.latest(schedule.checked_until, now)
    if found is None:
        return None
    slot, slots = found
    missed = schedule.catch_up is CatchUp.SKIP and now - slot > ON_TIME
    return Due(slot=slot, slots=slots, missed=missed, next_at=times.next(slot))


def check_repeatable(request: Request) -> None:
    """InvalidInput for a request that could make only one task, or has a placeholder that nothing is put in for."""
    if found := _placeholder_fault(request):
        raise InvalidInput(found, why="A schedule replaces {date} only, in its topic and its requirements.",
                           fix="Write {date} for the day of the run, such as 2026-01-31.")  # fmt: skip
    if request.idempotency_key is not None:
        raise InvalidInput(
            "A schedule's request cannot have an idempotency key.",
            why="Every later task would be treated as a repeat of the first one.",
            fix="Leave the key out: each run creates only one task.",
        )


def _placeholder_fault(request: Request) -> str:
    """The first placeholder that would stand in the article as it is; empty if there is none.

    Instructions may hold braces of their own, so only words of time are taken for placeholders there.
    """
    for found in _PLACEHOLDER.finditer(request.topic):
        if found[0] != DATE:
            return f"Unknown placeholder {found[0]!r} in the topic."
    for found in _PLACEHOLDER.finditer(request.requirements):
        if found[0] != DATE and found[1].lower() in _OF_TIME:
            return f"Unknown placeholder {found[0]!r} in the requirements."
    others = {"keywords": " ".join(request.keywords), "category": request.category, "tone": request.tone or "",
              "audience": request.audience or ""}  # fmt: skip
    return next((f"The placeholder {DATE} is not replaced in the {name}." for name, text in others.items()
                 if DATE in text), "")  # fmt: skip
