"""PostgreSQL goes away under a working daemon, or is not there when it starts: every call ends, nothing is charged."""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from contenthubd.adapters.postgres.embedded import EmbeddedPostgres
from tests import prepared_cluster
from tests.postgres_probe import children, public_folder
from tests.running import CHECKOUT, PATIENCE_SECONDS, Refused, RunningDaemon

FOREVER_SECONDS = 2 * PATIENCE_SECONDS
"""A deadline of the daemon's that no test waits for: who waits for the frozen server has failed before."""
MANY = 20
CONNECTIONS = 6
"""The size of the daemon's pool."""


@dataclass
class Server:
    """A server that is not the daemon's own: it is named by ``database.url``."""

    postgres: EmbeddedPostgres
    url: str = ""

    async def start(self) -> None:
        self.url = await self.postgres.start()

    async def stop(self) -> None:
        await self.postgres.stop()

    @property
    def pid(self) -> int:
        assert self.postgres.pid is not None
        return self.postgres.pid


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where a server of this test's own may live."""
    with public_folder() as made:
        yield made


@pytest.fixture
async def server(folder: Path) -> AsyncIterator[Server]:
    """A server that is up."""
    await asyncio.to_thread(prepared_cluster.copy_to, folder / "data")
    made = Server(EmbeddedPostgres(folder / "data", durable=False))
    await made.start()
    yield made
    await made.stop()


@asynccontextmanager
async def simulated(
    state_dir: Path, url: str, *, ready: bool = True, **settings: dict[str, Any]
) -> AsyncIterator[RunningDaemon]:
    """A daemon in sync mode on the named server (no name: on its own)."""
    database = {"url": url, **settings.pop("database", {})}
    tasks = {"mode": "sync", **settings.pop("tasks", {})}
    merged = {"tasks": tasks, "creator": {"manage_worker": False}, "database": database, **settings}
    daemon = RunningDaemon.simulated(state_dir, merged, latency_seconds=0.2)
    await daemon.start(ready=ready)
    try:
        yield daemon
    finally:
        await daemon.stop()


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """The server and all who serve its connections stand still for the block."""
    os.kill(pid, signal.SIGSTOP)
    family = [pid, *children(pid)]
    for one in family:
        os.kill(one, signal.SIGSTOP)
    try:
        yield
    finally:
        for one in family:
            os.kill(one, signal.SIGCONT)


async def all_completed(daemon: RunningDaemon) -> list[dict[str, Any]]:
    """The tasks of the last batch, once all of them are completed."""
    try:
        tasks = await daemon.tasks(batch="last")
    except Refused as refused:
        assert refused.problem["code"] == "database_unavailable"
        return []
    return tasks if all(task["state"] == "completed" for task in tasks) else []


def told(daemon: RunningDaemon) -> Counter[str]:
    """How often each event was logged."""
    return Counter(str(entry["event"]) for entry in daemon.log)


async def reachable(daemon: RunningDaemon, wanted: bool) -> bool:
    """Whether health says so."""
    health = await daemon.get("/health")
    assert health["status"] == "degraded" or health["database"]["reachable"]
    return bool(health["database"]["reachable"] is wanted)


async def test_a_named_server_that_is_restarted_costs_no_task_a_try(state_dir: Path, server: Server) -> None:
    async with simulated(state_dir, server.url) as daemon:
        await daemon.account()
        await daemon.submit(*(f"topic {number}" for number in range(8)))
        for _ in range(2):
            await server.stop()
            await daemon.until(lambda: reachable(daemon, False))
            await server.start()
            await daemon.until(lambda: reachable(daemon, True))
        tasks = await daemon.until(lambda: all_completed(daemon))
    assert [task["retry_count"] for task in tasks] == [0] * 8


async def noticed(daemon: RunningDaemon) -> bool:
    """Whether a stage has told that it failed."""
    return "stage_failed" in told(daemon)


async def test_a_long_absence_makes_few_lines_and_no_end(state_dir: Path, server: Server) -> None:
    brief = {"lease_seconds": 3}  # so that a stage notices soon
    async with simulated(state_dir, server.url, tasks=brief, database={"command_timeout_seconds": 1}) as daemon:
        await daemon.account()
        await daemon.submit("one", "two")
        await daemon.until(lambda: all_completed(daemon))
        before = told(daemon)
        await server.stop()
        for _ in range(MANY):
            assert await daemon.until(lambda: reachable(daemon, False))
            with pytest.raises(Refused) as refused:
                await daemon.submit("while it is away")
            assert refused.value.problem["code"] == "database_unavailable"
        await daemon.until(lambda: noticed(daemon))
        new = told(daemon) - before
        await server.start()
        await daemon.until(lambda: reachable(daemon, True))
        await daemon.submit("three", "four")
        tasks = await daemon.until(lambda: all_completed(daemon))
    failed = {entry["stage"] for entry in daemon.events("stage_failed")}
    assert 0 < new.total() <= 3 * len(failed), new
    assert [task["topic"] for task in tasks] == ["three", "four"]
    assert told(daemon)["daemon_started"] == 1


async def freezable(daemon: RunningDaemon, server: Server | None) -> int:
    """The process number of the server that the daemon uses."""
    if server is not None:
        return server.pid
    pid: int = (await daemon.get("/health"))["database"]["pid"]
    return pid


