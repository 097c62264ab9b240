"""Prune on the real tables: what goes, what stays, what goes with it, and that a step stays small."""

from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import text

from contenthubd.adapters.images.files import ImageDirectory
from contenthubd.adapters.postgres.engine import Database
from contenthubd.adapters.postgres.prune import PAGE, PRUNING_LOCK, PostgresRetention
from contenthubd.domain.task import TaskState
from contenthubd.stages.prune import ROUND, WAIT, Prune
from contenthubd.stages.steady import STEADY, SteadyTime
from tests.clock import ManualClock
from tests.contracts.rows import Rows

DAY = timedelta(days=1)
AT_ONCE = timedelta()
EVERY = {state: 10 * DAY for state in ("completed", "failed", "timeout", "cancelled")}


@pytest.fixture
async def rows(database: Database) -> Rows:
    """Rows in a fresh database."""
    made = Rows(database)
    await made.account()
    return made


def pruning(
    database: Database,
    clock: ManualClock,
    images: Path,
    keep: dict[str, timedelta],
    *,
    facts: timedelta | None = None,
    limit: int = 500,
) -> Prune:
    """The stage, and how long it keeps what."""
    return Prune(
        PostgresRetention(database), ImageDirectory(images), lambda _: clock.now(),
        keep={TaskState(state): kept for state, kept in keep.items()}, keep_facts=facts, limit=limit,
    )  # fmt: skip


async def test_what_is_older_goes_with_all_that_hangs_on_it(database: Database, rows: Rows, tmp_path: Path) -> None:
    clock = ManualClock()
    old, young = clock.now() - 11 * DAY, clock.now() - 9 * DAY
    gone = [
        await rows.completed(old),
        await rows.failed(old),
        await rows.failed(old, "timeout"),
        await rows.cancelled(old),
    ]
    stays = [await rows.completed(young), await rows.failed(young), await rows.pending(old)]
    image = await rows.image(gone[0], tmp_path)
    assert await pruning(database, clock, tmp_path, EVERY).tick() == ROUND
    assert await rows.ids("task") == set(stays)
    for table in ("attempt", "content", "fact"):
        assert await rows.ids(table, "task_id") <= set(stays), table
    assert await rows.count("publication") == 1
    assert await rows.count("image") == 0
    assert await rows.count("discarded_image") == 0
    assert not image.exists()
    assert list(tmp_path.iterdir()) == []


async def test_nothing_is_removed_while_the_clock_is_not_known_to_be_right(
    database: Database, rows: Rows, tmp_path: Path
) -> None:
    clock = ManualClock()
    young, old = await rows.completed(clock.now() - 9 * DAY), await rows.completed(clock.now() - 11 * DAY)
    prune = Prune(
        PostgresRetention(database), ImageDirectory(tmp_path), SteadyTime(clock).now,
        keep={TaskState.COMPLETED: 10 * DAY}, keep_facts=10 * DAY,
    )  # fmt: skip
    assert await prune.tick() == WAIT
    assert await rows.ids("task") == {young, old}
    clock.advance(STEADY.total_seconds())
    clock.step(4000 * DAY.total_seconds())
    assert await prune.tick() == ROUND
    assert await rows.ids("task") == {young}


def steadily(database: Database, clock: ManualClock, images: Path) -> Prune:
    """The stage of a daemon that has just started."""
    return Prune(
        PostgresRetention(database), ImageDirectory(images), SteadyTime(clock).now,
        keep={TaskState.COMPLETED: 10 * DAY}, keep_facts=10 * DAY,
    )  # fmt: skip


async def test_a_daemon_that_is_restarted_all_the_time_prunes_too(
    database: Database, rows: Rows, tmp_path: Path
) -> None:
    clock = ManualClock()
    old, young = await rows.completed(clock.now() - 11 * DAY), await rows.completed(clock.now() - 9 * DAY)
    last = [await rows.completed(clock.now() - hours * DAY / 24) for hours in (3, 1)]
    assert await steadily(database, clock, tmp_path).tick() == WAIT
    assert await rows.ids("task") == {young, *last}, f"{old} went with the first round"


