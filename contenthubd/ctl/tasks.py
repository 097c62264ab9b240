"""contenthubctl task …"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterable

from contenthubd.ctl import timeline
from contenthubd.ctl.client import Client, quote
from contenthubd.ctl.failure import FAILED, OK, USAGE, Failure
from contenthubd.ctl.listing import ago, filters, ids_or_batch, more, only_shown, pages, steer
from contenthubd.ctl.output import Output, printable, short
from contenthubd.ctl.times import When, duration, instant
from contenthubd.ctl.words import counted, publication, reason, stuck, tries, tries_short, unpublished, waiting, why

TYPE_CHECKING = False  # typing itself takes two milliseconds to import, a tenth of a status answer
if TYPE_CHECKING:
    from typing import Any

OPEN = ("pending", "submitting", "submitted", "running", "retrying")
RETRIED = ("failed", "timeout")
"""What --batch tries again: a task that somebody cancelled is meant by its id only."""
BAD_ENDS = frozenset({"failed", "timeout", "cancelled"})
COLUMNS = ("ID", "STATE", "ACCOUNT", "CREATED", "TOPIC", "WHY")
MORE = ("TRIES", "MODE", "PRIORITY", "FINISHED", "BATCH", "LOCATION")


def status(args: Namespace, client: Client, output: Output) -> int:
    """One task."""
    if not args.leaf.get_default("detail"):  # `task show` always has it
        only_shown("--detail", args.detail, output)
    task = client.get(f"/v1/tasks/{quote(args.id)}", {"detail": "true"} if args.detail else None)
    show(task, output)
    return FAILED if args.exit_status and task["state"] in BAD_ENDS else OK


def show(task: dict[str, Any], output: Output) -> None:
    """A task as the command was told to print it."""
    output.one(task, lambda: _lines(task), task["id"])


def listed(args: Namespace, client: Client, output: Output) -> int:
    """Tasks, newest first."""
    _leaves_time("--finished-since", args.finished_since, args.finished_until)
    _leaves_time("--since", args.since, args.finished_until)
    by_end = "--finished-since" if args.finished_since is not None else "--finished-until"
    if args.sort not in (None, "finished") and (args.finished_since, args.finished_until) != (None, None):
        raise Failure(f"--sort {args.sort} cannot be combined with {by_end}.",
                      why="Tasks that are selected by the time they finished are sorted by it, the latest first.",
                      fix="Leave --sort out, or use --sort finished.", exit_code=USAGE)  # fmt: skip
    query = {
        **filters(args), "finished_since": ago(args.finished_since), "finished_until": ago(args.finished_until),
        "sort": args.sort,
    }  # fmt: skip
    page = pages(client, "/v1/tasks", "tasks", query, args.limit)
    output.many(page, page["tasks"], COLUMNS, row, "id", more=MORE)
    if not page["tasks"]:
        output.say("No such tasks.")
    elif page["next"]:
        more(output, args.limit, "first")
    return OK


def _leaves_time(option: str, since: float | None, until: float | None) -> None:
    """A Failure for a period that ends before it begins: nothing could ever be listed."""
    if since is not None and until is not None and since <= until:
        raise Failure(f"{option} and --finished-until leave no time between them.",
                      why=f"What ended longer ago than --finished-until did not happen within {option}.",
                      fix=f"Give {option} a longer duration than --finished-until.", exit_code=USAGE)  # fmt: skip


def row(task: dict[str, Any]) -> tuple[str, ...]:
    """A task's line in a list."""
    return (
        short(task["id"]), task["state"], task["account"], When(task["created_at"]), task["topic"], why(task),
        tries_short(task), task["mode"], str(task["priority"]), When(task["finished_at"] or ""), short(task["batch"]),
        task["location"] or "",
    )  # fmt: skip


def wait(args: Namespace, client: Client, output: Output) -> int:
    """Watch tasks until they are finished and published."""
    from contenthubd.ctl import watch  # only what waits draws progress

    ids_or_batch(args)
    target = watch.Target(ids=tuple(dict.fromkeys(args.ids)), batch=args.batch)
    return watch.until_done(target, client, output, watch.patience(args))


def cancel(args: Namespace, client: Client, output: Output) -> int:
    """Cancel tasks; the first error decides the exit code."""
    hints: dict[str, None] = {}
    code = steer(args, client, output, "/v1/tasks", OPEN, "cancelled",
                 lambda one: _steered(one, "cancel", client, output, hints))  # fmt: skip
    for hint in hints:
        output.say(hint)
    return code


