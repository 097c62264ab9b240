"""A log nobody can write and a signal nobody waits for end no daemon."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import psutil

from tests.acceptance.hostile import creator, daemon_on
from tests.running import CHECKOUT

GOOD = 'good "$3"'


async def test_a_log_that_cannot_be_written_stops_no_work(state_dir: Path) -> None:
    daemon = daemon_on(state_dir, GOOD)
    daemon.wrapped_in = ["sh", "-c", 'exec "$@" 2>/dev/full', "sh"]
    async with daemon:
        await daemon.account()
        await daemon.submit("one", "two")
        tasks = await daemon.settled()
    assert [(task["state"], task["retry_count"]) for task in tasks] == [("completed", 0)] * 2
    assert await daemon.died() == 0


async def test_a_reload_asked_for_during_the_start_does_not_end_it(state_dir: Path) -> None:
    daemon = daemon_on(state_dir, GOOD)
    daemon.prepared = False
    await daemon.start(ready=False)

    async def begun() -> bool:
        return bool(daemon.events("cluster_created"))

    async def started() -> bool:
        return bool(daemon.events("daemon_started"))

    try:
        await daemon.until(begun)
        os.kill(daemon.pid, signal.SIGHUP)
        await daemon.until(started)
    finally:
        assert await daemon.stop() == 0


TERMINAL = """
import os, pty, signal, sys
log, closed = os.dup(1), os.pipe()
signal.signal(signal.SIGUSR1, lambda *_: os.write(closed[1], b"."))
pid, terminal = pty.fork()
if not pid:
    os.dup2(log, 1), os.dup2(log, 2)
    os.execvp(sys.argv[1], sys.argv[1:])
os.read(closed[0], 1)
os.close(terminal)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


async def test_a_terminal_that_is_closed_ends_the_daemon_and_its_postgresql(state_dir: Path) -> None:
    daemon = daemon_on(state_dir, GOOD)
    daemon.wrapped_in = [sys.executable, "-c", TERMINAL]
    async with daemon:
        await daemon.account()
        mine = [process for process in psutil.Process(daemon.pid).children(recursive=True)]
        assert len(mine) > 1, "the daemon and its PostgreSQL"
        assert daemon.process is not None
        daemon.process.send_signal(signal.SIGUSR1)
        assert await daemon.died() == 0
        assert [event["signal"] for event in daemon.events("daemon_stopping")] == ["SIGHUP"]
        assert [process for process in mine if process.is_running()] == []


async def test_signals_that_mean_nothing_end_nothing(state_dir: Path) -> None:
    daemon = daemon_on(state_dir, GOOD)
    async with daemon:
        await daemon.account()
        for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM, signal.SIGVTALRM, signal.SIGPROF, signal.SIGIO):
            os.kill(daemon.pid, number)
        await daemon.submit("one")
        assert [task["state"] for task in await daemon.settled()] == ["completed"]


async def test_a_second_stop_signal_waits_for_nobody_and_loses_nothing(state_dir: Path) -> None:
    daemon = daemon_on(state_dir, "sleep 1000")
    daemon.settings["daemon"] = {"stop_grace_seconds": 900}
    async with daemon:
        await daemon.account()
        await daemon.submit("one")

        async def running() -> bool:
            return [task["state"] for task in await daemon.tasks()] == ["running"]

        async def stopping() -> bool:
            return bool(daemon.events("daemon_stopping"))

        await daemon.until(running)
        os.kill(daemon.pid, signal.SIGTERM)
        await daemon.until(stopping)
        assert await daemon.stop() == 0
        assert daemon.events("stop_forced")
        creator(state_dir.parent, GOOD)
        await daemon.start()
        [task] = await daemon.settled()
        assert (task["state"], task["retry_count"]) == ("completed", 0)


UNHEARD = """
import os, signal, sys
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
os.execvp(sys.argv[1], sys.argv[1:])
"""


async def test_exit_codes_of_children_count_although_the_parent_ignored_them(state_dir: Path) -> None:
    daemon = daemon_on(state_dir, GOOD)
    daemon.wrapped_in = [sys.executable, "-c", UNHEARD]
    async with daemon:
        await daemon.account()
        await daemon.submit("one")
        assert [task["state"] for task in await daemon.settled()] == ["completed"]
    for form in ("table", "json"):
        check = [
            sys.executable,
            "-m",
            "contenthubd.ctl.main",
            "config",
            "check",
            "--config",
            "/nonexistent",
            "-o",
            form,
        ]
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", UNHEARD, *check, cwd=CHECKOUT, stdout=asyncio.subprocess.PIPE
        )
        await process.communicate()
        assert process.returncode == 2
