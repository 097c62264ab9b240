"""A pooler that shares connections stands between contenthubd and its PostgreSQL: everything works through it."""

import asyncio
import os
import pwd
import re
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from contenthubd.adapters.postgres.address import parse
from contenthubd.adapters.postgres.admission import admit
from contenthubd.adapters.postgres.embedded import EmbeddedPostgres
from contenthubd.adapters.postgres.engine import Database
from contenthubd.adapters.postgres.migrate import upgrade
from contenthubd.domain.errors import DatabaseRefused
from tests.control.conftest import PIPE, Result, ended, plain_environment
from tests.plain_connection import connect_in, connect_to
from tests.postgres_probe import public_folder
from tests.running import CHECKOUT, PATIENCE_SECONDS, Refused, RunningDaemon

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
async def pooler(folder: Path) -> AsyncIterator["Pooler"]:
    """A pooler in transaction mode, with fewer server connections than we have."""
    postgres = EmbeddedPostgres(folder / "data", durable=False)
    made = Pooler(folder / "pooler", await postgres.start())
    try:
        made.configure()
        await made.start()
        yield made
    finally:
        await made.end(signal.SIGINT)
        await postgres.stop()


@pytest.fixture
def pooled_url(pooler: "Pooler") -> str:
    """The URL of a database behind it."""
    return pooler.url


class Pooler:
    """A pooler that can be ended and started again; ``server_url`` is where it gets its connections."""

    def __init__(self, folder: Path, server_url: str) -> None:
        self._folder = folder
        self.server_url = server_url
        self.url = f"postgresql://contenthub@/contenthub?host={folder}&port={PORT}"
        self._process: asyncio.subprocess.Process | None = None

    def configure(self) -> None:
        """Write its settings."""
        _configure(self._folder, Path(parse(self.server_url).hosts[0][0]))

    async def start(self) -> None:
        """Wait until it answers."""
        account = ["-u", pwd.getpwuid(65534).pw_name] if os.geteuid() == 0 else []
        assert POOLER is not None
        socket = self._folder / f".s.PGSQL.{PORT}"
        socket.unlink(missing_ok=True)
        self._process = await asyncio.create_subprocess_exec(POOLER, "-q", *account, str(self._folder / "pooler.ini"))
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not socket.exists():
                assert self._process.returncode is None, (self._folder / "log").read_text(encoding="utf-8")
                await asyncio.sleep(0.02)

    async def end(self, number: signal.Signals) -> None:
        """Send a signal and wait for the end."""
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)
            await self._process.wait()

    async def set_for_role(self, *settings: str) -> None:
        """Settings of an administrator for our user: these and no others, in new server connections."""
        administrator = await connect_to(self.server_url)
        await administrator.execute("SET default_transaction_read_only = off")
        await administrator.execute("ALTER ROLE contenthub RESET ALL")
        for setting in settings:
            await administrator.execute(f"ALTER ROLE contenthub SET {setting}")
        await administrator.close(timeout=10)
        await self.reconnect()

    async def reconnect(self) -> None:
        """What its console does with RECONNECT."""
        console = await connect_in(self._folder, "contenthub", "pgbouncer", port=PORT)
        await console.execute("RECONNECT")
        await console.close(timeout=10)


def _configure(folder: Path, server: Path) -> None:
    folder.mkdir()
    folder.chmod(0o777)
    if os.geteuid() == 0:  # the pooler refuses to run as root, and another account must get to the socket
        for passed in (server, server.parent):
            passed.chmod(0o711)
        (server / ".s.PGSQL.5432").chmod(0o777)
    (folder / "users.txt").write_text('"contenthub" ""\n', encoding="utf-8")
    settings = folder / "pooler.ini"
    settings.write_text(
        f"[databases]\ncontenthub = host={server} dbname=contenthub\n[pgbouncer]\nlisten_addr =\n"
        f"listen_port = {PORT}\nunix_socket_dir = {folder}\nauth_type = trust\nauth_file = {folder}/users.txt\n"
        f"pool_mode = transaction\ndefault_pool_size = 3\nlogfile = {folder}/log\nadmin_users = contenthub\n",
        encoding="utf-8",
    )


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


async def test_settings_of_the_role_behind_a_pooler(pooler: Pooler) -> None:
    """They come with its server connections, and no session can set them for itself."""
    await pooler.set_for_role("timezone = 'Asia/Kolkata'", "datestyle = 'SQL, DMY'", "statement_timeout = '1min'")
    database = Database(pooler.url, pool_size=4)
    await admit(database)
    assert await upgrade(database)
    moment = text("SELECT current_setting('timezone'), current_setting('datestyle'), CAST(now() AS text) LIKE '%+00'")
    assert set(await asyncio.gather(*(database.first(moment) for _ in range(12)))) == {("UTC", "ISO, YMD", True)}
    assert database.pooled
    for setting, said in REFUSED.items():
        await pooler.set_for_role(setting)
        with pytest.raises(DatabaseRefused, match=said) as caught:
            await admit(database)
        assert caught.value.exit_code == 2
        [statement] = re.findall(r'ALTER ROLE "contenthub" RESET \w+;', caught.value.fix)
        administrator = await connect_to(pooler.server_url)
        await administrator.execute("SET default_transaction_read_only = off")
        await administrator.execute(statement)
        await administrator.close(timeout=10)
        await pooler.reconnect()
        await admit(database)
    await pooler.set_for_role()
    await database.close()


REFUSED = {
    "default_transaction_isolation = 'serializable'": "pooler are serializable; contenthubd needs read committed",
    "default_transaction_isolation = 'repeatable read'": "pooler are repeatable read; contenthubd needs read",
    "default_transaction_read_only = on": "cannot be written to",
}


async def test_a_pooler_that_is_restarted_costs_no_task_a_retry(state_dir: Path, pooler: Pooler) -> None:
    settings: dict[str, dict[str, Any]] = {
        "tasks": {"mode": "sync"},
        "creator": {"manage_worker": False},
        "database": {"url": pooler.url},
    }
    daemon = RunningDaemon.simulated(state_dir, settings, latency_seconds=0.3)
    async with daemon:
        await daemon.account()
        await daemon.submit(*(f"topic {number}" for number in range(12)))
        for number in (signal.SIGKILL, signal.SIGINT):
            await pooler.end(number)
            await daemon.until(lambda: _reachable(daemon, False))
            with pytest.raises(Refused, match="does not answer"):
                await daemon.submit("while it is away")
            await pooler.start()
            await daemon.until(lambda: _reachable(daemon, True))
        await daemon.until(lambda: _completed(daemon, 12))
        assert [task["retry_count"] for task in await daemon.tasks()] == [0] * 12


async def _reachable(daemon: RunningDaemon, wanted: bool) -> bool:
    return (await daemon.get("/health"))["database"]["reachable"] is wanted


async def _completed(daemon: RunningDaemon, count: int) -> bool:
    try:
        return [task["state"] for task in await daemon.tasks()] == ["completed"] * count
    except Refused as refused:
        assert refused.problem["code"] == "database_unavailable"
        return False
