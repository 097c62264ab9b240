"""Redis-compatible servers for the suites of the queue."""

from collections.abc import Iterator

import pytest

from tests.real.valkey import Valkey


@pytest.fixture(scope="session")
def valkey() -> Iterator[Valkey]:
    """One Redis-compatible server per run; its guests keep apart by the names of their keys, and leave it running."""
    with Valkey() as server:
        yield server


@pytest.fixture
def own_valkey() -> Iterator[Valkey]:
    """A server that may be killed, frozen, filled and locked."""
    with Valkey() as server:
        yield server
