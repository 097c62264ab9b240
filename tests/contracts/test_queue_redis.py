"""What only the queue in Redis must do: share, notice, give up in time, and lose nothing on the way."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from uuid import UUID

import pytest
from redis.asyncio import Redis

from contenthubd.adapters.queue.redis import LANE_SECONDS, TURNS, RedisQueue, score_of
from contenthubd.adapters.queue.redis_server import PATIENCE_SECONDS, POP_SECONDS, RedisServer
from contenthubd.domain.errors import InvalidInput, Unavailable
from contenthubd.domain.task import Rank
from tests.contracts.redis_queues import nobody, redis_queue
from tests.real.valkey import Valkey

SHORT = 0.3
"""The patience with a server that is known to stand still."""
HANG_SECONDS = 60.0
"""What does not end in this time never would."""
SECRET = "s3cr3t"


def task(number: int) -> UUID:
    return UUID(int=number)


def rank(number: int) -> Rank:
    return Rank(5, number, number)


def places(count: int) -> list[tuple[UUID, Rank]]:
    return [(task(number), rank(number)) for number in range(count)]


async def drained(queue: RedisQueue) -> list[UUID]:
    ids = []
    while (task_id := await queue.take()) is not None:
        ids.append(task_id)
    return ids


# ------------------------------------------------------------------------------------------------------- losing nothing


async def test_two_hundred_takes_cancelled_on_their_way_lose_no_id(valkey: Valkey) -> None:
    async with redis_queue(valkey) as queue:
        await queue.put(places(400))
        got: list[UUID] = []
        cancelled = 0
        for turn in range(40):
            takers = [asyncio.create_task(queue.take()) for _ in range(5)]
            await asyncio.wait(takers[: turn % 5 + 1], return_when=asyncio.FIRST_COMPLETED)
            for _ in range(turn):
                await asyncio.sleep(0)
            for taker in takers:
                taker.cancel()
            await asyncio.wait(takers)
            cancelled += sum(taker.cancelled() for taker in takers)
            got += [taken for taker in takers if not taker.cancelled() and (taken := taker.result())]
        got += await drained(queue)
    assert cancelled >= 40
    assert sorted(got) == [task(number) for number in range(400)]


async def test_a_take_that_is_cancelled_the_moment_its_id_has_come_hands_it_on(valkey: Valkey) -> None:
    async with redis_queue(valkey) as queue:
        await queue.put(places(2))
        taker = asyncio.create_task(queue.take())
        while not queue._pops:  # noqa: ASYNC110 - one turn of the loop, not a time
            await asyncio.sleep(0)
        [pop] = queue._pops
        pop.add_done_callback(lambda _: taker.cancel())
        await asyncio.wait([taker])
        assert taker.cancelled()
        assert await queue.count() == 2
        assert await drained(queue) == [task(0), task(1)]


async def test_what_is_in_hand_does_not_come_before_a_better_id(valkey: Valkey) -> None:
    namespace = uuid.uuid4().hex
    rung = asyncio.Event()
    async with (
        redis_queue(valkey, namespace=namespace, arrived=rung.set) as ours,
        redis_queue(valkey, namespace=namespace) as other,
    ):
        assert await ours.take() is None
        await other.put([(task(5), rank(5))])
        await asyncio.wait_for(rung.wait(), HANG_SECONDS)
        assert (await ours.count(), await other.count()) == (1, 0)
        await other.put([(task(1), rank(1))])
        assert await drained(ours) == [task(1), task(5)]


async def test_a_daemon_that_stops_gives_back_what_it_had_in_hand(valkey: Valkey) -> None:
    namespace = uuid.uuid4().hex
    rung = asyncio.Event()
    async with redis_queue(valkey, namespace=namespace) as other:
        async with redis_queue(valkey, namespace=namespace, arrived=rung.set) as ours:
            assert await ours.take() is None
            await other.put(places(1))
            await asyncio.wait_for(rung.wait(), HANG_SECONDS)
            assert await other.take() is None
        assert await other.take() == task(0)


async def test_a_removed_id_is_removed_from_the_hand_too(valkey: Valkey) -> None:
    namespace = uuid.uuid4().hex
    rung = asyncio.Event()
    async with (
        redis_queue(valkey, namespace=namespace, arrived=rung.set) as ours,
        redis_queue(valkey, namespace=namespace) as other,
    ):
        assert await ours.take() is None
        await other.put(places(1))
        await asyncio.wait_for(rung.wait(), HANG_SECONDS)
        await ours.remove(task(0))
        assert await ours.take() is None


# -------------------------------------------------------------------------------------------------------------- sharing


async def test_fifty_takers_of_five_daemons_double_none(valkey: Valkey) -> None:
    namespace = uuid.uuid4().hex
    async with (
        redis_queue(valkey, namespace=namespace) as first,
        redis_queue(valkey, namespace=namespace) as second,
        redis_queue(valkey, namespace=namespace) as third,
    ):
        await first.put(places(300))
        async with asyncio.TaskGroup() as group:
            takers = [group.create_task(drained(queue)) for queue in (first, second, third) for _ in range(17)]
        got = [task_id for taker in takers for task_id in taker.result()]
    assert sorted(got) == [task(number) for number in range(300)]


async def test_two_installations_on_one_server_do_not_meet(valkey: Valkey) -> None:
    async with redis_queue(valkey) as ours, redis_queue(valkey) as theirs:
        await ours.put(places(3))
        assert await theirs.take() is None
        await theirs.clear("")
        assert await ours.count() == 3


async def test_daemons_that_cannot_run_the_same_modes_leave_each_others_order_alone(valkey: Valkey) -> None:
    namespace = uuid.uuid4().hex
    async with redis_queue(valkey, namespace=namespace) as able, redis_queue(valkey, namespace=namespace) as limited:
        await able.clear("")
        await able.put(places(3))
        for _ in range(2):  # it refills its queue again and again, with the few tasks that it can run
            await limited.clear("sync")
            await limited.put(places(1))
        assert await able.count() == 3
        assert [await limited.take(), await limited.take()] == [task(0), None]
        assert await drained(able) == [task(number) for number in range(3)]


async def test_a_daemon_that_can_run_everything_again_shares_the_order_again(valkey: Valkey) -> None:
    namespace = uuid.uuid4().hex
    async with redis_queue(valkey, namespace=namespace) as one, redis_queue(valkey, namespace=namespace) as other:
        await one.clear("sync")
        await one.put(places(1))
        await one.clear("")
        await one.put(places(2))
        assert await other.count() == 2


async def test_a_lane_that_nobody_uses_any_more_goes_by_itself(own_valkey: Valkey) -> None:
    async with redis_queue(own_valkey, namespace="n") as queue, Redis.from_url(own_valkey.url) as redis:
        await queue.clear("async")
        await queue.put(places(2))
        assert 0 < await redis.ttl("contenthubd:{n}:waiting:async") <= LANE_SECONDS


async def test_one_set_is_all_that_stays_in_redis(own_valkey: Valkey) -> None:
    async with redis_queue(own_valkey, namespace="n") as queue, Redis.from_url(own_valkey.url) as redis:
        await queue.ping()
        assert await queue.take() is None
        await queue.put(places(3))
        keys = {key.decode() async for key in redis.scan_iter()}
        assert "contenthubd:{n}:waiting" in keys
        assert all([await redis.ttl(key) > 0 for key in keys - {"contenthubd:{n}:waiting"}])


# ------------------------------------------------------------------------------------------------------------- noticing


async def test_an_idle_daemon_notices_at_once_what_another_one_puts(valkey: Valkey) -> None:
    """Also long after its pop was renewed: a pop's time running out is no fault, and makes nobody deaf."""
    namespace = uuid.uuid4().hex
    rung = asyncio.Event()
    async with (
        redis_queue(valkey, namespace=namespace, arrived=rung.set, pop_seconds=0.02) as idle,
        redis_queue(valkey, namespace=namespace) as other,
        Redis.from_url(valkey.url) as redis,
    ):
        before = await pops(redis)
        assert await idle.take() is None
        async with asyncio.timeout(HANG_SECONDS):
            while await pops(redis) < before + 3:  # noqa: ASYNC110 - the fact lies in the server
                await asyncio.sleep(0.01)
        assert not rung.is_set()
        await other.put(places(1))
        await asyncio.wait_for(rung.wait(), HANG_SECONDS)
        assert await idle.take() == task(0)