def retry(args: Namespace, client: Client, output: Output) -> int:
    """Revive tasks; the first error decides the exit code."""
    return steer(args, client, output, "/v1/tasks", RETRIED, "tried again",
                 lambda one: _steered(one, "retry", client, output, {}))  # fmt: skip


def stats(args: Namespace, client: Client, output: Output) -> int:
    """Counts, rates, load."""
    told = client.get("/v1/stats", {"since_seconds": args.since})
    output.one(told, lambda: _stats_lines(told), "stats")
    return OK


def _steered(one: str, verb: str, client: Client, output: Output, hints: dict[str, None]) -> None:
    """``hints`` collects what is to be said once, however many tasks it holds for."""
    task = client.post(f"/v1/tasks/{quote(one)}/{verb}")
    said = "cancelled" if verb == "cancel" else "will be retried"
    if output.form == "table":
        print(f"{short(task['id'])}  {said}: {printable(task['topic'])}")
        if verb == "cancel" and task["hint"]:
            hints[task["hint"]] = None
    else:
        output.one(task, tuple, task["id"])


def _lines(task: dict[str, Any]) -> Iterable[tuple[str, Any]]:
    yield "id", task["id"]
    yield "state", task["state"]
    yield "topic", task["topic"]
    yield "account", task["account"]
    yield "batch", task["batch"]
    yield "mode", task["mode"]
    yield "priority", f"{task['priority']} (1 is first)"
    yield "position", f"{task['position']} in the queue" if task["position"] else None
    yield "waiting", _waiting(task)
    yield "tries", tries(task)
    yield "created", instant(task["created_at"])
    yield "claimed", instant(task["claimed_at"])
    yield "deadline", instant(task["deadline_at"])
    yield "expected", _expected(task)
    yield "finished", instant(task["finished_at"])
    yield "error", reason(task)
    yield "hint", task["hint"]
    yield "creator task", task["creator_task_id"]
    yield "content", f"{task['content_id']} ({task['content_state']})" if task["content_id"] else None
    yield "title", task["title"]
    yield "held", task["hold_reason"]
    yield "location", task["location"]
    yield "publication", "\n".join(map(publication, task["publications"])) or unpublished(task)
    trouble = stuck(task)
    yield "next step", trouble["next_step"] if trouble else None
    yield "attempts", "\n".join(map(_attempt_line, task["attempts"]))
    yield "timeline", "\n".join(map(timeline.line, task["facts"]))


def _expected(task: dict[str, Any]) -> str | None:
    if task["finished_at"] or (task["expected_seconds"] or 0) < 1:
        return None
    return f"about {duration(task['expected_seconds'])} after its claim (median of recent tasks)"


def _waiting(task: dict[str, Any]) -> str | None:
    told = task["waiting_for"]
    return "\n".join(part for part in (waiting(told), told["cause"], told["hint"]) if part) if told else None


def _attempt_line(attempt: dict[str, Any]) -> str:
    outcome = attempt["outcome"] or (
        "abandoned; may still be running at content-creator" if attempt["abandoned_at"] else "running"
    )
    failed = attempt["error_kind"] is not None and attempt["outcome"] != "succeeded"
    parts = (
        f"{attempt['attempt']}", attempt["mode"], instant(attempt["started_at"]), outcome.replace("_", " "),
        attempt["error_kind"] if attempt["error_kind"] != outcome else None, attempt["error"],
        ("counts as a retry" if attempt["charged"] else "does not count as a retry") if failed else None,
    )  # fmt: skip
    return "  ".join(part for part in parts if part)


def _period(seconds: float) -> str:
    """A period in the largest unit that says it whole."""
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= length and seconds % length == 0:
            count = round(seconds / length)
            return f"the last {unit if count == 1 else counted(count, unit)}"
    return "the last second" if seconds == 1 else f"the last {seconds:g} seconds"


def _stats_lines(told: dict[str, Any]) -> Iterable[tuple[str, Any]]:
    yield "period", _period(told["since_seconds"])
    for state, count in told["states"].items():
        yield state, str(count)
    yield "finished", str(told["finished"])
    yield "completed in the last hour", str(told["completed_last_hour"])
    rate = told["success_rate"]
    yield "success rate", f"{rate:.1%}" if rate is not None else "nothing finished yet"
    yield "median time", duration(told["median_seconds"])
    yield "waiting", _stats_waiting(told)
    yield "slots", f"{told['slots_used']} of {told['slots_total']} in use"


def _stats_waiting(told: dict[str, Any]) -> str:
    count, reason = told["waiting"], told["waiting_for"]
    tasks = counted(count, "task")
    return f"{tasks}, {waiting(reason)}" if reason else tasks
