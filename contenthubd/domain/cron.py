"""A cron expression in a time zone: the times it means, and nothing about what happens then.

The five fields are read as Debian's cron reads them. A job at a fixed hour and minute runs once on both nights on
which clocks change: a time that is left out is done later right after the gap, a time that comes twice counts the
first time. Jobs with a star for the minute or the hour follow the time that really passes.
"""

from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Final

from cronsim import CronSim, CronSimError

from contenthubd.domain.errors import InvalidInput
from contenthubd.domain.zones import zone

FIELDS: Final = 5
MAX_CHARS: Final = 200
COUNTED: Final = 1500
"""Slots are counted up to here; a day has 1440 minutes, and an expression has at most one slot in each."""
_ANY_TIME: Final = datetime(2000, 1, 1, tzinfo=UTC)
_REFUSED: Final = (CronSimError, AssertionError, TypeError, ValueError)  # what the library says to nonsense
_RANGES: Final = {
    "minute": "0 to 59",
    "hour": "0 to 23",
    "day-of-month": "1 to 31, or L for the last",
    "month": "1 to 12, or JAN to DEC",
    "day-of-week": "0 to 7, or SUN to SAT",
}
_LIKE: Final = "Write minute, hour, day of month, month and day of week, such as '30 7 * * MON-FRI'."


class Cron:
    """Times as aware UTC; InvalidInput for an expression or a time zone that is not possible."""

    def __init__(self, expression: str, time_zone: str) -> None:
        self.expression = " ".join(expression.split())
        self.zone = zone(time_zone)
        if len(self.expression) > MAX_CHARS or len(self.expression.split()) != FIELDS:
            raise _refused(expression, f"It must have {FIELDS} fields and at most {MAX_CHARS} characters.")
        try:
            first = next(self.after(_ANY_TIME), None)
        except _REFUSED as fault:
            raise _refused(expression, _no_such_day(self.expression) or _why(fault)) from None
        if first is None:
            raise _refused(expression, "It never matches a date.")

    def after(self, moment: datetime) -> Iterator[datetime]:
        """Every slot later than ``moment``, in order; ends only if none comes for 50 years."""
        last = moment.astimezone(UTC)
        for local in CronSim(self.expression, moment.astimezone(self.zone)):
            slot = local.astimezone(UTC)
            if slot > last:  # begun inside a repeated hour, the library tells of the hour's first run again
                yield slot
                last = slot

    def next(self, moment: datetime) -> datetime:
        """The first slot later than ``moment``."""
        return next(self.after(moment))

    def first(self, moment: datetime, count: int) -> list[datetime]:
        """The first ``count`` slots later than ``moment``."""
        return list(islice(self.after(moment), count))

    def between(self, after: datetime, until: datetime) -> Iterator[datetime]:
        """Every slot with ``after`` < slot ≤ ``until``, in order."""
        for slot in self.after(after):
            if slot > until:
                return
            yield slot

    def latest(self, after: datetime, until: datetime) -> tuple[datetime, int] | None:
        """The last slot with ``after`` < slot ≤ ``until`` and how many there are, counted up to ``COUNTED``."""
        found = list(islice(self.between(after, until), COUNTED))
        if not found:
            return None
        if len(found) < COUNTED:
            return found[-1], len(found)
        window = timedelta(days=1)
        while True:
            last = deque(self.between(max(after, until - window), until), maxlen=1)
            if last:
                return last[0], COUNTED
            window *= 2


def _why(fault: Exception) -> str:
    """The library names the field and nothing more."""
    field = str(fault).removeprefix("Bad ")
    if field not in _RANGES:
        return f"{fault}." if str(fault) else "A field cannot be read."
    return f"The {field.replace('-', ' ')} is not valid; valid range: {_RANGES[field]}."


def _no_such_day(expression: str) -> str:
    """What is wrong if only the day and the month together cannot be: the library blames the day alone."""
    minute, hour, day, month, weekday = expression.split()
    for fields in ((minute, hour, day, "*", weekday), (minute, hour, "1", month, weekday)):
        try:
            CronSim(" ".join(fields), _ANY_TIME)
        except _REFUSED:
            return ""
    return f"It never matches a date: no month of {month!r} has the day {day!r}."


def _refused(expression: str, why: str) -> InvalidInput:
    return InvalidInput(f"{expression[:80]!r} is not a valid cron expression.", why=why, fix=_LIKE)
