"""One command of the creator: started, watched, ended, reaped, whatever it does.

Its output goes to temporary files, never to pipes: the creator ends with process.exit(), which drops what a pipe has
not taken yet, with exit code 0. Files also bound our memory: what is too much is cut off, not read.
"""

import contextlib
import itertools
import os
import subprocess
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import BinaryIO, Final

import anyio
import structlog

from contenthubd.adapters.creator.process import Family, Spawned, kill_group
from contenthubd.adapters.creator.settings import CreatorSettings
from contenthubd.adapters.creator.slots import Slots
from contenthubd.domain.attempt import Child

_TAIL_BYTES: Final = 4096
_HEAD_BYTES: Final = 65_536
_FIRST_LOOK: Final = 0.02
_SLOWEST_LOOK: Final = 0.25
_REAP_SECONDS: Final = 5.0
_STOOD_STILL_SECONDS: Final = 5.0
_SWEEP_SECONDS: Final = 30.0

log = structlog.get_logger()


class Cut(StrEnum):
    """Why we ended a command ourselves."""

    DEADLINE = "deadline"
    FLOOD = "flood"


@dataclass(frozen=True, slots=True)
class Finished:
    """A command that ran; a negative exit code is the signal that ended it. ``stdout`` is empty after a flood."""

    pid: int
    exit_code: int
    stdout: bytes
    stderr: bytes
    """The last 4 KiB."""
    cut: Cut | None = None
    limit: int = 0
    """How many bytes it was allowed to print."""
    head: bytes = b""
    """The first 64 KiB of what it printed, after a flood only."""

    @property
    def stderr_tail(self) -> str:
        """The last lines of stderr, readable."""
        return self.stderr.decode("utf-8", "replace").strip()


@dataclass(frozen=True, slots=True)
class NotStarted:
    """A command that could not be started at all: OSError, or ValueError for what cannot be an argument."""

    error: OSError | ValueError


Ended = Finished | NotStarted


@dataclass(frozen=True, slots=True)
class _Output:
    """The files that a command writes into, and how much it may write."""

    out: BinaryIO
    err: BinaryIO
    limit: int

    @property
    def flooded(self) -> bool:
        return max(os.fstat(file.fileno()).st_size for file in (self.out, self.err)) > self.limit

    def finished(self, pid: int, exit_code: int, cut: Cut | None) -> Finished:
        """What came of it; of a flood only the beginning is read."""
        flood = cut is Cut.FLOOD
        stdout = b"" if flood else _tail(self.out, self.limit)
        head = os.pread(self.out.fileno(), _HEAD_BYTES, 0) if flood else b""
        return Finished(pid, exit_code, stdout, _tail(self.err, _TAIL_BYTES), cut, self.limit, head)


