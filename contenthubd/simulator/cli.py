"""A stand-in for the `content-creator` command line and its worker, for demos and tests.

    content-creator-simulator create|list|retry|status|result|cancel …     the command line
    content-creator-simulator worker start [-c N] [-w ID]                  the worker, in the original a second program

Same arguments, same output, same exit codes, same files in the working directory (`data/` must exist, `logs/` is
made), and the same habits where they are bad: a failed synchronous task exits 0, a pipe gets 64 KiB at most, `retry` of
a queued task destroys it, `cancel` never works. It writes its articles itself and calls nobody.

What differs. The queue between command line and worker is a table `jobs` in the same SQLite file, so no Redis is
needed: without REDIS_URL `create --mode async` works here and fails there. With REDIS_URL set, the address is pinged,
and commands that need it hang while it does not answer, as there. Colours, log levels below error, `workflow` and
databases other than SQLite are not played. The standard library is all it imports, as little of it as possible, since
it is started for every command.

What it does wrong on purpose is set from outside: see behaviour.py.
"""

import os
import signal
import sys

from contenthubd.simulator import behaviour, log, options, screen, store
from contenthubd.simulator.behaviour import Behaviour
from contenthubd.simulator.options import Usage
from contenthubd.simulator.screen import Screen

KEYS = ("LLM_API_KEY", "LLM_BASE_URL", "TAVILY_API_KEY", "ARK_API_KEY")


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    arguments = [clean(word) for word in (sys.argv[1:] if argv is None else argv)]
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        settings = behaviour.load()
    except behaviour.BadSettings as error:
        screen.write(2, f"{error}\n")
        return 2
    behaviour.sleep(settings.number("start_seconds"))
    page = Screen()
    code = run(arguments, settings, page)
    page.flush()
    return code


def clean(word: str) -> str:
    """An argument as the original sees it: bytes that are no UTF-8 become U+FFFD."""
    return word.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def run(arguments: list[str], settings: Behaviour, page: Screen) -> int:
    """Start as the original does (environment, banner, database), then parse and carry out the command."""
    fault = environment_fault()
    if fault:
        page.complain(fault)
        return 1
    page.banner(os.environ)
    log.prepare()
    try:
        database = store.connect()
    except store.Unusable as error:
        log.exception(str(error))
        return 1
    if arguments[:1] == ["worker"]:
        return run_worker(arguments[1:], database, page)
    try:
        command, values = options.parse(arguments)
    except Usage as usage:
        page.say(usage.stdout)
        page.complain(usage.stderr)
        return usage.code
    if settings.applies_to(command):
        behaviour.misbehave_before(settings, page)
    code = carry_out(command, values, database, page)
    if not settings.applies_to(command):
        return code
    behaviour.misbehave_after(settings, page)
    return 0 if settings.misbehaviour == "exit0_on_failure" else code


def carry_out(command: str, values: options.Values, database: store.Database, page: Screen) -> int:
    """Call the command; only the module that is needed is imported."""
    if command == "create":
        from contenthubd.simulator.creation import create

        return create(values, database, page)
    if command == "retry":
        from contenthubd.simulator.requeue import retry

        return retry(values, database, page)
    if command == "cancel":
        page.complain(screen.CANCEL_REFUSED)
        return 1
    from contenthubd.simulator.queries import list_tasks, result, status

    return {"list": list_tasks, "status": status, "result": result}[command](values, database, page)


def run_worker(arguments: list[str], database: store.Database, page: Screen) -> int:
    """`worker start`: serve until told to stop."""
    from contenthubd.simulator.worker import Worker

    try:
        values = options.parse_worker(arguments)
    except Usage as usage:
        page.say(usage.stdout)
        page.complain(usage.stderr)
        return usage.code
    page.flush()
    return Worker(database, values, page).serve()


def environment_fault() -> str:
    """What the original says about an environment it cannot start with; nothing if it can."""
    asked = () if os.environ.get("CREATOR_SIMULATOR_KEYS") == "off" else KEYS
    absent = [name for name in asked if not os.environ.get(name)]
    if absent:
        return screen.invalid_environment(absent)
    if os.environ.get("LOG_LEVEL", "error") not in ("error", "warn", "info", "debug"):
        return screen.invalid_environment(["LOG_LEVEL"])
    if os.environ.get("DATABASE_TYPE", "sqlite") != "sqlite":
        return "the simulator plays DATABASE_TYPE=sqlite only"
    return ""
