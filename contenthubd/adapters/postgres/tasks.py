"""Tasks: submit, claim, settle, promote, cancel, revive. Each write is guarded by the state and attempt it leaves."""

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row

from contenthubd.adapters.postgres import statements as sql
from contenthubd.adapters.postgres.engine import Database
from contenthubd.adapters.postgres.settle import SETTLE, SETTLE_WITH_CONTENT, content_values, settle_values
from contenthubd.domain.errors import NotFound
from contenthubd.domain.task import FINAL, Mode, NewTask, Rank, Task, TaskEvent, TaskState, sources
from contenthubd.ports.tasks import Lease, NewBatch, Settlement


class PostgresTasks:
    """The task store on PostgreSQL (port ``TaskStore``)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def submit(self, tasks: Sequence[NewTask], batch: NewBatch | None) -> list[Task]:
        """All tasks belong to one account; see the port."""
        made = {row.id: row for row in await self._database.rows(sql.SUBMIT, **submit_values(tasks, batch))}
        if len(made) == len(tasks):
            return [as_made(task, made[task.task_id]) for task in tasks]
        if batch is not None and batch.idempotency_key is not None and not made:
            rows = await self._database.rows(sql.BATCH_OF_KEY, account=batch.account_id, key=batch.idempotency_key)
            if rows:
                return [as_task(row) for row in rows]
        keys = [task.idempotency_key for task in tasks if task.idempotency_key is not None]
        ids = [task.task_id for task in tasks]
        rows = await self._database.rows(sql.SUBMITTED, ids=ids, account=tasks[0].account_id, keys=keys)
        return _in_order(tasks, rows)

    async def waiting(self, limit: int, modes: Collection[Mode]) -> list[tuple[UUID, Rank]]:
        """See the port."""
        return [_ranked(row) for row in await self._database.rows(sql.WAITING, limit=limit, modes=list(modes))]

    async def claim(
        self, ids: Collection[UUID], *, run_as: Mapping[Mode, Mode], slots: int, lease: Lease, now: datetime
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
            now=now,
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

    async def promote(self, now: datetime, limit: int) -> tuple[list[tuple[UUID, Rank]], datetime | None]:
        """See the port."""
        rows = await self._database.rows(sql.PROMOTE, now=now, limit=limit, pending=TaskState.PENDING)
        following = await self._database.first(sql.NEXT_RETRY)
        return [_ranked(row) for row in rows], following.at if following else None

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

    async def get(self, task_id: UUID) -> Task:
        """See the port."""
        row = await self._database.first(sql.GET, id=task_id)
        if row is None:
            raise NotFound(f"There is no task {task_id}.")
        return as_task(row)


def as_task(row: Row[Any], run_as: Mapping[Mode, Mode] | None = None) -> Task:
    """A row of ``statements.TASK`` as the inside sees it."""
    mode = Mode(row.mode)
    return Task(
        task_id=row.id,
        account_id=row.account_id,
        account=row.account,
        batch_id=row.batch_id,
        state=TaskState(row.state),
        mode=run_as[mode] if run_as else mode,
        topic=row.topic,
        requirements=row.requirements,
        keywords=tuple(row.keywords),
        min_chars=row.min_chars,
        max_chars=row.max_chars,
        rank=Rank(row.priority, row.turn, row.sequence),
        auto_approve=row.auto_approve,
        max_retries=row.max_retries,
        timeout=timedelta(seconds=row.timeout_seconds),
        attempt=row.attempt,
        retry_count=row.retry_count,
        deaths=row.deaths,
        created_at=row.created_at,
        run_at=row.run_at,
        claimed_at=row.claimed_at,
        finished_at=row.finished_at,
        error_kind=row.error_kind,
        error=row.error,
    )


def as_made(task: NewTask, row: Row[Any]) -> Task:
    """A task that was just inserted: what was handed in, and what the database chose."""
    return Task(
        task_id=task.task_id,
        account_id=task.account_id,
        account=row.account,
        batch_id=task.batch_id,
        state=TaskState.PENDING,
        mode=task.mode,
        topic=task.topic,
        requirements=task.requirements,
        keywords=task.keywords,
        min_chars=task.min_chars,
        max_chars=task.max_chars,
        rank=Rank(task.priority, row.turn, row.sequence),
        auto_approve=task.auto_approve,
        max_retries=task.max_retries,
        timeout=task.timeout,
        attempt=0,
        retry_count=0,
        deaths=0,
        created_at=task.created_at,
    )


def _in_order(tasks: Sequence[NewTask], rows: Sequence[Row[Any]]) -> list[Task]:
    """One answer for each task asked for, in that order: its own row, or the one that used its key before."""
    by_id = {row.id: row for row in rows}
    by_key = {row.idempotency_key: row for row in rows if row.idempotency_key is not None}
    return [as_task(by_id.get(task.task_id) or by_key[task.idempotency_key]) for task in tasks]


def _ranked(row: Row[Any]) -> tuple[UUID, Rank]:
    return row.id, Rank(row.priority, row.turn, row.sequence)


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
    }
