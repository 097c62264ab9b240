"""What commands over several things share: pages, filters, one thing after the other."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable

from contenthubd.ctl.client import Client
from contenthubd.ctl.failure import OK, USAGE, Failure
from contenthubd.ctl.output import Output

TYPE_CHECKING = False  # typing itself takes two milliseconds to import, a tenth of a status answer
if TYPE_CHECKING:
    from typing import Any

PAGE = 1000


def each(ids: list[str], output: Output, act: Callable[[str], None]) -> int:
    """Do one thing to each id; a failure is told and the rest goes on. The exit code is the first failure's."""
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
    since = None
    if args.since is not None:
        from datetime import UTC, datetime, timedelta  # only for --since

        since = (datetime.now(UTC) - timedelta(seconds=args.since)).isoformat()
    return {"status": args.status, "account": args.account, "batch": args.batch, "since": since}


def pages(client: Client, path: str, name: str, query: dict[str, Any], limit: int | None) -> dict[str, Any]:
    """Up to ``limit`` items (None: all), page by page, in the shape of one page."""
    if limit is not None and limit < 1:
        raise Failure(f"The limit {limit} is not possible.", fix="Give at least 1.", exit_code=USAGE)
    items: list[dict[str, Any]] = []
    after = None
    while True:
        room = PAGE if limit is None else min(PAGE, limit - len(items))
        page = client.get(path, {**query, "limit": room, "after": after})
        items += page[name]
        after = page["next"]
        if after is None or len(items) == limit:
            return {name: items, "next": after}
