"""The door of a real daemon's desks on a real database, in a thread of its own; a caller that sends any bytes.

No stage runs: what is stored stays as requests have left it.
"""

import asyncio
import logging
import socket
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from anyio.from_thread import BlockingPortal, start_blocking_portal
from structlog.testing import capture_logs

from contenthubd.adapters.postgres.engine import Database
from contenthubd.adapters.queue.choice import memory_alone
from contenthubd.assembly.base import Identity
from contenthubd.assembly.house import assemble
from contenthubd.config.loader import load
from contenthubd.control.server import ControlServer
from contenthubd.daemon import Daemon
from contenthubd.health import Health
from contenthubd.ports.stage import Stage
from contenthubd.runtime.clock import SystemClock
from contenthubd.runtime.steps import ClockSteps
from tests.clock import NOON
from tests.contracts.rows import Rows
from tests.running import PATIENCE_SECONDS

ACCOUNT = "demo"


class World(logging.Handler):
    """``ask`` sends bytes and gives every byte of the answer; ``faults`` are lines of log that nobody may see."""

    def __init__(self, url: str, folder: Path) -> None:
        super().__init__(logging.WARNING)
        self.ids: list[str] = []
        """Ids of tasks, contents and batches that are stored."""
        self._url = url
        self._folder = folder
        self._stack = ExitStack()
        self._lines: list[Any] = []
        self._events: list[Any] = []

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._events = stack.enter_context(capture_logs())
            logging.getLogger().addHandler(self)
            stack.callback(logging.getLogger().removeHandler, self)
            portal = stack.enter_context(start_blocking_portal())
            server, database = portal.call(self._open)
            stack.callback(portal.call, database.close)
            stack.callback(portal.call, server.close)
            self._portal: BlockingPortal = portal
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def emit(self, record: logging.LogRecord) -> None:
        """A library has something to say."""
        self._lines.append(record.getMessage())

    def faults(self) -> list[Any]:
        """Tracebacks and errors since they were last asked for: each is told to the request that made it alone."""
        found = [*self._lines, *(one for one in self._events if one["log_level"] == "error" or "exc_info" in one)]
        self._lines.clear()
        self._events.clear()
        return found

    def ask(self, sent: bytes) -> bytes:
        """Send everything, say that this was all, and read to the end."""
        received = b""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(PATIENCE_SECONDS)
            connection.connect(str(self._folder / "control.sock"))
            try:
                connection.sendall(sent)
                connection.shutdown(socket.SHUT_WR)
            except (BrokenPipeError, ConnectionResetError):
                pass  # refused before all was sent: the answer is there all the same
            try:
                while part := connection.recv(1 << 20):
                    received += part
            except ConnectionResetError:
                pass  # closed with something of ours unread: whoever sends more than is read must bear that
        return received

    async def _open(self) -> tuple[ControlServer, Database]:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: self._lines.append(context))
        clock, database = SystemClock(), Database(self._url)
        loaded = load(None, environ={}, flags={"daemon.state_dir": str(self._folder), "queue.type": "memory"})
        daemon = Daemon(loaded, clock, lambda: loaded)
        parts = assemble(
            loaded.config, database, clock, Identity(state_id="0" * 32, run_id="first"), _unheard,
            draining=lambda: False, queues=memory_alone(loaded.config.queue.memory_size, clock),
        )  # fmt: skip
        health = Health(parts, database, None, {}, clock, ClockSteps(clock), clock.uptime())
        await self._fill(database)
        server = ControlServer(daemon.application(parts, health), self._folder / "control.sock")
        await server.start()
        return server, database

    async def _fill(self, database: Database) -> None:
        rows = Rows(database)
        await rows.account()
        batch = await rows.batch()
        for make in (rows.pending, rows.cancelled, rows.failed, rows.completed):
            await make(NOON)
        await rows.failed(NOON, batch=batch)
        for table in ("task", "content", "batch"):
            self.ids += [str(one) for one in sorted(await rows.ids(table))]


def _unheard(stage: Stage) -> None:
    """No stage runs."""
