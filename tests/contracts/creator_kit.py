"""What the creator's tests share: settings, tasks, small programs that play a bad creator, and patient waiting."""

import asyncio
import os
import sqlite3
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
import uuid_utils.compat

from contenthubd.adapters.creator.creator import CommandCreator
from contenthubd.adapters.creator.settings import CreatorSettings
from contenthubd.domain.attempt import Child, mark_of
from contenthubd.domain.moment import Moment
from contenthubd.domain.task import Mode, Rank, Task, TaskState
from tests.real import package
from tests.real.services import Services
from tests.real.valkey import Valkey

ROOT = Path(__file__).resolve().parents[2]
SIMULATOR = (sys.executable, "-m", "contenthubd.simulator")
INSTANCE = "test"
BOUND_SECONDS = 120.0
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
KEYS = {"LLM_API_KEY": "k", "LLM_BASE_URL": "http://127.0.0.1:9/v1", "TAVILY_API_KEY": "k", "ARK_API_KEY": "k"}


class FixedClock:
    """Noon, for ever."""

    def now(self) -> datetime:
        return NOON

    def uptime(self) -> timedelta:
        return timedelta(days=1)

    def moment(self) -> Moment:
        return Moment(NOON, "boot", self.uptime())

    def random(self) -> float:
        return 0.5

    def new_id(self) -> UUID:
        return UUID(str(uuid_utils.compat.uuid7()))


def python_env() -> dict[str, str]:
    """What a Python child of a Python child needs, coverage measurement included."""
    passed = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")}
    return {"PYTHONPATH": str(ROOT), **passed}


def write_env_file(folder: Path, values: dict[str, str], name: str = "creator.env") -> Path:
    path = folder / name
    path.write_text("".join(f"{name}='{value}'\n" for name, value in values.items()))
    return path


def settings_for(folder: Path, command: tuple[str, ...] = SIMULATOR, **changes: Any) -> CreatorSettings:
    """Settings in ``folder``; generous times, so that a slow machine fails nothing."""
    values: dict[str, Any] = {
        "command": command,
        "workdir": folder / "creator",
        "instance": INSTANCE,
        "owner": str(folder),
        "env_file": write_env_file(folder, KEYS | python_env()),
        "manage_worker": False,
        "command_timeout": timedelta(seconds=60),
        "look_again": timedelta(seconds=0.2),
        "environ": {"PATH": os.environ["PATH"], "CREATOR_SIMULATOR_LATENCY_SECONDS": "0"},
    }
    return CreatorSettings(**(values | changes))


def task_of(topic: str = "云计算", requirements: str = "写一篇", mode: Mode = Mode.ASYNC, **changes: Any) -> Task:
    values: dict[str, Any] = {
        "task_id": FixedClock().new_id(),
        "account_id": uuid4(),
        "account": "a",
        "state": TaskState.SUBMITTING,
        "mode": mode,
        "topic": topic,
        "requirements": requirements,
        "keywords": (),
        "min_chars": 300,
        "max_chars": 800,
        "rank": Rank(5, 0, 0),
        "auto_approve": True,
        "max_retries": 3,
        "timeout": timedelta(seconds=60),
        "attempt": 1,
        "retry_count": 0,
        "deaths": 0,
        "created_at": datetime.now(UTC),
    }
    return Task(**(values | changes))


def mark_for(task: Task) -> str:
    return mark_of(task.task_id, task.attempt)


def script(folder: Path, text: str, name: str = "program") -> tuple[str, ...]:
    """A shell program as the creator's command."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return (str(path),)


async def started(child: Child) -> None:
    """A callback that does not care."""


async def until(condition: Callable[[], object], what: str) -> None:
    """Wait for a fact; the bound is only there for tests that are wrong."""
    async with asyncio.timeout(BOUND_SECONDS):
        while not condition():  # noqa: ASYNC110 - the facts lie outside this process
            await asyncio.sleep(0.01)
    assert condition(), what


async def until_async(condition: Callable[[], Awaitable[Any]], what: str) -> Any:
    """Wait for a fact that must be asked for."""
    async with asyncio.timeout(BOUND_SECONDS):
        while not (found := await condition()):  # noqa: ASYNC110 - the facts lie outside this process
            await asyncio.sleep(0.05)
    assert found, what
    return found


@dataclass
class Site:
    """One creator that can really be driven: the simulator, or the package with its Redis and its services."""

    settings: CreatorSettings
    queue: Valkey | None = None

    @property
    def database(self) -> Path:
        return self.settings.workdir / "data" / "content-creator.db"

    def creator(self, **changes: Any) -> CommandCreator:
        return CommandCreator(replace(self.settings, **changes), FixedClock())

    @asynccontextmanager
    async def started(self, **changes: Any) -> AsyncIterator[CommandCreator]:
        """A creator that was started and is stopped at the end, its worker minded meanwhile."""
        creator = self.creator(**changes)
        await creator.start()
        minding = asyncio.create_task(creator.run())
        try:
            yield creator
        finally:
            minding.cancel()
            await asyncio.wait([minding])
            await creator.stop(timedelta(seconds=20))

    def query(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Ask (or change) the creator's own database, which exists once a command has run."""
        connection = sqlite3.connect(self.database, timeout=60)
        try:
            with connection:
                return connection.execute(sql, values).fetchall()
        finally:
            connection.close()

    def add_rows(self, rows: Iterable[tuple[str, str, str]]) -> None:
        """Other people's tasks: (id, requirements, created at), written into the table by hand."""
        connection = sqlite3.connect(self.database, timeout=60)
        sql = (
            "INSERT INTO tasks (id, mode, type, topic, requirements, status, created_at, updated_at)"
            " VALUES (?, 'async', 'article', 't', ?, 'completed', ?, ?)"
        )
        with connection:
            connection.executemany(sql, [(task, text, made, made) for task, text, made in rows])
        connection.close()


@contextmanager
def site_of(kind: str, folder: Path, **changes: Any) -> Iterator[Site]:
    """The ``simulator``, or the ``real`` package; skips with the one reason why the package cannot be had."""
    if kind == "simulator":
        yield Site(settings_for(folder, **changes))
        return
    reason = package.missing()
    if reason:
        pytest.skip(reason)
    found = package.find_or_install()
    with Services() as services, Valkey() as queue:
        values: dict[str, Any] = {
            "env_file": write_env_file(folder, services.env(), "real.env"),
            "worker_command": tuple(found.joined_worker),
            "redis_url": queue.url,
        }
        yield Site(settings_for(folder, tuple(found.joined), **(values | changes)), queue)
