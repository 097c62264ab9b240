"""What every queue must do: hand out ids in true rank order, lose none that was promised, double none.

A queue may hold less than there is. The database is played by a dictionary of all that waits; whenever a queue has
nothing more to give, it is cleared and filled again from there, as the dispatcher does it.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    rule,
    run_state_machine_as_test,
)

from contenthubd.adapters.queue.memory import SLACK, MemoryQueue
from contenthubd.domain.errors import InvalidInput
from contenthubd.domain.task import Rank
from contenthubd.ports.queue import TaskQueue
from tests.contracts.redis_queues import redis_queue
from tests.real.valkey import Valkey


@dataclass(frozen=True)
class Implementation:
    """One queue under test; ``capacity`` is how many ids it is sure to hold, ``examples`` how often it is tried."""

    name: str
    capacity: int
    open: Callable[[], AbstractAsyncContextManager[TaskQueue]]
    examples: int = 150


@asynccontextmanager
async def memory_queue(server: Valkey, capacity: int) -> AsyncIterator[TaskQueue]:
    yield MemoryQueue(capacity)


KINDS = {"memory": (memory_queue, 150), "redis": (redis_queue, 25)}
ROOMY = 10_000


@pytest.fixture(params=[f"{kind}-{capacity}" for kind in KINDS for capacity in (ROOMY, 3, 1)])
def implementation(request: pytest.FixtureRequest, valkey: Valkey) -> Implementation:
    kind, capacity = request.param.split("-")
    opened, examples = KINDS[kind]
    return Implementation(request.param, int(capacity), lambda: opened(valkey, int(capacity)), examples)


@pytest.fixture(params=KINDS)
async def roomy(request: pytest.FixtureRequest, valkey: Valkey) -> AsyncIterator[TaskQueue]:
    opened, _ = KINDS[request.param]
    async with opened(valkey, ROOMY) as queue:
        yield queue


def task(number: int) -> UUID:
    return UUID(int=number)


def rank(number: int) -> Rank:
    return Rank(5, number, number)


async def drained(queue: TaskQueue) -> list[UUID]:
    ids = []
    while (task_id := await queue.take()) is not None:
        ids.append(task_id)
    return ids


async def refill(queue: TaskQueue, waiting: dict[UUID, Rank], limit: int) -> None:
    """As the dispatcher does it: one row more than fit in tells the queue where its knowledge ends."""
    await queue.clear("")
    for task_id, place in sorted(waiting.items(), key=lambda item: (item[1], item[0]))[: limit + 1]:
        await queue.put([(task_id, place)])


class QueueMachine(RuleBasedStateMachine):
    """Any sequence of calls, against a plain dictionary of what waits."""

    implementation: Implementation
    ids = Bundle("ids")

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.capacity = self.implementation.capacity
        self.context = self.implementation.open()
        self.queue = self.runner.run(self.context.__aenter__())
        self.waiting: dict[UUID, Rank] = {}
        self.numbers = 0

    def teardown(self) -> None:
        self.runner.run(self.context.__aexit__(None, None, None))
        self.runner.close()

    @initialize()
    def answers(self) -> None:
        self.runner.run(self.queue.ping())

    @rule(target=ids, priority=st.integers(1, 10), turn=st.integers(0, 3))
    def put(self, priority: int, turn: int) -> UUID:
        self.numbers += 1
        task_id = task(self.numbers)
        self.waiting[task_id] = Rank(priority, turn, self.numbers)
        self.runner.run(self.queue.put([(task_id, self.waiting[task_id])]))
        return task_id

    @rule(task_id=ids)
    def put_twice(self, task_id: UUID) -> None:
        if task_id in self.waiting:
            self.runner.run(self.queue.put([(task_id, self.waiting[task_id])]))

    @rule(task_id=ids)
    def remove(self, task_id: UUID) -> None:
        self.waiting.pop(task_id, None)
        self.runner.run(self.queue.remove(task_id))

    @rule(target=ids, task_id=consumes(ids), priority=st.integers(1, 10))
    def put_again_elsewhere(self, task_id: UUID, priority: int) -> UUID:
        self.runner.run(self.queue.remove(task_id))
        self.waiting[task_id] = Rank(priority, 0, task_id.int)
        self.runner.run(self.queue.put([(task_id, self.waiting[task_id])]))
        return task_id

    @rule()
    def take(self) -> None:
        task_id = self.runner.run(self.queue.take())
        if task_id is None:
            self.runner.run(refill(self.queue, self.waiting, self.capacity))
            task_id = self.runner.run(self.queue.take())
        expected = min(self.waiting, key=lambda known: (self.waiting[known], known), default=None)
        assert task_id == expected
        if task_id is not None:
            del self.waiting[task_id]

    @rule()
    def count(self) -> None:
        counted = self.runner.run(self.queue.count())
        assert counted <= len(self.waiting)
        if self.numbers <= self.capacity:
            assert counted == len(self.waiting)

    @rule()
    def clear(self) -> None:
        self.runner.run(self.queue.clear(""))
        assert self.runner.run(self.queue.count()) == 0
        assert self.runner.run(self.queue.take()) is None
        self.runner.run(refill(self.queue, self.waiting, self.capacity))


def test_any_sequence_of_calls_agrees_with_the_model(implementation: Implementation) -> None:
    run_state_machine_as_test(
        type("Machine", (QueueMachine,), {"implementation": implementation}),
        settings=settings(
            max_examples=implementation.examples,
            stateful_step_count=40,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )


async def test_priority_comes_before_turn_and_turn_before_age(roomy: TaskQueue) -> None:
    ranks = [Rank(5, 0, 1), Rank(5, 1, 0), Rank(1, 9, 9), Rank(10, 0, 0), Rank(5, 0, 2)]
    for number, place in enumerate(ranks):
        await roomy.put([(task(number), place)])
    assert await drained(roomy) == [task(2), task(0), task(4), task(1), task(3)]


async def test_a_thousand_tasks_of_one_account_do_not_starve_another(roomy: TaskQueue) -> None:
    """Fairness is in the rank: the turn is the task's place among those of its own account."""
    for number in range(1000):
        await roomy.put([(task(number), Rank(5, number, number))])
    for number in range(3):
        await roomy.put([(task(5000 + number), Rank(5, number, 5000 + number))])
    first = [await roomy.take() for _ in range(6)]
    assert first == [task(0), task(5000), task(1), task(5001), task(2), task(5002)]


