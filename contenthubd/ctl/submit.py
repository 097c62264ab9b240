"""contenthubctl content generate | batch-generate"""

import re
from argparse import Namespace
from typing import Any

from contenthubd.ctl.arguments import keywords
from contenthubd.ctl.client import Client
from contenthubd.ctl.failure import OK, USAGE, Failure, Unreachable
from contenthubd.ctl.output import Output, short
from contenthubd.ctl.words import counted

PATIENCE_SECONDS = 300.0
MOST_WATCHED = 150
"""Ids that fit into one request line."""
_SHARED = (
    "requirements", "category", "tone", "audience", "min_chars", "max_chars", "priority", "mode", "auto_approve",
    "max_retries", "timeout_seconds",
)  # fmt: skip


def generate(args: Namespace, client: Client, output: Output) -> int:
    """Submit one topic."""
    _patience_fits(args)
    _placeholders([args.topic], output)
    order = _order(args, [{"topic": args.topic}])
    submitted = client.post("/v1/tasks", order)
    task = submitted["tasks"][0]
    if not task["created"]:
        output.say(f"Already submitted as {task['id']} (same idempotency key); nothing was submitted again.")
    if args.wait:
        from contenthubd.ctl import watch  # only what waits draws progress

        if task["created"]:
            output.say(f"Submitted as {task['id']}.")
        target = watch.Target(ids=(task["id"],), submitted=submitted)
        return watch.until_done(target, client, output, watch.patience(args))
    output.one(submitted, lambda: [("id", task["id"]), ("state", task["state"]), ("topic", task["topic"])], task["id"])
    output.say(f"Watch it with: contenthubctl task wait {short(task['id'])}")
    return OK


def _placeholders(topics: list[str], output: Output) -> None:
    """Tell, once for all of them, that only schedules put in something for a placeholder."""
    if found := re.search(r"\{(?:date|day|today|now|time|year|month|week)\}", "\n".join(topics), re.IGNORECASE):
        output.say(f"{found[0]} is not replaced: only schedules have a placeholder, {{date}}.")


def batch(args: Namespace, client: Client, output: Output) -> int:
    """Submit a file, all or none of it."""
    _patience_fits(args)
    from contenthubd.ctl import batchfile  # csv and pathlib are only for files

    read = batchfile.read(args.file, args.format, args.encoding, args.account)
    if not read.requests and not read.faults:
        name = "Standard input" if args.file == "-" else args.file
        raise Failure(
            f"{name} contains no topics.", why="It is empty, or every line is empty or a comment.",
            fix="Write one topic a line.", exit_code=USAGE,
        )  # fmt: skip
    submitted = _skipping(args, read, client, output) if args.skip_bad else _all_or_none(args, read, client)
    _placeholders([task["topic"] for task in submitted["tasks"]], output)
    if args.dry_run:
        _show_dry_run(submitted, read.lines, output)
        return OK
    told = _counted(submitted)
    if args.wait:
        from contenthubd.ctl import watch  # only what waits draws progress

        output.say(told)
        return watch.until_done(_watched(submitted, output), client, output,
                                watch.patience(args))  # fmt: skip
    new, known = _split(submitted)
    lines = [("batch", submitted["batch_id"]), ("submitted", len(new)), ("already submitted", len(known) or None)]
    output.one(submitted, lambda: lines, submitted["batch_id"] or "\n".join(task["id"] for task in known))
    output.say(told)
    if submitted["batch_id"]:
        output.say(f"Watch it with: contenthubctl task wait --batch {short(submitted['batch_id'])}")
    return OK


