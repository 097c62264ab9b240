"""Articles are fetched side by side: one that hangs holds up none behind it, and a database away is told as ever."""

from functools import partial

import anyio
import anyio.lowlevel
import pytest

from contenthubd.domain.errors import Unavailable
from contenthubd.domain.outcome import Outcome
from contenthubd.domain.task import TaskState
from contenthubd.stages.abreast import abreast
from contenthubd.stages.poll import ABREAST
from tests.stages.house import House


@pytest.mark.parametrize("hanging", range(1, ABREAST))
async def test_articles_that_hang_hold_up_no_other(house: House, hanging: int) -> None:
    accepted = [await house.accepted(f"题 {number}") for number in range(ABREAST + 1)]
    for _, creator_task_id in accepted:
        house.creator.finish(creator_task_id)
    stuck = {creator_task_id for _, creator_task_id in accepted[:hanging]}
    others = {creator_task_id for _, creator_task_id in accepted[hanging:]}
    answered, others_asked = house.creator.result, anyio.Event()

    async def result(creator_task_id: str) -> Outcome:
        others.discard(creator_task_id)
        if not others:
            others_asked.set()
        if creator_task_id in stuck:
            await others_asked.wait()
        return await answered(creator_task_id)

    house.creator.result = result  # type: ignore[method-assign]  # the creator is scripted, and this is its script
    with anyio.fail_after(60):
        await house.look()
    assert [await house.state(task) for task, _ in accepted] == [TaskState.COMPLETED] * len(accepted)
    assert {(await house.now(task)).retry_count for task, _ in accepted} == {0}


async def test_no_more_than_the_limit_begin_and_they_begin_in_order() -> None:
    begun: list[int] = []
    go = anyio.Event()

    async def work(number: int) -> None:
        begun.append(number)
        if len(begun) == 2:
            go.set()
        await go.wait()
        assert len(begun) <= number + 2

    await abreast([partial(work, number) for number in range(7)], 2)
    assert begun == list(range(7))


async def test_a_database_that_is_away_ends_no_work_that_goes_on() -> None:
    done: list[int] = []

    async def away() -> None:
        raise Unavailable("away")

    async def well() -> None:
        await anyio.lowlevel.checkpoint()
        done.append(1)

    with pytest.raises(Unavailable):
        await abreast([away, well, away, well], 2)
    assert done == [1, 1]
