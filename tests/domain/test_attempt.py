"""Marks (short, neutral, one for each attempt) and what a flight says about itself."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from uuid_utils.compat import uuid7

from contenthubd.domain.attempt import MARK_LENGTH, Flight, is_marked_otherwise, mark_of, with_mark
from contenthubd.domain.moment import Moment
from contenthubd.domain.task import Mode, TaskState

NOON = datetime(2026, 1, 1, tzinfo=UTC)
CLAIMED = Moment(NOON, "boot", timedelta(hours=5))
FLIGHT = Flight(
    task_id=UUID(int=1),
    attempt=2,
    task_attempt=2,
    state=TaskState.RUNNING,
    mode=Mode.ASYNC,
    mark="",
    claimed=CLAIMED,
    timeout=timedelta(seconds=1800),
)
ATTEMPTS = st.integers(1, 0xFFFF)


@given(st.uuids(), st.integers(0, 10**9))
def test_a_mark_is_one_plain_line_of_one_length(task_id: UUID, attempt: int) -> None:
    mark = mark_of(task_id, attempt)
    assert len(mark) == len(mark.encode()) == MARK_LENGTH
    assert re.fullmatch(r"\[ref [0-9a-f]{32}\]", mark)


@given(st.sets(st.tuples(st.integers(0, 2**112 - 1), ATTEMPTS), max_size=50))
def test_no_two_attempts_share_a_mark(attempts: set[tuple[int, int]]) -> None:
    """The last 16 bits of an id make room for the attempt; what is before them is unique."""
    assert len({mark_of(UUID(int=number << 16), attempt) for number, attempt in attempts}) == len(attempts)


def test_ids_made_in_one_burst_have_marks_of_their_own() -> None:
    assert len({mark_of(uuid7(), 1) for _ in range(10_000)}) == 10_000


@given(st.text(), st.uuids(), ATTEMPTS)
def test_the_mark_is_the_last_line_of_the_requirements(requirements: str, task_id: UUID, attempt: int) -> None:
    mark = mark_of(task_id, attempt)
    marked = with_mark(requirements, mark)
    assert marked == requirements + "\n" + mark
    assert marked.split("\n")[-1] == mark
    assert len(marked) == len(requirements) + 1 + MARK_LENGTH


@pytest.mark.parametrize("stepped", [0, 90, -90, 3600, -3600, 10**9, -(10**9)])
@pytest.mark.parametrize("minutes", [0, 29, 30, 31])
def test_a_step_of_the_wall_clock_changes_no_age_within_one_boot(minutes: int, stepped: int) -> None:
    passed = timedelta(minutes=minutes)
    now = Moment(NOON + passed + timedelta(seconds=stepped), "boot", timedelta(hours=5) + passed)
    assert FLIGHT.age(now) == passed
    assert FLIGHT.overdue(now) is (minutes >= 30)


@pytest.mark.parametrize(
    "now",
    [
        Moment(NOON + timedelta(minutes=7), "another boot", timedelta(hours=9)),
        Moment(NOON + timedelta(minutes=7), "boot", timedelta(hours=1)),
        Moment(NOON + timedelta(minutes=7)),
    ],
)
def test_beyond_one_boot_the_wall_clock_tells_the_age(now: Moment) -> None:
    assert FLIGHT.age(now) == timedelta(minutes=7)


def test_no_age_is_negative() -> None:
    assert FLIGHT.age(Moment(NOON - timedelta(hours=1), "another boot", timedelta())) == timedelta()


def test_attempts_of_one_task_are_not_marked_otherwise_and_another_tasks_are() -> None:
    one, other = UUID("0190a000-0000-7000-8000-0123456789ab"), UUID("0190a000-0000-7000-8000-1123456789ab")
    assert not is_marked_otherwise(with_mark("r", mark_of(one, 1)), mark_of(one, 2))
    assert is_marked_otherwise(with_mark("r", mark_of(other, 1)), mark_of(one, 1))
    assert not is_marked_otherwise("no mark", mark_of(one, 1))


@pytest.mark.parametrize(
    ("attempt", "abandoned_at", "current"),
    [(2, None, True), (2, CLAIMED, False), (1, None, False), (1, CLAIMED, False)],
)
def test_a_flight_is_current_while_its_task_waits_for_it(
    attempt: int, abandoned_at: datetime | None, current: bool
) -> None:
    assert replace(FLIGHT, attempt=attempt, abandoned_at=abandoned_at).current is current
