"""A whole run on the real content-creator, seen from outside.

One daemon, the package's own worker, a Redis of the creator's own and the stand-in for its services, all of one test.
What is true is asked of four witnesses that do not know each other: the daemon's socket, its PostgreSQL, the creator's
own SQLite file (opened read-only), and the published files.
"""

import os
import re
import signal
import sqlite3
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.plain_connection import connect_in
from tests.real.services import Services
from tests.real.valkey import Valkey
from tests.running import RunningDaemon

PATIENCE_SECONDS = 400.0
"""For everything to end on the slowest machine; a run takes a tenth of it."""
FINAL = {"completed", "failed", "timeout", "cancelled"}
SOCKET_LINE = 4
"""Where postmaster.pid names the directory of its socket."""


@dataclass(frozen=True)
class CreatorTask:
    """One row of the creator's table; ``mark`` is the last line of what it was asked."""

    creator_task_id: str
    status: str
    mark: str
    article: str | None


@dataclass(frozen=True)
class Article:
    """One published folder."""

    folder: Path
    text: str

    @property
    def content_id(self) -> str:
        """As its front matter says."""
        found = re.search(r"^content_id: \"(\S+)\"$", self.text, re.MULTILINE)
        assert found is not None, f"{self.folder} has no content_id"
        return found.group(1)

    @property
    def body(self) -> str:
        """What follows the front matter."""
        return self.text.split("\n---\n\n", 1)[1]


