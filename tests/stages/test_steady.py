"""Nothing is deleted because a clock was wrong for a while."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contenthubd.stages.steady import STEADY, SteadyTime
from tests.clock import ManualClock

MINUTE, YEARS = timedelta(minutes=1), timedelta(days=4000)


def read(steady: SteadyTime, clock: ManualClock, minutes: int) -> datetime | None:
    """What is safe after a reading every ten minutes for so long."""
    safe = None
    for _ in range(minutes // 10):
        clock.advance(600)
        safe = steady.now()
    return safe


@pytest.mark.parametrize(("ago", "by"), [(1, 0), (1, 4000), (0, 4000), (20, 0), (1, -3), (-3, 0)])
def test_before_the_first_hour_it_is_no_later_than_what_was_reached_and_what_is_read(ago: int, by: int) -> None:
    clock = ManualClock()
    reached = clock.now() - timedelta(days=ago)
    clock.step(days=by)
    steady = SteadyTime(clock)
    for minutes in range(0, 60, 10):
        passed = timedelta(minutes=minutes)
        assert steady.now(reached) == min(reached + passed, clock.now())
        assert steady.now() is None
        clock.advance(600)
    assert steady.now(reached) == clock.now(), "an hour of even time is believed"


def test_an_hour_of_even_time_is_safe() -> None:
    clock = ManualClock()
    steady = SteadyTime(clock)
    assert steady.now() is None
    assert read(steady, clock, 50) is None
    assert read(steady, clock, 10) == clock.now()
    assert read(steady, clock, 600) == clock.now()


@pytest.mark.parametrize("wrong_for", [1, 10, 30, 50])
@pytest.mark.parametrize("by", [timedelta(hours=2), YEARS])
def test_a_clock_that_was_set_forward_for_a_while_deletes_nothing(wrong_for: int, by: timedelta) -> None:
    clock = ManualClock()
    steady = SteadyTime(clock)
    steady.now()
    read(steady, clock, 60)
    clock.step(by.total_seconds())
    for _ in range(wrong_for):
        clock.advance(60)
        assert steady.now() == clock.now() - by
    clock.step(-by.total_seconds())
    for _ in range(120):
        clock.advance(60)
        assert steady.now() == clock.now()


def test_nor_one_that_is_wrong_at_the_start_of_the_daemon() -> None:
    clock = ManualClock()
    clock.step(YEARS.total_seconds())
    steady = SteadyTime(clock)
    assert read(steady, clock, 50) is None
    clock.step(-YEARS.total_seconds())
    assert read(steady, clock, 120) == clock.now()


def test_a_clock_that_was_corrected_for_good_is_believed_after_an_hour() -> None:
    clock = ManualClock()
    steady = SteadyTime(clock)
    read(steady, clock, 120)
    clock.step(7200)
    safe = read(steady, clock, 50)
    assert safe == clock.now() - timedelta(hours=2)
    assert read(steady, clock, 20) == clock.now()


@given(st.lists(st.tuples(st.integers(0, 90), st.integers(-10_000, 10_000)), max_size=40))
def test_it_is_never_later_than_any_clock_of_the_last_hour(steps: list[tuple[int, int]]) -> None:
    clock = ManualClock()
    steady = SteadyTime(clock)
    readings: list[tuple[timedelta, datetime]] = []
    for minutes, by in steps:
        clock.advance(60 * minutes)
        clock.step(60 * by)
        readings.append((clock.uptime(), clock.now()))
        safe = steady.now()
        recent = [wall + (clock.uptime() - at) for at, wall in readings if clock.uptime() - at <= STEADY]
        if safe is not None:
            assert safe <= min(recent)