@pytest.mark.parametrize("written", [0, 3])
async def test_but_a_clock_that_is_wrong_at_the_start_removes_nothing(
    database: Database, rows: Rows, tmp_path: Path, written: int
) -> None:
    clock = ManualClock()
    young = {await rows.completed(clock.now() - days * DAY) for days in (9, 5, 1)}
    clock.step(4000 * DAY.total_seconds())
    young |= {await rows.completed(clock.now() + minutes * DAY / 1440) for minutes in range(written)}
    for _ in range(3):
        prune = steadily(database, clock, tmp_path)
        for _ in range(5):
            assert await prune.tick() == WAIT
            clock.advance(600)
    assert await rows.ids("task") == young


async def test_zero_days_keep_for_ever(database: Database, rows: Rows, tmp_path: Path) -> None:
    clock = ManualClock()
    task = await rows.completed(clock.now() - 4000 * DAY)
    await rows.failed(clock.now() - 4000 * DAY)
    assert await pruning(database, clock, tmp_path, {"failed": DAY}).tick() == ROUND
    assert await rows.ids("task") == {task}


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE attempt SET ended_at = NULL, outcome = NULL, abandoned_at = now(), creator_task_id = 'task_1'",
        "UPDATE content SET state = 'pending_review', reviewed_at = NULL, reviewed_by = NULL",
        "UPDATE publication SET state = 'pending', published_at = NULL",
        "UPDATE publication SET state = 'retrying', published_at = NULL",
        "UPDATE publication SET state = 'publishing', owner = 'me', published_at = NULL",
        "UPDATE publication SET state = 'unknown', published_at = NULL",
        "INSERT INTO image (content_id, position, url, state, due_at) SELECT id, 1, 'u', 'pending', now() FROM content",
    ],
)
async def test_what_is_under_way_stays_and_goes_in_a_later_round(
    database: Database, rows: Rows, tmp_path: Path, change: str
) -> None:
    clock = ManualClock()
    task = await rows.completed(clock.now() - 11 * DAY)
    await database.changed(text(change))
    prune = pruning(database, clock, tmp_path, EVERY)
    assert await prune.tick() == ROUND
    assert await rows.ids("task") == {task}
    await rows.finish(task)
    assert await prune.tick() == ROUND
    assert await rows.ids("task") == set()


async def test_a_step_is_bounded_and_what_stays_is_passed_once(database: Database, rows: Rows, tmp_path: Path) -> None:
    clock = ManualClock()
    stuck = {await rows.completed(clock.now() - (40 - number) * DAY) for number in range(5)}
    await database.changed(text("UPDATE publication SET state = 'unknown', published_at = NULL"))
    for number in range(6):
        await rows.completed(clock.now() - (30 - number) * DAY)
    prune = pruning(database, clock, tmp_path, EVERY, limit=3)
    left = []
    for _ in range(4):
        left.append((await prune.tick(), await rows.count("task")))
    assert left == [(AT_ONCE, 11), (AT_ONCE, 10), (AT_ONCE, 7), (ROUND, 5)]
    assert await rows.ids("task") == stuck


async def test_a_batch_goes_with_its_last_task(database: Database, rows: Rows, tmp_path: Path) -> None:
    clock = ManualClock()
    batch = await rows.batch()
    old = await rows.failed(clock.now() - 20 * DAY, batch=batch)
    last = await rows.failed(clock.now() - 5 * DAY, batch=batch)
    prune = pruning(database, clock, tmp_path, EVERY)
    await prune.tick()
    assert (await rows.ids("task"), await rows.ids("batch")) == ({last}, {batch})
    clock.advance(6 * 86_400)
    await prune.tick()
    assert (await rows.ids("task"), await rows.ids("batch")) == (set(), set())
    assert old != last


