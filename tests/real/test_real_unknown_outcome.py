"""The daemon dies while it hands a task to the real content-creator: the article comes all the same, and only once."""

import asyncio
import signal

import pytest

from contenthubd import faultpoints
from tests.real.conftest import StartRun
from tests.real.package import missing
from tests.real.realrun import RealRun, assert_articles, assert_completed, assert_nothing_doubled
from tests.running import LOOK_SECONDS, PATIENCE_SECONDS

MISSING = missing()
pytestmark = (
    [pytest.mark.skip(reason=f"the real content-creator cannot be installed here: {MISSING}")] if MISSING else []
)


async def test_kill_between_create_and_its_id(start_run: StartRun) -> None:
    """Three ways to die: the child's row comes while nobody is there, perhaps never, or its answer was not stored."""
    run = await start_run(poll_interval_seconds=2)
    await run.daemon.stop()

    await dies_at(run, "create.spawned", "inserted meanwhile")
    await row_stored(run)
    await lives(run)

    await dies_at(run, "create.spawned", "killed at once")
    await lives(run)

    await dies_at(run, "create.answered", "answered")
    await run.daemon.start()

    tasks = await run.settled()
    assert_completed(tasks, count=3)
    assert [tasks[place]["attempt"] for place in (0, 2)] == [1, 1], "what was stored was found by its mark"
    assert len(run.creator_tasks()) == 3
    await assert_articles(run, tasks)
    await assert_nothing_doubled(run)


async def dies_at(run: RealRun, point: str, topic: str) -> None:
    """Start a daemon that dies at a fault point while it works on this topic."""
    run.daemon.environ[faultpoints.VARIABLE] = point
    await run.daemon.start()
    await run.submit(topic)
    assert await run.daemon.died() == -signal.SIGKILL
    del run.daemon.environ[faultpoints.VARIABLE]


async def lives(run: RealRun) -> None:
    """Start a daemon, leave it alone until all is settled, stop it."""
    await run.daemon.start()
    await run.settled()
    await run.daemon.stop()


async def row_stored(run: RealRun) -> None:
    """Wait until the child that outlived the daemon has stored its task."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not run.creator_tasks():  # noqa: ASYNC110 - another program's table tells nobody when it changes
            await asyncio.sleep(LOOK_SECONDS)
