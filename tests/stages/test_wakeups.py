"""Wake-ups that never arrive: the delay that each tick asked for carries a task on."""

from datetime import timedelta

from contenthubd.domain.outcome import ErrorKind, Failed
from contenthubd.domain.request import Request
from contenthubd.domain.task import TaskState
from tests.stages.house import House
from tests.stages.scripted_creator import Create


async def test_without_any_wake_up_each_step_comes_within_its_own_interval(house: House) -> None:
    """No stage here is ever woken by another: what carries a task on is the delay each tick asked for."""
    limit = timedelta(seconds=30)
    await house.beat()
    idle = [await tick() for tick in (house.dispatch.tick, house.poll.tick, house.promote.tick, house.rescue.tick)]
    assert max(idle) <= limit
    [(task, _)] = await house.submit("demo", [Request(topic="云计算")])
    await house.queue.clear("")  # the ring is lost, and the id with it
    house.clock.advance(idle[0].total_seconds())
    await house.beat()
    await house.dispatch.tick()
    assert [one.task_id for one in house.started] == [task.task_id]
    await house.attempts.run(house.started[0])
    [creator_task_id] = house.creator.table
    assert await house.polled() <= limit
    house.creator.finish(creator_task_id)
    delays: list[timedelta] = []
    while await house.state(task) is not TaskState.COMPLETED:
        delay = await house.polled()
        delays.append(delay)
        house.clock.advance(delay.total_seconds())
    assert sum(delays[:-1], timedelta()) <= limit


async def test_a_retry_that_nobody_rang_for_is_promoted_when_it_is_due(house: House) -> None:
    house.creator.script.append(Create(Failed(ErrorKind.GENERATION_FAILED, "no")))
    delay = await house.promote.tick()
    task = await house.claimed()
    await house.attempts.run(task)
    due_at = (await house.now(task)).run_at
    assert due_at is not None
    house.clock.advance(delay.total_seconds())
    while await house.state(task) is TaskState.RETRYING:
        house.clock.advance((await house.promote.tick()).total_seconds())
    assert house.clock.now() <= due_at + timedelta(seconds=30)
