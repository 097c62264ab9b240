"""Two queues as one: whatever fails and whenever, the true order comes out once the database has been asked."""

import asyncio
from collections.abc import Callable, Sequence
from uuid import UUID

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test
from structlog.testing import capture_logs

from contenthubd.adapters.queue.failover import LONGEST_WAIT, STEADY, FailoverQueue
from contenthubd.adapters.queue.memory import MemoryQueue
from contenthubd.domain.errors import Unavailable
from contenthubd.domain.task import Rank
from contenthubd.stages.failover import EVERY
from tests.clock import ManualClock
from tests.contracts.redis_queues import redis_queue
from tests.real.valkey import Valkey

CAPACITY = 5


class Unreliable(MemoryQueue):
    """A queue that stops answering after some calls, having done or not done what it was asked for."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        super().__init__(capacity)
        self.calls_left: int | None = None
        self.done_before_failing = False
        self.pings = 0
        self.before_answering: Callable[[], None] = lambda: None

    def _fail(self) -> bool:
        if self.calls_left is None:
            return False
        self.calls_left = max(0, self.calls_left - 1)
        return self.calls_left == 0

    def _raise(self) -> None:
        raise Unavailable("It does not answer.", why="A test wants it so.")

    async def put(self, places: Sequence[tuple[UUID, Rank]]) -> None:
        """Fails after having put, or without."""
        failing = self._fail()
        if not failing or self.done_before_failing:
            await super().put(places)
        if failing:
            self._raise()

    async def take(self) -> UUID | None:
        """Fails after having taken, or without."""
        failing = self._fail()
        taken = await super().take() if not failing or self.done_before_failing else None
        self.before_answering()
        if failing:
            self._raise()
        return taken

    async def remove(self, task_id: UUID) -> None:
        """Fails without removing."""
        if self._fail():
            self._raise()
        await super().remove(task_id)

    async def count(self) -> int:
        """Fails."""
        if self._fail():
            self._raise()
        return await super().count()

    async def clear(self, lane: str) -> None:
        """Fails without clearing."""
        if self._fail():
            self._raise()
        await super().clear(lane)

    async def ping(self) -> None:
        """Fails while the others do."""
        self.pings += 1
        if self.calls_left == 0:
            self._raise()


class Pair:
    """A failover queue on an unreliable one, with what rang and a clock."""

    def __init__(self, *, wanted: bool = True) -> None:
        self.clock = ManualClock()
        self.rung = 0
        self.preferred = Unreliable()
        self.queue = FailoverQueue(
            self.preferred, MemoryQueue(CAPACITY), self.clock, self.ring, names=("redis", "memory"), wanted=wanted
        )

    def ring(self) -> None:
        self.rung += 1

    @property
    def kind(self) -> str:
        return self.queue.in_use().kind

    async def refill(self, waiting: dict[UUID, Rank]) -> None:
        """As the dispatcher does it."""
        await self.queue.clear("")
        order = sorted(waiting.items(), key=lambda item: (item[1], item[0]))
        await self.queue.put(order[: CAPACITY + 1])

    async def look(self, seconds: float = 120) -> None:
        """A check that is surely due."""
        self.clock.advance(seconds)
        await self.queue.check()


class FailoverMachine(RuleBasedStateMachine):
    """Any sequence of calls, failures and recoveries, against a plain dictionary of what waits in the database."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.pair = Pair()
        self.waiting: dict[UUID, Rank] = {}
        self.numbers = 0

    def teardown(self) -> None:
        self.runner.close()

    @rule(priority=st.integers(1, 10))
    def submit(self, priority: int) -> None:
        self.numbers += 1
        place = (task(self.numbers), Rank(priority, 0, self.numbers))
        self.waiting[place[0]] = place[1]
        self.runner.run(self.pair.queue.put([place]))

    @rule(data=st.data())
    @precondition(lambda self: self.waiting)
    def cancel(self, data: st.DataObject) -> None:
        task_id = data.draw(st.sampled_from(sorted(self.waiting)))
        del self.waiting[task_id]
        self.runner.run(self.pair.queue.remove(task_id))

    @rule(after=st.integers(1, 4), done=st.booleans())
    def break_it(self, after: int, done: bool) -> None:
        self.pair.preferred.calls_left, self.pair.preferred.done_before_failing = after, done

    @rule()
    def mend_it(self) -> None:
        self.pair.preferred.calls_left = None

    @rule(seconds=st.integers(0, 90))
    def check(self, seconds: int) -> None:
        self.runner.run(self.pair.look(seconds))

    @rule()
    def count(self) -> None:
        assert self.runner.run(self.pair.queue.count()) <= CAPACITY

    @rule()
    def dispatch(self) -> None:
        """Ask; if there is nothing, read the database and ask again. One failure may come between: not two."""
        taken: UUID | None = None
        for _ in range(3):
            taken = self.runner.run(self.pair.queue.take())
            while taken is not None and taken not in self.waiting:  # an id that is no longer pending loses its claim
                taken = self.runner.run(self.pair.queue.take())
            if taken is not None:
                break
            self.runner.run(self.pair.refill(self.waiting))
        assert taken == min(self.waiting, key=lambda known: (self.waiting[known], known), default=None)
        if taken is not None:
            del self.waiting[taken]


def test_any_sequence_of_failures_loses_nothing_and_keeps_the_order() -> None:
    run_state_machine_as_test(
        FailoverMachine,
        settings=settings(
            max_examples=150, stateful_step_count=40, deadline=None, derandomize=True, database=None
        ),
    )  # fmt: skip


