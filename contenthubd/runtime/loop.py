"""One loop for every stage: tick, then wait for the delay it named or for somebody who wakes it.

A tick that fails is contained here, and only here: it is logged once per cause, counted, and tried again after a
pause that grows from 1 to 30 seconds, so neither a broken stage nor an absent database makes a storm.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Final

import anyio
import structlog

from contenthubd.domain.errors import Unavailable
from contenthubd.ports.clock import Clock

FIRST_PAUSE: Final = timedelta(seconds=1)
LONGEST_PAUSE: Final = timedelta(seconds=30)
MOST_CAUSES: Final = 10
"""A server that is going away and coming back fails in several ways by turns, not in more than these."""
log = structlog.get_logger(__name__)

Tick = Callable[[], Awaitable[timedelta]]


class Loop:
    """Runs one ``tick``, which does one bounded piece of work and returns how long to wait before the next."""

    def __init__(self, name: str, tick: Tick, clock: Clock) -> None:
        self.name = name
        self.failures = 0
        self.last_error = ""
        self.last_fault: Exception | None = None
        self.ticked_at: datetime | None = None
        self._tick = tick
        self._clock = clock
        self._told: set[str] = set()
        self._woken = anyio.Event()

    def wake(self) -> None:
        """Let the next tick start now; harmless at any time."""
        self._woken.set()

    async def run(self) -> None:
        """Tick until cancelled."""
        while True:
            delay = await self.once()
            with anyio.move_on_after(delay.total_seconds()):
                await self._woken.wait()

    async def once(self) -> timedelta:
        """One contained tick; the delay before the next."""
        self._woken = anyio.Event()
        try:
            delay = await self._tick()
        except Exception as fault:  # noqa: BLE001 - the one place that contains a stage's failure; told and counted
            return self._failed(fault)
        if self.failures:
            log.info("stage_recovered", stage=self.name, failures=self.failures)
        self.failures, self.last_error, self.last_fault, self.ticked_at = 0, "", None, self._clock.now()
        self._told.clear()
        return delay

    def _failed(self, fault: Exception) -> timedelta:
        self.failures += 1
        told = f"{type(fault).__name__}: {fault}"
        if told not in self._told and len(self._told) < MOST_CAUSES:
            self._told.add(told)
            expected = isinstance(fault, Unavailable)
            log.warning("stage_failed", stage=self.name, error=told, exc_info=None if expected else fault)
        self.last_error, self.last_fault = told, fault
        doubled: timedelta = FIRST_PAUSE * (1 << min(self.failures - 1, 10))
        return min(doubled, LONGEST_PAUSE)
