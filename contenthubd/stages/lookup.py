"""Lookup: whether the creator has a task already, asked before anything is created and before anything is settled.

A ``create`` may have stored its task whatever it ended with: an exit code, a usage error, a signal, a timeout, a sick
creator. Only one that surely never ran leaves nothing to look for. So the rows are searched for this attempt's mark
once it ended, and for the marks of earlier attempts of which no id is known before the next one is given away.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Final

import anyio
import structlog

from contenthubd.domain.attempt import mark_of
from contenthubd.domain.outcome import (
    Accepted,
    CreatorRow,
    ErrorKind,
    Failed,
    Interrupted,
    Outcome,
    RowState,
    Sick,
    Succeeded,
    TimedOut,
    Unknown,
)
from contenthubd.domain.task import Mode, Task
from contenthubd.ports.creator import Creator

FIRST_PAUSE: Final = 0.2
LONGEST_PAUSE: Final = 5.0
LOOKUPS: Final = 3
"""A late insert of the creator's queue needs a second look; our own child's insert is done when it is dead."""
log = structlog.get_logger(__name__)


class Lookup:
    """Searches the creator's rows.

    ``left`` says how much of an attempt's time is left; ``first_pause`` (seconds) is doubled after each look.
    """

    def __init__(self, creator: Creator, left: Callable[[Task], timedelta], first_pause: float = FIRST_PAUSE) -> None:
        self._creator = creator
        self._left = left
        self._first_pause = first_pause

    async def before(self, task: Task, numbers: list[int]) -> Outcome | None:
        """What the task's earlier attempts ``numbers`` left, if anything: then nothing is created beside it."""
        if not numbers:
            return None
        rows = await self._creator.find([mark_of(task.task_id, number) for number in numbers])
        if isinstance(rows, Sick):
            return replace(rows, spawned=False)
        for row in rows.values():
            adopted = await self._adopted(task, row)
            if adopted is not None:
                log.info("earlier_attempt_adopted", task_id=str(task.task_id), attempt=task.attempt, found=row.state)
                return adopted
        return None

    async def after(self, task: Task, mark: str, ended: Outcome) -> Outcome:
        """What the attempt that ``ended`` so came to.

        A creator too sick to be asked is asked again until the attempt's time is over; the next one looks first.
        """
        pause, answers = self._first_pause, 0
        while True:
            rows = await self._creator.find([mark])
            if not isinstance(rows, Sick):
                answers += 1
                found = await self._found(task, rows.get(mark))
                if found is not None:
                    log.info("attempt_reconciled", task_id=str(task.task_id), attempt=task.attempt, lookup=answers)
                    return found
                if answers >= (LOOKUPS if task.mode is Mode.ASYNC else 1):
                    return ended
            else:
                log.warning("lookup_postponed", task_id=str(task.task_id), kind=rows.kind, cause=rows.cause)
                if isinstance(ended, Sick | TimedOut):
                    return ended
                if self._left(task) <= timedelta():
                    return Failed(ErrorKind.CREATOR_UNAVAILABLE, f"{rows.cause} Before that: {_cause(ended)}")
            await anyio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _found(self, task: Task, row: CreatorRow | None) -> Outcome | None:
        if row is None:
            return None
        return Accepted(row.creator_task_id) if task.mode is Mode.ASYNC else await self._adopted(task, row)

    async def _adopted(self, task: Task, row: CreatorRow) -> Outcome | None:
        """What a row that is found becomes; None if it is nobody's any more."""
        if task.mode is Mode.ASYNC:
            return None if row.state in (RowState.FAILED, RowState.CANCELLED) else Accepted(row.creator_task_id)
        return await self._fetched(task, row.creator_task_id) if row.state is RowState.COMPLETED else None

    async def _fetched(self, task: Task, creator_task_id: str) -> Outcome:
        """An article that is finished is asked for until the attempt's time is over."""
        pause = self._first_pause
        while True:
            outcome = await self._creator.result(creator_task_id)
            if not isinstance(outcome, Sick | Unknown):
                return outcome
            if self._left(task) <= timedelta():
                cause = f"The article is finished, but could not be fetched: {outcome.cause}"
                return Failed(ErrorKind.CREATOR_UNAVAILABLE, cause)
            await anyio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)


def is_told(mode: Mode, outcome: Outcome) -> bool:
    """Whether an outcome says all: the creator has the task under a known id, or surely never had it."""
    match outcome:
        case Accepted() | Succeeded() | Interrupted():
            return True
        case Failed():
            placed = outcome.creator_task_id is not None and outcome.kind is not ErrorKind.LOST
            return not outcome.spawned or (mode is Mode.SYNC and placed)
        case Sick():
            return not outcome.spawned
    return False


def _cause(outcome: Outcome) -> str:
    return outcome.cause if isinstance(outcome, Failed | Unknown) else ""
