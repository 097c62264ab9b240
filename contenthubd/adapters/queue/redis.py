"""The queue in Redis: one sorted set, shared by all daemons of one database that can run the same modes (a *lane*).

The score is ``priority * 2**48 + turn``, which a double holds exactly; ties go by the member, the id in hexadecimal,
which for a UUIDv7 is by age. Nothing else is kept in Redis: leases, delays and uniqueness are PostgreSQL's.

Capacity and horizon are those of the queue in memory (see there). The horizon lives in this process and is about what
*we* dropped; what another daemon dropped comes back to it with its own next look into the database.

An id is popped in one command, never read and then removed. The pop runs in a task of its own which the caller only
awaits through a shield: when the caller is cancelled, the id is kept *in hand*, and what is in hand goes back into the
set with the next command, in the same transaction. So the order stays true, and nobody loses an id by being cancelled.

A take that finds nothing leaves a standing order behind (``order.py``), and ``arrived`` rings as soon as another daemon
puts something. Our own puts end the order first: whoever puts wakes the dispatcher himself, and a bell that the
dispatcher's own refill could ring would never be quiet.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Final
from uuid import UUID

import structlog

from contenthubd.adapters.queue.order import StandingOrder
from contenthubd.adapters.queue.redis_server import RedisServer, unavailable
from contenthubd.domain.errors import InvalidInput, Unavailable
from contenthubd.domain.task import Rank

TURNS: Final = 2**48
CHUNK: Final = 1000
PROBE_SECONDS: Final = 60
LANE_SECONDS: Final = 3600
"""How long an unused lane stays in Redis; whoever uses it again fills it from the database."""
log = structlog.get_logger(__name__)

Held = dict[str, float]
"""Members and their scores."""
Popped = tuple[str, float] | None


def score_of(rank: Rank) -> float:
    """Priority and turn as one number that sorts like them; InvalidInput for what it cannot hold exactly."""
    if not (0 <= rank.priority < 32 and 0 <= rank.turn < TURNS):
        raise InvalidInput(f"The rank {rank} cannot be a place in Redis.", fix=f"Turns go from 0 to {TURNS - 1}.")
    return float(rank.priority * TURNS + rank.turn)


class RedisQueue:
    """A TaskQueue of at most ``capacity`` ids under ``contenthubd:{namespace}:``; every method may raise Unavailable.

    ``run`` is unlike that of every other daemon at work; ``arrived`` rings when somebody else put an id.
    """

    def __init__(
        self, server: RedisServer, namespace: str, run: str, capacity: int, arrived: Callable[[], None]
    ) -> None:
        if capacity < 1:
            raise InvalidInput(f"A queue cannot hold {capacity} ids.", fix="Set [queue] memory_size to 1 or more.")
        self._prefix = f"contenthubd:{{{namespace}}}"
        self._lane = ""
        self._waiting = f"{self._prefix}:waiting"
        self._probe = f"{self._prefix}:probe"
        self._bell = f"{self._prefix}:bell:{run}"
        self._capacity = capacity
        self._arrived = arrived
        self._server = server
        self._redis = server.redis
        self._horizon: tuple[float, str] | None = None
        self._hand: Held = {}
        self._pops: set[asyncio.Task[Popped]] = set()
        self._abandoned: set[asyncio.Task[Popped]] = set()
        self._popping = asyncio.Lock()
        self._order: StandingOrder | None = None
        self._orders = 0

    async def put(self, places: Sequence[tuple[UUID, Rank]]) -> None:
        """Add ids; dropped if they lie behind the horizon. An id that is already there stays where it is."""
        await self._end_order()
        for chunk in _chunks([(score_of(rank), task_id.hex) for task_id, rank in places]):
            new = {member: score for score, member in chunk if self._horizon is None or (score, member) < self._horizon}
            if new:
                await self._add(new)

    async def take(self) -> UUID | None:
        """Remove and return the first id; None if there is none (the database may have more).

        Unavailable also if it is none of our ids: then somebody else writes there, and it has to be filled anew.
        """
        pop = asyncio.create_task(self._pop())  # noqa: TID251 - held in _pops until it has ended, and awaited here
        self._pops.add(pop)
        pop.add_done_callback(self._pops.discard)
        try:
            popped = await asyncio.shield(pop)
        except asyncio.CancelledError:
            self._leave(pop)
            raise
        try:
            return UUID(hex=popped[0]) if popped else None
        except ValueError as fault:
            raise unavailable(fault) from fault

    async def remove(self, task_id: UUID) -> None:
        """Forget an id; nothing happens if it is not there."""
        self._hand.pop(task_id.hex, None)
        async with self._server.answered():
            await self._redis.zrem(self._waiting, task_id.hex)

    async def count(self) -> int:
        """How many ids wait here."""
        async with self._server.answered():
            held: int = await self._redis.zcard(self._waiting)
        return held + len(self._hand)

    async def clear(self, lane: str) -> None:
        """Forget everything in the lane, the horizon too."""
        await self._end_order(forgive=True)
        self._lane, self._waiting = lane, f"{self._prefix}:waiting" + (f":{lane}" if lane else "")
        async with self._server.answered():
            await self._redis.delete(self._waiting)
        self._hand.clear()
        self._horizon = None

    async def ping(self) -> None:
        """Write: a full server, a read-only one or a wrong password would answer a mere PING.

        Whatever somebody else put at our name does no harm: who returns to a queue clears it first.
        """
        await self._server.name_known()
        async with self._server.answered():
            await self._redis.set(self._probe, 1, ex=PROBE_SECONDS)

    async def close(self) -> None:
        """Give back what is in hand and close the connections; a server that is away is left as it is."""
        try:
            await self._end_order()
            if self._pops:
                await asyncio.wait(self._pops)
            if self._hand:
                await self._add({})
        except Unavailable as fault:
            log.info("queue_close_failed", in_hand=len(self._hand), why=str(fault))
        await self._server.close()

    async def _add(self, new: Held) -> None:
        """One transaction: what is in hand and what is new go in, what is too much goes out."""
        hand, self._hand = self._hand, {}
        try:
            async with self._server.answered(), self._redis.pipeline(transaction=True) as together:
                together.zadd(self._waiting, hand | new, nx=True)
                together.zrange(self._waiting, self._capacity, self._capacity, withscores=True)
                together.zremrangebyrank(self._waiting, self._capacity, -1)
                if self._lane:
                    together.expire(self._waiting, LANE_SECONDS)
                _, dropped, *_ = await together.execute()
        except BaseException:
            self._hand = hand | self._hand
            raise
        for member, score in dropped:
            self._horizon = min(self._horizon or (score, member), (score, member))

    async def _pop(self) -> Popped:
        async with self._popping:
            await self._end_order()
            popped = await self._first()
            if popped is None:
                self._stand()
            elif asyncio.current_task() in self._abandoned:
                self._keep(*popped)
            return popped

    async def _first(self) -> Popped:
        hand, self._hand = self._hand, {}
        try:
            async with self._server.answered(), self._redis.pipeline(transaction=True) as together:
                if hand:
                    together.zadd(self._waiting, hand, nx=True)
                together.zpopmin(self._waiting)
                *_, popped = await together.execute()
        except BaseException:
            self._hand = hand | self._hand
            raise
        return popped[0] if popped else None

    def _leave(self, pop: asyncio.Task[Popped]) -> None:
        """The caller has gone: what the pop brings, or has brought a moment ago, is for the next one."""
        if not pop.done():
            self._abandoned.add(pop)
            pop.add_done_callback(self._abandoned.discard)
        elif not pop.cancelled() and pop.exception() is None and (popped := pop.result()):
            self._keep(*popped)

    def _keep(self, member: str, score: float) -> None:
        self._hand[member] = score

    def _stand(self) -> None:
        self._orders += 1
        bell = f"{self._bell}:{self._orders}"
        self._order = StandingOrder(self._server, self._waiting, bell, came=self._keep, over=self._arrived)

    async def _end_order(self, *, forgive: bool = False) -> None:
        """Have what the standing order got in hand. Unavailable if it had failed, which is told once."""
        order = self._order
        if order is None:
            return
        try:
            await order.end()
        except Unavailable:
            await order.abandon()
            self._forget(order)
            if not forgive:
                raise
        self._forget(order)

    def _forget(self, order: StandingOrder) -> None:
        if self._order is order:
            self._order = None


def _chunks(places: list[tuple[float, str]]) -> Iterator[list[tuple[float, str]]]:
    return (places[start : start + CHUNK] for start in range(0, len(places), CHUNK))
