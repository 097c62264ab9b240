"""A clock that a test moves by hand, so that nothing has to be waited for."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import uuid_utils.compat

from contenthubd.domain.moment import Moment

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
BOOT = "00000000-0000-4000-8000-000000000001"


class ManualClock:
    """Stands at noon until it is advanced (port ``Clock``); ``chance`` is what the dice show."""

    def __init__(self, start: datetime = NOON, chance: float = 0.5) -> None:
        self._now = start
        self._uptime = timedelta(days=1)
        self.boot_id = BOOT
        self.chance = chance

    def now(self) -> datetime:
        """The time the test has set."""
        return self._now

    def uptime(self) -> timedelta:
        """The machine has been up for a day when the test begins."""
        return self._uptime

    def moment(self) -> Moment:
        """Both."""
        return Moment(self._now, self.boot_id, self._uptime)

    def random(self) -> float:
        """The chance the test has set; 0.5 is the middle of every jitter."""
        return self.chance

    def new_id(self) -> UUID:
        """A real UUIDv7, as in production."""
        return uuid_utils.compat.uuid7()

    def advance(self, seconds: float = 0, **parts: float) -> datetime:
        """Let time pass: ``seconds`` (or ``minutes=…``, ``hours=…``); the new time."""
        passed = timedelta(seconds=seconds, **parts)
        assert passed >= timedelta(), "time never runs backwards; a clock that is set back is a step"
        self._now += passed
        self._uptime += passed
        return self._now

    def step(self, seconds: float = 0, **parts: float) -> datetime:
        """Somebody sets the clock on the wall, forwards or back, and no time passes; the new time."""
        self._now += timedelta(seconds=seconds, **parts)
        return self._now

    def reboot(self, seconds: float = 60) -> datetime:
        """The machine is off for so long and boots again; the new time."""
        self._now += timedelta(seconds=seconds)
        self.boot_id, self._uptime = str(self.new_id()), timedelta(seconds=10)
        return self._now
