"""A pooler that shares connections stands between contenthubd and its PostgreSQL: everything works through it."""

import asyncio
import os
import pwd
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from contenthubd.adapters.postgres.address import parse
from contenthubd.adapters.postgres.embedded import EmbeddedPostgres
from tests.control.conftest import PIPE, Result, ended, plain_environment
from tests.postgres_probe import public_folder
from tests.running import CHECKOUT, PATIENCE_SECONDS, RunningDaemon

POOLER = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin:/usr/local/sbin")
PORT = 6432
"""Names the socket file only; nothing listens on a TCP port."""
pytestmark = pytest.mark.skipif(POOLER is None, reason="pgbouncer is not installed")


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where the server and its pooler may live."""
    with public_folder() as made:
        yield made


@pytest.fixture
async def pooled_url(folder: Path) -> AsyncIterator[str]:
    """The URL of a database behind a pooler in transaction mode, with fewer server connections than we have."""
    postgres = EmbeddedPostgres(folder / "data", durable=False)
    url = await postgres.start()
    try:
        async with _pooler(folder / "pooler", url) as pooled:
            yield pooled
    finally:
        await postgres.stop()


@asynccontextmanager
async def _pooler(folder: Path, url: str) -> AsyncIterator[str]:
    folder.mkdir()
    folder.chmod(0o777)
    server = Path(parse(url).hosts[0][0])
    if os.geteuid() == 0:  # the pooler refuses to run as root, and another account must get to the socket
        for passed in (server, server.parent):
            passed.chmod(0o711)
        (server / ".s.PGSQL.5432").chmod(0o777)
    (folder / "users.txt").write_text('"contenthub" ""\n', encoding="utf-8")
    settings = folder / "pooler.ini"
    settings.write_text(
        f"[databases]\ncontenthub = host={server} dbname=contenthub\n[pgbouncer]\nlisten_addr =\n"
        f"listen_port = {PORT}\nunix_socket_dir = {folder}\nauth_type = trust\nauth_file = {folder}/users.txt\n"
        f"pool_mode = transaction\ndefault_pool_size = 3\nlogfile = {folder}/log\n",
        encoding="utf-8",
    )
    account = ["-u", pwd.getpwuid(65534).pw_name] if os.geteuid() == 0 else []
    assert POOLER is not None
    process = await asyncio.create_subprocess_exec(POOLER, "-q", *account, str(settings))
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not (folder / f".s.PGSQL.{PORT}").exists():
                assert process.returncode is None, (folder / "log").read_text(encoding="utf-8")
                await asyncio.sleep(0.02)
        yield f"postgresql://contenthub@/contenthub?host={folder}&port={PORT}"
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
        await process.wait()


async def test_a_whole_daemon_works_through_a_pooler(state_dir: Path, pooled_url: str) -> None:
    settings: dict[str, dict[str, Any]] = {
        "tasks": {"mode": "sync"},
        "creator": {"manage_worker": False},
        "database": {"url": pooled_url},
    }
    daemon = RunningDaemon.simulated(state_dir, settings, latency_seconds=0.05)
    await daemon.start()
    try:
        await daemon.account()
        await daemon.submit(*(f"topic {number}" for number in range(20)))
        tasks = await daemon.settled()
        assert [task["state"] for task in tasks] == ["completed"] * 20
        assert [task["retry_count"] for task in tasks] == [0] * 20
        database = (await daemon.get("/health"))["database"]
        assert (database["reachable"], database["pooled"]) == (True, True)
        assert await daemon.stop() == 0
    finally:
        await daemon.stop()
    assert not daemon.events("stage_failed")
    await _every_command_works(daemon, pooled_url)


async def _every_command_works(daemon: RunningDaemon, url: str) -> None:
    file = daemon.state_dir.with_name("backup.tar.gz")
    for words, told in (
        (("db", "backup", str(file)), "Backed up "),
        (("db", "validate"), ""),
        (("db", "restore", "--replace", str(file)), "Restored "),
        (("db", "upgrade"), "There was nothing to do."),
        (("config-check", "--connect"), "can be used through a connection pooler"),
    ):
        result = await _command(daemon, url, *words)
        assert result.code == 0, result.err
        assert told in result.out
    await daemon.start()
    try:
        await daemon.until(lambda: _all_there(daemon))
    finally:
        await daemon.stop()


async def _all_there(daemon: RunningDaemon) -> bool:
    return bool(daemon.events("daemon_started")) and len(await daemon.tasks()) == 20


async def _command(daemon: RunningDaemon, url: str, *words: str) -> Result:
    environ = {
        **plain_environment(),
        "CONTENTHUBD_STATE_DIR": str(daemon.state_dir),
        "CONTENTHUBD_DATABASE__URL": url,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "contenthubd", *words,
        cwd=CHECKOUT, env=environ, stdin=PIPE, stdout=PIPE, stderr=PIPE,
    )  # fmt: skip
    return await ended(process)
