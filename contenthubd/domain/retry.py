"""When a failed attempt is tried again: after fixed delays, with jitter, so that what failed together returns apart."""

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Delays after the first, second, … charged failure; the last one repeats. ``jitter`` 0.1 means ±10 %."""

    delays: tuple[timedelta, ...]
    jitter: float

    @property
    def longest(self) -> timedelta:
        """No retry is ever planned further ahead; one that is was planned under a wall clock that was set back."""
        return max(self.delays) * (1 + self.jitter)

    def retry_at(self, retry_count: int, now: datetime, rand: float) -> datetime:
        """When to try again after the ``retry_count``-th charged failure (from 1); ``rand`` is uniform in [0, 1)."""
        delay = self.delays[min(max(retry_count, 1), len(self.delays)) - 1]
        return now + delay * (1 + self.jitter * (2 * rand - 1))
