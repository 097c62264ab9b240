"""No request makes a 500: every route of the router, asked thousands of times, on a real database over the real socket.

The requests are the same in every run. New ones for as long as you like: ``make fuzz ARGS="--seed 7 --minutes 30"``.
"""

import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import TEMPLATE
from tests.fuzz.answers import answers, tried
from tests.fuzz.requests import DEFINED, GOOD, SHAPES, conversations, requests
from tests.fuzz.world import ACCOUNT, World
from tests.postgres_server import TestServer
from tests.running import short_directory

EXAMPLES = 80
steady = settings(
    max_examples=EXAMPLES, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
)


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A folder with a short path."""
    folder = short_directory()
    yield folder
    shutil.rmtree(folder)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def url(postgres: TestServer) -> AsyncIterator[str]:
    """A fresh database with every table."""
    made = await postgres.fresh_database(TEMPLATE)
    yield made
    await postgres.drop(made)


@pytest.fixture(scope="module")
def world(url: str, place: Path) -> Iterator[World]:
    """The door, open for the whole file."""
    with World(url, place) as made:
        yield made


def test_every_route_has_its_requests() -> None:
    assert set(SHAPES) == set(DEFINED)


@pytest.mark.parametrize(("method", "path"), DEFINED)
def test_no_request_makes_a_fault_of_ours(world: World, method: str, path: str) -> None:
    @steady
    @given(requests(method, path, [ACCOUNT, "last", *world.ids]))
    def every(sent: bytes) -> None:
        assert tried(world, sent)

    every()


def test_no_bytes_make_a_fault_of_ours(world: World) -> None:
    @settings(steady, max_examples=4 * EXAMPLES)
    @given(conversations())
    def every(sent: bytes) -> None:
        tried(world, sent)

    every()
    assert tried(world, GOOD) == [200]


@steady
@given(cut=st.integers(0, len(GOOD)))
def test_the_reader_of_answers_refuses_what_is_cut(cut: int) -> None:
    whole = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
    part = whole[:cut]
    if part and cut < len(whole):
        with pytest.raises(AssertionError):
            answers(part)
