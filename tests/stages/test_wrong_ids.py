"""A wrong id is told for a task that is stored: its own row is found by its mark, and nothing is created beside it."""

import pytest

from contenthubd.domain.outcome import Accepted, ErrorKind, Failed, RowState
from contenthubd.domain.task import Mode, TaskState
from tests.stages.house import House
from tests.stages.scripted_creator import Create

LOST = Failed(ErrorKind.LOST, "The creator does not know the task.", 0, creator_task_id="nobody's")


@pytest.mark.parametrize("another", [True, False])
async def test_the_next_attempt_takes_what_the_one_before_it_stored(house: House, another: bool) -> None:
    innocent, id_of_another = await house.accepted("innocent")
    task = await house.claimed("甲", max_retries=1)
    house.creator.script.append(Create(Accepted(id_of_another if another else "nobody's"), stored=True))
    await house.attempts.run(task)
    await house.look()
    now = await house.now(task)
    assert (now.state, now.error_kind, now.retry_count) == (TaskState.RETRYING, "lost", 1)
    await house.attempts.run(await house.again(task))
    for creator_task_id, row in house.creator.table.items():
        house.creator.finish(creator_task_id, f"# {row.requirements}\n\n正文")
    await house.look()
    assert {await house.state(one) for one in (task, innocent)} == {TaskState.COMPLETED}
    assert house.creator.calls["create"] == 2, "one for each of them"


async def test_a_sync_run_that_tells_a_wrong_id_is_taken_at_once(house: House) -> None:
    task = await house.claimed(mode=Mode.SYNC, max_retries=0)
    house.creator.script.append(Create(LOST, stored=True, row=RowState.COMPLETED))
    house.creator.add_result("# 同步\n\n正文")
    await house.attempts.run(task)
    now = await house.now(task)
    assert (now.state, now.retry_count) == (TaskState.COMPLETED, 0)
