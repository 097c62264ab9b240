"""Where the chaos happens: PostgreSQL and two Redis servers behind proxies, a daemon on the simulator, its supervisor.

Everything is ended by its process number when the place is left, Ctrl-C included; the servers die with us anyway.
"""

import asyncio
import json
import os
import shutil
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import asyncpg
import psutil
from sqlalchemy.engine import make_url

from contenthubd.adapters.postgres.embedded import DATABASE, EmbeddedPostgres
from tests.chaos.proxy import Proxy
from tests.plain_connection import connect_in
from tests.real.valkey import Valkey
from tests.running import RunningDaemon, short_directory

RESTART_SECONDS = 0.3
"""What RestartSec is under systemd."""
END_SECONDS = 60.0
LOOK_SECONDS = 0.05
ASK_SECONDS = 2.0
BEHAVIOUR: dict[str, object] = {
    "latency_seconds": 0.3, "images": 1, "retry_seconds": 0.5, "abandoned_seconds": 5, "node_timeout_seconds": 20,
    "hang_seconds": 60, "redis_hang_seconds": 30,
}  # fmt: skip
SETTINGS: dict[str, dict[str, Any]] = {
    "tasks": {
        "timeout_seconds": 5, "poll_interval_seconds": 1, "max_retries": 3, "retry_delays_seconds": [0.2, 0.5, 1],
        "lease_seconds": 2,
    },
    "database": {"command_timeout_seconds": 1},
    "publish": {"retry_delays_seconds": [0.2, 0.5, 1]},
    "images": {"retry_delays_seconds": [0.2, 0.5, 1]},
    "creator": {"command_timeout_seconds": 3, "abandon_seconds": 4},
    "daemon": {"stop_grace_seconds": 1},
}  # fmt: skip
AWAY = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError)
"""Ways in which our own side door to PostgreSQL fails while it is being mistreated."""


class Postgres:
    """The server, and a side door to it that no proxy stands in."""

    def __init__(self, folder: Path) -> None:
        self._server = EmbeddedPostgres(folder / "postgres" / "data", durable=False)
        self.url = ""
        """Its address, past the proxy."""
        self._frozen: list[psutil.Process] = []

    @property
    def socket(self) -> Path:
        """Its Unix socket."""
        return Path(str(make_url(self.url).query["host"])) / ".s.PGSQL.5432"

    @property
    def user(self) -> str:
        """Its only user."""
        return str(make_url(self.url).username)

    async def start(self) -> None:
        """Start it, for the first time or again."""
        self.url = await self._server.start()

    async def stop(self) -> None:
        """Shut it down as an administrator would."""
        self.resume()
        await self._server.stop()

    async def kill(self) -> None:
        """SIGKILL to the server's main process."""
        if self._server.pid is not None:
            os.kill(self._server.pid, signal.SIGKILL)
            await self._server.wait()

    def freeze(self) -> None:
        """SIGSTOP to the main process, then to all its children."""
        if self._server.pid is None:
            return
        main = psutil.Process(self._server.pid)
        main.suspend()
        self._frozen = [main]
        for child in main.children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                child.suspend()
                self._frozen.append(child)

    def resume(self) -> None:
        """Let them go on, children first."""
        for process in reversed(self._frozen):
            with suppress(psutil.NoSuchProcess):
                process.resume()
        self._frozen = []

    async def ask(self, sql: str) -> list[asyncpg.Record]:
        """Rows, over a connection of its own; one of AWAY while the server cannot answer."""
        connection = await connect_in(
            self.socket.parent, self.user, DATABASE, timeout=ASK_SECONDS, command_timeout=ASK_SECONDS
        )
        try:
            return list(await connection.fetch(sql))
        finally:
            connection.terminate()

    async def number(self, sql: str) -> int | None:
        """The one number of an answer, None while the server cannot answer."""
        try:
            return int((await self.ask(sql))[0][0])
        except AWAY:
            return None


