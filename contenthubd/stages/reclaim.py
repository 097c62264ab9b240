"""Reclaim: give the tasks of a creator instance that is lost another attempt.

An instance is lost when no daemon that has it was seen for ``instance_lost_seconds``: its host is gone, and nobody
else can ask its creator. Its attempts are released without charge, by whichever daemon looks first. Should the host
come back, articles it had under way are generated twice: at least once is what is promised here.
"""

from collections.abc import Callable
from datetime import timedelta
from functools import partial

import structlog

from contenthubd.domain.attempt import AttemptOutcome, Flight
from contenthubd.domain.outcome import ErrorKind, Failed
from contenthubd.ports.clock import Clock
from contenthubd.ports.flights import FlightStore
from contenthubd.ports.instances import InstanceStore
from contenthubd.ports.tasks import Lease, TaskStore
from contenthubd.stages.contain import Contain
from contenthubd.stages.settle import Settle

log = structlog.get_logger(__name__)


class Reclaim:
    """Releases what lost instances had; ``after`` zero means that no instance is ever given up."""

    def __init__(
        self,
        tasks: TaskStore,
        flights: FlightStore,
        instances: InstanceStore,
        settle: Settle,
        clock: Clock,
        *,
        lease: Callable[[], Lease | None],
        instance: str,
        after: timedelta,
        every: timedelta,
    ) -> None:
        self._tasks = tasks
        self._flights = flights
        self._instances = instances
        self._settle = settle
        self._clock = clock
        self._lease = lease
        self._instance = instance
        self._after = after
        self._every = every
        self._contain = Contain("reclaim")

    async def tick(self) -> timedelta:
        """Release everything of every lost instance, then strike it out."""
        if not self._after or self._lease() is None:
            return self._every
        for name in await self._instances.lost(self._instance, self._after):
            flights = await self._flights.in_flight(name)
            for flight in flights:
                await self._contain((flight.task_id, flight.attempt), partial(self._release, flight))
            if await self._instances.forget(name, self._after, self._clock.now()):
                log.warning("instance_lost", instance=name, attempts=len(flights))
        return self._every

    async def _release(self, flight: Flight) -> None:
        """Our own count of open attempts may shrink by it for a moment; the claim counts them in the database."""
        if flight.current:
            cause = f"The creator instance that had it was not seen for {self._after.total_seconds():g} seconds."
            task = await self._tasks.get(flight.task_id)
            if task.attempt == flight.attempt:
                await self._settle(task, Failed(ErrorKind.INSTANCE_LOST, cause), owner=flight.owner)
        else:
            now = self._clock.now()
            await self._flights.end(flight.task_id, flight.attempt, now, AttemptOutcome.INSTANCE_LOST, flight.owner)