def _split(submitted: dict[str, Any]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The tasks that were made, and those that an idempotency key found."""
    tasks = submitted["tasks"]
    return [task for task in tasks if task["created"]], [task for task in tasks if not task["created"]]


def _counted(submitted: dict[str, Any]) -> str:
    new, known = _split(submitted)
    if not known:
        return f"Submitted {counted(len(new), 'task')} as batch {submitted['batch_id']}."
    return f"{len(new)} submitted, {len(known)} already submitted (same idempotency key)."


def _watched(submitted: dict[str, Any], output: Output) -> Any:
    """The batch; or single tasks where some had been submitted already, unless they are too many for one request."""
    from contenthubd.ctl import watch  # only what waits draws progress

    new, known = _split(submitted)
    batch = submitted["batch_id"]
    if batch and not (new and known):
        return watch.Target(batch=batch, submitted=submitted)
    ids = tuple(dict.fromkeys(task["id"] for task in submitted["tasks"]))
    if batch and len(ids) > MOST_WATCHED:
        output.say(
            f"Watching the {counted(len(new), 'new task')} only: at most {MOST_WATCHED} tasks can be watched by id."
        )
        return watch.Target(batch=batch, submitted=submitted)
    return watch.Target(ids=ids[:MOST_WATCHED], submitted=submitted)


def _patience_fits(args: Namespace) -> None:
    """What is about waiting changes nothing unless something is submitted and waited for."""
    given = {"--wait": args.wait, "--timeout": args.timeout is not None, "--reconnect": args.reconnect is not None,
             "--exit-status": args.exit_status}  # fmt: skip
    option = next((name for name, is_given in given.items() if is_given), None)
    if option and getattr(args, "dry_run", False):
        raise Failure(f"{option} has no effect with --dry-run.", why="Nothing is submitted that could be watched.",
                      fix="Leave one of them out.", exit_code=USAGE)  # fmt: skip
    if option and not args.wait:
        more = "limit one attempt with --timeout-seconds" if option == "--timeout" else f"leave {option} out"
        raise Failure(f"{option} has no effect without --wait.", fix=f"Add --wait, or {more}.", exit_code=USAGE)


def _all_or_none(args: Namespace, read: Any, client: Client) -> dict[str, Any]:
    faults = list(read.faults)
    if not faults:
        try:
            return _submit(args, read, client, dry_run=args.dry_run)
        except Failure as failure:
            faults = _by_line(failure, read.lines)
            if not faults:
                raise
    elif read.requests:
        faults += _faults_told_by_daemon(args, read, client)
    raise Failure(
        f"Nothing was submitted: {counted(len(faults), 'fault')} in {args.file}.",
        faults=[(None, _told(fault)) for fault in sorted(faults)], exit_code=USAGE,
        fix="Fix these lines, or skip them with --skip-bad.",
    )  # fmt: skip


def _skipping(args: Namespace, read: Any, client: Client, output: Output) -> dict[str, Any]:
    """Leave out what is refused until the rest is accepted; every round leaves out at least one."""
    skipped = list(read.faults)
    while read.requests:
        try:
            submitted = _submit(args, read, client, dry_run=args.dry_run)
        except Failure as failure:
            refused = {index for index, _ in failure.faults if index is not None}
            if not refused:
                raise
            skipped += _by_line(failure, read.lines)
            read.drop(refused)
        else:
            for fault in sorted(skipped):
                output.say(f"Skipped {_told(fault)}")
            return submitted
    raise Failure(
        f"Nothing was submitted: no line of {args.file} is acceptable.",
        faults=[(None, _told(fault)) for fault in sorted(skipped)],
        fix="Fix these lines.", exit_code=USAGE,
    )  # fmt: skip


def _faults_told_by_daemon(args: Namespace, read: Any, client: Client) -> list[tuple[int, str]]:
    """What the daemon would say about the well-formed lines, so that all faults are told at once."""
    try:
        _submit(args, read, client, dry_run=True)
    except Unreachable:
        return []  # the file's own faults are told all the same, and nothing was going to be submitted
    except Failure as failure:
        return _by_line(failure, read.lines) or [(0, failure.what)]
    return []


def _submit(args: Namespace, read: Any, client: Client, *, dry_run: bool) -> dict[str, Any]:
    order = {**_order(args, read.requests), "batch": True, "dry_run": dry_run}
    submitted: dict[str, Any] = client.post("/v1/tasks", order, timeout=PATIENCE_SECONDS)
    return submitted


def _order(args: Namespace, requests: list[dict[str, Any]]) -> dict[str, Any]:
    """The request's body; what a line says itself comes before the options."""
    given = request_fields(args)
    return {
        "account": args.account,
        "requests": [{**given, **{k: v for k, v in one.items() if v is not None}} for one in requests],
        "idempotency_key": args.idempotency_key,
    }


def request_fields(args: Namespace) -> dict[str, Any]:
    """What the options ask for besides the topic."""
    shared = {name: getattr(args, name) for name in _SHARED}
    if args.keywords:
        shared["keywords"] = keywords(args.keywords)
    return {name: value for name, value in shared.items() if value is not None}


def _by_line(failure: Failure, lines: list[int]) -> list[tuple[int, str]]:
    return [(lines[index], sentence) for index, sentence in failure.faults if index is not None]


def _told(fault: tuple[int, str]) -> str:
    return f"line {fault[0]}: {fault[1]}" if fault[0] else fault[1]


def _show_dry_run(submitted: dict[str, Any], lines: list[int], output: Output) -> None:
    numbered = [{**task, "line": line} for task, line in zip(submitted["tasks"], lines, strict=True)]
    output.many(
        {**submitted, "tasks": numbered}, numbered, ("LINE", "TOPIC"),
        lambda task: (str(task["line"]), task["topic"]), "topic",
    )  # fmt: skip
    known = sum(task["already_submitted"] for task in numbered)
    told = f", {known} already submitted" if known else ""
    output.say(f"Dry run: {len(numbered) - known} would be submitted{told}; nothing was submitted.")
