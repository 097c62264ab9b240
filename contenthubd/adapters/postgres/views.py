"""What people look at: lists, details, statistics. Reads only; rows leave as plain mappings named as on the wire.

Lists page by ``sequence`` (newest first), so a page costs the same on the first day and after a million tasks.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import text

from contenthubd.adapters.postgres.engine import Database
from contenthubd.adapters.postgres.listings import contents_page, tasks_page
from contenthubd.ports.views import Listing, Row

_PUBLICATIONS: Final = """
           (SELECT coalesce(json_agg(json_build_object('id', id, 'target', target, 'state', state, 'location', location,
                    'remote_id', remote_id, 'published_at', published_at, 'error', error, 'tries', attempt,
                    'due_at', CASE WHEN state IN ('pending', 'retrying') THEN due_at END) ORDER BY target), '[]')
            FROM publication WHERE content_id = content.id) AS publications
"""
_TASK: Final = f"""
    SELECT task.id, account.name AS account, task.state, task.mode, task.topic, task.created_at,
           task.batch_id AS batch, task.priority, task.attempt, task.retry_count, task.max_retries, task.auto_approve,
           task.claimed_at, task.run_at, task.finished_at, task.error_kind, task.error, task.timeout_seconds,
           attempt.creator_task_id, content.id AS content_id, content.state AS content_state, content.title,
           content.hold_reason,
           {_PUBLICATIONS}
    FROM task JOIN account ON account.id = task.account_id
    LEFT JOIN attempt ON attempt.task_id = task.id AND attempt.number = task.attempt
    LEFT JOIN content ON content.task_id = task.id
"""  # noqa: S608 - only our own column list is put in
_CONTENT: Final = f"""
    SELECT content.id, content.task_id, account.name AS account, content.state, content.title, task.topic,
           length(content.body) AS chars, content.created_at, task.batch_id AS batch, content.reviewed_at,
           content.reviewed_by, content.review_reason, content.hold_reason,
           (SELECT coalesce(json_agg(json_build_object('position', position, 'state', state, 'url', left(url, 200),
                    'prompt', prompt, 'path', path, 'error', error) ORDER BY position), '[]')
            FROM image WHERE content_id = content.id) AS images,
           {_PUBLICATIONS}
    FROM content JOIN account ON account.id = content.account_id JOIN task ON task.id = content.task_id
"""  # noqa: S608 - only our own column list is put in
_POSITION: Final = text("""
    SELECT count(*) AS position FROM task AS before, task
    WHERE task.id = :id AND task.state = 'pending' AND before.state = 'pending'
      AND (before.priority, before.turn, before.sequence) <= (task.priority, task.turn, task.sequence)
    HAVING count(*) > 0
""")
_ATTEMPTS: Final = text("""
    SELECT number AS attempt, mode, claimed_at AS started_at, ended_at, abandoned_at, outcome, charged, creator_task_id,
           error_kind, error, exit_code, coalesce(stderr_tail, '') AS stderr_tail
    FROM attempt WHERE task_id = :id ORDER BY number
""")
_FACTS: Final = text("SELECT at, name, data FROM fact WHERE task_id = :id ORDER BY id")
_BODY: Final = text("SELECT body FROM content WHERE id = :id")
# By the numbers of the tasks: a wall clock that was set back puts a batch behind those before it. Among a hundred only,
# so that the answer does not take longer with the years.
_LAST_BATCH: Final = text("""
    SELECT id FROM (
        SELECT id FROM batch WHERE EXISTS (SELECT 1 FROM task WHERE task.batch_id = batch.id)
        ORDER BY created_at DESC, id DESC LIMIT 100
    ) AS latest
    ORDER BY (SELECT max(task.sequence) FROM task WHERE task.batch_id = latest.id) DESC LIMIT 1
""")
_WAITED: Final = f"""
    SELECT task.id, task.state, task.mode, task.topic, task.attempt, task.retry_count, task.max_retries,
           task.claimed_at, task.run_at, task.finished_at, task.error_kind, task.error,
           (SELECT max(fact.id) FROM fact WHERE fact.task_id = task.id) AS last_fact,
           content.id AS content_id, content.state AS content_state, content.hold_reason,
           {_PUBLICATIONS}
    FROM task LEFT JOIN content ON content.task_id = task.id
"""  # noqa: S608 - only our own column list is put in
_ABANDONED: Final = text("""
    SELECT count(*) AS abandoned FROM attempt
    WHERE ended_at IS NULL AND instance = :instance AND abandoned_at IS NOT NULL
""")
_OPEN_STATES: Final = text("""
    SELECT state, count(*) AS count FROM task
    WHERE state IN ('pending', 'submitting', 'submitted', 'running', 'retrying') GROUP BY state
