"""A private PostgreSQL: a direct child of ours on a Unix socket, started with us, stopped with us, never left behind.

A start goes through these steps, all while holding the lock of the data directory (see `cluster`):

1. find the programs, and the identity that can run them there (see `identity`)
2. create the cluster in a folder beside, then rename it: a killed initdb never leaves half a cluster
3. compare the version that made the cluster with the version at hand
4. stop the server that a killed owner left, or remove the pid files it left
5. start the server in a session of its own (Ctrl-C must reach us, not it) and wait until it answers
6. create the database if it is missing

If we die, the kernel tells the server to shut down (see `launcher`); if that fails too, the next start does step 4.
Events: cluster_created, orphan_stopped, stale_pid_files_removed, postgres_started, postgres_stopped.
"""

import asyncio
import os
import signal
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import asyncpg
import structlog

from contenthubd.adapters.postgres import cluster, faults, programs
from contenthubd.adapters.postgres.address import parse
from contenthubd.adapters.postgres.binaries import OLDEST_MAJOR, find_postgres_bin, parse_major
from contenthubd.adapters.postgres.connect import connect
from contenthubd.adapters.postgres.identity import Identity, candidates
from contenthubd.domain.errors import DatabaseUnavailable

__all__ = ["EmbeddedPostgres", "find_postgres_bin"]

DATABASE = "contenthub"

_START_SECONDS = 120.0  # recovery after a power cut included
_CONNECT_SECONDS = 5.0
_READY_POLL_SECONDS = 0.01
_GONE_POLL_SECONDS = 0.02
_SURVIVOR_POLL_SECONDS = 0.1
_SURVIVORS = "shared memory block"  # children of a killed server have not all noticed yet

log = structlog.get_logger(__name__)


