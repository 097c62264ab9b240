"""Ids as people type them."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contenthubd.control import ids
from contenthubd.ctl import output
from contenthubd.domain.errors import AmbiguousId, InvalidInput


@pytest.mark.parametrize(
    ("text", "digits"),
    [
        ("abcd", "abcd"),
        (" ABCD-1234 ", "abcd1234"),
        ("0199a4c2-7d1e-7000-8000-5f3a9c21beef", "0199a4c27d1e700080005f3a9c21beef"),
    ],
)
def test_a_fragment_is_hex_without_dashes(text: str, digits: str) -> None:
    assert ids.pattern(text) == digits


@pytest.mark.parametrize("text", ["", "abc", "a-b-c", "ghij", "last", "%", "abcd'", "a" * 33, "\uff11234", "abcd\x00"])
def test_what_is_no_fragment_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="is not an id"):
        ids.pattern(text)


@given(st.uuids())
def test_every_way_to_write_an_id_is_a_fragment_of_it(made: uuid.UUID) -> None:
    assert ids.pattern(str(made)) == made.hex
    assert ids.pattern(made.hex.upper()) == made.hex
    assert made.hex.endswith(ids.pattern(ids.short(str(made))))
    assert output.short(str(made)) == ids.short(str(made))


def test_an_ambiguous_fragment_names_a_few() -> None:
    error = ids.ambiguous("task", "0199", [f"0199{number}" for number in range(7)])
    assert isinstance(error, AmbiguousId)
    assert "01990, 01991, 01992, 01993, 01994, …" in error.why
