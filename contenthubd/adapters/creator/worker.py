"""Starts the creator's worker and minds it: a worker that ended is started again, one that is deaf is replaced.

Deaf means alive but taking no work. It happens whenever its Redis was away for about three seconds: the worker gives
up reconnecting and stays so for good, and one that is started before Redis is there is deaf from the beginning.
Three signs tell: the line it writes when it gives up, an outage that we saw ourselves, and a task that waits in the
queue while the worker has room.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

import anyio
import structlog

from contenthubd.adapters.creator.directory import Directory
from contenthubd.adapters.creator.environment import environment
from contenthubd.adapters.creator.process import kill_group
from contenthubd.adapters.creator.redis_probe import RedisDown, RedisWatch, queued_jobs
from contenthubd.adapters.creator.settings import MEBIBYTE, CreatorSettings
from contenthubd.adapters.creator.worker_process import (
    find_worker,
    launch_command,
    new_worker_id,
    remove_old_locks,
    worker_alive,
)
from contenthubd.domain.outcome import CreatorRow, ErrorKind, RowState, Sick
from contenthubd.ports.clock import Clock

_REAP_SECONDS: Final = 5.0
_LOG_LIMIT: Final = 5 * MEBIBYTE
_GAVE_UP: Final = b"Max reconnection attempts reached"

log = structlog.get_logger()


class WorkerState(StrEnum):
    """What health says about the worker."""

    OFF = "off"
    NO_COMMAND = "no command"
    WAITING_FOR_REDIS = "waiting for redis"
    RUNNING = "running"
    RESTARTING = "restarting"
    STOPPED = "stopped"


class Worker:
    """One worker at a time; an earlier daemon's worker that still finishes its work is left alone beside it."""

    def __init__(self, settings: CreatorSettings, directory: Directory, redis: RedisWatch, clock: Clock) -> None:
        self._settings = settings
        self._times = settings.worker_times
        self._directory = directory
        self._redis = redis
        self._clock = clock
        self._state = WorkerState.RESTARTING if settings.manage_worker else WorkerState.OFF
        self._process: asyncio.subprocess.Process | None = None
        self._worker_id = ""
        self._since: datetime | None = None
        self._started_at = 0.0
        self._start_at = 0.0
        self._read_to = 0
        self._ends = 0
        self._restarts = 0
        self._deaf: str | None = None
        self._last_end: str | None = None
        self._pending: dict[str, float] = {}
        self._busy = False
        self._wake = asyncio.Event()

    async def start(self) -> None:
        """Start the worker if it can be started now; ``run`` goes on trying otherwise."""
        if self._state is WorkerState.OFF:
            return
        try:
            remove_old_locks(self._directory)
        except OSError as error:
            log.warning("creator_locks_not_removed", cause=str(error))
        await self._tick()

    async def run(self) -> None:
        """Mind the worker until cancelled (or for nothing, if it is minded elsewhere)."""
        while self._state not in (WorkerState.OFF, WorkerState.STOPPED):
            await self._pause(await self._tick())

    async def stop(self, grace: timedelta) -> None:
        """SIGTERM, up to ``grace`` to finish what it has, then SIGKILL to its group."""
        if self._state is not WorkerState.OFF:
            self._state = WorkerState.STOPPED
            self._wake.set()
            await self._end(grace)

    def busy(self, busy: bool) -> None:
        """Whether tasks are in flight: then the worker is looked at every two seconds."""
        if busy and not self._busy:
            self._wake.set()
        self._busy = busy

    def alive(self, worker_id: str) -> bool | None:
        """Whether this worker of ours still lives; None if it is not ours."""
        return worker_alive(self._directory, self._settings.instance, worker_id)

    def sick(self) -> Sick | None:
        """Why nothing should be queued for the worker just now."""
        if self._deaf:
            return Sick(
                ErrorKind.WORKER_DEAF, f"content-creator's worker is running but accepts no tasks: {self._deaf}."
            )
        match self._state:
            case WorkerState.OFF | WorkerState.RUNNING:
                return None
            case WorkerState.NO_COMMAND:
                fix = "set [creator] worker_command, or manage_worker = false"
                return Sick(
                    ErrorKind.WORKER_GONE, f"The command of the creator's worker could not be determined: {fix}."
                )
        return Sick(ErrorKind.WORKER_GONE, self._last_end or "The creator's worker is not started yet.")

    def report(self) -> dict[str, object]:
        """For health."""
        running = self._process if self._state is WorkerState.RUNNING else None
        return {
            "state": str(self._state),
            "since": self._since,
            "pid": running.pid if running else None,
            "worker_id": self._worker_id or None,
            "restarts": self._restarts,
            "deaf": self._deaf,
            "last_end": self._last_end,
        }

    async def saw(self, rows: Iterable[CreatorRow]) -> None:
        """Rows of tasks in flight: one that waits too long beside a worker with room is a sign."""
        now = anyio.current_time()
        rows = list(rows)
        waiting = [row.creator_task_id for row in rows if row.state is RowState.PENDING]
        self._pending = {task: self._pending.get(task, now) for task in waiting}
        late = {task for task, since in self._pending.items() if now - since > self._times.waits_too_long}
        if self._state is not WorkerState.RUNNING or not late or now - self._started_at < self._times.waits_too_long:
            return
        running = sum(1 for row in rows if row.state is RowState.RUNNING)
        if await self._has_room(late, running):
            self._deaf = "a task waits in its queue although it has room"
            self._wake.set()

    async def _has_room(self, late: set[str], running: int) -> bool:
        if not self._redis.used:
            return running == 0
        try:
            jobs = await queued_jobs(self._settings.redis_url)
        except RedisDown:
            return False
        return bool(late & jobs.waiting) and len(jobs.active) < self._settings.concurrency

    async def _tick(self) -> float:
        """One look; answers how many seconds the next may wait."""
        if self._process is None:
            return await self._start_again()
        if self._process.returncode is not None:
            kill_group(self._process.pid)
            return self._ended(f"The creator's worker ended with exit code {self._process.returncode}.")
        self._deaf = self._deaf or await self._deafness()
        if self._deaf:
            log.warning("creator_worker_unresponsive", cause=self._deaf, worker_id=self._worker_id)
            await self._end(timedelta(seconds=self._times.patience))
            return self._ended(f"content-creator's worker accepted no tasks ({self._deaf}) and is replaced.")
        if anyio.current_time() - self._started_at > self._times.steady:
            self._ends = 0
        return self._times.look if self._busy or self._redis.cause else self._times.idle_look

    async def _deafness(self) -> str | None:
        if self._wrote_that_it_gave_up():
            return "it gave up on its Redis"
        await self._redis.down(max_age=self._times.look / 2)
        return "its Redis was away" if self._redis.away_seconds() >= self._times.redis_away else None

    def _wrote_that_it_gave_up(self) -> bool:
        """Reads what was written since the last look, and the end of what was read then; begins a long log anew."""
        try:
            with self._directory.worker_log.open("r+b") as file:
                size = os.fstat(file.fileno()).st_size
                file.seek(max(self._read_to - len(_GAVE_UP), 0, size - _LOG_LIMIT))
                written = file.read(_LOG_LIMIT)
                self._read_to = file.tell()
                if size > _LOG_LIMIT:  # the worker appends, so it goes on at the beginning
                    file.truncate(0)
                    self._read_to = 0
        except OSError:
            return False
        return _GAVE_UP in written

    async def _start_again(self) -> float:
        """Start a worker, unless it is too early or would be deaf from the beginning."""
        wait = self._start_at - anyio.current_time()
        if wait > 0:
            return wait
        env = environment(self._settings, redis=True)
        worker = find_worker(self._settings, env)
        if not worker:
            self._enter(WorkerState.NO_COMMAND)
            return self._times.idle_look
        if await self._redis.down():
            self._enter(WorkerState.WAITING_FOR_REDIS)
            return self._times.look
        if self._stopped():
            return 0.0
        try:
            await self._spawn(worker, env)
        except OSError as error:
            return self._ended(f"The creator's worker cannot be started: {error}.")
        if self._stopped():
            await self._end(timedelta())
        return self._times.look

    async def _spawn(self, worker: tuple[str, ...], env: dict[str, str]) -> None:
        self._worker_id = new_worker_id(self._settings.instance)
        with self._directory.worker_log.open("ab") as out:
            if out.tell() > _LOG_LIMIT:
                out.truncate(0)
            self._read_to = os.fstat(out.fileno()).st_size
            self._process = await asyncio.create_subprocess_exec(
                *launch_command(self._settings, self._directory, worker, self._worker_id),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=out.fileno(),
                stderr=out.fileno(),
                cwd=self._settings.workdir,
                env=env,
                start_new_session=True,
            )
        self._deaf = None
        self._pending = {}
        self._started_at = anyio.current_time()
        self._enter(WorkerState.RUNNING)
        log.info("creator_worker_started", pid=self._process.pid, worker_id=self._worker_id)

    def _ended(self, how: str) -> float:
        """Remember the end and when to try again: after longer and longer times when it keeps ending."""
        self._process = None
        self._last_end = how
        wait = min(self._times.first_backoff * 2.0**self._ends, self._times.longest_backoff)
        self._ends += 1
        self._restarts += 1
        self._start_at = anyio.current_time() + wait
        self._deaf = None
        self._enter(WorkerState.RESTARTING)
        log.warning("creator_worker_ended", how=how, again_in_seconds=wait)
        return wait

    def _stopped(self) -> bool:
        """Asked anew after every wait: ``stop`` may have come meanwhile."""
        return self._state is WorkerState.STOPPED

    def _enter(self, state: WorkerState) -> None:
        if state is not self._state and not self._stopped():
            self._state = state
            self._since = self._clock.now()

    async def _end(self, grace: timedelta) -> None:
        process = self._process
        if process is None:
            return
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):  # it may run under sudo
                os.kill(process.pid, signal.SIGTERM)
            with anyio.move_on_after(grace.total_seconds()):
                await process.wait()
        kill_group(process.pid)
        with anyio.CancelScope(shield=True), anyio.move_on_after(_REAP_SECONDS):
            await process.wait()

    async def _pause(self, seconds: float) -> None:
        """Until the time is over, the worker ended, or somebody calls."""
        with anyio.move_on_after(seconds):
            async with anyio.create_task_group() as group:
                if self._process is not None and self._process.returncode is None:
                    group.start_soon(self._wake_at_end, self._process)
                await self._wake.wait()
                group.cancel_scope.cancel()
        self._wake.clear()

    async def _wake_at_end(self, process: asyncio.subprocess.Process) -> None:
        await process.wait()
        self._wake.set()
