"""Foreign text comes out as a value or as a reason, whatever it is: nothing is raised."""

import json
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contenthubd.domain import foreign
from contenthubd.domain.foreign import Unreadable

TEXTS = st.text(st.characters()) | st.text('0123456789-+.:TZ eE"[]{}\\u', max_size=80)
ANYTHING: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS | st.binary() | st.just(10**4000),
    lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner),
    max_leaves=20,
)
DEEP = 100_000


@given(ANYTHING)
def test_no_reader_raises(value: Any) -> None:
    found = [
        foreign.text(value, most=10),
        foreign.text(value, most=10, repair=True),
        foreign.clipped(value, most=10),
        foreign.identifier(value),
        foreign.whole(value, least=-(10**30), most=10**30),
        foreign.moment(value),
        foreign.moment(value, assume=ZoneInfo("Asia/Shanghai")),
    ]
    for one in found:
        if isinstance(one, Unreadable):
            assert one.why
            assert "\n" not in one.why
            assert len(one.why) < 200
    foreign.quoted(value).encode()


@given(st.binary() | TEXTS | ANYTHING.map(lambda value: json.dumps(value, default=str)))
def test_json_of_any_kind_is_a_value_or_a_reason(data: bytes | str) -> None:
    found = foreign.json_value(data)
    assert not isinstance(found, Unreadable) or found.why


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("[" * DEEP + "]" * DEEP, "nested deeper"),
        ("[" * 65 + "]" * 65, "nested deeper"),
        ('{"a":' * DEEP + "1" + "}" * DEEP, "nested deeper"),
        ("9" * 5000, "5000 digits"),
        ("[" + "9" * 21 + "]", "21 digits"),
        ("1e999", "too large"),
        ("0." + "1" * 5000, "too long"),
        ("NaN", "NaN is not a number"),
        ("[-Infinity]", "-Infinity is not a number"),
        ('{"a":1,"b":2,"a":3}', "the key 'a' occurs twice"),
        ("[] []", "not JSON"),
        ("", "not JSON"),
        (b'"\xff"', "byte 2 is not UTF-8"),
        (b"\xff\xfe[\0]\0", "byte 1 is not UTF-8"),
    ],
)
def test_json_that_is_refused(data: bytes | str, reason: str) -> None:
    found = foreign.json_value(data)
    assert isinstance(found, Unreadable)
    assert reason in found.why


def test_json_that_is_read() -> None:
    assert foreign.json_value(b"\xef\xbb\xbf" + b'{"a": [1, 2.5, "\\ud800", null]}') == {"a": [1, 2.5, "\ud800", None]}
    assert isinstance(foreign.json_value("[" * 64 + "]" * 64), list)
    assert isinstance(foreign.json_value("[1]", most=2), Unreadable)


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("2026-03-01T10:00:00.5Z", datetime(2026, 3, 1, 10, 0, 0, 500_000, UTC)),
        ("2026-03-01T10:00:00+08:00", datetime(2026, 3, 1, 2, tzinfo=UTC)),
        ("2026-03-01 10:00:00", datetime(2026, 3, 1, 2, tzinfo=UTC)),
    ],
)
def test_times_come_in_utc(given: str, read: datetime) -> None:
    assert foreign.moment(given, assume=ZoneInfo("Asia/Shanghai")) == read


@pytest.mark.parametrize(
    "given",
    [
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        "0001-01-01",
        "9999-12-31",
        "1969-12-31T23:59:59Z",
        "2026-02-30",
        "2026-03-01T25:00:00Z",
        "yesterday",
        "",
        "\ud800",
        "2026-03-01T10:00:00\ud800",
        "2" * 1_000_000,
        1772359200,
        None,
    ],
)
def test_odd_times_are_refused(given: object) -> None:
    for zone in (None, UTC, ZoneInfo("Asia/Shanghai"), ZoneInfo("America/New_York")):
        assert isinstance(foreign.moment(given, assume=zone), Unreadable)


def test_a_time_without_a_zone_needs_one() -> None:
    found = foreign.moment("2026-03-01T10:00:00")
    assert isinstance(found, Unreadable)
    assert "no time zone" in found.why


@given(st.datetimes())
def test_what_is_read_can_be_shown_anywhere(given: datetime) -> None:
    found = foreign.moment(given.isoformat(), assume=UTC)
    if isinstance(found, datetime):
        for zone in ("Pacific/Kiritimati", "Etc/GMT+12"):
            assert found.astimezone(ZoneInfo(zone)) == found


@pytest.mark.parametrize(
    "given", ["9" * 5000, "9" * 21, "\uff11", "1_0", " 1", "", "-", "+-1", "1.0", True, 1.0, None, "101", -1]
)
def test_odd_numbers_are_refused(given: object) -> None:
    assert isinstance(foreign.whole(given, least=0, most=100), Unreadable)


@pytest.mark.parametrize(("given", "read"), [("7", 7), ("+7", 7), ("007", 7), (7, 7), ("0", 0), ("100", 100)])
def test_numbers_are_read(given: object, read: int) -> None:
    assert foreign.whole(given, least=0, most=100) == read


def test_texts_are_bounded_and_can_be_stored() -> None:
    assert foreign.text("字\n", most=2) == "字\n"
    assert isinstance(foreign.text("字字字", most=2), Unreadable)
    for odd in ("a\0", "\ud800", "\udc00\ud800"):
        assert isinstance(foreign.text(odd, most=9), Unreadable)
        repaired = foreign.text(odd, most=9, repair=True)
        assert isinstance(repaired, str)
        assert repaired.encode().count("\ufffd".encode()) == len(odd) - odd.count("a")
    assert foreign.clipped("abcdef", most=3) == "abc…"
    assert foreign.clipped("a\0c", most=3) == "a\ufffdc"


@pytest.mark.parametrize("given", ["", "-x", "a b", "a\n", "字", "a\0", "x" * 201, "\ud800", "a/b", 7, None])
def test_odd_ids_are_refused(given: object) -> None:
    assert isinstance(foreign.identifier(given), Unreadable)


def test_ids_are_read() -> None:
    for good in ("7d1f0f0a-3a57-4b7e-9d3c-52f4a3b7c901", "task-1772359200000", "a.b:c_d".replace("_", "-"), "x" * 200):
        assert foreign.identifier(good) == good


def test_a_quoted_value_is_short_and_harmless() -> None:
    assert foreign.quoted("\x1b[31m\n\u202e") == "'\\x1b[31m\\n\\u202e'"
    assert foreign.quoted("x" * 1000) == f"'{'x' * 60}'…"
    assert foreign.quoted(10**5000) == "a number of more than 20 digits"
    others: list[object] = [None, True, {}, [], b""]
    assert [foreign.quoted(one) for one in others] == [
        "null",
        "true",
        "an object",
        "a list",
        "bytes",
    ]
