"""Retries come after 30, 60 and 120 seconds, give or take the jitter."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contenthubd.domain.retry import RetryPolicy

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DELAYS = (timedelta(seconds=30), timedelta(seconds=60), timedelta(seconds=120))
POLICY = RetryPolicy(delays=DELAYS, jitter=0.1)
INSTANT = timedelta(microseconds=1)
DELAY = st.timedeltas(timedelta(0), timedelta(days=7))


@pytest.mark.parametrize(("retry_count", "seconds"), [(0, 30), (1, 30), (2, 60), (3, 120), (4, 120), (1000, 120)])
def test_the_delay_of_each_failure(retry_count: int, seconds: int) -> None:
    assert POLICY.retry_at(retry_count, NOW, 0.5) == NOW + timedelta(seconds=seconds)


@pytest.mark.parametrize(("rand", "seconds"), [(0.0, 27.0), (0.25, 28.5), (0.5, 30.0), (0.75, 31.5), (1.0, 33.0)])
def test_jitter_is_ten_percent_either_way(rand: float, seconds: float) -> None:
    assert abs(POLICY.retry_at(1, NOW, rand) - (NOW + timedelta(seconds=seconds))) <= INSTANT


@given(st.lists(DELAY, min_size=1, max_size=5), st.floats(0, 1), st.integers(-1, 30), st.floats(0, 1, exclude_max=True))
def test_a_retry_stays_within_its_bounds(delays: list[timedelta], jitter: float, retry_count: int, rand: float) -> None:
    waited = RetryPolicy(tuple(delays), jitter).retry_at(retry_count, NOW, rand) - NOW
    delay = delays[min(max(retry_count - 1, 0), len(delays) - 1)]
    assert delay * (1 - jitter) - INSTANT <= waited <= delay * (1 + jitter) + INSTANT


@given(DELAY, st.integers(1, 5), st.floats(0, 1, exclude_max=True))
def test_without_jitter_chance_plays_no_part(delay: timedelta, retry_count: int, rand: float) -> None:
    assert RetryPolicy((delay,), 0.0).retry_at(retry_count, NOW, rand) == NOW + delay
