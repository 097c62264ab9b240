"""Suspects: tell a creator that is sick from a task that makes it look sick.

While a creator is sick, tasks keep their retries, however often it is asked. A creator that is sick over one task again
and again, and works for others in between, is not sick: from the third time on that task is charged.
"""

from typing import Final
from uuid import UUID

from contenthubd.domain.outcome import Accepted, ErrorKind, Failed, Outcome, Sick, Succeeded

STRIKES: Final = 3
MOST: Final = 1000
"""Tasks remembered; they are forgotten together, which only begins their count anew."""


class Suspects:
    """Judges the outcome of each attempt before it is settled."""

    def __init__(self) -> None:
        self._strikes: dict[UUID, tuple[int, int]] = {}
        self._worked = 0

    def judged(self, task_id: UUID, outcome: Outcome) -> Outcome:
        """The outcome, or a charged failure in its place."""
        if isinstance(outcome, Accepted | Succeeded):
            self._worked += 1
            self._strikes.pop(task_id, None)
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
