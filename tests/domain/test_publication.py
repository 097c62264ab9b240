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
from tests.domain.tables import assert_cell, assert_complete, cells

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

CELLS = cells(TABLE)


def test_the_table_has_a_cell_for_every_state_and_event() -> None:
    assert_complete(CELLS, PublicationState, PublicationEvent)


@pytest.mark.parametrize(("state", "event"), [*product(PublicationState, PublicationEvent)])
def test_every_cell(state: PublicationState, event: PublicationEvent) -> None:
    assert_cell("publication", CELLS[state, event], publication_step, state, event)


def test_what_is_published_stays_published() -> None:
    assert not [event for state, event in PUBLICATION_TRANSITIONS if state is PublicationState.PUBLISHED]


def test_what_may_have_been_sent_is_not_sent_again_without_a_person() -> None:
    leaving = {event for state, event in PUBLICATION_TRANSITIONS if state is PublicationState.UNKNOWN}
    assert leaving == {PublicationEvent.SUCCEEDED, PublicationEvent.REVIVED, PublicationEvent.CANCELLED}


def test_the_refusal_speaks_plainly() -> None:
    with pytest.raises(Conflict) as refusal:
        publication_step(PublicationState.PUBLISHED, PublicationEvent.CANCELLED)
    assert str(refusal.value) == "The publication is published and cannot be cancelled."
