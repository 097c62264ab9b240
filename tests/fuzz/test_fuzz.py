"""The long run itself: it ends in time whatever it meets, and tells the request that made the fault."""

import logging
import shutil
from collections.abc import Iterator

import pytest
from hypothesis import strategies as st

from tests.fuzz.__main__ import EXAMPLES, SHORTENING_SECONDS, Requests, statuses
from tests.fuzz.world import World
from tests.running import short_directory

WORDS = st.binary(min_size=1, max_size=40)


class Door:
    """Each request takes a second; those with a byte beyond ASCII get a fault."""

    def __init__(self, fault: type[Exception] | None = None, seconds: float = 1.0) -> None:
        self.now = 0.0
        self.asked: list[bytes] = []
        self._fault = fault
        self._seconds = seconds

    def ask(self, sent: bytes) -> list[int]:
        """Answer, or fail."""
        self.now += self._seconds
        self.asked.append(sent)
        if self._fault is not None and not sent.isascii():
            raise self._fault(repr(sent))
        return [200]

    def clock(self) -> float:
        """The seconds so far."""
        return self.now


def test_nothing_is_sent_once_the_time_is_over() -> None:
    door = Door()
    sender = Requests(door.ask, 30.0, door.clock)
    assert len(statuses(WORDS, 1, sender)) == 30 < EXAMPLES
    assert sender.over
    assert len(door.asked) == 30


@pytest.mark.parametrize("seconds", [0.1, 7.0])
def test_the_search_for_a_shorter_request_ends_in_time(seconds: float) -> None:
    door = Door(AssertionError, seconds)
    with pytest.raises(AssertionError) as raised:
        statuses(WORDS, 1, Requests(door.ask, 1e9, door.clock))
    failing = [sent for sent in door.asked if not sent.isascii()]
    first = door.asked.index(failing[0]) + 1
    assert door.now - first * seconds <= SHORTENING_SECONDS + seconds
    assert str(raised.value) in map(repr, failing), "what is told was really sent, and failed"
    assert seconds > 1 or len(min(failing, key=len)) == 1


def test_an_answer_that_does_not_come_is_waited_for_once() -> None:
    door = Door(TimeoutError, 120.0)
    with pytest.raises(TimeoutError):
        statuses(WORDS, 1, Requests(door.ask, 1e9, door.clock))
    assert sum(not sent.isascii() for sent in door.asked) == 1


@pytest.fixture
def world() -> Iterator[World]:
    """Not entered: no door is needed for its log."""
    folder = short_directory()
    yield World("", folder)
    shutil.rmtree(folder)


def test_a_fault_is_told_to_one_request_only(world: World) -> None:
    world.emit(logging.makeLogRecord({"msg": "It broke.", "levelno": logging.ERROR}))
    assert world.faults() == ["It broke."]
    assert world.faults() == []
