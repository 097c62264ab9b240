"""The pause that a sick creator earns: it doubles from one second to thirty, and ends when something works again."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

import structlog

from contenthubd.domain.outcome import Sick
from contenthubd.domain.task import Mode
from contenthubd.ports.clock import Clock

FIRST: Final = timedelta(seconds=1)
LONGEST: Final = timedelta(seconds=30)
log = structlog.get_logger(__name__)


class Pause:
    """Shared by dispatch, which asks, and the attempts, which find out."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._count = 0
        self._since: timedelta | None = None
        self._length = timedelta()
        self.sick: Sick | None = None
        """Why, for people; None when all is well."""
        self.lacking: Mapping[Mode, Sick] = {}
        """Why no task of a mode can start, as dispatch found it when it looked last."""

    @property
    def left(self) -> timedelta:
        """How long dispatch still waits; zero when it need not."""
        if self._since is None:
            return timedelta()
        return max(self._since + self._length - self._clock.uptime(), timedelta())

    def trip(self, sick: Sick) -> None:
        """The creator could not work: wait, longer each time."""
        delay: timedelta = FIRST * (1 << min(self._count, 10))
        self._count += 1
        self._since, self._length = self._clock.uptime(), min(delay, LONGEST)
        self.tell(sick)

    def clear(self) -> None:
        """Something worked."""
        self._count, self._since = 0, None

    def tell(self, sick: Sick | None) -> None:
        """Remember the sickness; log it when it comes, changes or goes."""
        if (sick and sick.kind) != (self.sick and self.sick.kind):
            log.info("dispatch_paused" if sick else "dispatch_resumed", kind=sick.kind if sick else None)
        self.sick = sick
