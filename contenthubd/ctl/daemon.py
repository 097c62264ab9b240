"""contenthubctl health | version | config …: the daemon itself."""

import sys
import time
from argparse import Namespace
from collections.abc import Iterable
from typing import Any

from contenthubd import __version__
from contenthubd.ctl.client import Client
from contenthubd.ctl.failure import DEGRADED, OK, TIMED_OUT, Failure, Unreachable
from contenthubd.ctl.output import Output
from contenthubd.ctl.times import duration, instants
from contenthubd.ctl.words import flat

LOOK_SECONDS = 0.1


def health(args: Namespace, client: Client, output: Output) -> int:
    """How everything is doing; --wait first waits until the daemon is ready."""
    told = client.get("/v1/health") if args.wait is None else _ready(client, args.wait)
    output.one(told, lambda: _health_lines(told), told["status"])
    return DEGRADED if args.exit_status and told["status"] != "ok" else OK


def version(args: Namespace, client: Client, output: Output) -> int:
    """Ours, and the daemon's if one answers."""
    try:
        daemon = client.get("/v1/version", timeout=5.0)
    except Unreachable as failure:
        daemon = None
        output.say(f"{failure.what} {failure.why}".rstrip())
    told = {"contenthubctl": __version__, "daemon": daemon}
    running = f"{daemon['version']} (Python {daemon['python']}, pid {daemon['pid']})" if daemon else "no answer"
    output.one(told, lambda: [("contenthubctl", __version__), ("contenthubd", running)], __version__)
    return OK


def config_check(args: Namespace, client: Client, output: Output) -> int:
    """Let the daemon's own program check: it knows the rules, and needs nothing running for it."""
    from contenthubd.ctl.database import hand_on  # only here

    command = [sys.executable, "-m", "contenthubd", "config-check"]
    if args.config:
        command += ["--config", args.config]
    if args.connect:
        command += ["--connect"]
    return hand_on(command, output)


def config_show(args: Namespace, client: Client, output: Output) -> int:
    """The configuration in force."""
    from contenthubd.ctl.listing import only_shown  # only here

    only_shown("--origin", args.origin, output)
    told = client.get("/v1/config")
    columns = ("KEY", "VALUE", "ORIGIN") if args.origin else ("KEY", "VALUE")
    if output.form == "table" and output.room() is not None:  # a value that is cut says something else: break lines
        lines = [(entry["key"], "\n".join(_config_row(entry)[1 : len(columns)])) for entry in told["config"]]
        output.one(told, lambda: lines, "config")
    else:
        output.many(told, told["config"], columns, lambda entry: _config_row(entry)[: len(columns)], "key")
    if waiting := [entry for entry in told["config"] if entry["needs_restart"]]:
        output.say("Changed in the configuration, in force after a restart (systemctl restart contenthubd):")
        for entry in waiting:
            output.say(f"  {entry['key']} = {_json(entry['after_restart'])}")
    return OK


def _config_row(entry: dict[str, Any]) -> tuple[str, ...]:
    return entry["key"], _json(entry["value"]), entry["origin"]


def _json(value: Any) -> str:
    import json  # already there: the client uses it

    return json.dumps(value, ensure_ascii=False)


def _ready(client: Client, patience: float) -> dict[str, Any]:
    """Health as soon as the daemon has started. Unreachable, or a Failure with code 7, when it takes too long."""
    until = time.monotonic() + patience
    while True:
        try:
            told: dict[str, Any] = client.get("/v1/health", timeout=max(1.0, until - time.monotonic()))
        except Unreachable:
            if time.monotonic() >= until:
                raise
        else:
            if told["status"] not in ("starting", "stopping"):
                return told
            if time.monotonic() >= until:
                raise Failure(
                    f"The daemon is still {told['status']} after {patience:g} s.",
                    fix="Its log says what it waits for. See its state with: contenthubctl health",
                    exit_code=TIMED_OUT,
                )  # fmt: skip
        time.sleep(LOOK_SECONDS)


def _health_lines(told: dict[str, Any]) -> Iterable[tuple[str, Any]]:
    yield "status", told["status"]
    yield "version", told["version"]
    yield "running for", duration(told["uptime_seconds"])
    for part in ("database", "queue", "creator", "pipeline"):
        yield part, "\n".join(_facts(told[part]))
    yield "faults", "\n".join(_fault(one) for one in told["faults"])


def _fault(one: dict[str, Any]) -> str:
    told = f"- {one['part']}: {one['what']}"
    return instants(f"{told}\n  fix: {one['hint']}" if one["hint"] else told)


def _facts(told: dict[str, Any], under: str = "") -> Iterable[str]:
    """One line for each fact; what is not there is left out."""
    for name, value in told.items():
        label = under + name.replace("_", " ").removeprefix(under)
        if isinstance(value, dict):
            yield from _facts(value, f"{label} ")
        elif isinstance(value, list):
            yield from (f"{label}: {instants(flat(one))}" for one in value)
        elif value not in (None, ""):
            yield f"{label}: {instants(flat(value))}"
