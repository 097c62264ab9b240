"""Steps of the wall clock: noticed against the clock that nobody sets, logged once, and told in health.

Nothing is steered by this: intervals follow the other clock, and what is due at a time of day follows the wall clock
as it is. People want to know, since the times in lists and logs jump there.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import anyio
import structlog

from contenthubd.ports.clock import Clock

LOOK_SECONDS: Final = 5
LEAST: Final = timedelta(seconds=1)
"""Less than this in one look is how NTP corrects a clock that runs."""
TOLD_FOR: Final = timedelta(hours=24)
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Step:
    """The wall clock was set by ``by``, forward or back; noticed when it said ``at``."""

    at: datetime
    by: timedelta
    uptime: timedelta


class ClockSteps:
    """Watches the distance between the two clocks."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._distance = self._read()
        self._last: Step | None = None

    def last(self) -> Step | None:
        """The last step, for a day."""
        if self._last is not None and self._clock.uptime() - self._last.uptime > TOLD_FOR:
            self._last = None
        return self._last

    def look(self) -> None:
        """Compare the clocks."""
        distance = self._read()
        by = distance - self._distance
        self._distance = distance
        if abs(by) >= LEAST:
            self._last = Step(self._clock.now(), by, self._clock.uptime())
            log.warning("clock_stepped", by_seconds=round(by.total_seconds(), 1))

    async def watch(self) -> None:
        """Look every few seconds, forever."""
        while True:
            await anyio.sleep(LOOK_SECONDS)
            self.look()

    def _read(self) -> timedelta:
        return self._clock.now() - datetime.fromtimestamp(0, UTC) - self._clock.uptime()
