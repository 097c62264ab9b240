"""Tasks: submit, claim, settle, promote, cancel, revive. Each write is guarded by the state and attempt it leaves."""

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from contenthubd.adapters.postgres import keys
from contenthubd.adapters.postgres import statements as sql
from contenthubd.adapters.postgres.engine import Database
from contenthubd.adapters.postgres.rows import as_made, as_task, ranked
from contenthubd.adapters.postgres.settle import SETTLE, SETTLE_WITH_CONTENT, content_values, settle_values
from contenthubd.domain.errors import NotFound, Unavailable
from contenthubd.domain.moment import Moment
from contenthubd.domain.task import FINAL, Mode, NewTask, Rank, Task, TaskEvent, TaskState, sources
from contenthubd.ports.tasks import Lease, NewBatch, Settlement


class PostgresTasks:
    """The task store on PostgreSQL (ports ``SubmitStore`` and ``TaskStore``)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def submit(self, tasks: Sequence[NewTask], batch: NewBatch | None) -> list[Task]:
        """All tasks belong to one account; see the port."""
        if not keys.used(tasks, batch):
            made = await self._database.rows(sql.SUBMIT, **submit_values(tasks, batch))
            return as_answered(tasks, made, {})
        if batch is None and len(tasks) == 1:
            made = await self._database.rows(sql.SUBMIT, **submit_values(tasks, batch))
            return as_answered(tasks, made, {} if made else await self._known_tasks(tasks))
        async with self._database.transaction() as connection:
            return await _submitted(connection, tasks, batch)

    async def known(self, tasks: Sequence[NewTask], batch: NewBatch | None) -> list[bool]:
        """See the port."""
        if not keys.used(tasks, batch):
            return [False] * len(tasks)
        async with self._database.transaction() as connection:
            if batch is not None and await keys.batch(connection, tasks, batch):
                return [True] * len(tasks)
            before = await keys.tasks(connection, tasks)
        return [task.idempotency_key in before for task in tasks]

    async def _known_tasks(self, tasks: Sequence[NewTask]) -> dict[str, Task]:
        async with self._database.transaction() as connection:
            return await keys.tasks(connection, tasks)

    async def waiting(self, limit: int, modes: Collection[Mode]) -> list[tuple[UUID, Rank]]:
        """See the port."""
        return [ranked(row) for row in await self._database.rows(sql.WAITING, limit=limit, modes=list(modes))]

    async def claim(
        self, ids: Collection[UUID], *, run_as: Mapping[Mode, Mode], slots: int, lease: Lease, at: Moment
    ) -> list[Task]:
        """The claimed task carries the mode it runs in, which may differ from the one it was submitted with."""
        rows = await self._database.rows(
            sql.CLAIM,
            ids=list(ids),
            modes=list(run_as),
            run_as=json.dumps(run_as),
            slots=slots,
            instance=lease.instance,
            owner=lease.owner,
            until=lease.until,
            now=at.wall,
            boot_id=at.boot_id,
            uptime=None if at.uptime is None else at.uptime.total_seconds(),
            running=TaskState.RUNNING,
            submitting=TaskState.SUBMITTING,
        )
        return [as_task(row, run_as) for row in rows]

    async def settle(self, settlement: Settlement) -> bool:
        """See the port."""
        values = settle_values(
            settlement, final=settlement.enters in FINAL, accepted=settlement.event is TaskEvent.ACCEPTED
        )
        if settlement.content is None:
            row = await self._database.first(SETTLE, **values)
        else:
            row = await self._database.first(SETTLE_WITH_CONTENT, **values, **content_values(settlement))
        return row is not None and row.won == 1

    async def promote(
        self, now: datetime, limit: int, *, longest: timedelta
    ) -> tuple[list[tuple[UUID, Rank]], datetime | None]:
        """See the port."""
        farthest, pending = now + longest, TaskState.PENDING
        rows = await self._database.rows(sql.PROMOTE, now=now, farthest=farthest, limit=limit, pending=pending)
        following = await self._database.first(sql.NEXT_RETRY)
        return [ranked(row) for row in rows], following.at if following else None

    async def set_back(self, by: timedelta, now: datetime) -> None:
        """See the port."""
        for plans in sql.SET_BACK:
            await self._database.changed(plans, by=by, now=now)

    async def cancel(self, task_id: UUID, now: datetime, by: str) -> Task | None:
        """See the port."""
        row = await self._database.first(
            sql.CANCEL,
            id=task_id,
            now=now,
            by=by,
            cancelled=TaskState.CANCELLED,
            leaves=list(sources(TaskEvent.CANCELLED)),
        )
        return as_task(row) if row else None

    async def revive(self, task_id: UUID, now: datetime, by: str) -> Task | None:
        """See the port."""
        row = await self._database.first(
            sql.REVIVE, id=task_id, now=now, by=by, pending=TaskState.PENDING, leaves=list(sources(TaskEvent.REVIVED))
        )
        return as_task(row) if row else None

    async def hurry(self, task_id: UUID, now: datetime, by: str) -> Task | None:
        """See the port."""
        values = {"pending": TaskState.PENDING, "leaves": list(sources(TaskEvent.PROMOTED))}
        row = await self._database.first(sql.HURRY, id=task_id, now=now, by=by, **values)
        return as_task(row) if row else None

    async def get(self, task_id: UUID) -> Task:
        """See the port."""
        row = await self._database.first(sql.GET, id=task_id)
        if row is None:
            raise NotFound(f"There is no task {task_id}.")
        return as_task(row)


async def _submitted(connection: AsyncConnection, tasks: Sequence[NewTask], batch: NewBatch | None) -> list[Task]:
    """Tasks with keys; an error takes back what was inserted."""
    await connection.execute(sql.LOCK_KEYS, {"account": str(tasks[0].account_id)})
    made = (await connection.execute(sql.SUBMIT, submit_values(tasks, batch))).all()
    if len(made) == len(tasks):
        return as_answered(tasks, made, {})
    if batch is not None and not made and (before := await keys.batch(connection, tasks, batch)):
        return before
    known = await keys.tasks(connection, tasks)
    if batch is not None and not made:
        await connection.execute(sql.DROP_BATCH, {"batch": batch.batch_id})
    return as_answered(tasks, made, known)


def as_answered(tasks: Sequence[NewTask], made: Sequence[Row[Any]], known: Mapping[str, Task]) -> list[Task]:
    """One answer for each task asked for, in that order: its own row, or the one that used its key before."""
    rows = {row.id: row for row in made}
    answers = []
    for task in tasks:
        if row := rows.get(task.task_id):
            answers.append(as_made(task, row))
        elif before := known.get(task.idempotency_key or ""):
            answers.append(before)
        else:
            raise Unavailable(
                f"The task of the idempotency key {task.idempotency_key!r} was removed just now.",
                fix="Repeat the request.",
            )
    return answers


def submit_values(tasks: Sequence[NewTask], batch: NewBatch | None) -> dict[str, Any]:
    """The parameters of ``statements.SUBMIT``."""
    return {
        "account": tasks[0].account_id,
        "batch": batch.batch_id if batch else None,
        "batch_key": batch.idempotency_key if batch else None,
        "now": tasks[0].created_at,
        "pending": TaskState.PENDING,
        "ids": [task.task_id for task in tasks],
        "modes": [task.mode for task in tasks],
        "topics": [task.topic for task in tasks],
        "requirements": [task.requirements for task in tasks],
        "keywords": [",".join(task.keywords) for task in tasks],
        "min_chars": [task.min_chars for task in tasks],
        "max_chars": [task.max_chars for task in tasks],
        "priorities": [task.priority for task in tasks],
        "auto_approve": [task.auto_approve for task in tasks],
        "max_retries": [task.max_retries for task in tasks],
        "timeouts": [task.timeout.total_seconds() for task in tasks],
        "keys": [task.idempotency_key for task in tasks],
        "asked": [json.dumps(task.asked, ensure_ascii=False) if task.asked else None for task in tasks],
    }