class Commands:
    """Runs commands of one creator, never more at once than there are slots."""

    def __init__(self, settings: CreatorSettings) -> None:
        self._settings = settings
        self.slots = Slots(settings.max_children)
        self._family = Family(settings.owner)
        self._numbers = itertools.count(1)
        self._running: set[int] = set()
        self._swept_at = 0.0
        self._unswept = False

    async def run(
        self,
        arguments: Sequence[str],
        *,
        env: Mapping[str, str],
        timeout: timedelta | None = None,
        asking: bool = True,
        article: bool = False,
        started: Callable[[Child], Awaitable[None]] | None = None,
    ) -> Ended:
        """Run ``command + arguments`` in the working directory. Cancelling it kills and reaps the whole group first.

        Waiting for a slot is part of a given ``timeout`` (NotStarted with a TimeoutError when it passes meanwhile);
        the usual one begins when the command does. A command that prints an ``article`` may print more than others.
        """
        called = anyio.current_time()
        async with contextlib.AsyncExitStack() as held:
            with contextlib.ExitStack() as files:
                try:
                    with anyio.fail_after(timeout.total_seconds() if timeout else None):
                        await held.enter_async_context(self.slots.place(asking=asking))
                    out = files.enter_context(tempfile.TemporaryFile())
                    err = files.enter_context(tempfile.TemporaryFile())
                except OSError as error:
                    return NotStarted(error)
                begins = called if timeout else anyio.current_time()
                deadline = begins + (timeout or self._settings.command_timeout).total_seconds()
                output = _Output(out, err, self._limit(article))
                return await self._run(list(arguments), env, deadline, started, output)

    async def _run(
        self,
        arguments: list[str],
        env: Mapping[str, str],
        deadline: float,
        started: Callable[[Child], Awaitable[None]] | None,
        output: _Output,
    ) -> Ended:
        number = next(self._numbers)
        try:
            process = self._family.spawn(
                number,
                [*self._settings.command, *arguments],
                env,
                stdin=subprocess.DEVNULL,
                stdout=output.out.fileno(),
                stderr=output.err.fileno(),
                cwd=self._settings.workdir,
            )
        except (OSError, ValueError) as error:
            return NotStarted(error)
        cut: Cut | None = None
        self._running.add(number)
        try:
            if started is not None:
                await started(process.child)
            cut = await self._watch(process, output, deadline)
        finally:
            exit_code = await self._end(process, number)
        if cut:
            log.warning("creator_command_cut", command=arguments[:1], reason=cut, pid=process.pid)
        return output.finished(process.pid, exit_code, cut)

    def _limit(self, article: bool) -> int:
        return self._settings.max_article_bytes if article else self._settings.max_output_bytes

    def sweep(self) -> int:
        """SIGKILL to what commands that are over, a killed daemon's included, have left behind; how many processes."""
        self._swept_at, self._unswept = anyio.current_time(), False
        left = self._killed(lambda: self._family.kill_others(list(self._running)))
        if left:
            log.warning("creator_leftovers_killed", count=left)
        return left

    def sweep_if_due(self) -> None:
        """Sweep now and then after commands ended, however long the last of them is over."""
        if self._unswept and anyio.current_time() - self._swept_at > _SWEEP_SECONDS:
            self.sweep()

    async def _watch(self, process: Spawned, output: _Output, deadline: float) -> Cut | None:
        """Wait for the end; looks at the amount of output in between.

        Time for which we stood still ourselves (stopped, or a paused container) is nobody's: the child stood too.
        """
        pause = _FIRST_LOOK
        while True:
            began = anyio.current_time()
            with anyio.move_on_after(min(pause, max(0.0, deadline - began))):
                await process.ended()
            away = anyio.current_time() - began - pause
            deadline += away if away > _STOOD_STILL_SECONDS else 0.0
            if output.flooded:
                return Cut.FLOOD
            if process.over:
                return None
            if anyio.current_time() >= deadline:
                return Cut.DEADLINE
            pause = min(pause * 2, _SLOWEST_LOOK)

    async def _end(self, process: Spawned, number: int) -> int:
        """Leave nothing of a command behind: neither its group nor what left the group nor a zombie; the exit code.

        What a command left that ended by itself is swept now and then: looking costs as much as a spawn.
        """
        cut_short = not process.over
        kill_group(process.pid)
        if cut_short:
            self._killed(lambda: self._family.kill(number))
        try:
            with anyio.CancelScope(shield=True), anyio.move_on_after(_REAP_SECONDS):
                await process.ended()
            if not process.over:
                log.error("creator_command_not_reaped", pid=process.pid)
            return process.reap()
        finally:
            self._running.discard(number)
            self._unswept = True
            self.sweep_if_due()

    def _killed(self, kill: Callable[[], int]) -> int:
        """How many were killed; what cannot be looked for now (no file descriptor is left) is swept soon."""
        try:
            return kill()
        except OSError as error:
            log.error("creator_leftovers_not_seen", cause=str(error))
            self._swept_at = -_SWEEP_SECONDS
            return 0


def _tail(file: BinaryIO, limit: int) -> bytes:
    size = os.fstat(file.fileno()).st_size
    return os.pread(file.fileno(), limit, max(0, size - limit))
