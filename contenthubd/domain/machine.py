"""A state machine as data: a table of cells, and nothing that could happen outside of it."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Generic, TypeVar

from contenthubd.domain.errors import Conflict

S = TypeVar("S", bound=StrEnum)
E = TypeVar("E", bound=StrEnum)


class Machine(Generic[S, E]):
    """``transitions`` says where each event leads from each state; ``words`` how an event is said to people,
    ``look`` the command, less the id, by which they see what state it is in."""

    def __init__(
        self, noun: str, transitions: Mapping[tuple[S, E], S], *, words: Mapping[E, str] | None = None, look: str = ""
    ) -> None:
        self._noun = noun
        self._transitions = transitions
        self._words = words or {}
        self._look = look

    def step(self, state: S, event: E, identifier: object = None) -> S:
        """The state that ``event`` leads to; Conflict, which names whose state it is if told, for an empty cell."""
        try:
            return self._transitions[state, event]
        except KeyError:
            said = self._words.get(event, event.replace("_", " "))
            fix = f"Show it with: {self._look} {identifier}" if self._look and identifier else ""
            told = f"already {state}" if said == state else f"{state} and cannot be {said}"
            raise Conflict(f"The {self._noun} is {told}.", fix=fix) from None

    def sources(self, event: E) -> frozenset[S]:
        """Every state that ``event`` may leave: the guard of the write that carries it."""
        return frozenset(state for state, happened in self._transitions if happened is event)
