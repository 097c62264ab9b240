"""Names of accounts go onto command lines and into paths."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from contenthubd.domain.account import Account, check_account, check_account_name
from contenthubd.domain.errors import InvalidInput


@pytest.mark.parametrize("name", ["a", "7", "studio", "we-chat.food_2", "a" * 63])
def test_plain_names(name: str) -> None:
    assert check_account_name(name) == name


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "-x", "_x", ".x", "a/b", "a b", "A", "面包", "a\n", "a\x00", "a" * 64, "a\\b", "--help", "é"],
)
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="cannot be an account's name") as refusal:
        check_account_name(name)
    assert "--title" in refusal.value.fix


def test_the_refusal_of_an_endless_name_is_short() -> None:
    with pytest.raises(InvalidInput) as refusal:
        check_account_name("x" * 100_000)
    assert len(str(refusal.value)) < 400


@pytest.mark.parametrize("field", ["title", "tone", "audience", "requirements"])
@pytest.mark.parametrize("text", ["\u200b", "a\u202eb", "a\x9bb", "a\x00b", "\ud800", "a\ufffd"])
def test_what_nobody_can_read_is_refused(field: str, text: str) -> None:
    texts: dict[str, Any] = {field: text}
    made = Account(account_id=UUID(int=1), name="studio", created_at=datetime(2026, 1, 1, tzinfo=UTC), **texts)
    with pytest.raises(InvalidInput, match=f"The {field} contains?"):
        check_account(made)
