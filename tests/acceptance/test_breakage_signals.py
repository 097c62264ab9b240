"""A log nobody can write and a signal nobody waits for end no daemon."""

import os
import signal
from pathlib import Path

from tests.acceptance.hostile import daemon_on

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
