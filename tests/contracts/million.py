"""A database with a long past: many finished tasks with all that belongs to them, a backlog, some under way.

Rows are made by the server itself, with triggers off and the indexes built afterwards. Each is narrow: what is pinned
is how many pages a statement touches, and a page then holds even more rows than in real life.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from sqlalchemy import Row, TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from contenthubd.adapters.postgres.engine import Database

BIG: Final = ("task", "attempt", "content", "publication", "image", "fact")
ACCOUNTS: Final = 50
BATCH: Final = 100
UNDER_WAY: Final = 20
RETRYING: Final = 500

_ID: Final = "CAST(lpad(to_hex({n}), 12, '0') || substr(md5(CAST({n} AS text)), 1, 20) AS uuid)"
_TASK_ID: Final = _ID.format(n="n")
_CONTENT_ID: Final = _ID.format(n="n + 1000000000")
_BATCH_ID: Final = _ID.format(n=f"n / {BATCH} + 2000000000")
_ACCOUNT_ID: Final = _ID.format(n=f"n % {ACCOUNTS} + 3000000000")
# Every finished task ended half a minute after the one before it, the last one just now.
_AT: Final = "timestamptz '2026-03-01 12:00Z' - make_interval(secs => 30 * ({finished} - n))"
_STATE: Final = """
    CASE WHEN n <= {finished} THEN CASE n % 20 WHEN 7 THEN 'failed' WHEN 13 THEN 'timeout' WHEN 19 THEN 'cancelled'
                                               ELSE 'completed' END
         WHEN n <= {finished} + {under_way} THEN 'submitted'
         WHEN n <= {finished} + {under_way} + {retrying} THEN 'retrying' ELSE 'pending' END
"""
_FILL: Final = (
    f"INSERT INTO account (id, name, created_at) SELECT {_ACCOUNT_ID}, 'account' || n, now() "  # noqa: S608 - only our own texts
    f"FROM generate_series(0, {ACCOUNTS - 1}) AS n",
    f"INSERT INTO batch (id, account_id, created_at) SELECT {_BATCH_ID}, {_ACCOUNT_ID}, {_AT} "  # noqa: S608 - only our own texts
    f"FROM generate_series(0, {{last}}, {BATCH}) AS n",
    f"""
    INSERT INTO task (id, account_id, batch_id, state, mode, topic, requirements, min_chars, max_chars, priority, turn,
        auto_approve, max_retries, timeout_seconds, idempotency_key, attempt, created_at, claimed_at, run_at,
        finished_at, error_kind, error)
    SELECT {_TASK_ID}, {_ACCOUNT_ID}, CASE WHEN n % 2 = 0 THEN {_BATCH_ID} END, state, 'async', 't', 'r', 1, 2,
        1 + n % 10, n / {ACCOUNTS}, true, 3, 1800, CASE WHEN n % 10 = 0 THEN 'key' || n END,
        CASE WHEN state = 'pending' THEN 0 ELSE 1 END, {_AT},
        CASE WHEN state <> 'pending' THEN {_AT} END,
        CASE WHEN state = 'retrying' THEN {_AT} + interval '1 day' END,
        CASE WHEN n <= {{finished}} THEN {_AT} END,
        CASE WHEN state IN ('failed', 'timeout') THEN 'lost' END, NULL
    FROM (SELECT n, {_STATE} AS state FROM generate_series(1, {{last}}) AS n) AS one
    """,  # noqa: S608 - only our own texts
    f"""
    INSERT INTO attempt (task_id, number, mode, instance, creator_task_id, claimed_at, accepted_at, ended_at, outcome)
    SELECT {_TASK_ID}, 1, 'async', 'main', 'c' || n, {_AT} - interval '60 s', {_AT},
        CASE WHEN n NOT BETWEEN {{finished}} + 1 AND {{finished}} + {UNDER_WAY} THEN {_AT} END,
        CASE WHEN n BETWEEN {{finished}} + 1 AND {{finished}} + {UNDER_WAY} THEN NULL
             WHEN n > {{finished}} OR n % 20 IN (7, 13, 19) THEN 'failed' ELSE 'succeeded' END
    FROM generate_series(1, {{finished}} + {UNDER_WAY + RETRYING}) AS n
    """,  # noqa: S608 - only our own texts
    f"""
    INSERT INTO content (id, task_id, account_id, state, title, body, created_at, reviewed_at, reviewed_by)
    SELECT {_CONTENT_ID}, {_TASK_ID}, {_ACCOUNT_ID}, state, 't', 'b', {_AT},
        CASE WHEN state <> 'pending_review' THEN {_AT} END, CASE WHEN state <> 'pending_review' THEN 'auto' END
    FROM (SELECT n, CASE WHEN n % 1000 = 0 THEN 'pending_review' WHEN n % 1000 = 1 THEN 'rejected'
                         WHEN n > {{finished}} - 100 THEN 'approved' ELSE 'published' END AS state
          FROM generate_series(1, {{finished}}) AS n WHERE n % 20 NOT IN (7, 13, 19)) AS one
    """,  # noqa: S608 - only our own texts
    """
    INSERT INTO image (content_id, position, url, state, due_at, path, media_type, bytes)
    SELECT id, 1, 'u', CASE WHEN state = 'approved' THEN 'pending' ELSE 'fetched' END, created_at,
        CASE WHEN state <> 'approved' THEN 'p' || sequence END, 'image/png', 1
    FROM content WHERE sequence % 3 = 0
    """,
    """
    INSERT INTO publication (id, content_id, target, state, priority, due_at, location, created_at, published_at)
    SELECT id, id, 'shelf', CASE WHEN state = 'approved' THEN 'pending' ELSE 'published' END, 5, created_at,
        CASE WHEN state <> 'approved' THEN 'l' END, created_at, CASE WHEN state <> 'approved' THEN created_at END
    FROM content WHERE state IN ('approved', 'published')
    """,
    """
    INSERT INTO fact (at, name, task_id) SELECT task.created_at, one.name, task.id
    FROM task, (VALUES ('task_submitted'), ('task_settled')) AS one (name) ORDER BY task.sequence
    """,
)
_LATER: Final = """
    SELECT indexname AS name, indexdef AS definition FROM pg_indexes
    WHERE tablename = ANY(:big) AND indexname NOT IN (SELECT conname FROM pg_constraint)
