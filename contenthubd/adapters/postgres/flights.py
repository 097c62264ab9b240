"""Open attempts: what our own children and the creator are working on, with leases and a heartbeat."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row, text

from contenthubd.adapters.postgres.engine import Database
from contenthubd.domain.attempt import AttemptOutcome, Child, Flight, mark_of
from contenthubd.domain.moment import Moment
from contenthubd.domain.task import IN_FLIGHT, Mode, TaskState
from contenthubd.ports.flights import Key
from contenthubd.ports.tasks import Lease

SLACK: Final = timedelta(seconds=1)
"""How much the wall clock may be corrected without a lease being taken for one of another clock."""

_FLIGHT: Final = """
    attempt.task_id, attempt.number, attempt.mode, attempt.creator_task_id, attempt.accepted_at, attempt.abandoned_at,
    attempt.requeued_at, attempt.leased_until, attempt.owner, attempt.claimed_at,
    attempt.claimed_boot_id, attempt.claimed_uptime, attempt.child_pid,
    attempt.child_started, attempt.child_boot_id, task.attempt AS task_attempt, task.state, task.timeout_seconds
"""
_IN_FLIGHT: Final = text(f"""
    SELECT {_FLIGHT} FROM attempt JOIN task ON task.id = attempt.task_id
    WHERE attempt.ended_at IS NULL AND attempt.instance = :instance ORDER BY attempt.claimed_at
""")  # noqa: S608 - only our own column list is put in
_OWN_CHILD: Final = text("""
    UPDATE attempt SET child_pid = :pid, child_started = :started, child_boot_id = :boot_id
    WHERE task_id = :id AND number = :attempt AND ended_at IS NULL AND abandoned_at IS NULL AND owner = :owner
""")
_RENEW: Final = text("""
    UPDATE attempt SET leased_until = :until
    FROM unnest(CAST(:ids AS uuid[]), CAST(:numbers AS integer[])) AS alive (task_id, number)
    WHERE attempt.task_id = alive.task_id AND attempt.number = alive.number AND ended_at IS NULL AND owner = :owner
""")
# A lease that ends later than any lease can was granted under another wall clock, which was set back since.
_EXPIRED: Final = text(f"""
    SELECT {_FLIGHT} FROM attempt JOIN task ON task.id = attempt.task_id
    WHERE attempt.ended_at IS NULL AND attempt.leased_until IS NOT NULL AND attempt.instance = :instance
      AND (attempt.leased_until < :now OR attempt.leased_until > :farthest
           OR (starts_with(attempt.owner, :state_id) AND attempt.owner <> :alive))
      AND (CAST(:after_id AS uuid) IS NULL
           OR (attempt.task_id, attempt.number) > (CAST(:after_id AS uuid), CAST(:after_number AS integer)))
      AND NOT EXISTS (
          SELECT 1 FROM unnest(CAST(:ids AS uuid[]), CAST(:numbers AS integer[])) AS held (task_id, number)
          WHERE held.task_id = attempt.task_id AND held.number = attempt.number)
    ORDER BY attempt.task_id, attempt.number LIMIT :limit
""")  # noqa: S608 - only our own column list is put in
_TAKE_OVER: Final = text("""
    UPDATE attempt SET owner = :owner, leased_until = :until
    WHERE task_id = :id AND number = :attempt AND ended_at IS NULL AND owner = :old AND leased_until = :old_until
""")
# An attempt that its task still waits for is ended by settle only. Whoever lost that race may have lost the attempt
# to another daemon, which works on it: nothing is ended under its hands.
_NOBODY_WAITS: Final = """
    attempt.task_id = :id AND attempt.number = :attempt AND attempt.ended_at IS NULL
    AND attempt.owner IS NOT DISTINCT FROM :owner AND (
        attempt.abandoned_at IS NOT NULL OR NOT EXISTS (
            SELECT 1 FROM task
            WHERE task.id = :id AND task.attempt = :attempt AND task.state = ANY(CAST(:in_flight AS text[]))
        )
    )
"""
_ACCEPTED_LATE: Final = text(f"""
    UPDATE attempt SET creator_task_id = :creator_task_id, accepted_at = :at, owner = NULL, leased_until = NULL
    WHERE {_NOBODY_WAITS}
""")  # noqa: S608 - only our own condition is put in
_END: Final = text(f"""
    WITH ended AS (
        UPDATE attempt SET ended_at = :at, outcome = :outcome, owner = NULL, leased_until = NULL
        WHERE {_NOBODY_WAITS} RETURNING task_id, number
    )
    INSERT INTO fact (at, name, task_id, data)
    SELECT :at, 'attempt_ended', task_id, jsonb_build_object('attempt', number, 'outcome', CAST(:outcome AS text))
    FROM ended
""")  # noqa: S608 - only our own condition is put in
_UNPLACED: Final = text("""
    SELECT number FROM attempt WHERE task_id = :id AND ended_at IS NOT NULL
      AND (creator_task_id IS NULL OR error_kind = 'lost') ORDER BY number
