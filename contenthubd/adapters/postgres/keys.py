"""What was made with idempotency keys before, found and compared inside the transaction that asks.

A row from before keys kept what was asked (``asked`` is null) is judged by the values it was made with, as far as no
default of the configuration can have changed them.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from contenthubd.adapters.postgres import statements as sql
from contenthubd.adapters.postgres.rows import as_task
from contenthubd.domain.idempotency import Asked, KeyReused, KnownTask, reused, reused_batch
from contenthubd.domain.task import NewTask, Task
from contenthubd.ports.tasks import NewBatch


def used(tasks: Sequence[NewTask], batch: NewBatch | None) -> bool:
    """Whether a submit may meet what was made before."""
    return bool(batch and batch.idempotency_key) or any(task.idempotency_key is not None for task in tasks)


async def tasks(connection: AsyncConnection, wanted: Sequence[NewTask]) -> dict[str, Task]:
    """By key, the tasks that used these keys before; KeyReused names every one that asked for something else."""
    rows = await _of_keys(connection, wanted)
    faults = []
    for index, task in enumerate(wanted):
        key = task.idempotency_key
        row = rows.get(key) if key is not None else None
        if key is None or row is None or row.id == task.task_id:
            continue
        if sentence := reused(key, KnownTask(row.id, _asked(row)), task.asked or {}):
            faults.append((index, sentence))
    if faults:
        raise KeyReused(faults)
    return {key: as_task(row) for key, row in rows.items()}


async def batch(connection: AsyncConnection, wanted: Sequence[NewTask], one: NewBatch) -> list[Task]:
    """The tasks of the batch that used this key before, in order; KeyReused if it asked for something else."""
    if one.idempotency_key is None:
        return []
    found = {"account": one.account_id, "key": one.idempotency_key}
    rows = (await connection.execute(sql.BATCH_OF_KEY, found)).all()
    if not rows:
        return []
    size = rows[0].size or len(rows)
    before, now = [_asked(row) for row in rows], [task.asked or {} for task in wanted]
    if sentence := reused_batch(one.idempotency_key, size, before, now):
        raise KeyReused([sentence])
    by_key = {**await _of_keys(connection, wanted), **{row.id: row for row in rows}}
    return sorted({row.id: as_task(row) for row in by_key.values()}.values(), key=lambda task: task.rank.sequence)


async def _of_keys(connection: AsyncConnection, wanted: Sequence[NewTask]) -> dict[Any, Row[Any]]:
    keys = [task.idempotency_key for task in wanted if task.idempotency_key is not None]
    if not keys:
        return {}
    found = await connection.execute(sql.OF_KEYS, {"account": wanted[0].account_id, "keys": keys})
    return {row.idempotency_key: row for row in found}


def _asked(row: Row[Any]) -> Asked:
    if row.asked is not None:
        kept: Mapping[str, object] = row.asked
        return kept
    return {
        "topic": row.topic,
        "keywords": list(row.keywords),
        "min_chars": row.min_chars,
        "max_chars": row.max_chars,
        "priority": row.priority,
    }
