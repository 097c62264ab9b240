"""Which queue a configuration comes to, and when doing without Redis is a fault."""

from typing import Any

import pytest

from contenthubd.config.keys import KEYS
from contenthubd.config.loader import Loaded
from contenthubd.config.model import Config, QueueSettings
from contenthubd.daemon import queues_of
from contenthubd.ports.stage import Stage
from tests.clock import ManualClock
from tests.real.valkey import Valkey, free_port


def ignored(stage: Stage) -> None:
    """A bell that nobody hears."""


async def used(settings: dict[str, Any], *, redis_named: bool) -> tuple[str, bool, bool]:
    """What is in use after one look: kind, degraded, and whether there is anything to look after."""
    origins = dict.fromkeys(KEYS, "default")
    if redis_named:
        origins["queue.redis_url"] = "config.toml"
    loaded = Loaded(config=Config(queue=QueueSettings(**settings)), origins=origins, files=())
    choice = queues_of(loaded, ManualClock(), ignored, database="name", run="run")
    await choice.watch.check()
    use = choice.watch.in_use()
    assert await choice.queue.count() == 0
    await choice.close()
    return use.kind, use.degraded, choice.changes


@pytest.mark.parametrize("settings", [{"type": "memory"}, {"redis_enabled": False}, {"redis_url": ""}])
async def test_without_redis_there_is_nothing_to_fall_back_from(settings: dict[str, Any]) -> None:
    assert await used(settings, redis_named=True) == ("memory", False, False)


@pytest.mark.parametrize(
    ("kind", "redis_named", "degraded"),
    [("redis", True, True), ("redis", False, True), ("auto", True, True), ("auto", False, False)],
)
async def test_an_absent_redis_is_missed_if_anybody_named_it(kind: str, redis_named: bool, degraded: bool) -> None:
    settings = {"type": kind, "redis_url": f"redis://127.0.0.1:{free_port()}"}
    assert await used(settings, redis_named=redis_named) == ("memory", degraded, True)


@pytest.mark.parametrize("kind", ["redis", "auto"])
async def test_a_redis_that_serves_is_used(valkey: Valkey, kind: str) -> None:
    assert await used({"type": kind, "redis_url": valkey.url}, redis_named=False) == ("redis", False, True)
