"""A clock that a test moves by hand, so that nothing has to be waited for."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import uuid_utils.compat

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class ManualClock:
    """Stands at noon until it is advanced (port ``Clock``); ``chance`` is what the dice show."""

    def __init__(self, start: datetime = NOON, chance: float = 0.5) -> None:
        self._now = start
        self.chance = chance

    def now(self) -> datetime:
        """The time the test has set."""
        return self._now

    def random(self) -> float:
        """The chance the test has set; 0.5 is the middle of every jitter."""
        return self.chance

    def new_id(self) -> UUID:
        """A real UUIDv7, as in production."""
        return uuid_utils.compat.uuid7()

    def advance(self, seconds: float = 0, **parts: float) -> datetime:
        """Move on by ``seconds`` (or ``minutes=…``, ``hours=…``); the new time."""
        self._now += timedelta(seconds=seconds, **parts)
        return self._now
