"""A task that was given back keeps its place: nobody of its account who came later overtakes it."""

from contenthubd.domain.outcome import ErrorKind, Interrupted, Outcome, Sick
from contenthubd.domain.task import Task
from tests.stages.house import House


async def given_back(house: House, task: Task, outcome: Outcome) -> None:
    assert await house.settle(task, outcome, owner=house.owner)


async def test_what_a_sick_creator_gave_back_is_claimed_before_what_came_later(house: House) -> None:
    first = await house.claimed("first")
    for number in range(8):
        await house.add(f"later {number}")
    await given_back(house, first, Sick(ErrorKind.API_KEYS_MISSING, "LLM_API_KEY"))
    await house.dispatch.tick()
    assert [task.topic for task in house.started][:2] == ["first", "later 0"]


async def test_what_a_dead_daemon_held_is_claimed_before_what_came_later(house: House) -> None:
    await house.claimed("first")
    for number in range(8):
        await house.add(f"later {number}")
    heir = House(house.database, house.clock, house.creator, run="second", total=1)
    await heir.beat()
    await heir.dispatch.tick()
    assert heir.started == []
    await heir.rescue.tick()
    await heir.dispatch.tick()
    assert [task.topic for task in heir.started] == ["first"]


async def test_an_interrupted_task_is_back_in_the_queue_at_once(house: House) -> None:
    task = await house.claimed("first")
    await given_back(house, task, Interrupted())
    assert await house.queue.take() == task.task_id
