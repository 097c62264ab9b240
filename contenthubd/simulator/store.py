"""The SQLite file in `data/`: the original's tables, and the table `jobs` that plays its queue.

Every write of a task is guarded by the version it leaves, as in the original, with the same result: of two jobs for one
task the loser marks the running task failed.
"""

import json
import os
import sqlite3
import time

PATH = "data/content-creator.db"
Database = sqlite3.Connection
Row = sqlite3.Row
QUEUE_PRIORITY = {"low": 5, "normal": 7, "high": 3, "urgent": 1}
RETRY_PRIORITY = 5
BUSY_SECONDS = 30.0
SCHEMA = """
CREATE TABLE IF NOT EXISTS tasks (
    id TEXT PRIMARY KEY, trace_id TEXT, mode TEXT NOT NULL, type TEXT NOT NULL, topic TEXT NOT NULL,
    requirements TEXT NOT NULL, hard_constraints TEXT, status TEXT NOT NULL DEFAULT 'pending', current_step TEXT,
    error_message TEXT, retry_count INTEGER DEFAULT 0, max_retries INTEGER DEFAULT 3, priority INTEGER DEFAULT 0,
    version INTEGER DEFAULT 1, worker_id TEXT, started_at TEXT, completed_at TEXT,
    created_at TEXT NOT NULL DEFAULT (datetime('now')), updated_at TEXT NOT NULL DEFAULT (datetime('now')));
CREATE TABLE IF NOT EXISTS results (
    id TEXT PRIMARY KEY, task_id TEXT NOT NULL REFERENCES tasks (id) ON DELETE CASCADE, result_type TEXT NOT NULL,
    content TEXT, file_path TEXT, metadata TEXT, quality_score REAL,
    created_at TEXT NOT NULL DEFAULT (datetime('now')));
CREATE TABLE IF NOT EXISTS jobs (
    id INTEGER PRIMARY KEY AUTOINCREMENT, task_id TEXT NOT NULL, priority INTEGER NOT NULL, tries INTEGER DEFAULT 0,
    run_at REAL NOT NULL, worker_id TEXT, seen_at REAL);
CREATE INDEX IF NOT EXISTS idx_tasks_status ON tasks (status);
CREATE INDEX IF NOT EXISTS idx_tasks_topic ON tasks (topic);
CREATE INDEX IF NOT EXISTS idx_results_task_id ON results (task_id);
"""


class Unusable(Exception):
    """The database cannot be opened; the original dies without a word on stderr."""


def connect() -> Database:
    """Open the file, made at the first use. Raises Unusable."""
    if not os.path.isdir(os.path.dirname(PATH)):
        raise Unusable("Cannot open database because the directory does not exist")
    try:
        database = sqlite3.connect(PATH, timeout=BUSY_SECONDS, isolation_level=None)
        database.row_factory = sqlite3.Row
        if database.execute("SELECT count(*) FROM sqlite_master WHERE name = 'jobs'").fetchone()[0] == 0:
            make_tables(database)
        database.execute("PRAGMA synchronous = NORMAL")
    except sqlite3.Error as error:
        raise Unusable(str(error)) from error
    return database


def make_tables(database: Database) -> None:
    """Tables and WAL mode at the first use; others may be doing the same, and that switch does not wait for them."""
    database.executescript(f"BEGIN IMMEDIATE; {SCHEMA} COMMIT;")
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            database.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def new_id() -> str:
    """A random UUID, without the cost of importing uuid."""
    text = bytearray(os.urandom(16))
    text[6] = text[6] & 0x0F | 0x40
    text[8] = text[8] & 0x3F | 0x80
    digits = text.hex()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def now() -> str:
    """The present, in UTC with milliseconds."""
    moment = time.time()
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment)) + f".{int(moment * 1000) % 1000:03d}Z"


def insert_task(database: Database, mode: str, topic: str, requirements: str, constraints: dict[str, object]) -> str:
    """A new pending task; its id is chosen here. The two modes store a different type and priority, as the original."""
    task_id, moment = new_id(), now()
    kind, priority = ("article", 2) if mode == "async" else ("content-creator", 0)
    stored = json.dumps(constraints, ensure_ascii=False, separators=(",", ":"))
    database.execute(
        "INSERT INTO tasks (id, mode, type, topic, requirements, hard_constraints, priority, created_at, updated_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (task_id, mode, kind, topic, requirements, stored, priority, moment, moment),
    )
    return task_id


