"""Time and chance, asked for and never taken."""

from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from contenthubd.domain.moment import Moment


class Clock(Protocol):
    """The only source of time and chance."""

    def now(self) -> datetime:
        """Aware UTC, for people and for what is due at a time of day. It may be set, so it measures no intervals."""

    def uptime(self) -> timedelta:
        """The time since the machine booted, standby included: for every interval, since nobody can set it."""

    def moment(self) -> Moment:
        """Both of them, for what has to be measured across a restart of the daemon."""

    def random(self) -> float:
        """Uniform in [0, 1)."""

    def new_id(self) -> UUID:
        """A UUIDv7: unique, and sortable by the time it was made."""