def task(number: int) -> UUID:
    return UUID(int=number)


def places(count: int) -> list[tuple[UUID, Rank]]:
    return [(task(number), Rank(5, number, number)) for number in range(count)]


@pytest.fixture
async def pair() -> Pair:
    """The preferred queue in use, three ids in it."""
    made = Pair()
    await made.refill(dict(places(3)))
    return made


async def test_nothing_comes_out_before_the_first_filling() -> None:
    made = Pair()
    await made.queue.put(places(1))
    assert (await made.queue.take(), await made.queue.count()) == (None, 0)


async def test_a_failing_call_changes_over_and_wakes_the_dispatcher(pair: Pair) -> None:
    pair.preferred.calls_left = 0
    assert await pair.queue.take() is None
    use = pair.queue.in_use()
    assert (use.kind, use.degraded, use.since, pair.rung) == ("memory", True, pair.clock.now(), 1)
    assert "A test wants it so." in use.why
    assert await pair.queue.take() is None
    await pair.refill(dict(places(3)))
    assert await pair.queue.take() == task(0)


async def test_the_way_back_is_blind_too_until_the_database_was_read(pair: Pair) -> None:
    pair.preferred.calls_left = 0
    await pair.queue.put(places(4))
    await pair.refill(dict(places(4)))
    pair.preferred.calls_left = None
    await pair.look()
    assert (pair.kind, pair.queue.in_use().degraded, pair.rung) == ("redis", False, 2)
    assert await pair.queue.take() is None, "what the old queue holds may be out of date"
    await pair.refill(dict(places(2)))
    assert await pair.queue.take() == task(0)


async def test_a_failure_between_clearing_and_filling_leaves_it_blind(pair: Pair) -> None:
    pair.preferred.calls_left = 2
    await pair.refill(dict(places(3)))
    assert (pair.kind, await pair.queue.take(), pair.rung) == ("memory", None, 1)


async def test_a_failure_while_clearing_clears_the_other_one(pair: Pair) -> None:
    pair.preferred.calls_left = 0
    await pair.refill(dict(places(3)))
    assert (pair.kind, await pair.queue.take()) == ("memory", task(0))


async def test_a_take_that_was_on_its_way_during_a_change_is_void(pair: Pair) -> None:
    def meanwhile() -> None:
        pair.preferred.before_answering = lambda: None
        pair.queue._fall_back(Unavailable("Gone."), pair.queue._changes)

    pair.preferred.before_answering = meanwhile
    assert await pair.queue.take() is None
    await pair.refill(dict(places(3)))
    assert await pair.queue.take() == task(0)


async def test_a_failure_of_long_ago_does_not_change_anything_any_more(pair: Pair) -> None:
    pair.queue._fall_back(Unavailable("Late."), pair.queue._changes - 1)
    assert pair.kind == "redis"


async def test_an_outage_of_an_hour_is_one_line_and_no_busy_loop(pair: Pair) -> None:
    with capture_logs() as logs:
        pair.preferred.calls_left = 0
        for _ in range(1800):
            await pair.look(EVERY.total_seconds())
            await pair.queue.put(places(1))
        pair.preferred.calls_left = None
        await pair.look()
    assert [entry["event"] for entry in logs] == ["queue_switched_to_memory", "queue_switched_to_redis"]
    assert logs[0]["log_level"] == "warning"
    assert (pair.preferred.pings, pair.rung) == (1801, 2)


async def test_a_queue_that_only_answers_pings_is_tried_less_and_less_often(pair: Pair) -> None:
    for _ in range(1800):
        pair.preferred.calls_left = None
        await pair.look(EVERY.total_seconds())
        pair.preferred.calls_left = 0
        await pair.queue.count()
        await pair.refill(dict(places(3)))
    assert pair.rung < 2 * (3600 / LONGEST_WAIT.total_seconds() + 10)
    pair.preferred.calls_left = None
    await pair.look(STEADY.total_seconds())
    assert pair.kind == "redis"


async def test_doing_without_a_queue_that_nobody_asked_for_is_no_fault_until_it_was_there() -> None:
    pair = Pair(wanted=False)
    pair.preferred.calls_left = 0
    with capture_logs() as logs:
        await pair.look()
        assert (pair.kind, pair.queue.in_use().degraded, logs[0]["log_level"]) == ("memory", False, "info")
        pair.preferred.calls_left = None
        await pair.look()
        pair.preferred.calls_left = 0
        await pair.look()
    assert (pair.kind, pair.queue.in_use().degraded) == ("memory", True)


async def test_the_port_never_raises_over_a_real_server_that_comes_and_goes(own_valkey: Valkey) -> None:
    clock = ManualClock()
    async with redis_queue(own_valkey, CAPACITY) as redis:
        queue = FailoverQueue(
            redis, MemoryQueue(CAPACITY), clock, lambda: None, names=("redis", "memory"), wanted=True
        )  # fmt: skip
        for _ in range(3):
            await queue.check()
            await queue.clear("")
            await queue.put(places(3))
            assert (queue.in_use().kind, await queue.take()) == ("redis", task(0))
            own_valkey.kill()
            assert await queue.take() is None
            await queue.clear("")
            await queue.put(places(3))
            assert (queue.in_use().kind, await queue.take()) == ("memory", task(0))
            own_valkey.start()
            clock.advance(120)
