"""The primary stops in the middle of the work and its standby is promoted: the daemon finds it, nothing is lost.

Two servers of the same cluster, the second one following the first through streaming replication. Every commit waits
for the standby, so what was acknowledged is on both.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import make_url

from contenthubd.adapters.postgres.binaries import find_postgres_bin
from contenthubd.adapters.postgres.embedded import EmbeddedPostgres
from contenthubd.adapters.postgres.engine import Database
from contenthubd.adapters.postgres.validate import validate
from tests import prepared_cluster
from tests.acceptance.test_database_conditions import administrator, all_completed, database_fault
from tests.postgres_probe import children, public_folder, script
from tests.running import Refused, RunningDaemon

SETTINGS = "-c wal_level=replica -c max_wal_senders=4 -c hot_standby=on"
FOLLOWS = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'"


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where the servers may live."""
    with public_folder() as made:
        yield made


def server_in(folder: Path, *, following: str = "", waits: bool = False) -> EmbeddedPostgres:
    """A server that replicates: from the server in the directory ``following``, if any; ``waits`` for its own."""
    found, own = find_postgres_bin(), folder / "bin"
    source = f"-c primary_conninfo='host={following} user=contenthub'" if following else ""
    names = "-c synchronous_standby_names='*'" if waits else ""
    script(own / "postgres", f'exec "{found}/postgres" "$@" {SETTINGS} {source} {names}')
    script(own / "initdb", f'exec "{found}/initdb" "$@"')
    return EmbeddedPostgres(folder / "data", bin_dir=own, durable=False)


@asynccontextmanager
async def pair(folder: Path) -> AsyncIterator[tuple[EmbeddedPostgres, str, str]]:
    """A primary, its address, and that of a standby that has caught up."""
    await asyncio.to_thread(prepared_cluster.copy_to, folder / "one" / "data")
    begun = server_in(folder / "one")
    await begun.start()  # from here on its journal is one that a standby can use
    await begun.stop()
    (folder / "two").mkdir(mode=0o711)
    copying = await asyncio.create_subprocess_exec("cp", "-a", folder / "one" / "data", folder / "two" / "data")
    assert await copying.wait() == 0
    (folder / "two" / "data" / "standby.signal").touch()
    primary = server_in(folder / "one", waits=True)
    standby = server_in(folder / "two", following=str(folder / "one" / "data"))
    try:
        yield primary, await primary.start(), await standby.start()
    finally:
        await standby.stop()
        await primary.stop()


def family(postgres: EmbeddedPostgres) -> list[int]:
    """A server and all who serve its connections."""
    assert postgres.pid is not None
    return [postgres.pid, *children(postgres.pid)]


async def violations(url: str, images: Path) -> list[str]:
    """What `db validate` finds wrong."""
    database = Database(url)
    found = await validate(database, images)
    await database.close()
    return [check.name for check in found.checks if check.count]


async def claimed(daemon: RunningDaemon) -> bool:
    """Whether a task is at work."""
    return bool(daemon.events("task_claimed"))


async def test_work_continues_on_the_standby_that_is_promoted(state_dir: Path, folder: Path) -> None:
    async with pair(folder) as (primary, first, second), administrator(second) as standby:
        places = [str(make_url(url).query["host"]) for url in (second, first)]
        url = f"postgresql://contenthub@/contenthub?host={','.join(places)}&target_session_attrs=read-write"
        settings: dict[str, dict[str, Any]] = {
            "tasks": {"mode": "sync", "lease_seconds": 6},
            "creator": {"manage_worker": False},
            "database": {"url": url, "command_timeout_seconds": 2},
        }
        daemon = RunningDaemon.simulated(state_dir, settings, latency_seconds=0.3)
        async with daemon:
            await daemon.account()
            async with administrator(first) as admin:
                await daemon.until(lambda: admin.fetchval(FOLLOWS))
            acknowledged = await daemon.submit(*(f"topic {number}" for number in range(8)))
            await daemon.until(lambda: claimed(daemon))
            pids = family(primary)
            for pid in pids:
                os.kill(pid, signal.SIGSTOP)  # as a machine that no longer answers
            try:
                fault = await daemon.until(
                    lambda: database_fault(daemon, "No server in database.url fits target_session_attrs=read-write.")
                )
                assert f"At {places[0]}/.s.PGSQL.5432: it is a standby, or permits only reading." in fault["what"]
                assert f"At {places[1]}/.s.PGSQL.5432: no answer in time." in fault["what"]
                assert "promote a standby" in fault["hint"]
                with pytest.raises(Refused, match="No server in database"):
                    await daemon.submit("too early")
                assert await standby.fetchval("SELECT pg_promote(true, 60)")
                tasks = await daemon.until(lambda: all_completed(daemon))
            finally:
                for pid in pids:
                    os.kill(pid, signal.SIGKILL)
            assert {task["id"] for task in tasks} == set(acknowledged)
            assert [task["retry_count"] for task in tasks] == [0] * len(tasks)
            await daemon.submit("afterwards")
            await daemon.settled()
        assert "Traceback" not in daemon.log_path.read_text(encoding="utf-8")
        assert await violations(second, state_dir / "images") == []
