"""The publication table, cell by cell, against a table written down a second time by hand."""

from itertools import product

import pytest

from contenthubd.domain.errors import Conflict
from contenthubd.domain.publication import (
    PUBLICATION_TRANSITIONS,
    PublicationEvent,
    PublicationState,
    publication_step,
)

TABLE = """
            pending     publishing  retrying    published  failed     unknown    cancelled
claimed     publishing  .           publishing  .          .          .          .
succeeded   .           published   .           .          .          published  .
failed      .           retrying    .           .          .          .          .
gave_up     .           failed      .           .          .          .          .
lost_sight  .           unknown     .           .          .          .          .
released    .           pending     .           .          .          .          .
cancelled   cancelled   .           cancelled   .          cancelled  cancelled  .
revived     .           .           .           .          pending    pending    pending
"""

HEAD, *ROWS = TABLE.strip("\n").splitlines()
CELLS = {
    (state, event): word
    for event, *words in (row.split() for row in ROWS)
    for state, word in zip(HEAD.split(), words, strict=True)
}


def test_the_table_has_a_cell_for_every_state_and_event() -> None:
    assert set(CELLS) == set(product(map(str, PublicationState), map(str, PublicationEvent)))


@pytest.mark.parametrize(("state", "event"), [*product(PublicationState, PublicationEvent)])
def test_every_cell(state: PublicationState, event: PublicationEvent) -> None:
    expected = CELLS[state, event]
    if expected == ".":
        with pytest.raises(Conflict, match=f"A publication that is {state} cannot be"):
            publication_step(state, event)
    else:
        assert publication_step(state, event) is PublicationState(expected)


def test_what_is_published_stays_published() -> None:
    assert not [event for state, event in PUBLICATION_TRANSITIONS if state is PublicationState.PUBLISHED]


def test_what_may_have_been_sent_is_not_sent_again_without_a_person() -> None:
    leaving = {event for state, event in PUBLICATION_TRANSITIONS if state is PublicationState.UNKNOWN}
    assert leaving == {PublicationEvent.SUCCEEDED, PublicationEvent.REVIVED, PublicationEvent.CANCELLED}


def test_the_refusal_speaks_plainly() -> None:
    with pytest.raises(Conflict) as refusal:
        publication_step(PublicationState.PUBLISHED, PublicationEvent.CANCELLED)
    assert str(refusal.value) == "A publication that is published cannot be cancelled."