class EmbeddedPostgres:
    """One private server on ``data_dir``. ``durable=False`` may lose everything in a power cut: for tests only.

    ``stop_seconds`` is how long a fast shutdown may take before an immediate one, which gets a third of that.
    """

    def __init__(
        self, data_dir: Path, *, bin_dir: Path | None = None, durable: bool = True, stop_seconds: float = 30.0
    ) -> None:
        self._data_dir = data_dir.resolve()
        self._explicit_bin_dir = bin_dir
        self._durable = durable
        self._stop_steps = ((signal.SIGINT, stop_seconds), (signal.SIGQUIT, stop_seconds / 3))
        self._log = cluster.ServerLog(self._data_dir)
        self._lock: int | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._socket_dir = self._data_dir
        self.fault: Exception | None = None
        """Why it could not be started again the last time, until it could."""

    @property
    def pid(self) -> int | None:
        """The server's process number while it runs."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    async def start(self) -> str:
        """Start the server, create what is missing, return the SQLAlchemy URL of the database.

        Raises StateDirectoryError (taken, read-only, full, foreign, other version), Unavailable (no PostgreSQL) or
        DatabaseUnavailable (it does not come up); nothing is left running then.
        """
        if self._lock is not None:
            raise RuntimeError("start() was called before; call stop() first")
        self._lock = cluster.take_lock(self._data_dir)
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise
        return _address(self._socket_dir)

    async def stop(self) -> None:
        """Fast shutdown, then immediate, then kill; returns when the server is gone. Does nothing when not started."""
        try:
            with anyio.CancelScope(shield=True):
                await self._shut_down()
        finally:
            self._release()

    async def wait(self) -> int:
        """Wait until the server process ends, for whatever reason; its exit code (negative: the signal)."""
        if self._process is None:
            raise RuntimeError("wait() needs a server that start() has started")
        return await self._process.wait()

    # ------------------------------------------------------------------------------------------------------ starting

    async def _start(self) -> None:
        bin_dir = await asyncio.to_thread(find_postgres_bin, self._explicit_bin_dir)
        with cluster.told(f"The data directory {self._data_dir} cannot be read."):
            identities = candidates(self._data_dir)
        stored = cluster.stored_major(self._data_dir)  # before: nobody is told to give away a folder of other things
        identity, major = await self._choose_identity(identities, bin_dir)
        if major < OLDEST_MAJOR:
            raise faults.too_old(bin_dir, major)
        if stored is None:
            await self._create_cluster(bin_dir, identity, major)
        elif stored != str(major):
            raise faults.other_version(self._data_dir, stored, major)
        self._socket_dir = cluster.socket_directory(self._data_dir, identity)
        await self._clear_previous_owner()
        await self._launch(identity, bin_dir, major)
        await self._create_database()
        log.info("postgres_started", pid=self.pid, data_dir=str(self._data_dir), major=major)

    async def _choose_identity(self, identities: list[Identity], bin_dir: Path) -> tuple[Identity, int]:
        """The first identity that can really run PostgreSQL there, and PostgreSQL's major version."""
        code, output = 0, ""
        for identity in identities:
            code, output = await programs.run(identity, programs.version(bin_dir), self._data_dir.parent)
            if code == 0:
                return identity, parse_major(output)
        raise faults.cannot_run(code, output, self._data_dir, bin_dir)

    async def _create_cluster(self, bin_dir: Path, identity: Identity, major: int) -> None:
        folder = await asyncio.to_thread(cluster.new_folder, self._data_dir, identity)
        try:
            program = programs.initdb(bin_dir, folder, major, durable=self._durable)
            code, output = await programs.run(identity, program, self._data_dir.parent)
            if code != 0:
                raise faults.initdb_failed(code, output, self._data_dir)
            await asyncio.to_thread(cluster.adopt, folder, self._data_dir)
        except BaseException:
            cluster.discard(folder)
            raise
        log.info("cluster_created", data_dir=str(self._data_dir), major=major)

    async def _clear_previous_owner(self) -> None:
        pid = cluster.live_postmaster(self._data_dir)
        if pid is not None:
            await self._stop_orphan(pid)
            log.warning("orphan_stopped", pid=pid, data_dir=str(self._data_dir))
        removed = cluster.remove_stale_pid_files(self._data_dir, self._socket_dir)
        if removed:
            log.info("stale_pid_files_removed", paths=[str(path) for path in removed])

    async def _stop_orphan(self, pid: int) -> None:
        for number, seconds in self._stop_steps:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
            with suppress(TimeoutError):  # the next step is harder
                async with asyncio.timeout(seconds):
                    await self._gone(pid)
                return
        cluster.kill_tree(pid)
        await self._gone(pid)

    async def _gone(self, pid: int) -> None:
        """Wait until the orphan is gone. It is not our child, so nobody tells us and we have to look."""
        while cluster.serves(pid, self._data_dir):  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(_GONE_POLL_SECONDS)

    async def _launch(self, identity: Identity, bin_dir: Path, major: int) -> None:
        program = programs.server(bin_dir, self._data_dir, self._socket_dir, major, durable=self._durable)
        command = identity.command(program, directory=self._data_dir.parent, death_signal=signal.SIGINT)
        try:
            async with asyncio.timeout(_START_SECONDS):
                while not await self._comes_up(command):
                    if _SURVIVORS not in self._log.last_lines():
                        raise faults.start_failed(self._data_dir, self._log.path, self._log.last_lines())
                    await asyncio.sleep(_SURVIVOR_POLL_SECONDS)
        except TimeoutError as error:
            raise faults.start_failed(self._data_dir, self._log.path, self._log.last_lines()) from error

    async def _comes_up(self, command: list[str]) -> bool:
        """Start the server once; True when it answers, False when it ended instead."""
        descriptor = self._log.open()
        try:
            process = self._process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=descriptor,
                stderr=descriptor,
                start_new_session=True,
                env=programs.environment(),
            )
        finally:
            os.close(descriptor)
        while process.returncode is None:
            try:
                connection = await self._connect()
            except DatabaseUnavailable:
                await asyncio.sleep(_READY_POLL_SECONDS)
            else:
                await connection.close(timeout=_CONNECT_SECONDS)
                return True
        return False

    async def _connect(self) -> "asyncpg.Connection[Any]":
        address = replace(parse(_address(self._socket_dir)), database="postgres")
        return (await connect(address, timeout=_CONNECT_SECONDS, command_timeout=_START_SECONDS)).driver

    async def _create_database(self) -> None:
        try:
            connection = await self._connect()
            try:
                if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", DATABASE):
                    await connection.execute(f'CREATE DATABASE "{DATABASE}"')
            finally:
                await connection.close(timeout=_CONNECT_SECONDS)
        except (OSError, asyncpg.PostgresError, DatabaseUnavailable) as error:
            raise faults.start_failed(self._data_dir, self._log.path, str(error)) from error

    # ------------------------------------------------------------------------------------------------------ stopping

    async def _shut_down(self) -> None:
        process = self._process
        if process is None:
            return
        try:
            for number, seconds in self._stop_steps:
                if await _ended(process, number, seconds):
                    break
        finally:
            if process.returncode is None:
                cluster.kill_tree(process.pid)
        code = await process.wait()
        log.info("postgres_stopped", pid=process.pid, exit_code=code)

    def _release(self) -> None:
        self._process = None
        if not cluster.leave_socket_directory(self._socket_dir, self._data_dir):
            log.warning("socket_directory_left", path=str(self._socket_dir))
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def address_of_running(data_dir: Path) -> str | None:
    """The SQLAlchemy URL of the private server that runs on ``data_dir`` for somebody else; None if none does."""
    data_dir = data_dir.resolve()
    if cluster.live_postmaster(data_dir) is None:
        return None
    socket_dir = cluster.running_socket_directory(data_dir)
    return None if socket_dir is None else _address(socket_dir)


def _address(socket_dir: Path) -> str:
    # The password is empty, not absent: nobody's password file is looked into for it.
    return f"postgresql+asyncpg://{programs.USER}:@/{DATABASE}?host={socket_dir}&port=5432"


async def _ended(process: asyncio.subprocess.Process, number: signal.Signals, seconds: float) -> bool:
    """Send a signal and say whether the process ended within ``seconds``."""
    with suppress(ProcessLookupError):
        os.kill(process.pid, number)
    with suppress(TimeoutError):  # the caller's next step is harder
        async with asyncio.timeout(seconds):
            await process.wait()
    return process.returncode is not None
