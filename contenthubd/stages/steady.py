"""Steady time: the wall clock as far as it can be trusted with a deletion.

A clock that is set far forward, or that is wrong when the machine boots, would make everything look old. So nothing is
as old as the wall clock says until the clock has gone on evenly for an hour, as measured in uptime, which nobody sets:
of all readings of the last hour the one counts by which it is earliest now.

A daemon that never runs for an hour has another witness: a time that was reached before it started, as an earlier
daemon wrote it down. It can be no earlier than that, and no later than the wall clock says.
"""

from collections import deque
from datetime import datetime, timedelta
from typing import Final

from contenthubd.ports.clock import Clock

STEADY: Final = timedelta(hours=1)


class SteadyTime:
    """Reads the clock each time it is asked; ``now`` is None for the first hour if nothing else is known."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._readings: deque[tuple[timedelta, datetime]] = deque()

    def now(self, reached: datetime | None = None) -> datetime | None:
        """The earliest time it can be, by the readings since an hour ago.

        While there are none so old: the time ``reached`` before the start and what passed since; None without it.
        """
        uptime = self._clock.uptime()
        self._readings.append((uptime, self._clock.now()))
        while len(self._readings) > 1 and uptime - self._readings[1][0] >= STEADY:
            self._readings.popleft()
        read = [wall + (uptime - read_at) for read_at, wall in self._readings]
        if uptime - self._readings[0][0] >= STEADY:
            return min(read)
        return None if reached is None else min(*read, reached + (uptime - self._readings[0][0]))
