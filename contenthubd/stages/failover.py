"""Failover: check the queue in use every other second, and write down each change of it.

The change itself may come earlier, from whoever met a queue that does not answer; here it is noticed, and the way back
is tried. A fact that cannot be written now is written with the next look.
"""

from datetime import timedelta
from typing import Final

from contenthubd.ports.facts import FactStore
from contenthubd.ports.queue import QueueUse, QueueWatch
from contenthubd.ports.tasks import Fact

EVERY: Final = timedelta(seconds=2)


class Failover:
    """Tells which queue this daemon (``state_id``) uses."""

    def __init__(self, queue: QueueWatch, facts: FactStore, *, state_id: str) -> None:
        self._queue = queue
        self._facts = facts
        self._state_id = state_id
        self._told: QueueUse | None = None

    async def tick(self) -> timedelta:
        """One look; one fact if another queue is in use than the one told last."""
        await self._queue.check()
        use = self._queue.in_use()
        if use != self._told:
            data = {"kind": use.kind, "since": use.since.isoformat(), "why": use.why, "state_id": self._state_id}
            await self._facts.add(Fact("queue_changed", data), at=use.since)
            self._told = use
        return EVERY
