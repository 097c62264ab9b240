"""An account: where articles are published, with defaults that its tasks inherit."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from contenthubd.domain import invisible
from contenthubd.domain.errors import InvalidInput
from contenthubd.domain.task import Mode

NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
"""Names are used on the command line and as folder names, so they are plain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One row of the account table; None means "as the global configuration says"."""

    account_id: UUID
    name: str
    created_at: datetime
    title: str = ""
    mode: Mode | None = None
    auto_approve: bool | None = None
    tone: str = ""
    audience: str = ""
    requirements: str = ""


def check_account_name(name: str) -> str:
    """The name, or InvalidInput that says which names are possible."""
    if NAME.fullmatch(name):
        return name
    raise InvalidInput(
        f"{name[:80]!r} cannot be an account's name.",
        why="A name has 1 to 63 lowercase letters, digits, '.', '_' and '-', and begins with a letter or digit.",
        fix="Put the name people see into --title.",
    )


def check_account(account: Account) -> Account:
    """The account, or InvalidInput that tells the first text of it that is not acceptable."""
    check_account_name(account.name)
    for name in ("title", "tone", "audience", "requirements"):
        if fault := invisible.named_fault(name, getattr(account, name)):
            raise InvalidInput(fault)
    if "\n" in account.title:
        raise InvalidInput("The title contains a line break; a title is one line.")
    return account
