"""A look is never later than the interval, and closer only while history says that something is about to finish."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from contenthubd.domain.polling import CLOSEST, MIN_HISTORY, expected_duration, next_look

LAST = timedelta(days=3)
INTERVAL = timedelta(seconds=30)
CLOSER = timedelta(seconds=3)
HISTORY = [timedelta(seconds=seconds) for seconds in (100, 120, 140, 160, 180, 200, 220, 240)]
QUICK = timedelta(seconds=140)
INTERVALS = st.timedeltas(timedelta(milliseconds=100), timedelta(hours=1))
CLAIMS = st.lists(st.timedeltas(timedelta(0), timedelta(hours=2)).map(lambda age: LAST - age), max_size=6)
HISTORIES = st.lists(st.timedeltas(timedelta(0), timedelta(hours=1)), max_size=20)


@given(INTERVALS, CLAIMS, HISTORIES)
def test_a_look_is_never_late_and_never_too_close(
    interval: timedelta, claimed: list[timedelta], history: list[timedelta]
) -> None:
    wait = next_look(LAST, interval, claimed, history) - LAST
    assert wait <= interval
    assert wait >= min(interval, CLOSEST)
    assert wait >= min(interval, interval / 10)


@given(INTERVALS, CLAIMS, HISTORIES)
def test_nothing_is_asked_closer_unless_a_task_is_expected(
    interval: timedelta, claimed: list[timedelta], history: list[timedelta]
) -> None:
    look = next_look(LAST, interval, claimed, history)
    if look < LAST + interval:
        assert len(history) >= MIN_HISTORY
        quickest = min(history)
        assert any(claim + quickest <= look for claim in claimed)


@given(INTERVALS, CLAIMS, HISTORIES, CLAIMS)
def test_more_tasks_never_make_a_look_later(
    interval: timedelta, claimed: list[timedelta], history: list[timedelta], more: list[timedelta]
) -> None:
    assert next_look(LAST, interval, claimed + more, history) <= next_look(LAST, interval, claimed, history)


def test_without_history_the_interval_holds() -> None:
    assert next_look(LAST, INTERVAL, [LAST - timedelta(hours=1)], HISTORY[: MIN_HISTORY - 1]) == LAST + INTERVAL


def test_with_nothing_in_flight_the_interval_holds() -> None:
    assert next_look(LAST, INTERVAL, [], HISTORY) == LAST + INTERVAL


def test_a_young_task_is_left_alone() -> None:
    assert next_look(LAST, INTERVAL, [LAST], HISTORY) == LAST + INTERVAL


def test_a_task_that_is_due_is_looked_at_soon() -> None:
    assert next_look(LAST, INTERVAL, [LAST - QUICK], HISTORY) == LAST + CLOSER


def test_a_look_waits_for_the_moment_a_task_is_due() -> None:
    claim = LAST - QUICK + timedelta(seconds=11)
    assert next_look(LAST, INTERVAL, [claim], HISTORY) == LAST + timedelta(seconds=11)


def test_the_task_that_is_due_first_decides() -> None:
    claims = [LAST, LAST - QUICK + timedelta(seconds=20), LAST - QUICK + timedelta(seconds=7)]
    assert next_look(LAST, INTERVAL, claims, HISTORY) == LAST + timedelta(seconds=7)


def test_an_interval_shorter_than_the_closest_look_holds() -> None:
    second = timedelta(seconds=1)
    assert next_look(LAST, second, [LAST - QUICK], HISTORY) == LAST + second


def test_the_order_of_history_does_not_matter() -> None:
    claims = [LAST - timedelta(seconds=130)]
    assert next_look(LAST, INTERVAL, claims, HISTORY[::-1]) == next_look(LAST, INTERVAL, claims, HISTORY)


def test_the_expected_duration_is_the_median() -> None:
    assert expected_duration(HISTORY[:5]) == timedelta(seconds=140)
    assert expected_duration([*HISTORY[:5], timedelta(days=9)]) == timedelta(seconds=160)


def test_too_little_history_expects_nothing() -> None:
    assert expected_duration(HISTORY[: MIN_HISTORY - 1]) is None
