"""The desk for accounts."""

from contenthubd.control import wire
from contenthubd.control.peer import Peer
from contenthubd.desk.shapes import account_view
from contenthubd.domain.account import Account, check_account
from contenthubd.domain.errors import Conflict
from contenthubd.domain.invisible import cleaned
from contenthubd.domain.task import Mode
from contenthubd.ports.accounts import AccountStore
from contenthubd.ports.clock import Clock


class AccountDesk:
    """What people do with accounts (``control.routes.Accounts``)."""

    def __init__(self, accounts: AccountStore, clock: Clock) -> None:
        self._accounts = accounts
        self._clock = clock

    async def create_account(self, account: wire.NewAccount, *, peer: Peer) -> wire.AccountView:
        """See the protocol."""
        made = Account(
            account_id=self._clock.new_id(),
            name=account.name,
            created_at=self._clock.now(),
            title=cleaned(account.title),
            mode=Mode(account.mode) if account.mode else None,
            auto_approve=account.auto_approve,
            tone=cleaned(account.tone),
            audience=cleaned(account.audience),
            requirements=cleaned(account.requirements),
        )
        check_account(made)
        if not await self._accounts.create(made):
            raise Conflict(f"There is an account {account.name!r} already.", fix="contenthubctl account list shows it.")
        return account_view(made)

    async def accounts(self) -> list[wire.AccountView]:
        """See the protocol."""
        return [account_view(account) for account in await self._accounts.all()]

    async def account(self, name: str) -> wire.AccountView:
        """See the protocol."""
        return account_view(await self._accounts.by_name(name))