""")
_FINISHED: Final = text("""
    SELECT state, count(*) AS count,
           count(*) FILTER (WHERE state = 'completed' AND finished_at >= :hour) AS last_hour,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM finished_at - claimed_at))
               FILTER (WHERE state = 'completed') AS median
    FROM task WHERE finished_at >= :since GROUP BY state
""")
# Each end is a search of its own, in the order of its index: a prepared plan, which does not know how few there are,
# would rather walk through the table.
_MATCHES: Final = """
    (SELECT {found} WHERE one.id BETWEEN :low AND :high ORDER BY one.id LIMIT 6)
    UNION
    (SELECT {found} WHERE {backwards} BETWEEN CAST(:end AS text) AND CAST(:end AS text) || 'g'
     ORDER BY {backwards} LIMIT 6)
"""
_BACKWARDS: Final = "(reverse(replace(CAST(one.id AS text), '-', '')) COLLATE \"C\")"
_CONTENT_OF: Final = "content.id FROM task AS one JOIN content ON content.task_id = one.id"
_TABLES: Final = {"task": "task", "content": "content", "batch": "batch"}


class PostgresViews:
    """Read models on PostgreSQL (port ``Views``)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find_ids(self, noun: str, fragment: str) -> list[UUID]:
        """Up to six ids that begin or end with the fragment (hex digits without dashes)."""
        values = {
            "low": UUID(fragment.ljust(32, "0")),
            "high": UUID(fragment.ljust(32, "f")),
            "end": fragment[::-1],
        }
        matching = _MATCHES.format(found=f"one.id FROM {_TABLES[noun]} AS one", backwards=_BACKWARDS)
        if noun == "content":
            matching += " UNION " + _MATCHES.format(found=_CONTENT_OF, backwards=_BACKWARDS)
        return [row["id"] for row in await self._rows(f"{matching} LIMIT 6", values)]

    async def last_batch(self) -> UUID | None:
        """The batch that was submitted last, of those that have tasks."""
        row = await self._database.first(_LAST_BATCH)
        return row.id if row else None

    async def tasks(self, listing: Listing) -> list[Row]:
        """A page of tasks, newest first (oldest first within one batch)."""
        statement, values = tasks_page(_TASK, listing)
        return await self._rows(statement, values)

    async def task(self, task_id: UUID) -> Row:
        """One task with its place in the queue, its attempts and its timeline."""
        rows = await self._rows(f"{_TASK} WHERE task.id = :id", {"id": task_id})
        position = await self._database.first(_POSITION, id=task_id)
        attempts = [dict(row._mapping) for row in await self._database.rows(_ATTEMPTS, id=task_id)]
        facts = [dict(row._mapping) for row in await self._database.rows(_FACTS, id=task_id)]
        return {**rows[0], "position": position.position if position else None, "attempts": attempts, "facts": facts}

    async def contents(self, listing: Listing) -> list[Row]:
        """A page of contents without bodies, newest first (by task within one batch)."""
        statement, values = contents_page(_CONTENT, listing)
        return await self._rows(statement, values)

    async def body(self, content_id: UUID) -> str:
        """A content's article."""
        row = await self._database.first(_BODY, id=content_id)
        return row.body if row else ""

    async def waited(self, ids: Collection[UUID], batch_id: UUID | None) -> list[Row]:
        """What a waiting person needs to know of these tasks, or of a batch's."""
        if batch_id is not None:
            statement = f"{_WAITED} WHERE task.batch_id = :batch ORDER BY task.sequence"
            return await self._rows(statement, {"batch": batch_id})
        condition = "task.id = ANY(CAST(:ids AS uuid[]))"
        return await self._rows(f"{_WAITED} WHERE {condition} ORDER BY task.sequence", {"ids": list(ids)})

    async def counts(self, since: datetime, hour: datetime) -> tuple[list[Row], list[Row]]:
        """Open tasks by state; tasks finished since then by state, with the last hour's and the median seconds."""
        open_states = [dict(row._mapping) for row in await self._database.rows(_OPEN_STATES)]
        finished = [dict(row._mapping) for row in await self._database.rows(_FINISHED, since=since, hour=hour)]
        return open_states, finished

    async def abandoned(self, instance: str) -> int:
        """How many attempts still run at the creator although nobody waits for them any more."""
        row = await self._database.first(_ABANDONED, instance=instance)
        return int(row.abandoned) if row else 0

    async def _rows(self, statement: str, values: Mapping[str, Any]) -> list[Row]:
        return [dict(row._mapping) for row in await self._database.rows(text(statement), **values)]
