"""What commands over several things share: pages, filters, one thing after the other."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable

from contenthubd.ctl.client import Client, quote
from contenthubd.ctl.failure import CONFLICT, OK, USAGE, Failure, Unreachable
from contenthubd.ctl.output import Output

TYPE_CHECKING = False  # typing itself takes two milliseconds to import, a tenth of a status answer
if TYPE_CHECKING:
    from typing import Any

PAGE = 1000


def each(ids: list[str], output: Output, act: Callable[[str], None]) -> int:
    """Do one thing to each id; a failure is told and the rest continues. The exit code is the first failure's."""
    code = OK
    for one in ids:
        try:
            act(one)
        except Failure as failure:
            output.fail(failure.text())
            code = code or failure.exit_code
    return code


def filters(args: Namespace) -> dict[str, Any]:
    """The options of both lists as a query."""
    states = [state for given in args.status or () for state in given]
    return {"status": states, "account": args.account, "batch": args.batch, "since": ago(args.since)}


def ago(seconds: float | None) -> str | None:
    """The time so many seconds ago, for a query."""
    if seconds is None:
        return None
    from datetime import UTC, datetime, timedelta  # only for options that say how long ago

    try:
        return (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat()
    except OverflowError:
        raise Failure(
            f"{seconds / 86_400:.0f} days ago is before the year 1.", fix="Leave the option out, or give less.",
            exit_code=USAGE,
        ) from None  # fmt: skip


def chosen(args: Namespace, client: Client, output: Output, what: Choice) -> list[str]:
    """The ids that are given, or those of a batch in these states; with --dry-run they are told and none is left."""
    if bool(args.ids) == bool(args.batch):
        raise Failure("Give ids, or --batch, and not both.", fix=f"See: {args.leaf.prog} --help", exit_code=USAGE)
    ids, refused = list(args.ids), None
    if args.batch:
        found = pages(client, what.path, what.name, {"batch": args.batch, "status": what.states}, None)[what.name]
        ids = [one["id"] for one in found]
        if not ids:
            output.say(f"Nothing in this batch is in one of these states: {', '.join(what.states)}.")
    elif args.dry_run:
        ids, refused = _fitting(ids, client, what)
    if not args.dry_run:
        if args.batch and ids:
            output.say(f"{len(ids)} will be {what.done}.")
        return ids
    output.many({"ids": ids}, [{"id": one} for one in ids], ("ID",), lambda one: (one["id"],), "id")
    output.say(f"{len(ids)} would be {what.done}; nothing was changed.")
    if refused:
        raise refused
    return []


class Choice:
    """What can be chosen: the noun's ``path`` and ``name`` on the wire, ``states`` of a batch, and what is ``done``."""

    def __init__(
        self, path: str, name: str, states: tuple[str, ...], done: str, by_id: tuple[str, ...] = ()
    ) -> None:  # fmt: skip
        self.path = path
        self.name = name
        self.states = states
        self.done = done
        self.by_id = states + by_id
        """An id that is given is meant even in these states."""


def _fitting(ids: list[str], client: Client, what: Choice) -> tuple[list[str], Failure | None]:
    """The whole ids of those that would not be refused; the first refusal, which tells of all."""
    fitting, first, told = [], None, []
    for one in ids:
        try:
            found = client.get(f"{what.path}/{quote(one)}")
            if found["state"] not in what.by_id:
                raise Failure(f"{one} is {found['state']} and would not be {what.done}.", exit_code=CONFLICT)
            fitting.append(found["id"])
        except Unreachable:
            raise
        except Failure as failure:
            first = first or failure
            told.append((None, failure.what))
    if first is not None and len(told) > 1:
        count = f"{len(told)} of {len(ids)} would not be {what.done}."
        return fitting, Failure(count, exit_code=first.exit_code, faults=told)
    return fitting, first


def only_shown(option: str, given: object, output: Output) -> None:
    """A Failure if an option that adds to what is shown is given where only names are."""
    if given and output.form == "name":
        raise Failure(f"{option} has no effect with -o name.", fix="Leave one of them out.", exit_code=USAGE)


def pages(client: Client, path: str, name: str, query: dict[str, Any], limit: int | None) -> dict[str, Any]:
    """Up to ``limit`` items (None: all), page by page, in the shape of one page."""
    if limit is not None and limit < 1:
        raise Failure(f"Invalid value '{limit}' for --limit.", fix="Give at least 1.", exit_code=USAGE)
    items: list[dict[str, Any]] = []
    after = None
    while True:
        room = PAGE if limit is None else min(PAGE, limit - len(items))
        page = client.get(path, {**query, "limit": room, "after": after})
        items += page[name]
        after = page["next"]
        if after is None or len(items) == limit:
            return {name: items, "next": after}
