"""Removing what is older than it is kept for, in steps whose work does not grow with what is stored.

A step looks at one page of final tasks of one state, oldest first, and remembers where it ended: tasks that must stay
are passed once a round and not once a step. Everything that hangs on a task goes in the same statement; the paths of
its image files are noted by it too, so that a crash leaves a note and never a file that nobody knows of.

A backup holds the pruning lock shared while it reads rows and then files; prune takes it alone for one statement, or
does nothing. So do two daemons: one of them prunes.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from sqlalchemy import text

from contenthubd.adapters.postgres.engine import Database
from contenthubd.domain.task import FINAL, TaskState
from contenthubd.ports.retention import Mark, Pruned

PRUNING_LOCK: Final = 0x7072756E65

_ALONE: Final = f"alone AS MATERIALIZED (SELECT pg_try_advisory_xact_lock({PRUNING_LOCK}) AS ours)"
# The state is named and no parameter, so that the plan knows how rare it is: the few that failed are not searched for
# among the many that were completed.
PAGE: Final = {
    state: f"""
        SELECT id, finished_at FROM task
        WHERE state = '{state.value}' AND finished_at IS NOT NULL AND finished_at < :before
          AND (finished_at, id) > (CAST(:after_at AS timestamptz), CAST(:after_id AS uuid))
        ORDER BY finished_at, id LIMIT :limit
    """  # noqa: S608 - only our own state is put in
    for state in FINAL
}
# Arrays, so that a prepared plan, which does not know how few they are, looks each of them up.
# What is done with: nothing runs, nothing is to be fetched, nobody is to decide, nothing is on its way.
_REST: Final = """
    held AS MATERIALIZED (
        SELECT task.id, task.batch_id FROM task
        WHERE id = ANY(ARRAY(SELECT id FROM page)) AND state = :state AND (SELECT ours FROM alone)
        AND NOT EXISTS (SELECT 1 FROM attempt WHERE attempt.task_id = task.id AND attempt.ended_at IS NULL)
        AND NOT EXISTS (
            SELECT 1 FROM content WHERE content.task_id = task.id AND (
                content.state = 'pending_review'
                OR EXISTS (SELECT 1 FROM image WHERE image.content_id = content.id AND image.state = 'pending')
                OR EXISTS (SELECT 1 FROM publication WHERE publication.content_id = content.id
                           AND publication.state IN ('pending', 'publishing', 'retrying', 'unknown'))))
        FOR UPDATE SKIP LOCKED
    ), contents AS MATERIALIZED (
        SELECT id FROM content WHERE task_id = ANY(ARRAY(SELECT id FROM held))
    ), noted AS (
        INSERT INTO discarded_image (path)
        SELECT path FROM image WHERE content_id = ANY(ARRAY(SELECT id FROM contents)) AND path IS NOT NULL
        ON CONFLICT (path) DO NOTHING
    ), publications AS (
        DELETE FROM publication WHERE content_id = ANY(ARRAY(SELECT id FROM contents))
    ), images AS (
        DELETE FROM image WHERE content_id = ANY(ARRAY(SELECT id FROM contents))
    ), articles AS (
        DELETE FROM content WHERE id = ANY(ARRAY(SELECT id FROM contents))
    ), attempts AS (
        DELETE FROM attempt WHERE task_id = ANY(ARRAY(SELECT id FROM held))
    ), facts AS (
        DELETE FROM fact WHERE task_id = ANY(ARRAY(SELECT id FROM held))
    ), gone AS (
        DELETE FROM task WHERE id = ANY(ARRAY(SELECT id FROM held)) RETURNING id
    ), batches AS (
        DELETE FROM batch WHERE id = ANY(ARRAY(SELECT batch_id FROM held))
        AND NOT EXISTS (SELECT 1 FROM task
                        WHERE task.batch_id = batch.id AND task.id <> ALL(ARRAY(SELECT id FROM held)))
    )
    SELECT (SELECT count(*) FROM gone) AS tasks, (SELECT count(*) FROM page) AS seen,
           last.finished_at, last.id
    FROM (SELECT 1) AS one LEFT JOIN LATERAL (
        SELECT finished_at, id FROM page ORDER BY finished_at DESC, id DESC LIMIT 1
    ) AS last ON true
"""
_TASKS: Final = {state: text(f"WITH {_ALONE}, page AS MATERIALIZED ({page}), {_REST}") for state, page in PAGE.items()}
# Facts are numbered in the order they happened: only the first few can be the oldest. As an array, so that a prepared
# plan, which does not know how few they are, looks each of them up instead of walking through all facts.
_FACTS: Final = text(f"""
    WITH {_ALONE}, oldest AS MATERIALIZED (
        SELECT id, at FROM fact WHERE (SELECT ours FROM alone) ORDER BY id LIMIT :limit
    )
    DELETE FROM fact WHERE id = ANY(ARRAY(SELECT id FROM oldest WHERE at < :before))
""")  # noqa: S608 - only our own lock number is put in
REACHED: Final = """
    SELECT max(finished_at) AS at FROM task WHERE finished_at IS NOT NULL AND finished_at <= (
        SELECT max(finished_at) FROM task WHERE finished_at IS NOT NULL) - interval '1 hour'
"""
_REACHED: Final = text(REACHED)
_DISCARDED: Final = text("SELECT path FROM discarded_image ORDER BY path LIMIT :limit")
_REMOVED: Final = text("DELETE FROM discarded_image WHERE path = ANY(CAST(:paths AS text[]))")
_FIRST: Final = datetime(1, 1, 1, tzinfo=UTC)
_NO_ID: Final = "00000000-0000-0000-0000-000000000000"


class PostgresRetention:
    """The retention store on PostgreSQL (port ``RetentionStore``)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def prune_tasks(self, state: TaskState, before: datetime, after: Mark | None, limit: int) -> Pruned:
        """See the port."""
        row = await self._database.first(
            _TASKS[state],
            state=state,
            before=before,
            after_at=after.finished_at if after else _FIRST,
            after_id=after.task_id if after else _NO_ID,
            limit=limit,
        )
        assert row is not None  # noqa: S101 - the statement always answers one row
        return Pruned(row.tasks, Mark(row.finished_at, row.id) if row.seen == limit else None)

    async def reached(self) -> datetime | None:
        """See the port."""
        row = await self._database.first(_REACHED)
        return row.at if row else None

    async def prune_facts(self, before: datetime, limit: int) -> int:
        """See the port."""
        return await self._database.changed(_FACTS, before=before, limit=limit)

    async def discarded_images(self, limit: int) -> Sequence[str]:
        """See the port."""
        return [str(row.path) for row in await self._database.rows(_DISCARDED, limit=limit)]

    async def images_removed(self, paths: Sequence[str]) -> None:
        """See the port."""
        await self._database.changed(_REMOVED, paths=list(paths))
