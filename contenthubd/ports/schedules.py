"""Schedules: what people change about them, and the one write that decides a slot."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from contenthubd.domain.schedule import Firing, Schedule, SkipReason
from contenthubd.domain.task import NewTask, Task


class Verdict(StrEnum):
    """How a decision about a slot ended."""

    FIRED = "fired"
    SKIPPED = "skipped"
    HELD = "held"
    """An earlier task is not finished and the slot may wait: nothing was decided."""
    LOST = "lost"
    """Another slot was decided since the schedule was read, or it was paused or deleted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What is to become of one slot of a schedule. Without a slot it is fired by hand."""

    schedule: Schedule
    at: datetime
    slot: datetime | None
    slots: int = 1
    next_at: datetime | None = None
    """When to look at the schedule again; None leaves it as it is."""
    task: NewTask | None = None
    """None skips the slot."""
    reason: SkipReason | None = None
    detail: str = ""
    by: str = ""


@dataclass(frozen=True, slots=True)
class Decided:
    """What became of it; ``task`` is the new one, or the unfinished one that prevented it."""

    verdict: Verdict
    task: Task | None = None


class ScheduleStore(Protocol):
    """Schedules, as people see and change them."""

    async def create(self, schedule: Schedule, by: str) -> bool:
        """False if the name is taken."""

    async def by_name(self, name: str) -> Schedule:
        """One schedule; NotFound (with the nearest name)."""

    async def all(self, account: str | None = None) -> list[Schedule]:
        """Every schedule by name, or those of one account."""

    async def pause(self, schedule_id: UUID, at: datetime, by: str) -> bool:
        """False if it is paused already or gone."""

    async def resume(self, schedule_id: UUID, at: datetime, due_at: datetime, by: str) -> bool:
        """Slots up to ``at`` count as decided. False if it is not paused or gone."""

    async def delete(self, schedule_id: UUID, at: datetime, by: str) -> bool:
        """With its firings; its tasks stay. False if it is gone."""

    async def history(self, schedule_id: UUID, limit: int, before: int | None = None) -> list[Firing]:
        """At most ``limit`` firings, newest first; those older than the firing ``before``."""


class SlotStore(Protocol):
    """Which schedules are to be looked at, and what becomes of their slots."""

    async def due(self, now: datetime, limit: int) -> tuple[list[Schedule], datetime | None]:
        """Schedules whose time to be looked at has come, longest waiting first; and when the next one's comes."""

    async def decide(self, decision: Decision) -> Decided:
        """Task, firing and facts in one transaction, if the slot is later than all that were decided."""

    async def postpone(self, schedule_id: UUID, due_at: datetime) -> None:
        """Look at it again then, and decide nothing."""
