"""``python -m tests.fuzz --seed 7 --minutes 30``: new requests for every route, round after round.

Exit code 1 at the first answer that may not be, with the shortest request that makes it; the same seed makes the same
requests. Nothing is sent any more once the minutes are over, or a minute after the first such answer, in which a
shorter request is looked for. In the end it says how many requests each route had, and how they were answered.
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
SHORTENING_SECONDS = 60.0
Told = Counter[tuple[str, int]]


async def _migrated(url: str) -> None:
    database = Database(url)
    await upgrade(database)
    await database.close()


class Requests:
    """Sends requests until a time is over. ``clock`` tells seconds, ``ask`` sends one and judges its answers."""

    def __init__(self, ask: Callable[[bytes], list[int]], until: float, clock: Callable[[], float]) -> None:
        self._ask = ask
        self._until = until
        self._clock = clock
        self._failed: dict[bytes, Exception] = {}

    @property
    def over(self) -> bool:
        """Whether nothing is sent any more."""
        return self._clock() >= self._until

    def send(self, sent: bytes) -> list[int]:
        """The statuses; none once the time is over, when a request that failed before fails again without being sent.

        hypothesis has no limit of its own for the search for a shorter request but five minutes, and repeats the
        shortest at last. An answer that does not come is not tried again: each try would wait as long.
        """
        if self.over:
            if sent in self._failed:
                raise self._failed[sent]
            return []
        try:
            return self._ask(sent)
        except (AssertionError, OSError, ValueError, KeyError) as fault:
            now = self._clock()
            if isinstance(fault, TimeoutError):
                self._until = now
            elif not self._failed:
                self._until = now + SHORTENING_SECONDS
            self._failed[sent] = fault
            raise


def statuses(kind: SearchStrategy[bytes], number: int, sender: Requests) -> list[int]:
    """The answers to requests of one kind, the same for the same number."""
    found: list[int] = []

    @seeded(number)
    @settings(max_examples=EXAMPLES, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(kind)
    def every(sent: bytes) -> None:
        found.extend(sender.send(sent))

    every()
    return found


def _round(world: World, number: int, told: Told, sender: Requests) -> None:
    known = [ACCOUNT, "last", *world.ids]
    kinds: list[tuple[str, SearchStrategy[bytes]]] = [
        (f"{method} {path}", requests(method, path, known)) for method, path in DEFINED
    ]
    for name, kind in [*kinds, ("any bytes", conversations())]:
        if not sender.over:
            told.update((name, status) for status in statuses(kind, number, sender))


def _fuzz(url: str, seed: int, minutes: float) -> Told:
    told: Told = Counter()
    folder = short_directory()
    try:
        with World(url, folder) as world:
            sender = Requests(lambda sent: tried(world, sent), time.monotonic() + 60 * minutes, time.monotonic)
            number = seed
            while not sender.over:
                _round(world, number, told, sender)
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
