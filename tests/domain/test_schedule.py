"""Which slot of a schedule is to be decided, and what it becomes."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contenthubd.domain.errors import InvalidInput
from contenthubd.domain.request import Request
from contenthubd.domain.schedule import ON_TIME, CatchUp, Schedule, check_repeatable, due

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
EVERY_FIVE = Schedule(
    schedule_id=UUID(int=1), name="news", account="demo", cron="*/5 * * * *", time_zone="Europe/Berlin",
    request=Request(topic="News of {date}", requirements="{date}, {name}"), created_at=NOON, checked_until=NOON,
    due_at=NOON + timedelta(minutes=5),
)  # fmt: skip


def policy(catch_up: CatchUp, checked_until: datetime = NOON) -> Schedule:
    """The schedule with another policy."""
    return replace(EVERY_FIVE, catch_up=catch_up, checked_until=checked_until)


@pytest.mark.parametrize("catch_up", CatchUp)
def test_nothing_is_due_before_the_slot(catch_up: CatchUp) -> None:
    assert due(policy(catch_up), NOON + timedelta(minutes=5) - timedelta(microseconds=1)) is None
    assert due(policy(catch_up), NOON - timedelta(days=1)) is None, "a clock that was stepped back"


@pytest.mark.parametrize("catch_up", CatchUp)
def test_a_slot_on_time_fires_with_every_policy(catch_up: CatchUp) -> None:
    found = due(policy(catch_up), NOON + timedelta(minutes=5) + ON_TIME)
    assert found is not None
    assert (found.slot, found.slots, found.missed) == (NOON + timedelta(minutes=5), 1, False)
    assert found.next_at == NOON + timedelta(minutes=10)


@pytest.mark.parametrize(
    ("catch_up", "slot", "slots", "missed"),
    [
        (CatchUp.SKIP, NOON + timedelta(days=1), 288, True),
        (CatchUp.ONCE, NOON + timedelta(days=1), 288, False),
        (CatchUp.ALL, NOON + timedelta(minutes=5), 1, False),
    ],
)
def test_after_a_day(catch_up: CatchUp, slot: datetime, slots: int, missed: bool) -> None:
    found = due(policy(catch_up), NOON + timedelta(days=1, minutes=3))
    assert found is not None
    assert (found.slot, found.slots, found.missed) == (slot, slots, missed)
    assert found.next_at == slot + timedelta(minutes=5)


@given(st.sampled_from(CatchUp), st.lists(st.timedeltas(timedelta(hours=-8), timedelta(hours=8)), max_size=12))
def test_every_slot_is_decided_once_however_the_clock_goes(catch_up: CatchUp, steps: list[timedelta]) -> None:
    schedule, now, decided, latest = policy(catch_up), NOON, [], NOON
    for step in steps:
        now += step
        latest = max(latest, now)
        while (found := due(schedule, now)) is not None:
            assert schedule.checked_until < found.slot <= now
            decided.append(found)
            schedule = replace(schedule, checked_until=found.slot)
    assert sum(one.slots for one in decided) == len(list(schedule.times().between(NOON, latest)))
    assert len({one.slot for one in decided}) == len(decided)


def test_the_day_is_that_of_the_slot_in_the_time_zone() -> None:
    late = datetime(2026, 3, 1, 23, 30, tzinfo=UTC)
    wanted = EVERY_FIVE.request_at(late)
    assert (wanted.topic, wanted.requirements) == ("News of 2026-03-02", "2026-03-02, {name}")


def test_a_request_that_can_be_made_only_once_is_refused() -> None:
    check_repeatable(EVERY_FIVE.request)
    with pytest.raises(InvalidInput, match="idempotency key"):
        check_repeatable(replace(EVERY_FIVE.request, idempotency_key="once"))


@pytest.mark.parametrize(
    ("topic", "requirements", "keywords"),
    [("News of {day}", "", ()), ("News of {Date}", "", ()), ("News of {{date}}", "", ()), ("{今天}新闻", "", ()),
     ("News {date:%d}", "", ()), ("News", "As of {month}.", ()), ("News", "", ("tea", "{date}"))],
)  # fmt: skip
def test_a_placeholder_that_nothing_is_put_in_for_is_refused(
    topic: str, requirements: str, keywords: tuple[str, ...]
) -> None:
    with pytest.raises(InvalidInput) as refused:
        check_repeatable(Request(topic=topic, requirements=requirements, keywords=keywords))
    assert "{date}" in refused.value.why


@pytest.mark.parametrize("topic", ["News of {date}", "{date} {date}", "{ } {} {1} } {", "Sets {1, 2}"])
def test_the_placeholder_and_other_braces_are_accepted(topic: str) -> None:
    check_repeatable(Request(topic=topic, requirements='As {"name": 1} or {name} on {date}.'))
