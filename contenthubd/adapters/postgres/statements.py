"""The SQL of the task table, one statement each.

``TASK`` is the one place that says how a row becomes a ``Task``. Priorities, turns and states are explained in
schema.sql. State words come in as parameters or from the transition tables; none is written here as a guard.
What is searched by a partial index does name its state: a parameter would hide the index from a prepared plan, and
the search would cost more with every task that waits.
"""

from typing import Final

from sqlalchemy import text

TASK: Final = """
    task.id, task.account_id, account.name AS account, task.batch_id, task.state, task.mode, task.topic,
    task.requirements, task.keywords, task.min_chars, task.max_chars, task.priority, task.turn, task.sequence,
    task.auto_approve, task.max_retries, task.timeout_seconds, task.attempt, task.retry_count, task.deaths,
    task.created_at, task.run_at, task.claimed_at, task.finished_at, task.error_kind, task.error
"""

# A batch of one account gets turns base, base + 1, …: base is behind the account's own last waiting task and never
# before the first task that waits at all, so a newcomer joins the present round instead of overtaking everybody.
# A batch whose key was used before makes nothing. Only what the database chose is told: the rest is known.
SUBMIT: Final = text("""
    WITH input AS (
        SELECT * FROM unnest(
            CAST(:ids AS uuid[]), CAST(:modes AS text[]), CAST(:topics AS text[]), CAST(:requirements AS text[]),
            CAST(:keywords AS text[]), CAST(:min_chars AS integer[]), CAST(:max_chars AS integer[]),
            CAST(:priorities AS smallint[]), CAST(:auto_approve AS boolean[]), CAST(:max_retries AS smallint[]),
            CAST(:timeouts AS double precision[]), CAST(:keys AS text[]), CAST(:asked AS text[])
        ) WITH ORDINALITY AS one (id, mode, topic, requirements, keywords, min_chars, max_chars, priority,
                                  auto_approve, max_retries, timeout_seconds, idempotency_key, asked, place)
    ), batched AS (
        INSERT INTO batch (id, account_id, idempotency_key, created_at, size)
        SELECT CAST(:batch AS uuid), :account, CAST(:batch_key AS text), :now, cardinality(CAST(:ids AS uuid[]))
        WHERE CAST(:batch AS uuid) IS NOT NULL
        ON CONFLICT (account_id, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING RETURNING id
    ), base AS (
        SELECT lane.priority, greatest(
            coalesce((SELECT max(turn) + 1 FROM task WHERE account_id = :account AND priority = lane.priority
                      AND state = 'pending'), 0),
            coalesce((SELECT turn FROM task WHERE priority = lane.priority AND state = 'pending'
                      ORDER BY turn LIMIT 1), 0)) AS turn
        FROM (SELECT DISTINCT priority FROM input) AS lane
    ), made AS (
        INSERT INTO task (id, account_id, batch_id, state, mode, topic, requirements, keywords, min_chars, max_chars,
                          priority, turn, auto_approve, max_retries, timeout_seconds, idempotency_key, asked,
                          created_at)
        SELECT input.id, :account, CAST(:batch AS uuid), :pending, mode, topic, requirements,
               coalesce(string_to_array(nullif(keywords, ''), ','), '{}'), min_chars, max_chars, priority,
               base.turn + row_number() OVER (PARTITION BY priority ORDER BY place) - 1,
               auto_approve, max_retries, timeout_seconds, idempotency_key, CAST(asked AS jsonb), :now
        FROM input JOIN base USING (priority)
        WHERE CAST(:batch AS uuid) IS NULL OR EXISTS (SELECT 1 FROM batched) ORDER BY place
        ON CONFLICT (account_id, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING
        RETURNING id, turn, sequence
    ), told AS (
        INSERT INTO fact (at, name, task_id) SELECT :now, 'task_submitted', id FROM made
    )
    SELECT made.id, made.turn, made.sequence, account.name AS account FROM made, account WHERE account.id = :account
""")

# Batches with keys of one account come one after the other: two with the same keys in another order would wait for
# each other forever. What is taken here is given back at the end of the transaction.
LOCK_KEYS: Final = text("SELECT pg_advisory_xact_lock(hashtextextended(CAST(:account AS text), 0))")

DROP_BATCH: Final = text("DELETE FROM batch WHERE id = :batch")

OF_KEYS: Final = text(f"""
    SELECT {TASK}, task.idempotency_key, task.asked FROM task JOIN account ON account.id = task.account_id
    WHERE task.account_id = :account AND task.idempotency_key = ANY(CAST(:keys AS text[]))
""")  # noqa: S608 - only our own column list is put in

BATCH_OF_KEY: Final = text(f"""
    SELECT {TASK}, task.idempotency_key, task.asked, batch.size FROM batch JOIN task ON task.batch_id = batch.id
    JOIN account ON account.id = task.account_id
    WHERE batch.account_id = :account AND batch.idempotency_key = :key ORDER BY task.sequence
""")  # noqa: S608 - only our own column list is put in

# Each mode is read by itself: the first of a mode in which few wait may stand behind the whole backlog of the other.
WAITING: Final = text("""
    SELECT first.* FROM unnest(CAST(:modes AS text[])) AS wanted (mode) CROSS JOIN LATERAL (
        SELECT id, priority, turn, sequence FROM task WHERE state = 'pending' AND task.mode = wanted.mode
        ORDER BY priority, turn, sequence LIMIT :limit
    ) AS first ORDER BY priority, turn, sequence LIMIT :limit
""")

