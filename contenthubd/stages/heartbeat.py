"""Heartbeat: keep our leases alive, and trust ourselves for less time than the lease grants.

While the heartbeat is stale nothing is claimed: another daemon may already be taking our attempts over.
"""

from datetime import datetime, timedelta

from contenthubd.ports.clock import Clock
from contenthubd.ports.flights import FlightStore
from contenthubd.ports.stage import Stage, Wake
from contenthubd.ports.tasks import Lease

BEATS = 3
"""Heartbeats per lease."""


class Heartbeat:
    """Renews every lease of ``owner`` and says whether we may claim."""

    def __init__(
        self, flights: FlightStore, clock: Clock, wake: Wake, *, owner: str, instance: str, length: timedelta
    ) -> None:
        self._flights = flights
        self._clock = clock
        self._wake = wake
        self._owner = owner
        self._instance = instance
        self._length = length
        self._until: datetime | None = None

    async def tick(self) -> timedelta:
        """Renew; wait a third of the lease."""
        until = self._clock.now() + self._length
        await self._flights.renew(self._owner, until)
        stale, self._until = self.lease() is None, until
        if stale:
            self._wake(Stage.DISPATCH)
            self._wake(Stage.RESCUE)
        return self._length / BEATS

    def lease(self) -> Lease | None:
        """The lease for a claim made now; None while the heartbeat is stale."""
        now = self._clock.now()
        if self._until is None or now > self._until - self._length / BEATS:
            return None
        return Lease(owner=self._owner, until=now + self._length, instance=self._instance)