async def test_a_task_somebody_else_holds_is_left_alone(database: Database, rows: Rows, tmp_path: Path) -> None:
    clock = ManualClock()
    held = await rows.failed(clock.now() - 20 * DAY)
    await rows.failed(clock.now() - 20 * DAY)
    async with database.transaction() as other:
        await other.execute(text("SELECT 1 FROM task WHERE id = :id FOR UPDATE"), {"id": held})
        await pruning(database, clock, tmp_path, EVERY).tick()
        assert await rows.ids("task") == {held}


async def test_nothing_is_pruned_while_a_backup_reads(database: Database, rows: Rows, tmp_path: Path) -> None:
    clock = ManualClock()
    task = await rows.failed(clock.now() - 20 * DAY)
    prune = pruning(database, clock, tmp_path, EVERY, facts=DAY)
    facts = await rows.count("fact")
    async with database.transaction() as backup:
        await backup.execute(text(f"SELECT pg_advisory_xact_lock_shared({PRUNING_LOCK})"))
        assert await prune.tick() == ROUND
        assert await rows.ids("task") == {task}
        assert await rows.count("fact") == facts
    await prune.tick()
    assert await rows.ids("task") == set()


async def test_old_facts_go_in_steps_and_young_ones_stay(database: Database, rows: Rows, tmp_path: Path) -> None:
    clock = ManualClock()
    for age in (9, 8, 7, 6, 1):
        await rows.fact(clock.now() - age * DAY)
    prune = pruning(database, clock, tmp_path, {}, limit=3, facts=5 * DAY)
    assert await prune.tick() == AT_ONCE
    assert await rows.count("fact") == 2
    assert await prune.tick() == ROUND
    assert await rows.count("fact") == 1


async def test_files_that_a_crash_left_are_removed_by_the_next_tick(
    database: Database, rows: Rows, tmp_path: Path
) -> None:
    """The rows are gone and the daemon died before it removed the files: the note is still there."""
    clock = ManualClock()
    image = await rows.image(await rows.completed(clock.now() - 20 * DAY), tmp_path)
    await PostgresRetention(database).prune_tasks(TaskState.COMPLETED, clock.now(), None, 10)
    assert (await rows.count("task"), await rows.count("discarded_image"), image.exists()) == (0, 1, True)
    await pruning(database, clock, tmp_path, {}).tick()
    assert (await rows.count("discarded_image"), image.exists()) == (0, False)


async def test_a_lost_file_is_no_failure_and_a_refusing_disk_is_asked_again(
    database: Database, rows: Rows, tmp_path: Path
) -> None:
    clock = ManualClock()
    lost, kept = [await rows.image(await rows.completed(clock.now() - 20 * DAY), tmp_path) for _ in range(2)]
    lost.unlink()
    kept.unlink()
    kept.mkdir()  # what is no file cannot be unlinked
    prune = pruning(database, clock, tmp_path, EVERY)
    assert await prune.tick() == ROUND
    assert await rows.count("discarded_image") == 2
    kept.rmdir()
    assert await prune.tick() == ROUND
    assert await rows.count("discarded_image") == 0


async def test_the_search_for_old_tasks_reads_one_page_of_an_index(database: Database, rows: Rows) -> None:
    """With ten thousand kept tasks a step touches no more than its page: the index gives them in the order wanted."""
    now = ManualClock().now()
    await rows.copies(await rows.completed(now), 10_000)
    await rows.copies(await rows.failed(now), 1_000)
    await database.changed(text("ANALYZE task"))
    plan = await database.first(
        text(f"EXPLAIN (ANALYZE, FORMAT JSON) {PAGE[TaskState.FAILED]}"),
        before=now, after_at=now - 1000 * DAY, after_id=UUID(int=0), limit=500,
    )  # fmt: skip
    assert plan is not None
    [scan] = plan[0][0]["Plan"]["Plans"]
    assert scan["Index Name"] == "task_finished_by_state"
    assert (scan["Actual Rows"], scan.get("Rows Removed by Filter", 0)) == (500, 0)
