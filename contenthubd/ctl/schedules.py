"""contenthubctl schedule …"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterable

from contenthubd.ctl.client import Client, quote
from contenthubd.ctl.failure import OK, USAGE, Failure
from contenthubd.ctl.listing import each, more, pages
from contenthubd.ctl.output import Output, short
from contenthubd.ctl.submit import request_fields
from contenthubd.ctl.times import When, instant, minute
from contenthubd.ctl.words import flat

TYPE_CHECKING = False  # typing itself takes two milliseconds to import, a tenth of a status answer
if TYPE_CHECKING:
    from typing import Any

COLUMNS = ("NAME", "ACCOUNT", "CRON", "TIME ZONE", "NEXT", "TOPIC")
FIRING_COLUMNS = ("DUE", "AT", "OUTCOME", "RUNS", "TASK", "STATE", "WHY")
_SAID = {"pause": "paused", "resume": "resumed", "delete": "deleted; its tasks stay"}
_PATH = "/v1/schedules"


def create(args: Namespace, client: Client, output: Output) -> int:
    """Store a schedule."""
    request = {**request_fields(args), "topic": args.topic}
    body = {"name": args.name, "account": args.account, "cron": args.cron, "time_zone": args.time_zone or "UTC",
            "catch_up": args.catch_up, "overlap": bool(args.overlap), "request": request}  # fmt: skip
    _show(client.post(_PATH, body), output)
    return OK


def listed(args: Namespace, client: Client, output: Output) -> int:
    """Schedules by name."""
    told = client.get(_PATH, {"account": args.account})
    output.many(told, told["schedules"], COLUMNS, _row, "name")
    if not told["schedules"]:
        output.say("There is no schedule. Create one with: contenthubctl schedule create NAME")
    return OK


def show(args: Namespace, client: Client, output: Output) -> int:
    """One schedule."""
    _show(client.get(f"{_PATH}/{quote(args.name)}"), output)
    return OK


def preview(args: Namespace, client: Client, output: Output) -> int:
    """The next times, of a schedule or of an expression."""
    if (args.name is None) == (args.cron is None):
        fix = "See: contenthubctl schedule preview --help"
        raise Failure("Give the name of a schedule, or --cron, and not both.", fix=fix, exit_code=USAGE)
    if args.name is not None and args.time_zone is not None:
        raise Failure("The schedule has its own time zone.", fix="Leave --time-zone out.", exit_code=USAGE)
    query = {"schedule": args.name, "cron": args.cron, "time_zone": args.time_zone, "count": args.count}
    told = client.get("/v1/preview", query)
    columns = (f"TIME IN {told['time_zone']}", "LOCAL TIME")
    output.many(told, told["slots"], columns, lambda slot: (minute(slot["local"]), minute(slot["at"])), "at")
    return OK


def pause(args: Namespace, client: Client, output: Output) -> int:
    """Stop firing."""
    return each(args.names, output, lambda name: _steered(name, "pause", client, output))


def resume(args: Namespace, client: Client, output: Output) -> int:
    """Fire again."""
    return each(args.names, output, lambda name: _steered(name, "resume", client, output))


def delete(args: Namespace, client: Client, output: Output) -> int:
    """Forget schedules."""
    return each(args.names, output, lambda name: _steered(name, "delete", client, output))


def run(args: Namespace, client: Client, output: Output) -> int:
    """Fire now."""
    task = client.post(f"{_PATH}/{quote(args.name)}/run")
    output.one(task, lambda: [("id", task["id"]), ("state", task["state"]), ("topic", task["topic"])], task["id"])
    output.say(f"Watch it with: contenthubctl task wait {short(task['id'])}")
    return OK


def history(args: Namespace, client: Client, output: Output) -> int:
    """What its slots came to, newest first."""
    page = pages(client, f"{_PATH}/{quote(args.name)}/firings", "firings", {}, args.limit)
    output.many(page, page["firings"], FIRING_COLUMNS, _firing, "id")
    if not page["firings"]:
        output.say("No run was due yet.")
    elif page["next"]:
        more(output, args.limit, "newest")
    return OK


def _steered(name: str, verb: str, client: Client, output: Output) -> None:
    schedule = client.post(f"{_PATH}/{quote(name)}/{verb}")
    if output.form == "table":
        print(f"{schedule['name']}  {_SAID[verb]}")
    else:
        output.one(schedule, tuple, schedule["name"])


def _show(schedule: dict[str, Any], output: Output) -> None:
    output.one(schedule, lambda: _lines(schedule), schedule["name"])


def _row(schedule: dict[str, Any]) -> tuple[str, ...]:
    upcoming = When(schedule["next_at"] or "") or ("paused" if schedule["paused_at"] else "zone unknown")
    return (schedule["name"], schedule["account"], schedule["cron"], schedule["time_zone"], upcoming,
            schedule["request"]["topic"])  # fmt: skip


def _firing(firing: dict[str, Any]) -> tuple[str, ...]:
    why = ": ".join(part for part in (firing["reason"], firing["detail"]) if part)
    return (When(firing["slot_at"] or "") or "by hand", When(firing["at"]), firing["outcome"],
            str(firing["slots"]), short(firing["task_id"]), firing["task_state"] or "", why)  # fmt: skip


def _lines(schedule: dict[str, Any]) -> Iterable[tuple[str, Any]]:
    yield "name", schedule["name"]
    yield "account", schedule["account"]
    yield "cron", schedule["cron"]
    yield "time zone", schedule["time_zone"]
    yield "next", instant(schedule["next_at"])
    yield "paused", instant(schedule["paused_at"])
    yield "catch up", schedule["catch_up"]
    yield "overlap", "yes" if schedule["overlap"] else "no"
    yield "created", instant(schedule["created_at"])
    for field, value in schedule["request"].items():
        yield field.replace("_", " "), flat(value)