class Supervisor:
    """Runs the daemon, and starts it again whenever it ends, as systemd would."""

    def __init__(self, daemon: RunningDaemon) -> None:
        self.daemon = daemon
        self.exits: Counter[int] = Counter()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        try:
            await self.daemon.start()
        except BaseException:
            await self._end()
            raise
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def stop(self) -> None:
        """SIGTERM, and no new start. Raises AssertionError if the daemon does not end by itself."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
        await self._end()
        if task is not None and not task.cancelled():
            task.result()  # why it could not be started again

    async def _run(self) -> None:
        while True:
            assert self.daemon.process is not None
            self.exits[await self.daemon.process.wait()] += 1
            await asyncio.sleep(RESTART_SECONDS)
            await self.daemon.start(ready=False)

    async def _end(self) -> None:
        await self.daemon.close_client()
        self.signal(signal.SIGTERM)
        self.signal(signal.SIGCONT)
        process = self.daemon.process
        if process is None:
            return
        try:
            await asyncio.wait_for(process.wait(), END_SECONDS)
        except TimeoutError:
            process.send_signal(signal.SIGKILL)
            await process.wait()
            raise AssertionError(f"the daemon did not end within {END_SECONDS:g} s of SIGTERM") from None

    def signal(self, number: signal.Signals) -> None:
        """Send it to the daemon if it lives."""
        process = self.daemon.process
        if process is not None and process.returncode is None:
            process.send_signal(number)


class Place:
    """All the parts that faults happen to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.postgres = Postgres(folder)
        self.redis = Valkey()
        self.creator_redis = Valkey()
        self.postgres_line: Proxy
        self.redis_line = Proxy(("127.0.0.1", self.redis.port))
        self.daemon: RunningDaemon
        self.supervisor: Supervisor
        self.active: Counter[str] = Counter()
        """How many faults are in force, by part."""

    @property
    def creator_directory(self) -> Path:
        """Where the creator works."""
        return self.daemon.state_dir / "creator" / "default"

    @property
    def published(self) -> Path:
        """Where articles are published."""
        return self.daemon.state_dir / "published"

    @property
    def log_bytes(self) -> int:
        """How much the daemon has logged so far."""
        return self.daemon.log_path.stat().st_size

    def behave(self, **values: object) -> None:
        """Tell the simulator from now on how to (mis)behave, in one step."""
        path = self.creator_directory / "simulator.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_suffix(".new")
        new.write_text(json.dumps(BEHAVIOUR | values), encoding="utf-8")
        new.rename(path)

    def workers(self) -> list[psutil.Process]:
        """The creator's workers below the daemon."""
        found = []
        with suppress(psutil.NoSuchProcess):
            for child in psutil.Process(self.daemon.pid).children():
                with suppress(psutil.NoSuchProcess):
                    if "worker" in child.cmdline():
                        found.append(child)
        return found


@asynccontextmanager
async def place(seed: int) -> AsyncIterator[Place]:
    """A running place; everything is gone afterwards, and so is its directory."""
    folder = short_directory()
    folder.chmod(0o711)  # PostgreSQL runs as another account where root may not use namespaces
    made = Place(folder)
    try:
        await made.postgres.start()
        made.redis.start()
        made.creator_redis.start()
        made.postgres_line = Proxy(made.postgres.socket)
        async with made.postgres_line, made.redis_line:
            made.daemon = RunningDaemon.simulated(folder / "state", _settings(made), seed=seed)
            made.behave()
            made.supervisor = Supervisor(made.daemon)
            async with made.supervisor:
                yield made
    finally:
        made.redis.stop()
        made.creator_redis.stop()
        await made.postgres.stop()
        shutil.rmtree(folder)


def _settings(made: Place) -> dict[str, dict[str, Any]]:
    url = f"postgresql://{made.postgres.user}@127.0.0.1:{made.postgres_line.port}/{DATABASE}"
    settings = {section: dict(values) for section, values in SETTINGS.items()}
    settings["database"]["url"] = url
    settings["queue"] = {"type": "auto", "redis_url": f"redis://127.0.0.1:{made.redis_line.port}/0"}
    settings["creator"]["redis_url"] = made.creator_redis.url
    return settings