""")
_REQUEUED: Final = text("""
    UPDATE attempt SET requeued_at = :at
    WHERE task_id = :id AND number = :attempt AND ended_at IS NULL
""")
_DURATIONS: Final = text("""
    SELECT coalesce(creator_ended_at, ended_at) - claimed_at AS took FROM attempt
    WHERE outcome = 'succeeded' AND ended_at >= claimed_at ORDER BY ended_at DESC LIMIT :limit
""")


class PostgresFlights:
    """The store of open attempts on PostgreSQL (ports ``FlightStore`` and ``History``)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def in_flight(self, instance: str) -> list[Flight]:
        """See the port."""
        return [_flight(row) for row in await self._database.rows(_IN_FLIGHT, instance=instance)]

    async def own_child(self, task_id: UUID, attempt: int, child: Child, owner: str) -> bool:
        """See the port."""
        process = {"pid": child.pid, "started": child.started, "boot_id": child.boot_id}
        return 1 == await self._database.changed(_OWN_CHILD, id=task_id, attempt=attempt, owner=owner, **process)

    async def renew(self, owner: str, until: datetime, alive: Collection[Key]) -> None:
        """See the port."""
        if alive:
            await self._database.changed(_RENEW, owner=owner, until=until, **_columns(alive))

    async def expired(
        self, now: datetime, state_id: str, lease: Lease, *, held: Collection[Key], after: Key | None, limit: int
    ) -> list[Flight]:
        """See the port."""
        after_id, after_number = after or (None, None)
        rows = await self._database.rows(
            _EXPIRED,
            now=now,
            farthest=now + lease.length + SLACK,
            state_id=f"{state_id}/",
            alive=lease.owner,
            instance=lease.instance,
            limit=limit,
            after_id=after_id,
            after_number=after_number,
            **_columns(held),
        )
        return [_flight(row) for row in rows]

    async def take_over(self, flight: Flight, lease: Lease) -> bool:
        """See the port."""
        return 1 == await self._database.changed(
            _TAKE_OVER,
            id=flight.task_id,
            attempt=flight.attempt,
            old=flight.owner,
            old_until=flight.leased_until,
            owner=lease.owner,
            until=lease.until,
        )

    async def accepted_late(
        self, task_id: UUID, attempt: int, creator_task_id: str, at: datetime, owner: str | None
    ) -> bool:
        """See the port."""
        return 1 == await self._database.changed(
            _ACCEPTED_LATE,
            id=task_id,
            attempt=attempt,
            at=at,
            creator_task_id=creator_task_id,
            owner=owner,
            in_flight=list(IN_FLIGHT),
        )

    async def end(self, task_id: UUID, attempt: int, at: datetime, outcome: AttemptOutcome, owner: str | None) -> bool:
        """See the port."""
        return 1 == await self._database.changed(
            _END, id=task_id, attempt=attempt, at=at, outcome=outcome, owner=owner, in_flight=list(IN_FLIGHT)
        )

    async def unplaced(self, task_id: UUID) -> list[int]:
        """See the port."""
        return [row.number for row in await self._database.rows(_UNPLACED, id=task_id)]

    async def requeued(self, task_id: UUID, attempt: int, at: datetime) -> bool:
        """See the port."""
        return 1 == await self._database.changed(_REQUEUED, id=task_id, attempt=attempt, at=at)

    async def durations(self, limit: int) -> list[timedelta]:
        """See the port."""
        return [row.took for row in await self._database.rows(_DURATIONS, limit=limit)]


def moment_of(wall: datetime, boot_id: str | None, uptime: float | None) -> Moment:
    """When an attempt was claimed; by the wall clock alone if it was claimed by an earlier version."""
    return Moment(wall, boot_id, None if uptime is None else timedelta(seconds=uptime))


def _columns(keys: Collection[Key]) -> dict[str, list[Any]]:
    return {"ids": [task_id for task_id, _ in keys], "numbers": [number for _, number in keys]}


def _flight(row: Row[Any]) -> Flight:
    child = Child(pid=row.child_pid, started=row.child_started, boot_id=row.child_boot_id) if row.child_pid else None
    return Flight(
        task_id=row.task_id,
        attempt=row.number,
        task_attempt=row.task_attempt,
        state=TaskState(row.state),
        mode=Mode(row.mode),
        mark=mark_of(row.task_id, row.number),
        claimed=moment_of(row.claimed_at, row.claimed_boot_id, row.claimed_uptime),
        timeout=timedelta(seconds=row.timeout_seconds),
        creator_task_id=row.creator_task_id,
        accepted_at=row.accepted_at,
        abandoned_at=row.abandoned_at,
        requeued_at=row.requeued_at,
        leased_until=row.leased_until,
        owner=row.owner,
        child=child,
    )
