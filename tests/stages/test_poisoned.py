"""One task about which the creator says what cannot be read, and an innocent one beside it that ends in time."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from contenthubd.domain.attempt import with_mark
from contenthubd.domain.outcome import ErrorKind, RowState, Sick, Succeeded, Unknown
from contenthubd.domain.task import TaskState
from tests.stages.house import House

OTHER_MARK = "[ref 00000000000000000000000000000001]"


def unknown_state(house: House, creator_task_id: str) -> None:
    house.creator.move(creator_task_id, state=RowState.UNKNOWN)


def no_answer(house: House, creator_task_id: str) -> None:
    house.creator.finish(creator_task_id)
    house.creator.results[creator_task_id] = Unknown("result: It did not answer in time and was killed.")


def fault_of_ours(house: House, creator_task_id: str) -> None:
    house.creator.finish(creator_task_id)
    del house.creator.results[creator_task_id]


@pytest.mark.parametrize("poison", [unknown_state, no_answer, fault_of_ours])
@pytest.mark.parametrize("first", [True, False])
async def test_the_innocent_neighbour_is_published_at_the_next_look(
    house: House, poison: Callable[[House, str], None], first: bool
) -> None:
    tasks = [await house.accepted("甲"), await house.accepted("乙")]
    (poisoned, poisoned_id), (innocent, innocent_id) = tasks if first else tasks[::-1]
    poison(house, poisoned_id)
    house.creator.finish(innocent_id)
    await house.look()
    assert await house.state(innocent) is TaskState.COMPLETED
    assert await house.state(poisoned) is TaskState.SUBMITTED
    late, late_id = await house.accepted("丙")
    house.creator.finish(late_id)
    await house.look()
    assert await house.state(late) is TaskState.COMPLETED
    house.creator.finish(poisoned_id)
    await house.look()
    assert await house.state(poisoned) is TaskState.COMPLETED, "its own answer can be read again"


async def test_a_poisoned_task_keeps_its_deadline_and_the_others_theirs(house: House) -> None:
    poisoned, poisoned_id = await house.accepted("甲")
    unknown_state(house, poisoned_id)
    await house.look()
    house.clock.advance(timedelta(hours=3).total_seconds())
    await house.look()
    assert await house.state(poisoned) is not TaskState.SUBMITTED


async def test_two_tasks_that_were_given_one_id_do_not_share_an_article(house: House) -> None:
    robbed, robbed_id = await house.accepted("甲")
    innocent, innocent_id = await house.accepted("乙")
    house.creator.move(robbed_id, requirements=with_mark("写", OTHER_MARK))
    for creator_task_id in (robbed_id, innocent_id):
        house.creator.finish(creator_task_id)
        assert isinstance(house.creator.results[creator_task_id], Succeeded)
    await house.look()
    assert await house.state(innocent) is TaskState.COMPLETED
    assert await house.state(robbed) is TaskState.RETRYING


@pytest.mark.parametrize("kind", [ErrorKind.CREATOR_CHANGED, ErrorKind.OUTPUT_UNREADABLE])
async def test_what_a_changed_creator_finished_is_kept_until_it_can_be_read(house: House, kind: ErrorKind) -> None:
    task, creator_task_id = await house.accepted()
    house.creator.finish(creator_task_id)
    article = house.creator.results[creator_task_id]
    house.creator.results[creator_task_id] = Sick(kind, "The output of result is unreadable.")
    for _ in range(5):
        await house.look()
        house.clock.advance(timedelta(hours=20).total_seconds())
    now = await house.now(task)
    assert (now.state, now.attempt, now.retry_count) == (TaskState.SUBMITTED, 1, 0)
    house.creator.results[creator_task_id] = article
    await house.look()
    assert await house.state(task) is TaskState.COMPLETED
    assert house.creator.calls["create"] == 1


async def test_what_cannot_be_had_for_another_reason_is_not_kept_for_ever(house: House) -> None:
    task, creator_task_id = await house.accepted(max_retries=0)
    house.creator.finish(creator_task_id)
    house.creator.results[creator_task_id] = Sick(ErrorKind.DATABASE_MISSING, "locked")
    for _ in range(5):
        await house.look()
        house.clock.advance(timedelta(hours=20).total_seconds())
    assert (await house.now(task)).attempt > 1 or await house.state(task) is not TaskState.SUBMITTED


async def test_a_state_that_was_unknown_is_asked_for_again_although_the_rows_are_the_same(house: House) -> None:
    task, creator_task_id = await house.accepted()
    unknown_state(house, creator_task_id)
    await house.look()
    house.creator.finish(creator_task_id)
    house.creator._version -= 1  # another program reads the same database
    await house.look()
    assert await house.state(task) is TaskState.COMPLETED
