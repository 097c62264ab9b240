"""How the daemon and everything it needs are doing, in words a person can act on."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

import anyio
import msgspec
from sqlalchemy import text

from contenthubd import __version__
from contenthubd.adapters.postgres.embedded import EmbeddedPostgres
from contenthubd.adapters.postgres.engine import Database
from contenthubd.assembly.house import Assembly
from contenthubd.control import wire
from contenthubd.control.wire_queue import QueueStatus
from contenthubd.desk.shapes import shown
from contenthubd.domain.errors import DatabaseUnavailable
from contenthubd.ports.clock import Clock
from contenthubd.ports.stage import Stage
from contenthubd.runtime.loop import Loop

PATIENCE_SECONDS: Final = 1.0
_PING: Final = text("SELECT 1")


class Health:
    """Reports; never fails, and never waits for the database longer than a second."""

    def __init__(
        self,
        parts: Assembly,
        database: Database,
        embedded: EmbeddedPostgres | None,
        loops: Mapping[Stage, Loop],
        clock: Clock,
        began: timedelta,
    ) -> None:
        self._parts = parts
        self._database = database
        self._embedded = embedded
        self._loops = loops
        self._clock = clock
        self._began = began

    async def report(self) -> wire.Health:
        """The state of every part, with what to do about each fault."""
        faults: list[wire.HealthFault] = []
        unreachable = await self._database_fault()
        if unreachable:
            hint = "Work resumes automatically when PostgreSQL is back."
            faults.append(wire.HealthFault(part="database", what=unreachable, hint=hint))
        sick = self._parts.base.pause.sick
        if sick is not None:
            faults.append(wire.HealthFault(part="creator", what=f"{sick.kind}: {sick.cause}", hint=sick.hint))
        queue = await self.queue()
        if queue.degraded:
            what = f"The {queue.kind} queue has been used instead of Redis since {queue.since}. {queue.why}"
            hint = "No task is lost: tasks are in PostgreSQL. Check [queue] redis_url; reconnection is automatic."
            faults.append(wire.HealthFault(part="queue", what=what, hint=hint))
        for loop in self._loops.values():
            if loop.failures and not unreachable:
                faults.append(wire.HealthFault(part=loop.name, what=loop.last_error, hint="Look at the daemon's log."))
        kind = "embedded" if self._embedded else "server"
        return wire.Health(
            status="degraded" if faults else "ok",
            version=__version__,
            uptime_seconds=round((self._clock.uptime() - self._began).total_seconds(), 1),
            database={
                "kind": kind,
                "reachable": not unreachable,
                "pid": self._embedded.pid if self._embedded else None,
            },
            queue=msgspec.structs.asdict(queue),
            creator=shown(self._parts.base.creator.health()),
            pipeline={
                "slots_used": self._parts.base.slots.used,
                "slots_total": self._parts.base.slots.total,
                "attempts_running": self._parts.attempts.running,
            },
            faults=faults,
        )

    async def queue(self) -> QueueStatus:
        """Which queue is in use and how many ids wait in it."""
        waiting = await self._parts.base.queue.count()  # first: it may find out that the queue does not answer
        use = self._parts.base.queues.watch.in_use()
        return QueueStatus(kind=use.kind, since=shown(use.since), why=use.why, degraded=use.degraded, waiting=waiting)

    async def _database_fault(self) -> str:
        with anyio.move_on_after(PATIENCE_SECONDS):
            try:
                await self._database.rows(_PING)
            except DatabaseUnavailable as fault:
                return str(fault)
            return ""
        return f"PostgreSQL did not answer within {PATIENCE_SECONDS:g} second."
