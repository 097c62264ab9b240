"""Time and chance, asked for and never taken."""

from datetime import datetime
from typing import Protocol
from uuid import UUID


class Clock(Protocol):
    """The only source of time and chance."""

    def now(self) -> datetime:
        """Aware UTC."""

    def random(self) -> float:
        """Uniform in [0, 1)."""

    def new_id(self) -> UUID:
        """A UUIDv7: unique, and sortable by the time it was made."""