@pytest.mark.parametrize("kind", ["named", "embedded"])
async def test_while_it_is_frozen_health_answers_and_nobody_waits_for_it(
    state_dir: Path, server: Server, kind: str
) -> None:
    named = server if kind == "named" else None
    url = server.url if named else ""
    patience, lease = {"command_timeout_seconds": FOREVER_SECONDS}, {"lease_seconds": FOREVER_SECONDS + 1}
    async with simulated(state_dir, url, database=patience, tasks=lease) as daemon:
        await daemon.account()
        await daemon.submit(*(f"topic {number}" for number in range(6)))
        with frozen(await freezable(daemon, named)):
            for _ in range(CONNECTIONS + 2):  # more than the pool has connections: none of them may hold health up
                async with asyncio.timeout(PATIENCE_SECONDS):
                    assert await reachable(daemon, False)
                    await daemon.get("/version")
        tasks = await daemon.until(lambda: all_completed(daemon))
    assert [task["retry_count"] for task in tasks] == [0] * 6


async def test_while_it_is_frozen_every_call_ends_by_its_deadline(state_dir: Path, server: Server) -> None:
    calls: list[tuple[str, object]] = [("/tasks", None), ("/contents", None), ("/accounts", None), ("/wait", None)]
    async with simulated(state_dir, server.url, database={"command_timeout_seconds": 1}) as daemon:
        await daemon.account()
        await daemon.submit(*(f"topic {number}" for number in range(6)))
        with frozen(server.pid):
            async with asyncio.timeout(PATIENCE_SECONDS):
                answers = await asyncio.gather(
                    *(daemon.get(path) for path, _ in calls), daemon.submit("more"), return_exceptions=True
                )
        assert [_code(answer) for answer in answers] == ["database_unavailable"] * len(answers)
        tasks = await daemon.until(lambda: all_completed(daemon))
    assert [task["retry_count"] for task in tasks if task["topic"] != "more"] == [0] * 6


def _code(answer: object) -> object:
    return answer.problem["code"] if isinstance(answer, Refused) else answer


async def test_a_server_that_is_not_there_at_the_start_is_waited_for(state_dir: Path, server: Server) -> None:
    await server.stop()
    async with simulated(state_dir, server.url, ready=False) as daemon:
        await daemon.until(lambda: said(daemon, "control_socket_opened"))
        await says_what_it_waits_for(daemon)
        await server.start()
        await daemon.until(lambda: said(daemon, "daemon_started"))
        await daemon.account()
        await daemon.submit("one")
        await daemon.until(lambda: all_completed(daemon))
    events = told(daemon)
    assert (events["waiting_for_database"], events["database_answered"]) == (1, 1)
    [awaited] = daemon.events("waiting_for_database")
    assert "PostgreSQL does not answer." in awaited["error"]


async def test_who_waits_for_its_server_can_be_stopped(state_dir: Path, server: Server) -> None:
    await server.stop()
    async with simulated(state_dir, server.url, ready=False) as daemon:
        await daemon.until(lambda: said(daemon, "waiting_for_database"))
        assert await daemon.stop() == 0
    assert told(daemon)["daemon_stopped"] == 1


async def says_what_it_waits_for(daemon: RunningDaemon) -> None:
    """The door is open, and nothing but the cause comes out of it."""
    health = await daemon.get("/health")
    assert health["status"] == "starting"
    [fault] = health["faults"]
    assert "starting: waiting for PostgreSQL at " in fault["what"]
    assert ".s.PGSQL.5432" in fault["what"]
    assert (await daemon.get("/version"))["pid"] == daemon.pid
    assert (await daemon.get("/config"))["config"]
    paths = ("/tasks", "/contents", "/accounts", "/schedules", "/stats", "/queue", "/tasks/0192", "/wait")
    answers = await asyncio.gather(*(daemon.get(path) for path in paths), daemon.account(), return_exceptions=True)
    for answer in answers:
        assert isinstance(answer, Refused), answer
        assert (answer.problem["status"], answer.problem["code"]) == (503, "database_unavailable")
        assert "contenthubd is starting: waiting for PostgreSQL at " in answer.problem["detail"]


@pytest.mark.parametrize(
    ("broken", "what"),
    [
        (lambda url: url.replace("contenthub:@", "nobody_at_all:@"), "has no user 'nobody_at_all'"),
        (lambda url: url.replace("@/contenthub", "@/not_there"), "has no database 'not_there'"),
    ],
)
async def test_a_server_that_refuses_us_is_not_waited_for(
    state_dir: Path, server: Server, broken: Callable[[str], str], what: str
) -> None:
    async with simulated(state_dir, broken(server.url), ready=False) as daemon:
        assert await daemon.died() == 2, "the exit code that the unit does not restart on"
    lines = daemon.log_path.read_text(encoding="utf-8")
    assert what in lines
    assert "Traceback" not in lines
    unit = (CHECKOUT / "systemd" / "contenthubd.service").read_text(encoding="utf-8")
    assert "\nRestartPreventExitStatus=2\n" in unit


async def test_a_daemon_that_stops_frees_its_instance_at_once(state_dir: Path, server: Server) -> None:
    async with simulated(state_dir, server.url) as daemon:
        async with simulated(state_dir.with_name("second"), server.url, ready=False) as refused:
            assert await refused.died() == 6
        assert "its claim expires at" in refused.log_path.read_text(encoding="utf-8")
        assert await daemon.stop() == 0
        async with simulated(state_dir.with_name("third"), server.url) as other:
            await other.get("/health")


async def said(daemon: RunningDaemon, event: str) -> bool:
    """Whether the event was logged."""
    return bool(daemon.events(event))
