"""The content table, cell by cell, against a table written down a second time by hand."""

from itertools import product

import pytest

from contenthubd.domain.content import CONTENT_TRANSITIONS, ContentEvent, ContentState, content_step
from tests.domain.tables import assert_cell, assert_complete, cells

TABLE = """
           pending_review  approved   rejected  published
approved   approved        .          approved  .
rejected   rejected        rejected   .         .
published  .               published  .         published
"""

CELLS = cells(TABLE)


def test_the_table_has_a_cell_for_every_state_and_event() -> None:
    assert_complete(CELLS, ContentState, ContentEvent)


@pytest.mark.parametrize(("state", "event"), [*product(ContentState, ContentEvent)])
def test_every_cell(state: ContentState, event: ContentEvent) -> None:
    assert_cell("content", CELLS[state, event], content_step, state, event)


def test_what_was_not_approved_is_never_published() -> None:
    before = {state for state, event in CONTENT_TRANSITIONS if event is ContentEvent.PUBLISHED}
    assert before == {ContentState.APPROVED, ContentState.PUBLISHED}