"""
_COUNTERS: Final = text("""
    SELECT sum(pg_stat_get_xact_blocks_fetched(oid)) AS pages,
           coalesce(json_object_agg(relname, pg_stat_get_xact_numscans(oid))
                    FILTER (WHERE relname = ANY(CAST(:big AS text[]))), '{}') AS scans
    FROM pg_class WHERE relnamespace = CAST('public' AS regnamespace) AND relkind IN ('r', 'i')
""")


async def fill(database: Database, *, finished: int, waiting: int) -> None:
    """So many tasks of each kind; as a real server would know them (vacuumed and analysed)."""
    numbers = {"finished": finished, "under_way": UNDER_WAY, "retrying": RETRYING}
    numbers["last"] = finished + UNDER_WAY + RETRYING + waiting
    async with database.transaction() as connection:
        await connection.execute(text("SET LOCAL session_replication_role = replica"))
        await connection.execute(text("SET LOCAL maintenance_work_mem = '256MB'"))
        indexes = (await connection.execute(text(_LATER), {"big": list(BIG)})).all()
        for index in indexes:
            await connection.execute(text(f'DROP INDEX "{index.name}"'))
        for statement in _FILL:
            # Twice, for what is put in names numbers of its own.
            await connection.exec_driver_sql(statement.format(**numbers).format(**numbers))
        for index in indexes:
            await connection.exec_driver_sql(index.definition)
    await database.changed(text("VACUUM ANALYZE"))


class MeasuredDatabase(Database):
    """Counts the pages each statement touches and the big tables it reads from end to end; changes nothing for good."""

    def __init__(self, url: str) -> None:
        super().__init__(url, command_timeout=300)
        self.plan = "force_custom_plan"
        self.pages = 0
        self.scanned: set[str] = set()

    async def rows(self, statement: TextClause, **values: Any) -> list[Row[Any]]:
        """As ever, counted and rolled back."""
        async with self.transaction() as connection:
            return list((await connection.execute(statement, values)).all())

    async def changed(self, statement: TextClause, **values: Any) -> int:
        """As ever, counted and rolled back."""
        async with self.transaction() as connection:
            return (await connection.execute(statement, values)).rowcount

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """As ever, counted and rolled back."""
        async with self._together.connect() as connection, connection.begin() as whole:
            await connection.execute(text(f"SET LOCAL plan_cache_mode = {self.plan}"))
            pages, scans = (await connection.execute(_COUNTERS, {"big": list(BIG)})).one()
            yield connection
            after, scanned = (await connection.execute(_COUNTERS, {"big": list(BIG)})).one()
            self.pages += int(after - pages)
            self.scanned |= {table for table in BIG if scanned[table] > scans[table]}
            await whole.rollback()