def insert_job(database: Database, task_id: str, priority: int) -> None:
    """Put a task into the queue."""
    sql = "INSERT INTO jobs (task_id, priority, run_at) VALUES (?, ?, ?)"
    database.execute(sql, (task_id, priority, time.time()))


def find(database: Database, task_id: str) -> Row | None:
    """One task."""
    row: Row | None = database.execute("SELECT * FROM tasks WHERE id = ?", (task_id,)).fetchone()
    return row


def find_many(database: Database, status: str, mode: str, limit: int, offset: int = 0) -> list[Row]:
    """A page of tasks, newest first; empty filters mean all."""
    return database.execute(
        "SELECT * FROM tasks WHERE (? = '' OR status = ?) AND (? = '' OR mode = ?)"
        " ORDER BY created_at DESC LIMIT ? OFFSET ?",
        (status, status, mode, mode, limit, offset),
    ).fetchall()


def ordinal(database: Database, task: Row) -> int:
    """How many tasks with this topic came before this one."""
    sql = "SELECT count(*) FROM tasks WHERE topic = ? AND rowid < (SELECT rowid FROM tasks WHERE id = ?)"
    return int(database.execute(sql, (task["topic"], task["id"])).fetchone()[0])


def begin(database: Database, task: Row, worker_id: str | None) -> bool:
    """pending → running. A synchronous task names no worker and no start. Says whether it was won."""
    started, moment = (now() if worker_id else None), now()
    return changed(
        database.execute(
            "UPDATE tasks SET status = 'running', worker_id = ?, started_at = ?, version = version + 1, updated_at = ?"
            " WHERE id = ? AND version = ? AND status = 'pending'",
            (worker_id, started, moment, task["id"], task["version"]),
        )
    )


def finish(database: Database, task_id: str, version: int, status: str, cause: str | None = None) -> bool:
    """Completed or failed, guarded by the version alone. Says whether it was won."""
    moment = now()
    return changed(
        database.execute(
            "UPDATE tasks SET status = ?, error_message = coalesce(?, error_message), completed_at = ?,"
            " version = version + 1, updated_at = ? WHERE id = ? AND version = ?",
            (status, cause, moment, moment, task_id, version),
        )
    )


def insert_result(database: Database, task_id: str, kind: str, content: str, metadata: dict[str, object]) -> None:
    """An article or a picture."""
    stored = json.dumps(metadata, ensure_ascii=False, separators=(",", ":")) if metadata else None
    database.execute(
        "INSERT INTO results (id, task_id, result_type, content, metadata, created_at) VALUES (?, ?, ?, ?, ?, ?)",
        (new_id(), task_id, kind, content, stored, now()),
    )


def results(database: Database, task_id: str) -> list[Row]:
    """What a task came to, the article first."""
    return database.execute("SELECT * FROM results WHERE task_id = ? ORDER BY result_type", (task_id,)).fetchall()


def take_job(database: Database, worker_id: str) -> Row | None:
    """The next job that is due, now held by this worker."""
    moment = time.time()
    waiting = "SELECT 1 FROM jobs WHERE worker_id IS NULL AND run_at <= ? LIMIT 1"
    if database.execute(waiting, (moment,)).fetchone() is None:
        return None  # looking takes no write lock
    row: Row | None = database.execute(
        "UPDATE jobs SET worker_id = ?, seen_at = ? WHERE id = (SELECT id FROM jobs WHERE worker_id IS NULL"
        " AND run_at <= ? ORDER BY priority, id LIMIT 1) RETURNING *",
        (worker_id, moment, moment),
    ).fetchone()
    return row


def touch_jobs(database: Database, worker_id: str, abandoned_seconds: float) -> None:
    """Say that this worker lives, and free the jobs of workers that do not say so any more."""
    moment = time.time()
    database.execute("UPDATE jobs SET seen_at = ? WHERE worker_id = ?", (moment, worker_id))
    sql = "UPDATE jobs SET worker_id = NULL WHERE worker_id IS NOT NULL AND seen_at < ?"
    database.execute(sql, (moment - abandoned_seconds,))


def end_job(database: Database, job: Row, retry_at: float | None) -> None:
    """Forget the job, or let it be tried again at this time."""
    if retry_at is None:
        database.execute("DELETE FROM jobs WHERE id = ?", (job["id"],))
    else:
        sql = "UPDATE jobs SET worker_id = NULL, tries = tries + 1, run_at = ? WHERE id = ?"
        database.execute(sql, (retry_at, job["id"]))


def changed(cursor: sqlite3.Cursor) -> bool:
    """Whether a guarded write won."""
    return cursor.rowcount == 1
