"""Rows of the task table as the inside sees them."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row

from contenthubd.domain.task import Mode, NewTask, Rank, Task, TaskState


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


def ranked(row: Row[Any]) -> tuple[UUID, Rank]:
    """A task's id and its place in the queue."""
    return row.id, Rank(row.priority, row.turn, row.sequence)
