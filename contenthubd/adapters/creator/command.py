"""One command of the creator: started, watched, ended, reaped, whatever it does.

Its output goes to temporary files, never to pipes: the creator ends with process.exit(), which drops what a pipe has
not taken yet, with exit code 0. Files also bound our memory: what is too much is cut off, not read.
"""

import asyncio
import contextlib
import itertools
import os
import signal
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import BinaryIO, Final

import anyio
import structlog

from contenthubd.adapters.creator.process import TRACE, child_of, kill_group, kill_traced, trace_of_daemon
from contenthubd.adapters.creator.settings import CreatorSettings
from contenthubd.adapters.creator.slots import Slots
from contenthubd.domain.attempt import Child

_TAIL_BYTES: Final = 4096
_FIRST_LOOK: Final = 0.02
_SLOWEST_LOOK: Final = 0.25
_REAP_SECONDS: Final = 5.0

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

    @property
    def stderr_tail(self) -> str:
        """The last lines of stderr, readable."""
        return self.stderr.decode("utf-8", "replace").strip()


@dataclass(frozen=True, slots=True)
class NotStarted:
    """A command that could not be started at all: OSError, or ValueError for what cannot be an argument."""

    error: OSError | ValueError


Ended = Finished | NotStarted


class Commands:
    """Runs commands of one creator, never more at once than there are slots."""

    def __init__(self, settings: CreatorSettings) -> None:
        self._settings = settings
        self.slots = Slots(settings.max_children)
        self._trace = trace_of_daemon(settings.instance)
        self._numbers = itertools.count(1)

    async def run(
        self,
        arguments: Sequence[str],
        *,
        env: Mapping[str, str],
        timeout: timedelta | None = None,
        asking: bool = True,
        started: Callable[[Child], Awaitable[None]] | None = None,
    ) -> Ended:
        """Run ``command + arguments`` in the working directory. Cancelling it kills and reaps the whole group first.

        Waiting for a slot is part of a given ``timeout`` (NotStarted with a TimeoutError when it passes meanwhile);
        the usual one begins when the command does.
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
                return await self._run(list(arguments), dict(env), deadline, started, out, err)

    async def _run(
        self,
        arguments: list[str],
        env: dict[str, str],
        deadline: float,
        started: Callable[[Child], Awaitable[None]] | None,
        out: BinaryIO,
        err: BinaryIO,
    ) -> Ended:
        trace = f"{self._trace}{next(self._numbers)}"
        try:
            process = await asyncio.create_subprocess_exec(
                *self._settings.command,
                *arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=out.fileno(),
                stderr=err.fileno(),
                cwd=self._settings.workdir,
                env={**env, TRACE: trace},
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            return NotStarted(error)
        cut: Cut | None = None
        try:
            if started is not None:
                await started(child_of(process.pid))
            cut = await self._watch(process, out, err, deadline)
        finally:
            await _end(process, trace)
        if cut:
            log.warning("creator_command_cut", command=arguments[:1], reason=cut, pid=process.pid)
        stdout = b"" if cut is Cut.FLOOD else _tail(out, self._settings.max_output_bytes)
        exit_code = process.returncode if process.returncode is not None else -signal.SIGKILL
        return Finished(process.pid, exit_code, stdout, _tail(err, _TAIL_BYTES), cut)

    async def _watch(
        self, process: asyncio.subprocess.Process, out: BinaryIO, err: BinaryIO, deadline: float
    ) -> Cut | None:
        """Wait for the end; looks at the amount of output in between."""
        pause = _FIRST_LOOK
        while True:
            with anyio.move_on_after(min(pause, max(0.0, deadline - anyio.current_time()))):
                await process.wait()
            if max(os.fstat(file.fileno()).st_size for file in (out, err)) > self._settings.max_output_bytes:
                return Cut.FLOOD
            if process.returncode is not None:
                return None
            if anyio.current_time() >= deadline:
                return Cut.DEADLINE
            pause = min(pause * 2, _SLOWEST_LOOK)


async def _end(process: asyncio.subprocess.Process, trace: str) -> None:
    """Leave nothing of a command behind: neither its group nor what left the group nor a zombie."""
    cut_short = process.returncode is None
    kill_group(process.pid)
    if not cut_short:
        return
    kill_traced(trace)
    with anyio.CancelScope(shield=True), anyio.move_on_after(_REAP_SECONDS):
        await process.wait()
        return
    log.error("creator_command_not_reaped", pid=process.pid)


def _tail(file: BinaryIO, limit: int) -> bytes:
    size = os.fstat(file.fileno()).st_size
    return os.pread(file.fileno(), limit, max(0, size - limit))