async def pops(redis: Redis) -> int:
    """How many blocking pops the server has ended."""
    stats = await redis.info("commandstats")
    return int(stats.get("cmdstat_bzpopmin", {}).get("calls", 0))


async def test_what_we_put_ourselves_rings_no_bell(valkey: Valkey) -> None:
    rung: list[None] = []
    async with redis_queue(valkey, arrived=lambda: rung.append(None)) as queue:
        for number in range(20):
            assert await queue.take() is None
            await queue.put([(task(number), rank(number))])
            assert await queue.take() == task(number)
    assert not rung


async def test_a_cancelled_put_does_not_make_the_standing_order_deaf(valkey: Valkey) -> None:
    namespace = uuid.uuid4().hex
    rung = asyncio.Event()
    async with (
        redis_queue(valkey, namespace=namespace, arrived=rung.set) as ours,
        redis_queue(valkey, namespace=namespace) as other,
    ):
        for turns in range(30):
            rung.clear()
            assert await ours.take() is None
            put = asyncio.create_task(ours.put([(task(1), rank(1))]))
            for _ in range(turns):
                await asyncio.sleep(0)
            put.cancel()
            await asyncio.wait([put])
            if ours._order is not None:
                await other.put([(task(2), rank(2))])
                await asyncio.wait_for(rung.wait(), HANG_SECONDS)
            assert set(await drained(ours)) <= {task(1), task(2)}


# -------------------------------------------------------------------------------------------------- a server in trouble


CALLS: dict[str, Callable[[RedisQueue], Awaitable[object]]] = {
    "put": lambda queue: queue.put(places(1)),
    "take": lambda queue: queue.take(),
    "remove": lambda queue: queue.remove(task(1)),
    "count": lambda queue: queue.count(),
    "clear": lambda queue: queue.clear(""),
    "ping": lambda queue: queue.ping(),
}


