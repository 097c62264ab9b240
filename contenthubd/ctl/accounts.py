"""contenthubctl account …"""

from argparse import Namespace
from collections.abc import Iterable
from typing import Any

from contenthubd.ctl.client import Client, quote
from contenthubd.ctl.failure import CONFLICT, OK, Failure
from contenthubd.ctl.output import Output
from contenthubd.ctl.times import instant

COLUMNS = ("NAME", "MODE", "AUTO APPROVE", "TITLE")
_FIELDS = ("name", "title", "mode", "auto_approve", "tone", "audience", "requirements")


def create(args: Namespace, client: Client, output: Output) -> int:
    """Make an account; with --if-missing an existing one is shown instead."""
    given = {field: getattr(args, field) for field in _FIELDS if getattr(args, field) is not None}
    try:
        account = client.post("/v1/accounts", given)
    except Failure as failure:
        if not (args.if_missing and failure.exit_code == CONFLICT):
            raise
        account = client.get(f"/v1/accounts/{quote(args.name)}")
        _same(given, account)
    output.one(account, lambda: _lines(account), account["name"])
    return OK


def _same(given: dict[str, Any], account: dict[str, Any]) -> None:
    """A Failure that tells every value that was asked for and is not the account's."""
    differing = [
        f"{field.replace('_', ' ')}: asked for {value!r}, but it is {account[field]!r}"
        for field, value in given.items()
        if (value.replace("\ufeff", "") if isinstance(value, str) else value) != account[field]
    ]
    if differing:
        raise Failure(
            f"The account {account['name']!r} exists with other values; nothing was changed.",
            faults=[(None, one) for one in differing], exit_code=CONFLICT,
            fix="Leave these options out, or create an account with another name.",
        )  # fmt: skip


def listed(args: Namespace, client: Client, output: Output) -> int:
    """Every account by name."""
    told = client.get("/v1/accounts")
    output.many(told, told["accounts"], COLUMNS, _row, "name")
    if not told["accounts"]:
        output.say("There is no account yet. Create one with: contenthubctl account create NAME")
    return OK


def show(args: Namespace, client: Client, output: Output) -> int:
    """One account."""
    account = client.get(f"/v1/accounts/{quote(args.name)}")
    output.one(account, lambda: _lines(account), account["name"])
    return OK


def _row(account: dict[str, Any]) -> tuple[str, ...]:
    return account["name"], account["mode"] or "as configured", _choice(account["auto_approve"]), account["title"]


def _lines(account: dict[str, Any]) -> Iterable[tuple[str, Any]]:
    yield "name", account["name"]
    yield "title", account["title"]
    yield "mode", account["mode"] or "as configured"
    yield "auto approve", _choice(account["auto_approve"])
    yield "tone", account["tone"]
    yield "audience", account["audience"]
    yield "requirements", account["requirements"]
    yield "created", instant(account["created_at"])


def _choice(value: bool | None) -> str:
    return "as configured" if value is None else "yes" if value else "no"
