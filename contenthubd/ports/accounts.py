"""Accounts."""

from typing import Protocol

from contenthubd.domain.account import Account


class AccountStore(Protocol):
    """Accounts."""

    async def create(self, account: Account) -> bool:
        """False if the name is taken."""

    async def by_name(self, name: str) -> Account:
        """One account; NotFound (with the nearest name)."""

    async def all(self) -> list[Account]:
        """Every account by name."""
