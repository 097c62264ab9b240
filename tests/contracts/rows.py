"""Rows as the daemon leaves them, written by plain SQL, so that they can be as old and as odd as a test wants."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import uuid_utils.compat
from sqlalchemy import text

from contenthubd.adapters.postgres.engine import Database
from contenthubd.adapters.postgres.migrate import tables
from tests.clock import NOON


class Rows:
    """Writes and counts rows of one account; it knows the columns of the first version of the tables only."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._account = UUID(int=0)

    async def account(self) -> UUID:
        """The account everything belongs to."""
        self._account = await self._made("account (id, name, created_at) VALUES (:id, 'demo', now())")
        return self._account

    async def batch(self) -> UUID:
        """A batch without tasks."""
        return await self._made("batch (id, account_id, created_at) VALUES (:id, :account, now())")

    async def second_house(self, at: datetime) -> None:
        """A row in every table that the second version brought."""
        await self._database.changed(
            text("INSERT INTO instance (name, state_id, seen_until) VALUES ('main', '0', now())")
        )
        await self._database.changed(text("INSERT INTO discarded_image (path) VALUES ('a/1.png')"))
        schedule = await self._made(
            "schedule (id, account_id, name, cron, time_zone, request, catch_up, overlap, created_at, checked_until, "
            "due_at) VALUES (:id, :account, 'daily', '0 7 * * *', 'UTC', '{}', 'once', false, :at, :at, :at)",
            at=at,
        )
        await self._database.changed(
            text(
                "INSERT INTO firing (schedule_id, slot_at, at, slots, outcome) VALUES (:schedule, :at, :at, 1, 'fired')"
            ),
            schedule=schedule, at=at,
        )  # fmt: skip

    async def pending(self, at: datetime) -> UUID:
        """A task that waits."""
        return await self._task("pending", at, attempt=0)

    async def cancelled(self, at: datetime) -> UUID:
        """A task that was cancelled before it began."""
        return await self._task("cancelled", at, attempt=0, finished_at=at)

    async def failed(self, at: datetime, state: str = "failed", batch: UUID | None = None) -> UUID:
        """A task whose one attempt failed."""
        task = await self._task(
            state, at, attempt=1, finished_at=at, batch=batch, error_kind="refused", error="no\t\\N"
        )
        await self._attempt(task, at, "failed")
        return task

    async def completed(self, at: datetime) -> UUID:
        """A task with its article, published to one target."""
        task = await self._task("completed", at, attempt=1, finished_at=at)
        await self._attempt(task, at, "succeeded")
        content = await self._made(
            "content (id, task_id, account_id, state, title, body, created_at, reviewed_at, reviewed_by) "
            "VALUES (:id, :task, :account, 'published', '京都', :body, :at, :at, 'auto')",
            task=task, at=at, body="# 京都\n\t\\N \\. \"quoted\"\r\n",
        )  # fmt: skip
        await self._made(
            "publication (id, content_id, target, state, priority, due_at, location, created_at, published_at) "
            "VALUES (:id, :content, 'directory', 'published', 5, :at, 'there', :at, :at)",
            content=content, at=at,
        )  # fmt: skip
        return task

    async def image(self, task: UUID, root: Path) -> Path:
        """A fetched image of a completed task; its file below ``root``."""
        content = (await self._database.rows(text("SELECT id FROM content WHERE task_id = :task"), task=task))[0].id
        await self._made(
            "image (content_id, position, url, state, due_at, path, media_type, bytes) "
            "VALUES (:content, 1, 'https://example.org/1.png', 'fetched', now(), :path, 'image/png', 3)",
            content=content, path=f"{content}/1.png",
        )  # fmt: skip
        file = root / f"{content}/1.png"
        file.parent.mkdir(parents=True)
        file.write_bytes(b"PNG")
        return file

    async def fact(self, at: datetime, task: UUID | None = None) -> None:
        """Something that happened."""
        await self._made(
            "fact (at, name, task_id, data) VALUES (:at, 'task_settled', :task, '{\"why\": \"a\\\\nb\"}')",
            at=at,
            task=task,
        )

    async def finish(self, task: UUID) -> None:
        """End whatever is under way for a completed task."""
        for change in (
            "UPDATE attempt SET ended_at = now(), outcome = 'failed' WHERE task_id = :task AND ended_at IS NULL",
            "UPDATE content SET state = 'published', reviewed_at = now(), reviewed_by = 'auto' WHERE task_id = :task",
            "UPDATE publication SET state = 'published', owner = NULL, published_at = now() "
            "WHERE content_id IN (SELECT id FROM content WHERE task_id = :task)",
            "UPDATE image SET state = 'lost' WHERE content_id IN (SELECT id FROM content WHERE task_id = :task)",
        ):
            await self._database.changed(text(change), task=task)

    async def copies(self, task: UUID, count: int) -> None:
        """Many tasks like this one, each finished a second before the last, without attempts."""
        await self._database.changed(
            text(
                "INSERT INTO task (id, account_id, state, mode, topic, requirements, min_chars, max_chars, priority,"
                " turn, auto_approve, max_retries, timeout_seconds, created_at, finished_at, error_kind) "
                "SELECT gen_random_uuid(), account_id, state, mode, topic, requirements, min_chars, max_chars,"
                " priority, turn, auto_approve, max_retries, timeout_seconds, created_at,"
                " finished_at - number * interval '1 second', error_kind "
                "FROM task, generate_series(1, :count) AS number WHERE id = :task"
            ),
            task=task,
            count=count,
        )

    async def ids(self, table: str, column: str = "id") -> set[UUID]:
        """The values of one column."""
        found = await self._database.rows(text(f"SELECT {column} AS one FROM {table}"))  # noqa: S608 - names of ours
        return {UUID(str(row.one)) for row in found if row.one is not None}

    async def count(self, table: str) -> int:
        """How many rows a table has."""
        return len(await self._database.rows(text(f"SELECT 1 FROM {table}")))  # noqa: S608 - names of ours

    async def _task(self, state: str, at: datetime, attempt: int, **values: Any) -> UUID:
        given = {"finished_at": None, "batch": None, "error_kind": None, "error": None, **values}
        task = await self._made(
            "task (id, account_id, batch_id, state, mode, topic, requirements, keywords, min_chars, max_chars,"
            " priority, turn, auto_approve, max_retries, timeout_seconds, attempt, created_at, claimed_at,"
            " finished_at, error_kind, error) "
            "VALUES (:id, :account, :batch, :state, 'async', '京都', '', '{tea,\"a,b\"}', 500, 1000, 5, 0, true, 3,"
            " 1800, :attempt, :at, CASE WHEN :attempt > 0 THEN CAST(:at AS timestamptz) END, :finished_at,"
            " :error_kind, :error)",
            state=state, at=at, attempt=attempt, **given,
        )  # fmt: skip
        await self.fact(at, task)
        return task

    async def _attempt(self, task: UUID, at: datetime, outcome: str) -> None:
        await self._made(
            "attempt (task_id, number, mode, instance, creator_task_id, claimed_at, accepted_at, ended_at, outcome,"
            " exit_code) VALUES (:task, 1, 'async', 'default', 'task_1', :at, :at, :at, :outcome, 0)",
            task=task, at=at, outcome=outcome,
        )  # fmt: skip

    async def _made(self, insertion: str, **values: Any) -> UUID:
        row = made_at(values.get("at"))
        given = {"id": row, "account": self._account, **values}
        known = {name: value for name, value in given.items() if f":{name}" in insertion}
        await self._database.changed(text(f"INSERT INTO {insertion}"), **known)
        return row


