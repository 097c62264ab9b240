"""How long the door takes to accept a task, against a bare durable INSERT on the same server."""

import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from sqlalchemy import Column, DateTime, MetaData, Table, Text, Uuid, insert
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine

from contenthubd.adapters.postgres.embedded import EmbeddedPostgres
from tests.bench import place
from tests.bench.table import Line, middle
from tests.plain_connection import connect_in
from tests.running import RunningDaemon

ROUNDS = 6
COUNT = 40
BATCH = 10_000
BATCHES = 3
ROW = Table(
    "bench", MetaData(), Column("id", Uuid, primary_key=True), Column("topic", Text), Column("at", DateTime(True))
)


async def measure(folder: Path) -> list[Line]:
    """One by one, in turn with both ways of a bare INSERT; then whole batches."""
    postgres = EmbeddedPostgres(folder / "postgres")
    url = await postgres.start()
    try:
        async with place.daemon(folder, place.NOBODY, database_url=url) as running:
            ours, bare, core = await _one_by_one(running, url)
            batch = middle([await _batch(running) for _ in range(BATCHES)])
    finally:
        await postgres.stop()
    return [
        Line(
            what="submit over the socket, one by one, p50", ours=f"{ours:.2f} ms",
            reference=f"{core:.2f} ms SQLAlchemy Core insert + commit", ratio=ours / core,
            target="≤ 3.0", met=ours / core <= 3,
        ),
        Line(
            what="… against asyncpg alone", ours=f"{ours:.2f} ms", reference=f"{bare:.2f} ms asyncpg INSERT",
            ratio=ours / bare,
        ),
        Line(
            what=f"a batch of {BATCH:,} in one request", ours=f"{BATCH / batch:,.0f} tasks/s",
            target="≥ 20,000 tasks/s", met=BATCH / batch >= 20_000,
        ),
    ]  # fmt: skip


async def _one_by_one(running: RunningDaemon, address: str) -> tuple[float, float, float]:
    """Medians in ms: ours, asyncpg, SQLAlchemy Core."""
    url = make_url(address)
    bare = await connect_in(Path(str(url.query["host"])), url.username, url.database)
    engine = create_async_engine(url.set(drivername="postgresql+asyncpg"))
    await bare.execute("CREATE TABLE bench (id uuid PRIMARY KEY, topic text, at timestamptz)")

    async def through_the_door() -> None:
        await running.submit("A topic", batch=False)

    async def through_asyncpg() -> None:
        await bare.execute("INSERT INTO bench VALUES ($1, $2, $3)", uuid4(), "A topic", datetime.now(UTC))

    async def through_core() -> None:
        async with engine.begin() as connection:
            await connection.execute(insert(ROW), {"id": uuid4(), "topic": "A topic", "at": datetime.now(UTC)})

    ways = (through_the_door, through_asyncpg, through_core)
    taken: list[list[float]] = [[], [], []]
    try:
        for round_ in range(ROUNDS + 1):
            for way, times in zip(ways, taken, strict=True):
                found = await _each(way)
                times += found if round_ else []  # the first round only warms up
    finally:
        await bare.close()
        await engine.dispose()
    return middle(taken[0]), middle(taken[1]), middle(taken[2])


async def _each(way: Callable[[], Awaitable[None]]) -> list[float]:
    times = []
    for _ in range(COUNT):
        began = time.perf_counter()
        await way()
        times.append((time.perf_counter() - began) * 1000)
    return times


async def _batch(running: RunningDaemon) -> float:
    topics = [f"Topic {number}" for number in range(BATCH)]
    began = time.perf_counter()
    made = await running.submit(*topics)
    took = time.perf_counter() - began
    if len(made) != BATCH:
        raise RuntimeError(f"{len(made)} of {BATCH} tasks were accepted")
    return took
