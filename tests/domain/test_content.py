"""The content table, cell by cell, against a table written down a second time by hand."""

from itertools import product

import pytest

from contenthubd.domain.content import CONTENT_TRANSITIONS, ContentEvent, ContentState, content_step
from contenthubd.domain.errors import Conflict

TABLE = """
           pending_review  approved   rejected  published
approved   approved        .          approved  .
rejected   rejected        rejected   .         .
published  .               published  .         published
"""

HEAD, *ROWS = TABLE.strip("\n").splitlines()
CELLS = {
    (state, event): word
    for event, *words in (row.split() for row in ROWS)
    for state, word in zip(HEAD.split(), words, strict=True)
}


def test_the_table_has_a_cell_for_every_state_and_event() -> None:
    assert set(CELLS) == set(product(map(str, ContentState), map(str, ContentEvent)))


@pytest.mark.parametrize(("state", "event"), [*product(ContentState, ContentEvent)])
def test_every_cell(state: ContentState, event: ContentEvent) -> None:
    expected = CELLS[state, event]
    if expected == ".":
        with pytest.raises(Conflict, match=f"A content that is {state} cannot be {event}"):
            content_step(state, event)
    else:
        assert content_step(state, event) is ContentState(expected)


def test_what_was_not_approved_is_never_published() -> None:
    before = {state for state, event in CONTENT_TRANSITIONS if event is ContentEvent.PUBLISHED}
    assert before == {ContentState.APPROVED, ContentState.PUBLISHED}
