"""Facts about the daemon itself; a task's facts are written with the change they tell of."""

from datetime import datetime
from typing import Protocol

from contenthubd.ports.tasks import Fact


class FactStore(Protocol):
    """The append-only record."""

    async def add(self, fact: Fact, at: datetime) -> None:
        """Write one fact that belongs to no task."""
