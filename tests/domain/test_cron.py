"""Cron expressions: which times they mean, above all on the nights on which clocks change."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from contenthubd.domain.cron import COUNTED, Cron
from contenthubd.domain.errors import InvalidInput
from contenthubd.domain.zones import zone

NIGHTS = {
    "Berlin, an hour is left out": ("Europe/Berlin", datetime(2026, 3, 29, 1, tzinfo=UTC)),
    "Berlin, an hour comes twice": ("Europe/Berlin", datetime(2026, 10, 25, 1, tzinfo=UTC)),
    "New York, an hour is left out": ("America/New_York", datetime(2026, 3, 8, 7, tzinfo=UTC)),
    "New York, an hour comes twice": ("America/New_York", datetime(2026, 11, 1, 6, tzinfo=UTC)),
    "Lord Howe, half an hour is left out": ("Australia/Lord_Howe", datetime(2026, 10, 3, 15, 30, tzinfo=UTC)),
    "Lord Howe, half an hour comes twice": ("Australia/Lord_Howe", datetime(2026, 4, 4, 15, tzinfo=UTC)),
}
DAY = timedelta(days=1)
EXPRESSIONS = (
    "*/5 * * * *", "0 * * * *", "30 * * * *", "30 2 * * *", "30 1 * * *", "15,45 1-3 * * *", "0 */2 * * *",
    "0 0 * * *", "59 23 L * *", "0 12 * * MON-FRI", "30 2 1 * SUN", "*/20 2 * * *", "0 9 * * MON#1",
)  # fmt: skip
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Shanghai", "Australia/Lord_Howe", "America/Havana")


def local(cron: Cron, after: datetime, until: datetime) -> list[str]:
    """The slots as the clock on the wall shows them."""
    return [slot.astimezone(cron.zone).strftime("%d %H:%M %z") for slot in cron.between(after, until)]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("30 7 * * *", ["2026-03-01 07:30", "2026-03-02 07:30", "2026-03-03 07:30"]),
        ("*/20 * * * *", ["2026-03-01 00:20", "2026-03-01 00:40", "2026-03-01 01:00"]),
        ("0 9 * * MON-FRI", ["2026-03-02 09:00", "2026-03-03 09:00", "2026-03-04 09:00"]),
        ("0 0 1 * *", ["2026-04-01 00:00", "2026-05-01 00:00", "2026-06-01 00:00"]),
        ("0 0 13 * FRI", ["2026-03-06 00:00", "2026-03-13 00:00", "2026-03-20 00:00"]),
        ("0 0 29 2 *", ["2028-02-29 00:00", "2032-02-29 00:00", "2036-02-29 00:00"]),
        ("0 18 L * *", ["2026-03-31 18:00", "2026-04-30 18:00", "2026-05-31 18:00"]),
        ("  5   4 * *  sun ", ["2026-03-01 04:05", "2026-03-08 04:05", "2026-03-15 04:05"]),
    ],
)
def test_expressions(expression: str, expected: list[str]) -> None:
    slots = Cron(expression, "UTC").first(datetime(2026, 3, 1, tzinfo=UTC), 3)
    assert [f"{slot:%Y-%m-%d %H:%M}" for slot in slots] == expected


def test_a_slot_is_later_than_the_moment_asked_for() -> None:
    cron = Cron("0 12 * * *", "UTC")
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert cron.next(noon) == noon + DAY
    assert cron.next(noon - timedelta(microseconds=1)) == noon
    assert cron.next(noon + timedelta(microseconds=1)) == noon + DAY


def test_times_are_those_of_the_time_zone() -> None:
    slots = Cron("30 7 * * *", "Asia/Shanghai").first(datetime(2026, 3, 1, tzinfo=UTC), 1)
    assert slots == [datetime(2026, 3, 1, 23, 30, tzinfo=UTC)]
    assert slots[0].tzinfo is UTC


@pytest.mark.parametrize(
    ("night", "expression", "expected"),
    [
        ("Berlin, an hour is left out", "30 2 * * *", ["29 03:00 +0200"]),
        ("Berlin, an hour comes twice", "30 2 * * *", ["25 02:30 +0200"]),
        ("New York, an hour is left out", "30 2 * * *", ["08 03:00 -0400"]),
        ("New York, an hour comes twice", "30 2 * * *", ["01 02:30 -0500"]),
        ("New York, an hour comes twice", "30 1 * * *", ["01 01:30 -0400"]),
    ],
)
def test_a_daily_job_fires_once_on_both_nights(night: str, expression: str, expected: list[str]) -> None:
    name, change = NIGHTS[night]
    cron = Cron(expression, name)
    assert local(cron, change - timedelta(hours=3), change + timedelta(hours=3)) == expected
    week = list(cron.between(change - 3.5 * DAY, change + 3.5 * DAY))
    assert len({slot.astimezone(cron.zone).date() for slot in week}) == len(week) == 7


@pytest.mark.parametrize("night", NIGHTS)
@pytest.mark.parametrize(("expression", "minutes"), [("*/5 * * * *", 5), ("* * * * *", 1)])
def test_a_job_for_every_few_minutes_follows_the_time_that_passes(night: str, expression: str, minutes: int) -> None:
    name, change = NIGHTS[night]
    slots = list(Cron(expression, name).between(change - timedelta(hours=5), change + timedelta(hours=5)))
    assert {later - earlier for earlier, later in pairwise(slots)} == {timedelta(minutes=minutes)}
    assert len(slots) == 600 // minutes


@pytest.mark.parametrize("night", [night for night in NIGHTS if "half" not in night])
def test_an_hourly_job_follows_the_time_that_passes(night: str) -> None:
    name, change = NIGHTS[night]
    slots = list(Cron("30 * * * *", name).between(change - timedelta(hours=5), change + timedelta(hours=5)))
    assert {later - earlier for earlier, later in pairwise(slots)} == {timedelta(hours=1)}


def test_begun_inside_the_repeated_hour_nothing_comes_again() -> None:
    cron = Cron("30 2 * * *", "Europe/Berlin")
    _, change = NIGHTS["Berlin, an hour comes twice"]  # it is 02:00 for the second time
    assert cron.next(change + timedelta(minutes=10)) == datetime(2026, 10, 26, 1, 30, tzinfo=UTC)


moments = st.one_of(
    st.datetimes(datetime(2024, 1, 1), datetime(2028, 1, 1)).map(lambda moment: moment.replace(tzinfo=UTC)),  # noqa: DTZ001 - hypothesis wants its bounds naive
    st.tuples(st.sampled_from([change for _, change in NIGHTS.values()]), st.integers(-18_000, 18_000)).map(
        lambda near: near[0] + timedelta(seconds=near[1])
    ),
)


@given(
    st.sampled_from(EXPRESSIONS), st.sampled_from(ZONES), moments,
    st.timedeltas(timedelta(), 3 * DAY), st.timedeltas(timedelta(), 3 * DAY),
)  # fmt: skip
@example("30 2 * * *", "Europe/Berlin", datetime(2026, 10, 24, 23, tzinfo=UTC), timedelta(hours=2), timedelta(hours=6))
def test_two_spans_hold_what_the_whole_holds(
    expression: str, name: str, first: datetime, one: timedelta, two: timedelta
) -> None:
    cron, middle, last = Cron(expression, name), first + one, first + one + two
    whole = list(cron.between(first, last))
    assert [*cron.between(first, middle), *cron.between(middle, last)] == whole
    assert whole == sorted(set(whole))
    assert all(first < slot <= last for slot in whole)
    expected = (whole[-1], min(len(whole), COUNTED)) if whole else None
    assert cron.latest(first, last) == expected


@pytest.mark.parametrize("days", [1, 2, 40, 400])
def test_the_latest_slot_after_a_long_time(days: int) -> None:
    now = datetime(2026, 6, 15, 10, 0, 30, tzinfo=UTC)
    found = Cron("* * * * *", "Europe/Berlin").latest(now - days * DAY, now)
    assert found == (now.replace(second=0), min(COUNTED, days * 1440))


def test_the_latest_slot_of_a_dense_month_long_ago() -> None:
    now = datetime(2026, 6, 15, tzinfo=UTC)
    last = datetime(2026, 1, 31, 23, 59, tzinfo=UTC)
    assert Cron("* * * 1 *", "UTC").latest(now - 200 * DAY, now) == (last, COUNTED)


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("", "5 fields"),
        ("* * * *", "5 fields"),
        ("0 * * * * *", "5 fields"),
        (f"{'1,' * 200}1 * * * *", "200 characters"),
        ("60 * * * *", "The minute is not valid"),
        ("* 24 * * *", "The hour is not valid"),
        ("* * 0 * *", "The day of month is not valid"),
        ("* * * 13 *", "The month is not valid"),
        ("* * * * FOO", "The day of week is not valid"),
        ("*/0 * * * *", "The minute is not valid"),
        ("5-1 * * * *", "The minute is not valid"),
        ("0 0 30 2 *", "no month of '2' has the day '30'"),
        ("0 0 31 FEB,APR *", "no month of 'FEB,APR' has the day '31'"),
        ("0 0 32 2 *", "The day of month is not valid"),
        ("0 0 31 13 *", "The month is not valid"),
        ("60 0 31 2 *", "The minute is not valid"),
        ("* * * * 1#2/3", "The day of week is not valid"),
        ("@daily", "5 fields"),
    ],
)
def test_what_is_no_expression_is_told(expression: str, told: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        Cron(expression, "UTC")
    assert told in refused.value.why
    assert "minute, hour" in refused.value.fix


@given(st.text("0123456789*/,-#LWMONJAN \t", max_size=24) | st.text(max_size=12))
@example("* * * * 1#1,L")
@example("* * L-2/L * *")
@example("0 0 31 2 MON#5")
def test_an_expression_is_understood_or_refused(expression: str) -> None:
    try:
        cron = Cron(expression, "Europe/Berlin")
    except InvalidInput:
        return
    assert len(cron.first(datetime(2026, 1, 1, tzinfo=UTC), 2)) == 2


@pytest.mark.parametrize("name", ["Europe/Berln", "America", "", "\0", "../UTC", "/etc/localtime", "x" * 300, "🕑"])
def test_what_is_no_time_zone_is_told(name: str) -> None:
    with pytest.raises(InvalidInput, match="There is no time zone"):
        zone(name)


def test_the_nearest_time_zone_is_named() -> None:
    with pytest.raises(InvalidInput, match="Did you mean 'Europe/Berlin'"):
        zone("Europe/Berln")


@pytest.mark.parametrize(
    "name",
    ["Asia/Beijing", "Beijing", "asia/beijing", "CST", "GMT+8", "UTC+8", "utc+08:00", "+08:00", "+0800", "China",
     "asia/shanghai", "ASIA/SHANGHAI", "Asia/Shenzhen", "China Standard Time", " Asia/Shanghai ", "Shanghai",
     "北京时间", "Asia/Shanghia", "prc"],
)  # fmt: skip
def test_a_name_of_chinese_time_leads_to_its_zone(name: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        zone(name)
    assert refused.value.fix.startswith(("Did you mean 'Asia/Shanghai'", "Did you mean 'PRC'")), refused.value.fix


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("New York", "America/New_York"), ("europe/berlin", "Europe/Berlin"), ("Munich", "Europe/Berlin"),
        ("JST", "Asia/Tokyo"), ("IST", "Asia/Kolkata"), ("utc+5:30", "Asia/Kolkata"), ("utc", "UTC"), ("Z", "UTC"),
        ("PST", "America/Los_Angeles"), ("Europe/Berlni", "Europe/Berlin"), ("UTC-7", "America/Phoenix"),
    ],
)  # fmt: skip
def test_other_names_lead_to_their_zones(name: str, meant: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        zone(name)
    assert f"'{meant}'" in refused.value.fix


@given(st.text(max_size=200))
def test_any_name_of_a_zone_is_a_zone_or_refused(name: str) -> None:
    try:
        assert zone(name).key == name
    except InvalidInput as refused:
        assert refused.what.startswith("There is no time zone")