@pytest.mark.parametrize("idle", [False, True], ids=["at work", "after an empty take"])
async def test_every_call_to_a_frozen_server_ends_with_unavailable(own_valkey: Valkey, idle: bool) -> None:
    async with asyncio.timeout(HANG_SECONDS), redis_queue(own_valkey, patience=SHORT) as queue:
        for call in CALLS.values():
            if idle:
                await lenient(queue)
            own_valkey.pause()
            with pytest.raises(Unavailable, match="cannot be used"):
                await call(queue)
            own_valkey.resume()


async def lenient(queue: RedisQueue) -> None:
    """A take that finds nothing, however slow the server is in waking up."""
    while True:
        try:
            await queue.clear("")
            assert await queue.take() is None
        except Unavailable:
            continue
        return


async def test_every_call_to_an_absent_server_ends_with_unavailable_and_works_when_it_is_there(
    own_valkey: Valkey,
) -> None:
    async with redis_queue(own_valkey) as queue:
        own_valkey.kill()
        for call in CALLS.values():
            with pytest.raises(Unavailable, match="Connect"):
                await call(queue)
        own_valkey.start()
        for call in CALLS.values():
            await call(queue)


async def test_the_death_of_the_server_is_noticed_by_an_idle_daemon_and_told_once(own_valkey: Valkey) -> None:
    rung = asyncio.Event()
    async with redis_queue(own_valkey, arrived=rung.set) as queue:
        assert await queue.take() is None
        own_valkey.kill()
        await asyncio.wait_for(rung.wait(), HANG_SECONDS)
        own_valkey.start()
        with pytest.raises(Unavailable):
            await queue.take()
        assert await queue.take() is None


async def fill(redis: Redis) -> None:
    await redis.config_set("maxmemory-policy", "noeviction")
    await redis.config_set("maxmemory", "1")


async def lock(redis: Redis) -> None:
    await redis.config_set("requirepass", SECRET)
    await redis.client_kill_filter(_type="normal")


async def make_replica(redis: Redis) -> None:
    await redis.replicaof("127.0.0.1", "1")


@pytest.mark.parametrize("break_it", [fill, lock, make_replica])
async def test_a_server_that_answers_and_does_not_serve_fails_the_ping(
    own_valkey: Valkey, break_it: Callable[[Redis], Awaitable[None]]
) -> None:
    async with Redis.from_url(own_valkey.url) as redis, redis_queue(own_valkey, namespace="n") as queue:
        await queue.ping()
        await break_it(redis)
        with pytest.raises(Unavailable) as told:
            await queue.ping()
        with pytest.raises(Unavailable):
            await queue.put(places(1))
    assert SECRET not in str(told.value)


async def test_a_wrong_password_is_told_without_the_password(own_valkey: Valkey) -> None:
    async with Redis.from_url(own_valkey.url) as redis:
        await redis.config_set("requirepass", "another")
    address = own_valkey.url.replace("redis://", f"redis://:{SECRET}@")
    queue = RedisQueue(RedisServer(address), "n", "run", 10, nobody)
    with pytest.raises(Unavailable, match="password") as told:
        await queue.ping()
    await queue.close()
    assert SECRET not in str(told.value)


async def test_clearing_starts_afresh_after_a_broken_standing_order(own_valkey: Valkey) -> None:
    rung = asyncio.Event()
    async with redis_queue(own_valkey, arrived=rung.set) as queue:
        assert await queue.take() is None
        own_valkey.kill()
        await asyncio.wait_for(rung.wait(), HANG_SECONDS)
        own_valkey.start()
        await queue.clear("")
        await queue.put(places(2))
        assert await drained(queue) == [task(0), task(1)]


# -------------------------------------------------------------------------------------------------------------- numbers


def test_the_score_sorts_as_the_rank_does_and_is_exact() -> None:
    ranks = [Rank(priority, turn, 0) for priority in (1, 2, 10) for turn in (0, 1, TURNS - 2, TURNS - 1)]
    scores = [score_of(one) for one in ranks]
    assert scores == sorted(set(scores))
    assert [int(one) for one in scores] == [one.priority * TURNS + one.turn for one in ranks]


@pytest.mark.parametrize("bad", [Rank(5, TURNS, 0), Rank(5, -1, 0), Rank(-1, 0, 0), Rank(32, 0, 0)])
def test_a_rank_that_a_score_cannot_hold_is_refused(bad: Rank) -> None:
    with pytest.raises(InvalidInput, match="cannot be a place"):
        score_of(bad)


def test_a_queue_without_a_place_is_refused() -> None:
    with pytest.raises(InvalidInput, match="memory_size"):
        RedisQueue(RedisServer("redis://localhost"), "n", "run", 0, nobody)


def test_a_blocked_pop_is_not_taken_for_a_dead_server() -> None:
    server = RedisServer("redis://localhost")
    patience = server.patient.connection_pool.connection_kwargs["socket_timeout"]
    assert patience >= POP_SECONDS + PATIENCE_SECONDS
