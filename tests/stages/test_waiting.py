"""What a waiting task waits for: each reason is told, and of several the one that has to end first."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from contenthubd.ctl.times import instant
from contenthubd.ctl.words import waiting as in_words
from contenthubd.desk.waiting import Waiting
from contenthubd.domain.outcome import HINTS, ErrorKind, RowState, Sick
from contenthubd.domain.task import Mode, Task, TaskState
from tests.stages.house import INSTANCE, House


class Desk:
    """A desk over the stages, whose lease and stop are switched by hand."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.leased, self.draining = True, False
        self.waiting = Waiting(
            house.pause, house.slots, house.views, house.clock,
            leased=lambda: self.leased, draining=lambda: self.draining, instance=INSTANCE,
        )  # fmt: skip

    async def words(self, task: Task) -> str:
        """What a person reads about this task."""
        row = await self.house.views.task(task.task_id)
        found = (await self.waiting.glance()).reason(row, row["position"])
        return in_words({"code": found.code, "what": found.what, "until": found.until} if found else None)


@pytest.fixture
def desk(house: House) -> Desk:
    return Desk(house)


async def test_its_turn_comes_after_those_before_it(house: House, desk: Desk) -> None:
    tasks = [await house.add(topic) for topic in ("甲", "乙", "丙")]
    told = [await desk.words(task) for task in tasks]
    assert told == [
        "waiting for its turn",
        "waiting for 1 task ahead of it in the queue",
        "waiting for 2 tasks ahead of it in the queue",
    ]


async def test_what_does_not_wait_has_no_reason(house: House, desk: Desk) -> None:
    running, _ = await house.accepted("甲")
    done = await house.completed("乙")
    assert await house.state(running) is TaskState.SUBMITTED
    assert [await desk.words(task) for task in (running, done)] == ["", ""]


async def test_a_retry_tells_when(house: House, desk: Desk) -> None:
    task, creator_task_id = await house.accepted("甲")
    house.creator.move(creator_task_id, state=RowState.FAILED)
    await house.look()
    due = (await house.now(task)).run_at
    assert due is not None
    assert await desk.words(task) == f"waiting for the next retry at {instant(f'{due:%Y-%m-%dT%H:%M:%S}Z')}"


@pytest.mark.parametrize("kind", sorted(HINTS))
async def test_a_sick_creator_is_named_with_its_cause_and_its_cure(house: House, desk: Desk, kind: ErrorKind) -> None:
    task = await house.add()
    house.pause.trip(Sick(kind, "It says why."))
    found = (await desk.waiting.glance()).reason(await house.views.task(task.task_id))
    assert found is not None
    assert (found.code, found.kind, found.cause, found.hint) == ("creator", kind, "It says why.", HINTS[kind])
    assert found.until is not None
    assert (await desk.words(task)).endswith(" (see contenthubctl health)")
    house.clock.advance(60)
    assert await desk.words(task) == "waiting for its turn", "the pause is over"


async def test_a_mode_that_cannot_run_keeps_only_its_own_tasks(house: House, desk: Desk) -> None:
    asynchronous, synchronous = await house.add("甲"), await house.add("乙", mode=Mode.SYNC)
    house.pause.lacking = {Mode.ASYNC: Sick(ErrorKind.CREATOR_REDIS_DOWN, "connect ECONNREFUSED")}
    told = "waiting for content-creator's Redis: no answer (see contenthubctl health)"
    assert await desk.words(asynchronous) == told
    assert await desk.words(synchronous) == "waiting for 1 task ahead of it in the queue"


async def test_no_free_slot(database_house: House, desk_of: Callable[[House], Desk]) -> None:
    house, desk = database_house, desk_of(database_house)
    await house.accepted("甲")
    task = await house.add("乙")
    assert await desk.words(task) == "waiting for a free slot: 1 of 1 in use"


async def test_a_slot_that_is_kept_by_what_timed_out_says_so(
    database_house: House, desk_of: Callable[[House], Desk]
) -> None:
    house, desk = database_house, desk_of(database_house)
    late, _ = await house.accepted("甲", timeout_seconds=60)
    await house.look()
    house.clock.advance(timedelta(minutes=5).total_seconds())
    await house.look()
    assert await house.state(late) is not TaskState.SUBMITTED
    task = await house.add("乙")
    told = "waiting for a free slot: 1 of 1 in use, 1 of them by an attempt that timed out or was cancelled"
    assert await desk.words(task) == told
    await house.look()
    assert house.poll.crowd is not None, "and health says so"
    assert house.poll.crowd.until > house.clock.now()


async def test_the_reason_that_must_end_first_comes_first(
    database_house: House, desk_of: Callable[[House], Desk]
) -> None:
    house, desk = database_house, desk_of(database_house)
    await house.accepted("甲")
    task = await house.add("乙")
    house.pause.trip(Sick(ErrorKind.CREATOR_MISSING, "No such file."))
    told = "waiting for content-creator: command not found (see contenthubctl health)"
    assert await desk.words(task) == told
    desk.leased = False
    told = "waiting for PostgreSQL: the daemon's lease is not confirmed (see contenthubctl health)"
    assert await desk.words(task) == told
    desk.draining = True
    assert await desk.words(task) == "waiting for the daemon to start again: it is stopping"


@pytest.fixture
async def database_house(house: House) -> House:
    """The same stages with a single slot."""
    return House(house.database, house.clock, house.creator, total=1)


@pytest.fixture
def desk_of() -> Callable[[House], Desk]:
    """Desks for stages of the test's own."""
    return Desk
