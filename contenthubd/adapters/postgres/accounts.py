"""Accounts."""

from difflib import get_close_matches
from typing import Any, Final

from sqlalchemy import Row, text

from contenthubd.adapters.postgres.engine import Database
from contenthubd.domain.account import Account
from contenthubd.domain.errors import NotFound
from contenthubd.domain.task import Mode

_CREATE: Final = text("""
    INSERT INTO account (id, name, title, mode, auto_approve, tone, audience, requirements, created_at)
    VALUES (:id, :name, :title, :mode, :auto_approve, :tone, :audience, :requirements, :created_at)
    ON CONFLICT (name) DO NOTHING
""")
_ALL: Final = text("SELECT * FROM account ORDER BY name")
_BY_NAME: Final = text("SELECT * FROM account WHERE name = :name")


class PostgresAccounts:
    """The account store on PostgreSQL (port ``AccountStore``)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, account: Account) -> bool:
        """See the port."""
        return 1 == await self._database.changed(
            _CREATE,
            id=account.account_id,
            name=account.name,
            title=account.title,
            mode=account.mode,
            auto_approve=account.auto_approve,
            tone=account.tone,
            audience=account.audience,
            requirements=account.requirements,
            created_at=account.created_at,
        )

    async def by_name(self, name: str) -> Account:
        """See the port."""
        row = await self._database.first(_BY_NAME, name=name)
        if row is not None:
            return _account(row)
        names = [account.name for account in await self.all()]
        near = get_close_matches(name, names, 1)
        if near:
            fix = f"Did you mean {near[0]!r}?"
        elif names:
            fix = "contenthubctl account list shows the accounts there are."
        else:
            fix = f"Create it with: contenthubctl account create {name}"
        raise NotFound(f"There is no account {name!r}.", fix=fix)

    async def all(self) -> list[Account]:
        """See the port."""
        return [_account(row) for row in await self._database.rows(_ALL)]


def _account(row: Row[Any]) -> Account:
    return Account(
        account_id=row.id,
        name=row.name,
        created_at=row.created_at,
        title=row.title,
        mode=Mode(row.mode) if row.mode else None,
        auto_approve=row.auto_approve,
        tone=row.tone,
        audience=row.audience,
        requirements=row.requirements,
    )
