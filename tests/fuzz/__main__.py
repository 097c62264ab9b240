"""``python -m tests.fuzz --seed 7 --minutes 30``: new requests for every route, round after round.

Exit code 1 at the first answer that may not be, with the shortest request that makes it; the same seed makes the same
requests. In the end it says how many requests each route had, and how they were answered.
"""

import argparse
import asyncio
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable
from random import SystemRandom

from hypothesis import HealthCheck, given, settings
from hypothesis import seed as seeded
from hypothesis.strategies import SearchStrategy

from contenthubd.adapters.postgres.engine import Database
from contenthubd.adapters.postgres.migrate import upgrade
from tests.fuzz.answers import tried
from tests.fuzz.requests import DEFINED, conversations, requests
from tests.fuzz.world import ACCOUNT, World
from tests.postgres_server import TestServer
from tests.running import short_directory

TEMPLATE = "contenthub_fuzz"
EXAMPLES = 200
"""Requests for one route in one round."""
Told = Counter[tuple[str, int]]


async def _migrated(url: str) -> None:
    database = Database(url)
    await upgrade(database)
    await database.close()


def _round(world: World, number: int, told: Told, over: Callable[[], bool]) -> None:
    known = [ACCOUNT, "last", *world.ids]
    kinds: list[tuple[str, SearchStrategy[bytes]]] = [
        (f"{method} {path}", requests(method, path, known)) for method, path in DEFINED
    ]
    for name, kind in [*kinds, ("any bytes", conversations())]:
        if not over():
            told.update((name, status) for status in _statuses(world, kind, number))


def _statuses(world: World, kind: SearchStrategy[bytes], number: int) -> list[int]:
    found: list[int] = []

    @seeded(number)
    @settings(max_examples=EXAMPLES, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(kind)
    def every(sent: bytes) -> None:
        found.extend(tried(world, sent))

    every()
    return found


def _fuzz(url: str, seed: int, minutes: float) -> Told:
    until = time.monotonic() + 60 * minutes
    told: Told = Counter()
    folder = short_directory()
    try:
        with World(url, folder) as world:
            number = seed
            while time.monotonic() < until:
                _round(world, number, told, lambda: time.monotonic() >= until)
                number += 1_000_003
    finally:
        shutil.rmtree(folder)
    return told


async def _run(seed: int, minutes: float) -> Told:
    server = TestServer()
    await server.start()
    try:
        await server.create_template(TEMPLATE, _migrated)
        return await asyncio.to_thread(_fuzz, await server.fresh_database(TEMPLATE), seed, minutes)
    finally:
        await server.stop()


def main() -> int:
    """0 if every answer was as it must be; else the failure is raised with the request that makes it."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seed", type=int, default=SystemRandom().randrange(10**6), help="which requests (random)")
    parser.add_argument("--minutes", type=float, default=5.0, help="for how long (5)")
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}, {arguments.minutes:g} minutes", flush=True)
    told = asyncio.run(_run(arguments.seed, arguments.minutes))
    for name in dict.fromkeys(name for name, _ in told):
        statuses = sorted((status, count) for (one, status), count in told.items() if one == name)
        print(f"{name:44}", " ".join(f"{status}×{count}" for status, count in statuses))
    print(f"{told.total():,} answers, no fault")
    return 0


if __name__ == "__main__":
    sys.exit(main())
