"""Error kinds: what is charged, what is final, and a hint for every sickness."""

import pytest

from contenthubd.domain.outcome import COUNTED, HINTS, PERMANENT, UNCHARGED, ErrorKind, Sick

SICKNESSES = (
    ErrorKind.CREATOR_MISSING,
    ErrorKind.CREATOR_DIRECTORY,
    ErrorKind.DATABASE_MISSING,
    ErrorKind.API_KEYS_MISSING,
    ErrorKind.WORKER_GONE,
    ErrorKind.WORKER_DEAF,
    ErrorKind.CREATOR_REDIS_DOWN,
)


@pytest.mark.parametrize("kind", SICKNESSES)
def test_a_sick_creator_comes_with_a_hint(kind: ErrorKind) -> None:
    assert Sick(kind, "cause").hint == HINTS[kind]
    assert HINTS[kind].endswith(".")


def test_a_failure_of_the_task_itself_has_no_hint_about_the_creator() -> None:
    assert Sick(ErrorKind.GENERATION_FAILED, "cause").hint == ""


def test_what_the_creator_did_is_not_held_against_the_task() -> None:
    assert {*SICKNESSES, ErrorKind.STOPPED, ErrorKind.INSTANCE_LOST, ErrorKind.CREATOR_UNAVAILABLE} >= UNCHARGED
    assert COUNTED <= UNCHARGED, "what is not charged and no sickness either is counted"
    assert not UNCHARGED & PERMANENT
