"""How the daemon and everything it needs are doing, in words a person can act on."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Final

import anyio
import msgspec
from anyio import to_thread
from sqlalchemy import text

from contenthubd import __version__
from contenthubd.adapters.postgres.absence import AGAIN
from contenthubd.adapters.postgres.embedded import EmbeddedPostgres
from contenthubd.adapters.postgres.engine import Database
from contenthubd.adapters.publishers.faults import unwritable
from contenthubd.assembly.house import Assembly
from contenthubd.control import wire
from contenthubd.control.wire_queue import QueueStatus
from contenthubd.desk.shapes import shown
from contenthubd.domain.errors import ContentHubError, DatabaseUnavailable
from contenthubd.ports.clock import Clock
from contenthubd.ports.stage import Stage
from contenthubd.runtime.loop import Loop
from contenthubd.runtime.steps import ClockSteps, Step
from contenthubd.stages.poll import Crowd

PATIENCE_SECONDS: Final = 1.0
_STOPPING: Final = wire.HealthFault(
    part="daemon",
    what="contenthubd is stopping: no task is started, and running ones may finish for [daemon] stop_grace_seconds.",
    hint="Waiting tasks start again with the daemon: systemctl start contenthubd",
)
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
        steps: ClockSteps,
        began: timedelta,
    ) -> None:
        self._parts = parts
        self._database = database
        self._embedded = embedded
        self._loops = loops
        self._clock = clock
        self._steps = steps
        self._began = began
        self._looks = anyio.CapacityLimiter(1)  # a share that does not answer keeps one thread, not all of them

    async def report(self) -> wire.Health:
        """The state of every part, with what to do about each fault."""
        unreachable = await self._database_fault()
        database = unreachable or self._database.condition() or self._met_by_a_loop()
        queue = await self.queue()
        kind = "embedded" if self._embedded else "server"
        faults, creator = list(self._faults(database, queue)), self._parts.base.creator.health()
        faults += await self._publishing_faults()
        stopping = self._parts.base.draining()
        if stopping:  # the worker is stopped on purpose: that it does not run is no sickness of the creator
            faults, creator = [_STOPPING, *(one for one in faults if one.part != "creator")], {**creator, "sick": None}
        return wire.Health(
            status="stopping" if stopping else "degraded" if faults else "ok",
            version=__version__,
            uptime_seconds=round((self._clock.uptime() - self._began).total_seconds(), 1),
            database={
                "kind": kind,
                "reachable": not unreachable,
                "pooled": self._database.pooled,
                "pid": self._embedded.pid if self._embedded else None,
            },
            queue=msgspec.structs.asdict(queue),
            creator=shown(creator),
            pipeline={
                "slots_used": self._parts.base.slots.used,
                "slots_total": self._parts.base.slots.total,
                "attempts_in_child_processes": self._parts.attempts.running,
                "clock": _stepped(self._steps.last()),
            },
            faults=faults,
        )

    def _faults(self, database: DatabaseUnavailable | None, queue: QueueStatus) -> Iterator[wire.HealthFault]:
        if database is not None:
            yield wire.HealthFault(part="database", what=f"{database.what} {database.why}".strip(), hint=database.fix)
        # Dispatch asks the creator only while a slot is free and a task waits; what is at work may not be able to.
        at_work = self._parts.base.creator.sick if self._parts.base.slots.used else None
        sick = self._parts.base.pause.sick or at_work
        if sick is not None:
            yield wire.HealthFault(part="creator", what=f"{sick.kind}: {sick.cause}", hint=sick.hint)
        crowd = self._parts.poll.crowd
        if crowd is not None:
            yield _crowded(crowd, self._parts.base.slots.total)
        if queue.degraded:
            what = f"The {queue.kind} queue has been used instead of Redis since {queue.since}. {queue.why}"
            hint = "No task is lost: tasks are in PostgreSQL. Check [queue] redis_url; reconnection is automatic."
            yield wire.HealthFault(part="queue", what=what, hint=hint)
        for proxy in self._parts.images.faults:
            yield wire.HealthFault(part="images", what=f"{proxy.what} Images are not fetched.", hint=proxy.fix)
        for loop in self._loops.values():
            if loop.failures and not isinstance(loop.last_fault, DatabaseUnavailable):
                yield wire.HealthFault(part=loop.name, what=loop.last_error, hint="See the daemon's log.")

    async def _publishing_faults(self) -> list[wire.HealthFault]:
        """Why articles cannot be published, as far as it shows without one."""
        root, found = self._parts.base.config.published_dir, None
        with anyio.move_on_after(PATIENCE_SECONDS) as patience:
            found = await to_thread.run_sync(unwritable, root, abandon_on_cancel=True, limiter=self._looks)
        if patience.cancelled_caught:
            what = f"{root} did not answer within {PATIENCE_SECONDS:g} second."
            return [wire.HealthFault(part="publish", what=what, hint="Check the disk or network share it is on.")]
        if found is None:
            return []
        what = f"Articles cannot be published below {root}: {found.why}"
        return [wire.HealthFault(part="publish", what=what, hint=found.fix)]

    async def queue(self) -> QueueStatus:
        """Which queue is in use and how many ids wait in it."""
        waiting = await self._parts.base.queue.count()  # first: it may find out that the queue does not answer
        use = self._parts.base.queues.watch.in_use()
        return QueueStatus(kind=use.kind, since=shown(use.since), why=use.why, degraded=use.degraded, waiting=waiting)

    async def _database_fault(self) -> DatabaseUnavailable | None:
        """Why PostgreSQL does not answer; a private one that could not be started says it better than a socket."""
        if self._embedded is not None and self._embedded.fault is not None:
            return _not_started(self._embedded.fault)
        with anyio.move_on_after(PATIENCE_SECONDS):
            try:
                await self._database.rows(_PING)
            except DatabaseUnavailable as fault:
                return fault
            return None
        # a loop had the time to find out why, as when each of several hosts must be tried
        return self._met_by_a_loop() or DatabaseUnavailable(
            f"PostgreSQL did not answer within {PATIENCE_SECONDS:g} second.", fix=AGAIN
        )

    def _met_by_a_loop(self) -> DatabaseUnavailable | None:
        """What the last round of some loop ended with, if that was the database."""
        faults = (loop.last_fault for loop in self._loops.values())
        return next((fault for fault in faults if isinstance(fault, DatabaseUnavailable)), None)


def _not_started(fault: Exception) -> DatabaseUnavailable:
    if isinstance(fault, ContentHubError):
        fix = f"{fault.fix} While contenthubd runs, it starts PostgreSQL again automatically."
        return DatabaseUnavailable(fault.what, why=fault.why, fix=fix)
    return DatabaseUnavailable("PostgreSQL could not be started.", why=f"{fault}.", fix=AGAIN)


def _crowded(crowd: Crowd, total: int) -> wire.HealthFault:
    """Nothing starts, although nothing that is waited for runs."""
    what = (
        f"All {total} slots are held by attempts that timed out or were cancelled here and still run at "
        f"content-creator, since {shown(crowd.since)}. The first slot is freed at {shown(crowd.until)} at the "
        "latest."
    )
    hint = (
        "content-creator cannot stop a task; its worker's log shows what it does. [creator] abandon_seconds limits how "
        "long such an attempt holds a slot."
    )
    return wire.HealthFault(part="pipeline", what=what, hint=hint)


def _stepped(step: Step | None) -> str:
    """The last step of the wall clock, in words; empty if there was none in the last day."""
    if step is None:
        return ""
    direction = "forward" if step.by > timedelta() else "back"
    return f"set {direction} by {abs(step.by.total_seconds()):,.0f} seconds at {shown(step.at)}"
