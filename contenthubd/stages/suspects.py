"""Suspects: tell a creator that is sick from a task that makes it look sick.

While a creator is sick, tasks keep their retries, however often it is asked. A creator that is sick over one task again
and again, and works for others in between, is not sick: from the third time on that task is charged.

The other way round, one task whose command ended, printed what cannot be read and left no row is charged. When the
same happens to another task, and none was taken in between, the creator is at fault: then nobody is, until an
attempt is counted as one of those that may not go on forever (``domain/outcome.COUNTED``).
"""

from typing import Final
from uuid import UUID

from contenthubd.domain.outcome import Accepted, ErrorKind, Failed, Outcome, Sick, Succeeded, Unknown

STRIKES: Final = 3
MOST: Final = 1000
"""Tasks remembered; they are forgotten together, which only begins their count anew."""


class Suspects:
    """Judges the outcome of each attempt before it is settled."""

    def __init__(self) -> None:
        self._strikes: dict[UUID, tuple[int, int]] = {}
        self._worked = 0
        self._unread: set[UUID] = set()

    def judged(self, task_id: UUID, outcome: Outcome) -> Outcome:
        """The outcome, or a charged failure in its place."""
        if isinstance(outcome, Accepted | Succeeded):
            self._worked += 1
            self._strikes.pop(task_id, None)
            self._unread.clear()
        if isinstance(outcome, Failed | Unknown) and _left_no_row(outcome):
            return self._counted(task_id, outcome)
        if not isinstance(outcome, Sick) or not outcome.spawned:
            return outcome
        if len(self._strikes) >= MOST:
            self._strikes.clear()
        strikes, worked = self._strikes.pop(task_id, (0, -1))
        strikes += self._worked > worked
        if strikes >= STRIKES:
            cause = f"content-creator works for other tasks, but not for this one: {outcome.cause}"
            return Failed(ErrorKind.GENERATION_FAILED, cause)
        self._strikes[task_id] = strikes, self._worked
        return outcome

    def _counted(self, task_id: UUID, outcome: Failed | Unknown) -> Outcome:
        if len(self._unread) < MOST:
            self._unread.add(task_id)
        if self._unread == {task_id}:
            return outcome
        cause = f"content-creator stored none of the last {len(self._unread)} tasks. {outcome.cause}"
        return Failed(ErrorKind.CREATOR_UNAVAILABLE, cause, outcome.exit_code, outcome.stderr_tail)


def sickness_in(outcome: Outcome) -> Sick | None:
    """Why dispatch has to pause after an attempt that ended so."""
    if isinstance(outcome, Failed) and outcome.kind is ErrorKind.CREATOR_UNAVAILABLE:
        return Sick(ErrorKind.CREATOR_CHANGED if outcome.exit_code == 0 else outcome.kind, outcome.cause)
    return outcome if isinstance(outcome, Sick) else None


def _left_no_row(outcome: Failed | Unknown) -> bool:
    """Whether the command told of no task; its row was looked for before."""
    if isinstance(outcome, Unknown):
        return outcome.exit_code is not None
    unreadable = outcome.kind is ErrorKind.OUTPUT_UNREADABLE
    return unreadable and outcome.exit_code is not None and outcome.creator_task_id is None
