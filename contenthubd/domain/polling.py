"""When to ask the creator next.

The plan's poller asks every 30 s, so a finish is noticed 15 s late on average. Here a look is due at the latest
``interval`` after the last one, and closer together while history says that some task is about to finish: from the
moment a task is as old as the quickest quarter of the tasks before it. That costs no more calls overall, because a
look at which the creator's database file has not changed since the last answer needs no call at all: the answer
would be the same (see ``stages/poll.py``).
"""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Final

MIN_HISTORY: Final = 5
CLOSEST: Final = timedelta(seconds=2)
CLOSER_PART: Final = 10
QUICK_QUANTILE: Final = 4


def expected_duration(history: Sequence[timedelta]) -> timedelta | None:
    """The median of past durations (claim to end); None while there are too few to say."""
    return sorted(history)[len(history) // 2] if len(history) >= MIN_HISTORY else None


def next_look(
    last: timedelta, interval: timedelta, claimed: Iterable[timedelta], history: Sequence[timedelta]
) -> timedelta:
    """When the next look is due, given the claims in flight and the durations of finished attempts.

    ``last``, ``claimed`` and the answer are readings of the machine's uptime, which nobody sets.
    """
    latest = last + interval
    if len(history) < MIN_HISTORY:
        return latest
    quick = sorted(history)[len(history) // QUICK_QUANTILE]
    closer = last + min(interval, max(interval / CLOSER_PART, CLOSEST))
    wanted = (max(closer, claim + quick) for claim in claimed)
    return min((latest, *wanted))