# Open attempts are counted and added to by one statement without a lock: an instance belongs to one daemon (see the
# table instance) and its dispatch makes one claim at a time.
CLAIM: Final = text(f"""
    WITH open AS (
        SELECT count(*) AS used FROM attempt WHERE ended_at IS NULL AND instance = :instance
    ), first AS (
        SELECT id FROM task
        WHERE id = ANY(CAST(:ids AS uuid[])) AND state = 'pending' AND mode = ANY(CAST(:modes AS text[]))
        ORDER BY priority, turn, sequence LIMIT greatest(0, :slots - (SELECT used FROM open)) FOR UPDATE SKIP LOCKED
    ), task AS (
        UPDATE task SET attempt = attempt + 1, claimed_at = :now, error_kind = NULL, error = NULL,
            state = CASE WHEN CAST(CAST(:run_as AS json) ->> mode AS text) = 'sync' THEN :running ELSE :submitting END
        WHERE id IN (SELECT id FROM first) RETURNING *
    ), tried AS (
        INSERT INTO attempt (task_id, number, mode, instance, owner, leased_until, claimed_at, claimed_boot_id,
                             claimed_uptime)
        SELECT id, attempt, CAST(:run_as AS json) ->> mode, :instance, :owner, :until, :now, CAST(:boot_id AS text),
               CAST(:uptime AS double precision) FROM task
    ), told AS (
        INSERT INTO fact (at, name, task_id, data)
        SELECT :now, 'task_claimed', id, jsonb_build_object('attempt', attempt, 'owner', CAST(:owner AS text)) FROM task
    )
    SELECT {TASK} FROM task JOIN account ON account.id = task.account_id ORDER BY priority, turn, sequence
""")  # noqa: S608 - only our own column list is put in

# A task that returns joins the present round too: with its turn of long ago it would be first, and all who are
# submitted meanwhile would join that round.
_PRESENT_TURN: Final = """
    turn = greatest(turn, coalesce((SELECT turn FROM task AS other WHERE other.priority = task.priority
                                    AND other.state = 'pending' ORDER BY turn LIMIT 1), 0))
"""

# What waits for longer than any retry does was planned under another wall clock: it is due.
PROMOTE: Final = text(f"""
    WITH due AS (
        SELECT id FROM task WHERE state = 'retrying' AND id = ANY(ARRAY(
            (SELECT id FROM task WHERE state = 'retrying' AND run_at <= :now ORDER BY run_at LIMIT :limit)
            UNION ALL
            (SELECT id FROM task WHERE state = 'retrying' AND run_at > :farthest ORDER BY run_at LIMIT :limit)
        )) ORDER BY run_at LIMIT :limit FOR UPDATE SKIP LOCKED
    ), moved AS (
        UPDATE task SET state = :pending, run_at = NULL, {_PRESENT_TURN} WHERE id IN (SELECT id FROM due)
        RETURNING id, priority, turn, sequence
    ), told AS (
        INSERT INTO fact (at, name, task_id) SELECT :now, 'task_promoted', id FROM moved
    )
    SELECT * FROM moved ORDER BY priority, turn, sequence
""")  # noqa: S608 - only our own condition is put in

_EARLIER: Final = "greatest({at} - CAST(:by AS interval), :now)"
SET_BACK: Final = tuple(
    text(f"UPDATE {table} SET {at} = {_EARLIER.format(at=at)} WHERE state = ANY('{{{states}}}') AND {at} > :now")  # noqa: S608 - only our own tables are put in
    for table, at, states in (
        ("task", "run_at", "retrying"),
        ("publication", "due_at", "pending,retrying"),
        ("image", "due_at", "pending"),
    )
)

HURRY: Final = text(f"""
    WITH task AS (
        UPDATE task SET state = :pending, run_at = NULL, {_PRESENT_TURN}
        WHERE id = :id AND state = ANY(CAST(:leaves AS text[])) RETURNING *
    ), told AS (
        INSERT INTO fact (at, name, task_id, data)
        SELECT :now, 'task_promoted', id, jsonb_build_object('by', CAST(:by AS text)) FROM task
    )
    SELECT {TASK} FROM task JOIN account ON account.id = task.account_id
""")  # noqa: S608 - only our own column list is put in

NEXT_RETRY: Final = text("SELECT min(run_at) AS at FROM task WHERE state = 'retrying'")

CANCEL: Final = text(f"""
    WITH task AS (
        UPDATE task SET state = :cancelled, finished_at = :now, run_at = NULL
        WHERE id = :id AND state = ANY(CAST(:leaves AS text[])) RETURNING *
    ), left_alone AS (
        UPDATE attempt SET abandoned_at = :now FROM task
        WHERE attempt.task_id = task.id AND attempt.ended_at IS NULL AND attempt.abandoned_at IS NULL
    ), told AS (
        INSERT INTO fact (at, name, task_id, data)
        SELECT :now, 'task_cancelled', id, jsonb_build_object('by', CAST(:by AS text)) FROM task
    )
    SELECT {TASK} FROM task JOIN account ON account.id = task.account_id
""")  # noqa: S608 - only our own column list is put in

REVIVE: Final = text(f"""
    WITH task AS (
        UPDATE task SET state = :pending, finished_at = NULL, retry_count = 0, deaths = 0,
            error_kind = NULL, error = NULL, {_PRESENT_TURN}
        WHERE id = :id AND state = ANY(CAST(:leaves AS text[])) RETURNING *
    ), told AS (
        INSERT INTO fact (at, name, task_id, data)
        SELECT :now, 'task_revived', id, jsonb_build_object('by', CAST(:by AS text)) FROM task
    )
    SELECT {TASK} FROM task JOIN account ON account.id = task.account_id
""")  # noqa: S608 - only our own column list is put in

GET: Final = text(f"SELECT {TASK} FROM task JOIN account ON account.id = task.account_id WHERE task.id = :id")  # noqa: S608 - our own columns
