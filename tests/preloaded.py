"""Daemons that start without importing anything: forks of a process that has imported all a daemon needs.

Importing takes nine tenths of the processor time of a daemon's start. Each of these daemons is a process of its own all
the same, with its own arguments, environment, folder and streams, and runs ``contenthubd.__main__.main``; what is not
tried is what the interpreter does before. So daemons are started as programs where that may matter: at their first
start on a new state directory, inside another command, with variables that Python or a library reads, under coverage.

``python -m tests.preloaded FD`` is that process. For every message on the socket FD (JSON, with two descriptors: the
log and the end of a pipe) it forks a process that forks the daemon, tells the daemon's pid on the pipe, and in the end
its exit code. It ends when the socket is closed.
"""

import asyncio
import atexit
import functools
import gc
import json
import os
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

CHECKOUT = Path(__file__).parent.parent
MOST_BYTES = 1 << 20
OURS = ("CREATOR_SIMULATOR_", "CONTENTHUBD_")
"""Variables that are read when a daemon runs, not when Python or a library starts."""
PARTS = (
    "contenthubd.__main__", "contenthubd.daemon", "contenthubd.adapters.queue.redis", "contenthubd.runtime.clock",
    "contenthubd.runtime.log", "anyio._backends._asyncio", "anyio.streams.tls", "encodings.utf_8_sig",
    "sqlalchemy.dialects.postgresql.asyncpg", "uuid_utils.compat",
)  # fmt: skip
"""What a daemon imports sooner or later; libraries look up some of it by name."""


class Forked:
    """One daemon, with the part of ``asyncio.subprocess.Process`` that tests use."""

    def __init__(self, pid: int, end: asyncio.StreamReader, pipe: asyncio.BaseTransport) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._pipe = pipe
        self._watch = asyncio.create_task(self._watched(end))

    async def wait(self) -> int:
        """The exit code, once it has ended; negative for a signal."""
        return await asyncio.shield(self._watch)

    def send_signal(self, number: int) -> None:
        """Send it a signal; nothing happens when it has ended."""
        if self.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    async def _watched(self, end: asyncio.StreamReader) -> int:
        try:
            self.returncode = int(await end.readline())
        finally:
            self._pipe.close()
        return self.returncode


def possible(environ: Mapping[str, str]) -> bool:
    """Whether a daemon with these additional variables can be a fork."""
    measured = any(name.startswith("COVERAGE_") for name in os.environ)
    return not measured and all(name.startswith(OURS) for name in environ)


async def start(arguments: Sequence[str], environ: Mapping[str, str], log: BinaryIO) -> Forked:
    """Start ``contenthubd`` with these arguments in exactly this environment; its output goes to ``log``."""
    reading, telling = os.pipe()
    message = json.dumps({"arguments": list(arguments), "environ": dict(environ)})
    try:
        socket.send_fds(_server(), [message.encode()], [log.fileno(), telling])
    finally:
        os.close(telling)
    end = asyncio.StreamReader()
    pipe, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(end), os.fdopen(reading, "rb", 0)
    )
    return Forked(int(await end.readline()), end, pipe)


@functools.cache
def _server() -> socket.socket:
    """Our end of the socket of this process's own server."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    command = [sys.executable, "-m", "tests.preloaded", str(theirs.fileno())]
    server = subprocess.Popen(command, cwd=CHECKOUT, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()])
    theirs.close()

    def end() -> None:
        ours.close()
        server.wait(timeout=60)

    atexit.register(end)
    return ours


def _serve(asked: socket.socket) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # whoever watches a daemon is waited for by nobody
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for pytest, which ends the daemons
    while True:
        message, descriptors, _, _ = socket.recv_fds(asked, MOST_BYTES, 2)
        if not message:
            return
        log, telling = descriptors
        if os.fork() == 0:
            asked.close()
            _watch(json.loads(message), log, telling)
        os.close(log)
        os.close(telling)


def _watch(asked: dict[str, Any], log: int, telling: int) -> NoReturn:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    pid = os.fork()
    if pid == 0:
        os.close(telling)
        _be_a_daemon(asked, log)
    os.close(log)
    os.write(telling, b"%d\n" % pid)
    _, status = os.waitpid(pid, 0)
    with suppress(BrokenPipeError):  # the test is over
        os.write(telling, b"%d\n" % os.waitstatus_to_exitcode(status))
    os._exit(0)


def _be_a_daemon(asked: dict[str, Any], log: int) -> NoReturn:
    from contenthubd.__main__ import main

    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(asked["environ"])
    time.tzset()
    nothing = os.open(os.devnull, os.O_RDONLY)
    for descriptor, place in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(descriptor, place)
    os.close(nothing)
    os.close(log)
    sys.argv = ["contenthubd", *asked["arguments"]]
    code = 1
    try:
        code = main()
    except BaseException:  # noqa: BLE001 - as the interpreter does at its top; a test reads it in the log
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    for part in PARTS:
        import_module(part)
    gc.freeze()  # or else every fork would copy what its collector looks at
    _serve(socket.socket(fileno=int(sys.argv[1])))