async def test_an_id_put_twice_stays_where_it_is_and_comes_out_once(roomy: TaskQueue) -> None:
    await roomy.put([(task(1), rank(1))])
    await roomy.put([(task(2), rank(2))])
    await roomy.put([(task(2), rank(0))])
    assert await roomy.count() == 2
    assert await drained(roomy) == [task(1), task(2)]


async def test_a_taken_id_can_be_put_again(roomy: TaskQueue) -> None:
    await roomy.put([(task(1), rank(1))])
    assert await roomy.take() == task(1)
    await roomy.put([(task(1), rank(1))])
    assert await drained(roomy) == [task(1)]


async def test_a_removed_id_does_not_come_out_and_can_be_put_again(roomy: TaskQueue) -> None:
    for number in range(3):
        await roomy.put([(task(number), rank(number))])
    await roomy.remove(task(1))
    await roomy.remove(task(99))
    assert await roomy.count() == 2
    await roomy.put([(task(1), rank(9))])
    assert await drained(roomy) == [task(0), task(2), task(1)]


async def test_a_cleared_queue_is_empty_and_usable(roomy: TaskQueue) -> None:
    await roomy.put([(task(1), rank(1))])
    await roomy.clear("")
    assert (await roomy.count(), await roomy.take()) == (0, None)
    await roomy.put([(task(1), rank(1))])
    assert await drained(roomy) == [task(1)]


async def test_an_overfull_queue_hands_everything_out_in_order_with_refills(implementation: Implementation) -> None:
    waiting = {task(number): rank((number * 7919) % 500) for number in range(500)}
    expected = sorted(waiting, key=lambda task_id: waiting[task_id])
    out: list[UUID] = []
    async with implementation.open() as queue:
        for task_id, place in waiting.items():
            await queue.put([(task_id, place)])
        while waiting:
            got = await drained(queue)
            out += got
            for task_id in got:
                del waiting[task_id]
            await refill(queue, waiting, implementation.capacity)
    assert out == expected


async def test_concurrent_takers_never_get_the_same_id(implementation: Implementation) -> None:
    async with implementation.open() as queue:
        for number in range(200):
            await queue.put([(task(number), rank(number))])
        held = await queue.count()
        async with asyncio.TaskGroup() as group:
            takers = [group.create_task(drained(queue)) for _ in range(8)]
        got = [task_id for taker in takers for task_id in taker.result()]
        assert sorted(got) == [task(number) for number in range(held)]


async def test_a_cancelled_take_loses_no_id(roomy: TaskQueue) -> None:
    """Two hundred rounds; each cancels one taker at another point of its way."""
    for number in range(200):
        await roomy.put([(task(number), rank(number))])
    got: set[UUID] = set()
    for turn in range(200):
        taker = asyncio.create_task(roomy.take())
        for _ in range(turn % 4):
            await asyncio.sleep(0)
        taker.cancel()
        await asyncio.wait([taker])
        if not taker.cancelled() and (task_id := taker.result()) is not None:
            assert task_id not in got
            got.add(task_id)
    rest = await drained(roomy)
    assert len(rest) + len(got) == 200
    assert got | set(rest) == {task(number) for number in range(200)}


# ---------------------------------------------------------------------- what only a queue of fixed size must do


async def test_a_full_memory_queue_keeps_the_best_and_knows_where_its_knowledge_ends() -> None:
    queue = MemoryQueue(2)
    for number in (5, 6, 4, 7):
        await queue.put([(task(number), rank(number))])
    assert await queue.count() == 2
    assert await queue.take() == task(4)
    await queue.put([(task(8), rank(8))])  # 6 was dropped and comes before it
    await queue.put([(task(3), rank(3))])
    assert await drained(queue) == [task(3), task(5)]


async def test_ids_put_and_removed_for_ever_leave_no_garbage() -> None:
    queue = MemoryQueue(100)
    for number in range(10_000):
        await queue.put([(task(number), rank(number))])
        await queue.remove(task(number))
    assert queue._best.qsize() <= SLACK
    assert len(queue._worst) <= SLACK


async def test_ids_pushed_out_for_ever_leave_no_garbage() -> None:
    queue = MemoryQueue(10)
    for number in range(10_000, 0, -1):
        await queue.put([(task(number), rank(number))])
    assert queue._best.qsize() <= 2 * 10 + SLACK
    assert await drained(queue) == [task(number) for number in range(1, 11)]


@pytest.mark.parametrize("capacity", [0, -1])
def test_a_queue_without_a_place_is_refused(capacity: int) -> None:
    with pytest.raises(InvalidInput, match="memory_size"):
        MemoryQueue(capacity)
