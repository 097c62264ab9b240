"""What commands over several things share: pages, filters, one thing after the other."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable

from contenthubd.ctl.client import Client, quote
from contenthubd.ctl.failure import OK, USAGE, Failure
from contenthubd.ctl.output import Output, short

TYPE_CHECKING = False  # typing itself takes two milliseconds to import, a tenth of a status answer
if TYPE_CHECKING:
    from typing import Any

PAGE = 1000


def each(ids: list[str], output: Output, act: Callable[[str], None]) -> int:
    """Do one thing to each id, once; a failure is told and the rest continues. The exit code is the first failure's."""
    code = OK
    for one in dict.fromkeys(ids):
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


def ids_or_batch(args: Namespace) -> None:
    """Failure unless the command names single things, or a batch."""
    if bool(args.ids) == bool(args.batch):
        given = "Give ids or --batch, not both." if args.ids else "Give the ids, or a batch with --batch."
        raise Failure(given, fix=f"See: {args.leaf.prog} --help", exit_code=USAGE)


def steer(
    args: Namespace, client: Client, output: Output, path: str, states: tuple[str, ...], done: str,
    act: Callable[[str], None],
) -> int:  # fmt: skip
    """Do what the verb does to the ids that are given, or to those of a batch in these states; the first error decides
    the exit code.

    With --dry-run the daemon is asked about each id whether it could be done, in the same words and with the same exit
    codes, and nothing is changed.
    """
    ids_or_batch(args)
    ids, things = args.ids, None
    if args.batch:
        name = path.rpartition("/")[2]
        things = pages(client, path, name, {"batch": args.batch, "status": states}, None)[name]
        ids = [one["id"] for one in things]
        if not ids:
            output.say(f"Nothing in this batch is in one of these states: {', '.join(states)}.")
        elif not args.dry_run:
            output.say(f"{len(ids)} will be {done}.")
    if not args.dry_run:
        return each(ids, output, act)
    code = OK
    if things is None:
        things, query = [], f"{args.verb}?dry_run=true"
        code = each(ids, output, lambda one: things.append(client.post(f"{path}/{quote(one)}/{query}")))
    _foreseen({one["id"]: one for one in things}, output, done)
    return code


def _foreseen(found: dict[str, dict[str, Any]], output: Output, done: str) -> None:
    output.many(
        {"ids": list(found)}, list(found.values()), ("ID", "STATE", "TOPIC"),
        lambda one: (one["id"] if output.wide else short(one["id"]), one["state"], one["topic"]), "id",
    )  # fmt: skip
    output.say(f"{len(found)} would be {done}; nothing was changed.")


def more(output: Output, limit: int, which: str) -> None:
    """Tell that a list goes on."""
    shown = f"this is the {which} one" if limit == 1 else f"these are the {which} {limit:,}"
    output.say(f"There are more; {shown}. See more with --limit.")


def only_shown(option: str, given: object, output: Output) -> None:
    """A Failure if an option that adds to what is shown is given where only names are."""
    if given and output.form == "name":
        raise Failure(f"{option} has no effect with -o name.", fix="Leave one of them out.", exit_code=USAGE)


def pages(client: Client, path: str, name: str, query: dict[str, Any], limit: int | None) -> dict[str, Any]:
    """Up to ``limit`` items (None: all), page by page, in the shape of one page."""
    items: list[dict[str, Any]] = []
    after = None
    while True:
        room = PAGE if limit is None else min(PAGE, limit - len(items))
        page = client.get(path, {**query, "limit": room, "after": after})
        items += page[name]
        after = page["next"]
        if after is None or len(items) == limit:
            return {name: items, "next": after}
