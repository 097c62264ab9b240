"""Schedules and their firings.

One decision about one slot is one transaction that holds the schedule's row: whoever comes second finds that
``checked_until`` is not what the decision was made from, and decides nothing. The task is made by the same statement
as every other task.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from difflib import get_close_matches
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from contenthubd.adapters.postgres import statements as sql
from contenthubd.adapters.postgres.engine import Database
from contenthubd.adapters.postgres.rows import as_made, as_task
from contenthubd.adapters.postgres.tasks import submit_values
from contenthubd.domain.errors import NotFound
from contenthubd.domain.request import Request
from contenthubd.domain.schedule import CatchUp, Firing, FiringOutcome, Schedule, SkipReason
from contenthubd.domain.task import FINAL, Mode, Task, TaskState
from contenthubd.ports.schedules import Decided, Decision, Verdict

KEPT: Final = 1000
"""Firings kept of each schedule; once-ness rests on ``checked_until``, not on them."""

_SCHEDULE: Final = "schedule.*, account.name AS account FROM schedule JOIN account ON account.id = schedule.account_id"
_BY_NAME: Final = text(f"SELECT {_SCHEDULE} WHERE schedule.name = :name")
_ALL: Final = text(
    f"SELECT {_SCHEDULE} WHERE CAST(:account AS text) IS NULL OR account.name = :account ORDER BY schedule.name"
)
_DUE: Final = text(f"SELECT {_SCHEDULE} WHERE paused_at IS NULL AND due_at <= :now ORDER BY due_at LIMIT :limit")
_NEXT: Final = text("SELECT min(due_at) AS at FROM schedule WHERE paused_at IS NULL AND due_at > :now")
_POSTPONE: Final = text("UPDATE schedule SET due_at = :due_at WHERE id = :id AND due_at < :due_at")

_TOLD: Final = """
    INSERT INTO fact (at, name, data)
    SELECT :at, :fact, jsonb_build_object('schedule', name, 'by', CAST(:by AS text)) FROM changed
"""
_CREATE: Final = text(f"""
    WITH changed AS (
        INSERT INTO schedule (id, account_id, name, cron, time_zone, request, catch_up, overlap, created_at,
                              checked_until, due_at)
        SELECT :id, account.id, :name, :cron, :time_zone, CAST(:request AS jsonb), :catch_up, :overlap, :at,
               :checked_until, :due_at
        FROM account WHERE account.name = :account
        ON CONFLICT (name) DO NOTHING RETURNING name
    ) {_TOLD}
""")  # noqa: S608 - only our own statements are put in
_PAUSE: Final = text(f"""
    WITH changed AS (
        UPDATE schedule SET paused_at = :at WHERE id = :id AND paused_at IS NULL RETURNING name
    ) {_TOLD}
""")  # noqa: S608 - only our own statements are put in
_RESUME: Final = text(f"""
    WITH changed AS (
        UPDATE schedule SET paused_at = NULL, due_at = :due_at, checked_until = greatest(checked_until, :at)
        WHERE id = :id AND paused_at IS NOT NULL RETURNING name
    ) {_TOLD}
""")  # noqa: S608 - only our own statements are put in
_DELETE: Final = text(f"WITH changed AS (DELETE FROM schedule WHERE id = :id RETURNING name) {_TOLD}")  # noqa: S608 - only our own text
_HISTORY: Final = text("""
    SELECT firing.*, task.state AS task_state FROM firing LEFT JOIN task ON task.id = firing.task_id
    WHERE schedule_id = :id AND (CAST(:before AS bigint) IS NULL OR firing.id < :before)
    ORDER BY firing.id DESC LIMIT :limit
""")

# What is fired by hand is no slot: it may happen at any time, and while the schedule is paused.
_HOLD: Final = text("""
    SELECT id FROM schedule WHERE id = :id AND (CAST(:slot AS timestamptz) IS NULL
        OR (paused_at IS NULL AND checked_until = :seen AND checked_until < CAST(:slot AS timestamptz))) FOR UPDATE
