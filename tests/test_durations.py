"""Durations as people write them; each that cannot be read is answered with one that can."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contenthubd import durations


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("10m", 600), ("2h", 7200), ("1d", 86_400), ("1.5h", 5400), ("0s", 0), ("007d", 604_800)],
)
def test_a_number_with_its_unit(text: str, seconds: float) -> None:
    assert durations.seconds(text) == (seconds, True)


@given(st.integers(0, 10**9))
def test_a_number_alone_is_read_and_told_to_be_alone(number: int) -> None:
    assert durations.seconds(str(number)) == (number, False)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("5 min", "5m"), ("5min", "5m"), ("1h30m", "90m"), ("1 hour 30 minutes", "90m"), ("2 days", "2d"), ("1w", "7d"),
        ("2 Weeks", "14d"), ("24H", "1d"), ("36 hours", "36h"), ("1234567 d", "1234567d"),
        ("10 m", "10m"), (" 10m", "10m"), ("90 secs", "90s"), ("500ms", "0.5s"),
        ("1m1s", "61s"), ("0.5 day", "12h"),
        *((word, durations.EXAMPLES) for word in (
            "", " ", "m", "soon", "-5m", "+5m", "5y", "1e3", "inf", "nan", "1_000", "10,5m", "\u0663m", "\uff11h",
            "5m!", "today", "1h xx", "0x10", "1:30", "5mm", "5 m 3", "9" * 500 + "m",
        )),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_told_what_to_write(text: str, meant: str) -> None:
    with pytest.raises(ValueError, match=f"is not a duration; write {re.escape(meant)}$"):
        durations.seconds(text)


@given(st.text(max_size=30) | st.text("0123456789. smhdin", max_size=12))
def test_what_to_write_can_be_read(text: str) -> None:
    try:
        durations.seconds(text)
    except ValueError as fault:
        written = str(fault).rpartition("write ")[2]
        assert written == durations.EXAMPLES or durations.seconds(written)[1]