class RealRun:
    """The parts of one run and what they say."""

    def __init__(
        self, creator: Mapping[str, Any], state_dir: Path, tasks: Mapping[str, Any], daemon: Mapping[str, Any]
    ) -> None:
        self.services = Services(latency=0.05)
        self.redis = Valkey()
        self._env_file = state_dir.with_name("creator.env")
        settings: dict[str, Mapping[str, Any]] = {
            "daemon": {"log_format": "json", **daemon},
            "tasks": tasks,
            "creator": {"redis_url": self.redis.url, "env_file": str(self._env_file), **creator},
            "images": {"allow_private_addresses": True},
            "queue": {"type": "memory"},
        }
        self.daemon = RunningDaemon(state_dir, settings)
        self.daemon.prepared = True

    async def __aenter__(self) -> "RealRun":
        self.services.__enter__()
        self.redis.start()
        self._env_file.write_text("".join(f"{name}={value}\n" for name, value in self.services.env().items()))
        self._env_file.chmod(0o600)
        try:
            await self.daemon.start()
            await self.daemon.account()
        except BaseException:
            await self.end()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.end()

    async def end(self) -> None:
        """End every process of this run, also when the test failed half-way."""
        try:
            self.services.release()
            await self.daemon.end(signal.SIGTERM)
        finally:
            for pid in self.workers():
                with suppress(ProcessLookupError):  # it may end by itself at this moment
                    os.killpg(pid, signal.SIGKILL)
            self.redis.stop()
            self.services.close()

    def workers(self) -> list[int]:
        """The creator's workers that were ever started here and still live."""
        started = {int(event["pid"]): str(event["worker_id"]) for event in self.daemon.events("creator_worker_started")}
        return [pid for pid, worker_id in started.items() if worker_id in command_line(pid)]

    async def worker(self) -> int:
        """The pid of the worker the daemon minds just now, once it has one."""

        async def found() -> Any:
            return (await self.daemon.get("/health"))["creator"]["worker"]["pid"]

        return int(await self.daemon.until(found))

    async def submit(self, *topics: str, **values: Any) -> list[str]:
        """Submit topics whose articles may be long; the ids."""
        return await self.daemon.submit(*topics, max_chars=100_000, **values)

    async def writing(self, count: int) -> None:
        """Wait until the creator asked for this many articles since the run began."""

        async def asked() -> bool:
            return self.services.counts["write"] >= count

        await self.daemon.until(asked)

    async def settled(self) -> list[dict[str, Any]]:
        """Wait until every task ended and every article is published; all tasks, oldest first."""

        async def ended() -> bool:
            return all(is_settled(task) for task in await self.daemon.tasks())

        await self.daemon.until(ended, PATIENCE_SECONDS)
        return list(reversed(await self.daemon.tasks()))

    async def body(self, task: Mapping[str, Any]) -> str:
        """The article the daemon holds for a task."""
        content = await self.daemon.get(f"/contents/{task['content_id']}", body="true")
        return str(content["body"])

    def creator_tasks(self) -> list[CreatorTask]:
        """The creator's own table."""
        path = self.daemon.state_dir / "creator" / "default" / "data" / "content-creator.db"
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=60)) as connection:
            rows = connection.execute("SELECT id, status, requirements FROM tasks").fetchall()
            results = "SELECT task_id, content FROM results WHERE result_type = 'article'"
            articles = connection.execute(results).fetchall()
        assert len({task_id for task_id, _ in articles}) == len(articles), "the creator wrote one article twice"
        written = dict(articles)
        return [CreatorTask(name, status, asked.rsplit("\n", 1)[1], written.get(name)) for name, status, asked in rows]

    def published(self) -> list[Article]:
        """Every folder that was published."""
        folders = [path for path in (self.daemon.state_dir / "published").glob("*/*") if path.is_dir()]
        return [Article(folder, (folder / "index.md").read_text(encoding="utf-8")) for folder in sorted(folders)]

    async def query(self, sql: str, *values: object) -> list[dict[str, Any]]:
        """Ask the daemon's own PostgreSQL."""
        lines = (self.daemon.state_dir / "postgres" / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        connection = await connect_in(Path(lines[SOCKET_LINE]), "contenthub", "contenthub")
        try:
            return [dict(row) for row in await connection.fetch(sql, *values)]
        finally:
            await connection.close(timeout=10)

    async def attempts(self, task_id: str) -> list[dict[str, Any]]:
        """The attempt rows of a task, first to last."""
        return await self.query("SELECT * FROM attempt WHERE task_id = $1 ORDER BY number", task_id)

    async def redis_away_since(self) -> datetime | None:
        """Since when the daemon misses the creator's Redis; None while it has it."""
        redis = (await self.daemon.get("/health"))["creator"]["redis"]
        return datetime.fromisoformat(redis["since"]) if redis["state"] == "down" else None


def is_settled(task: Mapping[str, Any]) -> bool:
    """Whether nothing will happen to this task any more."""
    return task["state"] in FINAL and (task["state"] != "completed" or task["location"] is not None)


def command_line(pid: int) -> str:
    """What a process was started with; empty if there is none."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""


def mark_of(task_id: str, attempt: int) -> str:
    """The line by which an attempt's row is known at the creator."""
    return f"[ref {task_id.replace('-', '')[:28]}{attempt:04x}]"


async def assert_articles(run: RealRun, tasks: list[dict[str, Any]]) -> None:
    """Every completed task has the very article the creator stored for it, as a content and as a file."""
    stored = {row.creator_task_id: row for row in run.creator_tasks()}
    files = {article.content_id: article for article in run.published()}
    for task in tasks:
        row = stored[task["creator_task_id"]]
        body = await run.body(task)
        assert row.status == "completed"
        assert row.article is not None
        assert body == row.article.replace(f"{row.mark}\n", "")
        assert files[task["content_id"]].body.startswith(body)
        assert str(files[task["content_id"]].folder / "index.md") == task["location"]


async def assert_nothing_doubled(run: RealRun) -> None:
    """One content, one publication and one folder for each completed task; at most one create for each attempt."""
    attempts = await run.query("SELECT CAST(task_id AS text) AS task_id, number FROM attempt")
    marks = [row.mark for row in run.creator_tasks()]
    assert len(set(marks)) == len(marks), "an attempt was created twice"
    assert set(marks) <= {mark_of(attempt["task_id"], attempt["number"]) for attempt in attempts}
    completed = await run.query("SELECT id FROM task WHERE state = 'completed'")
    contents = await run.query("SELECT id, task_id FROM content")
    assert sorted(str(row["task_id"]) for row in contents) == sorted(str(row["id"]) for row in completed)
    publications = await run.query("SELECT content_id, state FROM publication")
    wanted = sorted(str(row["id"]) for row in contents)
    assert sorted(str(row["content_id"]) for row in publications) == wanted
    assert {row["state"] for row in publications} <= {"published"}
    assert sorted(article.content_id for article in run.published()) == wanted
    assert await run.query("SELECT * FROM attempt WHERE ended_at IS NULL") == [], "an attempt never ended"


def assert_completed(tasks: list[dict[str, Any]], count: int) -> None:
    """All of them came to an article, and no failure was charged to any."""
    told = [(task["topic"], task["state"], task["retry_count"], task["error"]) for task in tasks]
    assert told == [(task["topic"], "completed", 0, None) for task in tasks]
    assert len(tasks) == count
