"""Heartbeat: keep our leases and our creator instance, and trust ourselves for less time than the lease grants.

Leases are renewed one by one, for the attempts that are really alive in this daemon: what nobody works on any more,
or what came to an end that cannot be written, runs out and is rescued. While the heartbeat is stale nothing is
claimed: another daemon may already be taking our attempts over. The same holds while the creator instance belongs to
a daemon on another state directory.
"""

from collections.abc import Callable, Collection
from datetime import timedelta

from contenthubd import faultpoints
from contenthubd.domain.errors import InstanceTaken
from contenthubd.ports.clock import Clock
from contenthubd.ports.flights import FlightStore, Key
from contenthubd.ports.instances import InstanceStore
from contenthubd.ports.stage import Stage, Wake
from contenthubd.ports.tasks import Lease

BEATS = 3
"""Heartbeats per lease."""


class Heartbeat:
    """Renews the leases of the attempts that are ``alive`` and says whether we may claim."""

    def __init__(
        self,
        flights: FlightStore,
        instances: InstanceStore,
        clock: Clock,
        wake: Wake,
        *,
        owner: str,
        instance: str,
        length: timedelta,
        alive: Callable[[], Collection[Key]],
    ) -> None:
        self._flights = flights
        self._instances = instances
        self._clock = clock
        self._wake = wake
        self._owner = owner
        self._instance = instance
        self._length = length
        self._alive = alive
        self._until: timedelta | None = None
        """On the clock that nobody sets: a wall clock set back must not make us trust ourselves for longer."""

    async def tick(self) -> timedelta:
        """Renew; wait a third of the lease. InstanceTaken while the instance is another daemon's."""
        until = self._clock.uptime() + self._length
        await self._flights.renew(self._owner, self._clock.now() + self._length, self._alive())
        faultpoints.reached("heartbeat.renewed")
        await self.register()
        stale, self._until = self.lease() is None, until
        if stale:
            for stage in (Stage.DISPATCH, Stage.RESCUE, Stage.POLL):
                self._wake(stage)
        return self._length / BEATS

    async def register(self) -> None:
        """Make the creator instance ours for the length of a lease. InstanceTaken if it is another daemon's."""
        state_id = self._owner.partition("/")[0]
        if not await self._instances.hold(self._instance, state_id, self._length):
            left = await self._instances.held_for(self._instance)
            raise InstanceTaken(self._instance, self._length.total_seconds(), self._clock.now() + left)

    async def give_up(self) -> None:
        """Nobody uses the creator instance any more: another daemon may have it at once."""
        self._until = None
        await self._instances.release(self._instance, self._owner.partition("/")[0])

    def lease(self) -> Lease | None:
        """The lease for a claim made now; None while the heartbeat is stale."""
        if self._until is None or self._clock.uptime() > self._until - self._length / BEATS:
            return None
        until = self._clock.now() + self._length
        return Lease(owner=self._owner, until=until, length=self._length, instance=self._instance)