""")
_UNFINISHED: Final = text(f"""
    SELECT {sql.TASK} FROM firing JOIN task ON task.id = firing.task_id JOIN account ON account.id = task.account_id
    WHERE firing.schedule_id = :id AND NOT task.state = ANY(CAST(:final AS text[])) LIMIT 1
""")  # noqa: S608 - only our own statements are put in
_RECORD: Final = text("""
    WITH fired AS (
        INSERT INTO firing (schedule_id, slot_at, at, slots, outcome, reason, detail, task_id)
        VALUES (:id, :slot, :at, :slots, :outcome, :reason, :detail, :task)
    ), moved AS (
        UPDATE schedule SET checked_until = coalesce(:slot, checked_until), due_at = coalesce(:next_at, due_at)
        WHERE id = :id RETURNING name
    ), forgotten AS (
        DELETE FROM firing WHERE schedule_id = :id AND id <= (
            SELECT id FROM firing WHERE schedule_id = :id ORDER BY id DESC OFFSET :kept LIMIT 1)
    )
    INSERT INTO fact (at, name, task_id, data)
    SELECT :at, CAST(:fact AS text), :task, jsonb_strip_nulls(jsonb_build_object(
        'schedule', name, 'slot', CAST(:slot AS timestamptz), 'slots', CAST(:slots AS integer),
        'reason', CAST(:reason AS text), 'detail', nullif(CAST(:detail AS text), ''),
        'by', nullif(CAST(:by AS text), ''))) FROM moved
""")


class PostgresSchedules:
    """Schedules on PostgreSQL (ports ``ScheduleStore`` and ``SlotStore``)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, schedule: Schedule, by: str) -> bool:
        """See the port."""
        return 1 == await self._database.changed(
            _CREATE,
            id=schedule.schedule_id,
            account=schedule.account,
            name=schedule.name,
            cron=schedule.cron,
            time_zone=schedule.time_zone,
            request=json.dumps(asdict(schedule.request), ensure_ascii=False),
            catch_up=schedule.catch_up,
            overlap=schedule.overlap,
            checked_until=schedule.checked_until,
            due_at=schedule.due_at,
            at=schedule.created_at,
            fact="schedule_created",
            by=by,
        )

    async def by_name(self, name: str) -> Schedule:
        """See the port."""
        row = await self._database.first(_BY_NAME, name=name)
        if row is not None:
            return _schedule(row)
        near = get_close_matches(name, [schedule.name for schedule in await self.all()], 1)
        fix = f"Did you mean {near[0]!r}?" if near else "contenthubctl schedule list shows the schedules there are."
        raise NotFound(f"There is no schedule {name[:80]!r}.", fix=fix)

    async def all(self, account: str | None = None) -> list[Schedule]:
        """See the port."""
        return [_schedule(row) for row in await self._database.rows(_ALL, account=account)]

    async def pause(self, schedule_id: UUID, at: datetime, by: str) -> bool:
        """See the port."""
        values = {"id": schedule_id, "at": at, "by": by, "fact": "schedule_paused"}
        return 1 == await self._database.changed(_PAUSE, **values)

    async def resume(self, schedule_id: UUID, at: datetime, due_at: datetime, by: str) -> bool:
        """See the port."""
        values = {"id": schedule_id, "at": at, "due_at": due_at, "by": by, "fact": "schedule_resumed"}
        return 1 == await self._database.changed(_RESUME, **values)

    async def delete(self, schedule_id: UUID, at: datetime, by: str) -> bool:
        """See the port."""
        values = {"id": schedule_id, "at": at, "by": by, "fact": "schedule_deleted"}
        return 1 == await self._database.changed(_DELETE, **values)

    async def history(self, schedule_id: UUID, limit: int, before: int | None = None) -> list[Firing]:
        """See the port."""
        rows = await self._database.rows(_HISTORY, id=schedule_id, limit=limit, before=before)
        return [_firing(row) for row in rows]

    async def due(self, now: datetime, limit: int) -> tuple[list[Schedule], datetime | None]:
        """See the port."""
        rows = await self._database.rows(_DUE, now=now, limit=limit)
        following = await self._database.first(_NEXT, now=now)
        return [_schedule(row) for row in rows], following.at if following else None

    async def postpone(self, schedule_id: UUID, due_at: datetime) -> None:
        """See the port."""
        await self._database.changed(_POSTPONE, id=schedule_id, due_at=due_at)

    async def decide(self, decision: Decision) -> Decided:
        """See the port."""
        schedule = decision.schedule
        async with self._database.transaction() as connection:
            seen = {"id": schedule.schedule_id, "slot": decision.slot, "seen": schedule.checked_until}
            held = await connection.execute(_HOLD, seen)
            if held.first() is None:
                return Decided(Verdict.LOST)
            if decision.task is None:
                await _recorded(connection, decision, decision.reason)
                return Decided(Verdict.SKIPPED)
            unfinished = None if schedule.overlap else await _unfinished(connection, schedule)
            if unfinished is None:
                return Decided(Verdict.FIRED, await _made(connection, decision))
            if decision.slot is None or schedule.catch_up is CatchUp.ALL:
                return Decided(Verdict.HELD, unfinished)
            await _recorded(connection, decision, SkipReason.OVERLAP, f"Task {unfinished.task_id} was not finished.")
            return Decided(Verdict.SKIPPED, unfinished)


