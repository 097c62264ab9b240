"""The stages with the real adapter and the bundled simulator: real children, real rows, only the clock is ours."""

import json
from datetime import timedelta
from pathlib import Path

from sqlalchemy import text

from contenthubd.adapters.postgres.engine import Database
from contenthubd.domain.task import Mode, TaskState
from tests.contracts.creator_kit import SIMULATOR, Site, settings_for, until_async
from tests.stages.house import House

DONE = TaskState.COMPLETED


def site_in(folder: Path, **behaviour: object) -> Site:
    """The simulator with a worker of its own; ``behaviour`` may be changed while it runs."""
    site = Site(settings_for(folder, worker_command=(*SIMULATOR, "worker"), manage_worker=True))
    behave(site, **behaviour)
    return site


def behave(site: Site, **behaviour: object) -> None:
    """Tell the simulator what to do from now on."""
    site.settings.workdir.mkdir(parents=True, exist_ok=True)
    (site.settings.workdir / "simulator.json").write_text(json.dumps(behaviour))


async def in_the_end(house: House, *topics: str, state: TaskState = DONE, mode: Mode = Mode.ASYNC) -> None:
    """Submit, then tick until every task is in ``state``; time passes as fast as the simulator works."""
    tasks = [await house.add(topic, mode=mode) for topic in topics]

    async def all_there() -> bool:
        await house.beat()
        await house.promote.tick()
        await house.dispatch.tick()
        while house.started:
            await house.attempts.run(house.started.pop())
        await house.polled()
        house.clock.advance(10)
        return {await house.state(task) for task in tasks} == {state}

    await until_async(all_there, f"every task is {state}")


async def test_articles_come_out_in_async_mode(database: Database, tmp_path: Path) -> None:
    site = site_in(tmp_path, echo_mark=True)
    async with site.started() as creator:
        house = House(database, real=creator)
        await house.account()
        await in_the_end(house, "云计算", "--前导横线", "表情 🎉", "引号'\"")
    bodies = {row[0] for row in site.query("SELECT content FROM results WHERE result_type = 'article'")}
    stored = await database.rows(text("SELECT body FROM content"))
    assert len(stored) == len(bodies) == 4
    assert await house.value("SELECT count(*) FROM fact WHERE name = 'mark_removed'") == 4
    assert not any("[ref " in row.body for row in stored)


async def test_articles_come_out_in_sync_mode(database: Database, tmp_path: Path) -> None:
    async with site_in(tmp_path).started(manage_worker=False) as creator:
        house = House(database, real=creator)
        await house.account()
        await in_the_end(house, "云计算", "边缘", mode=Mode.SYNC)
    assert await house.value("SELECT count(*) FROM content WHERE body LIKE '# %'") == 2


async def test_a_create_that_dies_after_its_work_is_not_repeated(database: Database, tmp_path: Path) -> None:
    site = site_in(tmp_path, misbehaviour="crash_after", misbehaviour_on="create")
    async with site.started() as creator:
        house = House(database, real=creator)
        await house.account()
        task = await house.claimed()
        await house.attempts.run(task)
        assert await house.state(task) is TaskState.SUBMITTED
    assert site.query("SELECT count(*) FROM tasks") == [(1,)]


async def test_a_failing_topic_ends_with_its_true_cause(database: Database, tmp_path: Path) -> None:
    async with site_in(tmp_path).started() as creator:
        house = House(database, real=creator)
        await house.account()
        await in_the_end(house, "FAIL 必败", state=TaskState.FAILED)
    row = await house.database.first(text("SELECT * FROM task"))
    assert row is not None
    assert (row.retry_count, row.attempt, row.error_kind) == (4, 4, "generation_failed")
    assert row.error and "Failed to claim" not in row.error
    gaps = await house.database.rows(
        text("SELECT claimed_at - lag(ended_at) OVER (ORDER BY number) AS gap FROM attempt")
    )
    waited = [one.gap for one in gaps if one.gap is not None]
    assert all(gap >= timedelta(seconds=delay) for gap, delay in zip(waited, (30, 60, 120), strict=True))
