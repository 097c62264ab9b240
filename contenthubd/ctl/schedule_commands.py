"""The verbs of ``contenthubctl schedule``; loaded only for them."""

from __future__ import annotations

from collections.abc import Callable

from contenthubd.ctl.arguments import Group, Parser, Whole, switch

CATCH_UP = ("skip", "once", "all")
AddOptions = Callable[[Parser], None]


def add(verbs: Group, name: str, request_options: AddOptions) -> None:
    """Add one verb; ``request_options`` adds the options that every way of submitting has."""
    if name == "create":
        _create(verbs, request_options)
    elif name == "list":
        _list(verbs)
    elif name == "preview":
        _preview(verbs)
    elif name == "history":
        _history(verbs)
    elif name in ("show", "run"):
        _one(verbs, name)
    else:
        _several(verbs, name)


def _create(verbs: Group, request_options: AddOptions) -> None:
    create = verbs.command("create", "schedules:create", "Create a schedule, which submits one topic repeatedly.",
                           ('schedule create daily --account studio --cron "30 7 * * *" --topic "News of {date}"',
                            'schedule create tea --account studio --cron "0 9 * * MON" --topic Tea --overlap',
                            ))  # fmt: skip
    create.add_argument("name", metavar="NAME", help="lowercase letters, digits, '.', '_' and '-'")
    _times(create, required=True)
    create.add_argument("--topic", required=True, help="what to write about; {date} becomes the day, 2026-01-31")
    create.add_argument("--catch-up", choices=CATCH_UP, default="once",
                        help="of the runs missed while no daemon ran: skip all, run the latest once, or run all "
                             "(default: once)")  # fmt: skip
    switch(create, "overlap", "run even while the previous task is not finished (default: no)")
    create.add_argument("--account", required=True, help="the account to write for")
    request_options(create)


def _times(parser: Parser, *, required: bool) -> None:
    parser.add_argument("--cron", required=required, metavar="EXPR",
                        help="minute, hour, day of month, month, day of week")  # fmt: skip
    parser.add_argument("--time-zone", metavar="ZONE", help="such as Europe/Berlin (default: UTC)")


def _list(verbs: Group) -> None:
    listing = verbs.command("list", "schedules:listed", "List schedules.",
                            ("schedule list", "schedule list --account studio -o json"))  # fmt: skip
    listing.add_argument("--account", help="only this account's")


def _preview(verbs: Group) -> None:
    preview = verbs.command("preview", "schedules:preview", "Show the next times of a schedule, or of an expression.",
                            ("schedule preview daily --count 10",
                             'schedule preview --cron "30 2 * * *" --time-zone Europe/Berlin'))  # fmt: skip
    preview.add_argument("name", metavar="NAME", nargs="?", help="the schedule's name, unless --cron is given")
    _times(preview, required=False)
    preview.add_argument("--count", type=Whole(1, 100), default=5, metavar="N", help="how many, up to 100 (default: 5)")


def _history(verbs: Group) -> None:
    history = verbs.command("history", "schedules:history", "List past runs, newest first.",
                            ("schedule history daily", "schedule history daily --limit 200 -o jsonl"))  # fmt: skip
    history.add_argument("name", metavar="NAME", help="the schedule's name")
    history.add_argument("--limit", type=Whole(1), default=50, metavar="N", help="maximum number to show (default: 50)")


def _one(verbs: Group, name: str) -> None:
    text = {"show": "Show one schedule.", "run": "Run a schedule now, regardless of its times."}[name]
    one = verbs.command(name, f"schedules:{name}", text, (f"schedule {name} daily", f"schedule {name} daily --json"))
    one.add_argument("name", metavar="NAME", help="the schedule's name")


def _several(verbs: Group, name: str) -> None:
    text = {"pause": "Pause schedules; due runs are skipped.",
            "resume": "Resume paused schedules with their next time.",
            "delete": "Delete schedules and their history; their tasks stay."}[name]  # fmt: skip
    several = verbs.command(name, f"schedules:{name}", text,
                            (f"schedule {name} daily", f"schedule {name} daily weekly"))  # fmt: skip
    several.add_argument("names", metavar="NAME", nargs="+", help="the schedules' names")
