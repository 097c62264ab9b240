"""State tables as text: one row for each event, one column for each state, "." for an empty cell."""

from collections.abc import Callable
from enum import StrEnum
from itertools import product
from typing import TypeVar

import pytest

from contenthubd.domain.errors import Conflict

S = TypeVar("S", bound=StrEnum)
E = TypeVar("E", bound=StrEnum)


def cells(table: str) -> dict[tuple[str, str], str]:
    """(state, event) → the word in the cell."""
    head, *rows = table.strip("\n").splitlines()
    return {
        (state, event): word
        for event, *words in (row.split() for row in rows)
        for state, word in zip(head.split(), words, strict=True)
    }


def assert_cell(noun: str, expected: str, step: Callable[[S, E], S], state: S, event: E) -> None:
    """The step does what the cell says."""
    if expected == ".":
        with pytest.raises(Conflict, match=f"The {noun} is ({state} and cannot be|already {state})"):
            step(state, event)
    else:
        assert step(state, event) == expected


def assert_complete(found: dict[tuple[str, str], str], states: type[StrEnum], events: type[StrEnum]) -> None:
    """There is a cell for every state and event."""
    assert set(found) == set(product(map(str, states), map(str, events)))