async def _unfinished(connection: AsyncConnection, schedule: Schedule) -> Task | None:
    found = await connection.execute(_UNFINISHED, {"id": schedule.schedule_id, "final": list(FINAL)})
    row = found.first()
    return as_task(row) if row else None


async def _made(connection: AsyncConnection, decision: Decision) -> Task:
    assert decision.task is not None  # noqa: S101 - the caller has looked
    made = await connection.execute(sql.SUBMIT, submit_values([decision.task], None))
    task = as_made(decision.task, made.one())
    await _recorded(connection, decision, None)
    return task


async def _recorded(
    connection: AsyncConnection, decision: Decision, reason: SkipReason | None, detail: str = ""
) -> None:
    outcome = FiringOutcome.FIRED if reason is None else FiringOutcome.SKIPPED
    task = decision.task if reason is None else None
    values = {
        "id": decision.schedule.schedule_id,
        "slot": decision.slot,
        "at": decision.at,
        "slots": decision.slots,
        "outcome": outcome,
        "reason": reason,
        "detail": detail or decision.detail,
        "task": task.task_id if task else None,
        "next_at": decision.next_at,
        "kept": KEPT - 1,  # the statement does not see the row it adds
        "fact": f"schedule_{outcome}",
        "by": decision.by,
    }
    await connection.execute(_RECORD, values)


def _schedule(row: Row[Any]) -> Schedule:
    return Schedule(
        schedule_id=row.id,
        name=row.name,
        account=row.account,
        cron=row.cron,
        time_zone=row.time_zone,
        request=_request(row.request),
        catch_up=CatchUp(row.catch_up),
        overlap=row.overlap,
        created_at=row.created_at,
        checked_until=row.checked_until,
        due_at=row.due_at,
        paused_at=row.paused_at,
    )


def _request(stored: Mapping[str, Any]) -> Request:
    mode = stored["mode"]
    return Request(**{**stored, "keywords": tuple(stored["keywords"]), "mode": Mode(mode) if mode else None})


def _firing(row: Row[Any]) -> Firing:
    return Firing(
        firing_id=row.id,
        slot_at=row.slot_at,
        at=row.at,
        slots=row.slots,
        outcome=FiringOutcome(row.outcome),
        reason=SkipReason(row.reason) if row.reason else None,
        detail=row.detail,
        task_id=row.task_id,
        task_state=TaskState(row.task_state) if row.task_state else None,
    )
