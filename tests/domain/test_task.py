"""The task table, cell by cell, against a table written down a second time by hand."""

from collections import deque
from datetime import UTC, datetime, timedelta
from itertools import product
from uuid import UUID

import pytest

from contenthubd.domain.errors import Conflict
from contenthubd.domain.task import FINAL, IN_FLIGHT, TRANSITIONS, Mode, Rank, Task, TaskEvent, TaskState, sources, step
from tests.domain.tables import assert_cell, assert_complete, cells

# One row for each state, one column for each event; "." is an empty cell, a word the state that follows.
TABLE = """
                pending     submitting  submitted   running     retrying    completed  failed     timeout    cancelled
claimed_async   submitting  .           .           .           .           .          .          .          .
claimed_sync    running     .           .           .           .           .          .          .          .
accepted        .           submitted   .           .           .           .          .          .          .
started         .           .           running     .           .           .          .          .          .
succeeded       .           .           completed   completed   .           .          .          .          .
succeeded_late  completed   completed   completed   completed   completed   .          .          .          .
failed          .           retrying    retrying    retrying    .           .          .          .          .
gave_up         .           failed      failed      failed      .           .          .          .          .
timed_out       .           timeout     timeout     timeout     .           .          .          .          .
released        .           pending     .           pending     .           .          .          .          .
promoted        .           .           .           .           pending     .          .          .          .
cancelled       cancelled   cancelled   cancelled   cancelled   cancelled   .          .          .          .
revived         .           .           .           .           .           .          pending    pending    pending
"""

CELLS = cells(TABLE)


def test_the_table_has_a_cell_for_every_state_and_event() -> None:
    assert_complete(CELLS, TaskState, TaskEvent)


@pytest.mark.parametrize(("state", "event"), [*product(TaskState, TaskEvent)])
def test_every_cell(state: TaskState, event: TaskEvent) -> None:
    assert_cell("task", CELLS[state, event], step, state, event)


@pytest.mark.parametrize("event", TaskEvent)
def test_the_guard_of_a_write_is_the_column_of_its_event(event: TaskEvent) -> None:
    assert sources(event) == {state for state, happened in CELLS if happened == event and CELLS[state, event] != "."}


def test_final_states_are_left_by_hand_only_and_success_never() -> None:
    assert {*FINAL} == {"completed", "failed", "timeout", "cancelled"}
    leaving = {event for state, event in TRANSITIONS if state in FINAL}
    assert leaving == {TaskEvent.REVIVED}
    assert not [event for state, event in TRANSITIONS if state is TaskState.COMPLETED]


def test_in_flight_are_the_states_that_an_attempt_can_be_in() -> None:
    assert {*IN_FLIGHT} == {"submitting", "submitted", "running"}
    assert sources(TaskEvent.GAVE_UP) == IN_FLIGHT


@pytest.mark.parametrize("start", [state for state in TaskState if state not in FINAL])
def test_every_task_can_be_completed_and_can_be_cancelled(start: TaskState) -> None:
    reached, todo = {start}, deque([start])
    while todo:
        here = todo.popleft()
        news = {after for (state, _), after in TRANSITIONS.items() if state is here} - reached
        reached |= news
        todo.extend(news)
    assert reached == set(TaskState)
    assert step(start, TaskEvent.CANCELLED) is TaskState.CANCELLED


def test_the_refusal_speaks_plainly() -> None:
    with pytest.raises(Conflict) as refusal:
        step(TaskState.RUNNING, TaskEvent.REVIVED, "94c85805")
    assert refusal.value.what == "The task is running and cannot be tried again."
    assert refusal.value.fix == "Show it with: contenthubctl task status 94c85805"


def test_ranks_go_by_priority_then_turn_then_age() -> None:
    ranks = [Rank(1, 9, 9), Rank(5, 0, 7), Rank(5, 1, 2), Rank(5, 1, 3), Rank(10, 0, 0)]
    assert sorted(reversed(ranks)) == ranks


def test_the_deadline_counts_from_the_claim() -> None:
    claimed = datetime(2026, 1, 1, tzinfo=UTC)
    task = Task(
        task_id=UUID(int=1),
        account_id=UUID(int=2),
        account="studio",
        state=TaskState.RUNNING,
        mode=Mode.SYNC,
        topic="bread",
        requirements="",
        keywords=(),
        min_chars=1,
        max_chars=2,
        rank=Rank(5, 0, 1),
        auto_approve=True,
        max_retries=3,
        timeout=timedelta(seconds=1800),
        attempt=1,
        retry_count=0,
        deaths=0,
        created_at=claimed,
        claimed_at=claimed,
    )
    assert task.deadline_at == claimed + timedelta(minutes=30)


def test_a_task_without_a_claim_has_no_deadline() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    task = Task(
        task_id=UUID(int=1),
        account_id=UUID(int=2),
        account="studio",
        state=TaskState.PENDING,
        mode=Mode.ASYNC,
        topic="bread",
        requirements="",
        keywords=(),
        min_chars=1,
        max_chars=2,
        rank=Rank(5, 0, 1),
        auto_approve=True,
        max_retries=3,
        timeout=timedelta(seconds=1800),
        attempt=0,
        retry_count=0,
        deaths=0,
        created_at=now,
    )
    assert task.deadline_at is None