def made_at(at: datetime | None) -> UUID:
    """An id as it was made at that moment, or now."""
    row = uuid_utils.compat.uuid7()
    return row if at is None else UUID(int=int(at.timestamp() * 1000) << 80 | row.int & ~(-1 << 80))


@dataclass(frozen=True, slots=True)
class Everything:
    """Every row of every table of ours as text, sorted, and the columns it was read from."""

    columns: dict[str, tuple[str, ...]]
    rows: dict[str, list[str]]


async def everything(database: Database, columns: dict[str, tuple[str, ...]] | None = None) -> Everything:
    """All that is there; with ``columns``, only what an older version of the tables had."""
    if columns is None:
        found = await database.rows(
            text(
                "SELECT table_name, array_agg(column_name ORDER BY column_name) AS columns "
                "FROM information_schema.columns WHERE table_name = ANY(CAST(:tables AS text[])) GROUP BY table_name"
            ),
            tables=list(tables()),
        )
        columns = {row.table_name: tuple(row.columns) for row in found}
    rows: dict[str, list[str]] = {}
    for table, names in columns.items():
        whole = f"ROW({', '.join(names)})"
        told = await database.rows(text(f"SELECT CAST({whole} AS text) AS row FROM {table}"))  # noqa: S608 - names of ours
        rows[table] = sorted(row.row for row in told)
    return Everything(columns, rows)


async def fill(database: Database, images: Path) -> Rows:
    """Rows in every state that matters, one image file below ``images``."""
    rows = Rows(database)
    await rows.account()
    batch = await rows.batch()
    await rows.failed(NOON, batch=batch)
    await rows.failed(NOON, "timeout", batch=batch)
    await rows.cancelled(NOON)
    await rows.pending(NOON)
    await rows.image(await rows.completed(NOON), images)
    await rows.completed(NOON)
    await rows.fact(NOON)
    return rows
