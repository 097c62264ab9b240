"""Every noun and verb of contenthubctl."""

from __future__ import annotations

from collections.abc import Callable

from contenthubd import __version__
from contenthubd.ctl.arguments import Group, Parser, Whole, common_options, noun, period, seconds, several, switch

TYPE_CHECKING = False  # typing itself takes two milliseconds to import, a tenth of a status answer
if TYPE_CHECKING:
    from typing import TypeVar

    T = TypeVar("T")
Add = Callable[[Group, str], None]

STATES = (
    "pending", "submitting", "submitted", "running", "retrying", "completed", "failed", "timeout", "cancelled",
)  # fmt: skip
ORDERS = ("created", "finished", "priority")
REVIEW_STATES = ("pending_review", "approved", "rejected", "published")
BATCH_FORMATS = ("txt", "csv", "jsonl")
ALIASES = {"task": "tasks", "schedule": "scheduler"}
HELP_TOPICS = ("exit-codes", "formatting", "environment")
MOST_CHARS = 100_000
MOST_RETRIES = 100
PERIOD = "such as 90s, 15m, 24h or 7d"
WAIT = "such as 90s, 15m or 3600 (seconds)"
DESCRIPTION = """Submit topics to contenthubd, watch the work, review what comes out."""
EPILOG = """An ID is any unique beginning or end of an id, at least four characters; lists show the last eight.
More: contenthubctl NOUN --help, contenthubctl NOUN VERB --help, contenthubctl help exit-codes"""


def build_parser(wanted: frozenset[str] = frozenset()) -> Parser:
    """The whole parser; with ``wanted``, only the nouns and verbs among these words, if there are any among them."""
    common = common_options()
    parser = Parser(prog="contenthubctl", description=DESCRIPTION, epilog=EPILOG, parents=[common])
    parser.add_argument("--version", action="version", version=f"contenthubctl {__version__}")
    nouns = parser.add_subparsers(
        metavar="NOUN",
        dest="noun",
        required=True,
        prog="contenthubctl",
        title="commands",
        description="Each has a --help of its own, with examples.",
    )
    top = Group(nouns, common, "contenthubctl")
    wanted |= {name for name, alias in ALIASES.items() if alias in wanted}
    for name, told in _among(wanted, _COMMANDS).items():
        if callable(told):
            told(top, name)
        else:
            verbs = noun(nouns, name, told[0], common, aliases=[ALIASES[name]] if name in ALIASES else [])
            for verb, add in _among(wanted, told[1]).items():
                add(verbs, verb)
    return parser


def _among(wanted: frozenset[str], table: dict[str, T]) -> dict[str, T]:
    """The entries that are wanted; all of them if none is."""
    return {name: entry for name, entry in table.items() if name in wanted} or table


def _contents(verbs: Group, name: str) -> None:
    listing = verbs.command(name, "contents:listed", "List articles, newest first.",
                            ("content list --status pending_review", "content list --batch last -o json"))  # fmt: skip
    _filters(listing, REVIEW_STATES)


def _content(verbs: Group, name: str) -> None:
    show = verbs.command(name, "contents:show", "Show one article: state, images, publications.",
                         ("content show 5f3a9c21", "content show 5f3a9c21 --body > article.md"))  # fmt: skip
    show.add_argument("id", metavar="ID", help="the article's id")
    show.add_argument("--body", action="store_true", help="print the Markdown text instead")


def _decide(verbs: Group, name: str) -> None:
    text = {"approve": "Approve articles: they enter the publish pool, unless [publish] auto_add_to_pool is false.",
            "reject": "Reject articles: they are not published while they are rejected."}[name]  # fmt: skip
    example = "--batch last --dry-run" if name == "approve" else '5f3a9c21 7be04d10 --reason "read by Anna"'
    decide = verbs.command(name, f"contents:{name}", text,
                           (f"content {name} 5f3a9c21", f"content {name} {example}"))  # fmt: skip
    if name == "approve":
        _chosen(decide, "articles", "that wait for review")
    else:
        decide.add_argument("ids", metavar="ID", nargs="+", help="the articles' ids")
    decide.add_argument("--reason", help="kept with the article")


def _chosen(parser: Parser, things: str, which: str) -> None:
    """Some things by their ids, or all of a batch that a verb fits."""
    parser.add_argument("ids", metavar="ID", nargs="*", help=f"the {things}' ids")
    parser.add_argument("--batch", metavar="ID", help=f"all {things} of a batch {which}; `last` is the newest")
    parser.add_argument("--dry-run", action="store_true", help="show which ones, change nothing; errors and exit codes "
                        "are those of the command without it")  # fmt: skip


def _generate(verbs: Group, name: str) -> None:
    prefix = "content generate" if name == "generate" else name
    parser = verbs.command(name, "submit:generate", "Submit one topic.",
                           (f'{prefix} --account studio --topic "Autumn in Kyoto" --wait',
                            f'{prefix} --account studio --topic "Tea" --keywords tea,health --priority 1'))  # fmt: skip
    parser.add_argument("--topic", required=True, help="what to write about: one line, at most 500 characters")
    _order(parser)
    _waiting(parser, optional=True)


def _batch_generate(verbs: Group, name: str) -> None:
    parser = verbs.command(name, "submit:batch", "Submit the topics of a file as one batch, all or none.",
                           ("content batch-generate --account studio --file topics.txt --wait",
                            "content batch-generate --account studio --file topics.csv --dry-run"))  # fmt: skip
    parser.add_argument("--file", required=True, metavar="PATH", help=".txt, .csv, .tsv or .jsonl; - is standard input")
    parser.add_argument(
        "--format", choices=BATCH_FORMATS, help="format of the file (default: by its extension, txt for -)"
    )
    parser.add_argument(
        "--encoding",
        metavar="NAME",
        help="encoding of the file, such as gb18030 (default: UTF-8, or by its byte order mark)",
    )
    parser.add_argument("--skip-bad", action="store_true", help="leave bad lines out instead of submitting nothing")
    parser.add_argument("--dry-run", action="store_true", help="check everything and show it, submit nothing")
    _order(parser)
    _waiting(parser, optional=True)


def _order(parser: Parser) -> None:
    """What both ways of submitting share; in a batch a line's own value wins."""
    parser.add_argument("--account", required=True, help="the account to write for")
    _add_request_options(parser)
    parser.add_argument(
        "--idempotency-key", metavar="KEY", help="repeating the command with the same KEY creates nothing new"
    )


def _add_request_options(parser: Parser) -> None:
    """What is asked for besides the topic."""
    parser.add_argument("--keywords", metavar="A,B", help="comma-separated; full-width commas are accepted too")
    parser.add_argument("--requirements", metavar="TEXT", help="further instructions, as text")
    parser.add_argument("--category", help="the kind of article")
    parser.add_argument("--tone", help="instead of the account's")
    parser.add_argument("--audience", help="instead of the account's")
    parser.add_argument("--min-chars", type=Whole(1, MOST_CHARS), metavar="N", help="shortest length (default: 800)")
    parser.add_argument("--max-chars", type=Whole(1, MOST_CHARS), metavar="N", help="longest length (default: 3000)")
    parser.add_argument("--priority", type=Whole(1, 10), metavar="1..10", help="1 is first (default: 5)")
    modes = parser.add_mutually_exclusive_group()
    modes.add_argument(
        "--async", dest="mode", action="store_const", const="async", help="generate in content-creator's worker"
    )
    modes.add_argument(
        "--sync", dest="mode", action="store_const", const="sync", help="generate in a child process of the daemon"
    )
    switch(parser, "auto-approve", "publish without a person's approval (default: as the account says)")
    parser.add_argument(
        "--max-retries",
        type=Whole(0, MOST_RETRIES),
        metavar="N",
        help="maximum number of retries, 0 to 100 (default: [tasks] max_retries of the configuration)",
    )
    parser.add_argument(
        "--timeout-seconds",
        type=seconds,
        metavar="TIME",
        help=f"time limit of one attempt, {WAIT} (default: [tasks] timeout_seconds of the configuration)",
    )


def _waiting(parser: Parser, *, optional: bool) -> None:
    if optional:
        switch(parser, "wait", "watch until everything is finished and published, or cannot be (default: no)")
    parser.add_argument("--timeout", type=seconds, metavar="TIME",
                        help=f"stop waiting after that time, {WAIT} (exit code 7)")  # fmt: skip
    parser.add_argument("--reconnect", type=seconds, metavar="TIME",
                        help=f"how long to try again when the daemon goes away, {WAIT} (default: 30s)")  # fmt: skip
    parser.add_argument(
        "--exit-status", action="store_true", help="implied by waiting: exit 1 unless all tasks complete"
    )


def _filters(parser: Parser, states: tuple[str, ...]) -> None:
    parser.add_argument("--status", metavar="STATES", action="append", type=several(states),
                        help=f"one or more, comma-separated: {', '.join(states)}")  # fmt: skip
    parser.add_argument("--account", help="only this account's")
    parser.add_argument("--batch", metavar="ID", help="only this batch's; `last` is the newest")
    parser.add_argument(
        "--since", type=period, metavar="TIME", help=f"only what was created in the last TIME, {PERIOD}"
    )
    parser.add_argument("--limit", type=Whole(1), default=50, metavar="N", help="maximum number to show (default: 50)")


def _cancel(verbs: Group, name: str) -> None:
    cancel = verbs.command(name, "tasks:cancel", "Cancel tasks that are not finished.",
                           ("task cancel 5f3a9c21 7be04d10", "task cancel --batch last --dry-run"))  # fmt: skip
    _chosen(cancel, "tasks", "that are not finished")


def _retry(verbs: Group, name: str) -> None:
    retry = verbs.command(name, "tasks:retry", "Try failed, timed out or cancelled tasks again; retrying ones at once.",
                          ("task retry 5f3a9c21 7be04d10", "task retry --batch last --dry-run"))  # fmt: skip
    _chosen(retry, "tasks", "that failed or timed out")


def _stats(verbs: Group, name: str) -> None:
    stats = verbs.command(name, "tasks:stats", "Show counts, success rate and load.",
                          ("task stats", "task stats --since 7d --json"))  # fmt: skip
    stats.add_argument(
        "--since", type=period, default=86_400.0, metavar="TIME", help=f"the period, {PERIOD} (default: 24h)"
    )


def _status(verbs: Group, name: str) -> None:
    prefix = f"task {name}" if verbs.prefix.endswith("task") else name
    full = prefix == "task show"
    text = "Show one task with its attempts and its timeline." if full else "Show one task."
    parser = verbs.command(name, "tasks:status", text,
                           (f"{prefix} 5f3a9c21", f"{prefix} 5f3a9c21 --exit-status"))  # fmt: skip
    parser.add_argument("id", metavar="ID", help="the task's id")
    if full:
        parser.set_defaults(detail=True)
    else:
        parser.add_argument("--detail", action="store_true", help="show its attempts and its timeline too")
    parser.add_argument("--exit-status", action="store_true", help="exit 1 if it failed, timed out or was cancelled")


def _list(verbs: Group, name: str) -> None:
    prefix = f"task {name}" if name == "list" else name
    parser = verbs.command(name, "tasks:listed", "List tasks, newest first.",
                           (f"{prefix} --status failed,timeout --finished-since 24h",
                            f"{prefix} --batch last -o jsonl"))  # fmt: skip
    _filters(parser, STATES)
    parser.add_argument("--finished-since", type=period, metavar="TIME",
                        help=f"only tasks that finished in the last TIME, {PERIOD}")  # fmt: skip
    parser.add_argument(
        "--finished-until", type=period, metavar="TIME", help=f"only tasks that finished longer ago than TIME, {PERIOD}"
    )
    parser.add_argument("--sort", choices=ORDERS,
                        help="newest first, latest end first, or next to start first (default: created; finished "
                             "with --finished-since or --finished-until)")  # fmt: skip


def _wait(verbs: Group, name: str) -> None:
    prefix = f"task {name}" if verbs.prefix.endswith("task") else name
    parser = verbs.command(name, "tasks:wait", "Watch tasks, or a batch, until they are finished and published.",
                           (f"{prefix} 5f3a9c21", f"{prefix} --batch last --timeout 30m"))  # fmt: skip
    parser.add_argument("ids", metavar="ID", nargs="*", help="the tasks' ids")
    parser.add_argument("--batch", metavar="ID", help="every task of a batch; `last` is the newest")
    _waiting(parser, optional=False)


def _account_create(verbs: Group, name: str) -> None:
    create = verbs.command(name, "accounts:create", "Create an account: where articles are published, and defaults.",
                           ("account create studio",
                            'account create studio --tone friendly --no-auto-approve --if-missing'))  # fmt: skip
    create.add_argument("name", metavar="NAME", help="lowercase letters, digits, '.', '_' and '-'")
    create.add_argument("--title", help="the name people see")
    modes = create.add_mutually_exclusive_group()
    modes.add_argument(
        "--async", dest="mode", action="store_const", const="async", help="generate in content-creator's worker"
    )
    modes.add_argument(
        "--sync", dest="mode", action="store_const", const="sync", help="generate in a child process of the daemon"
    )
    switch(create, "auto-approve", "publish without a person's approval (default: as configured)")
    create.add_argument("--tone", help="the tone of its articles")
    create.add_argument("--audience", help="who reads its articles")
    create.add_argument("--requirements", metavar="TEXT", help="instructions for every article")
    create.add_argument("--if-missing", action="store_true", help="no error if it exists already with these values")


def _accounts(verbs: Group, name: str) -> None:
    verbs.command(name, "accounts:listed", "List accounts.", ("account list", "account list -o name"))


def _account(verbs: Group, name: str) -> None:
    show = verbs.command(name, "accounts:show", "Show one account.",
                         ("account show studio", "account show studio --json"))  # fmt: skip
    show.add_argument("name", metavar="NAME", help="the account's name")


def _schedule(verbs: Group, name: str) -> None:
    from contenthubd.ctl import schedule_commands  # many options, for one noun only

    schedule_commands.add(verbs, name, _add_request_options)


def _config_check(verbs: Group, name: str) -> None:
    check = verbs.command(name, "daemon:config_check", "Check the configuration; the daemon need not be running.",
                          ("config check --config /etc/contenthubd/config.toml", "config check --connect"))  # fmt: skip
    check.add_argument(
        "--config", metavar="PATH", help="the configuration file (default: the one the daemon would read)"
    )
    check.add_argument("--connect", action="store_true", help="also connect to the database; nothing is changed there")


def _config_show(verbs: Group, name: str) -> None:
    show = verbs.command(name, "daemon:config_show", "Show the configuration in force.",
                         ("config show", "config show --origin"))  # fmt: skip
    show.add_argument("--origin", action="store_true", help="show where each value comes from")


def _queue_status(verbs: Group, name: str) -> None:
    verbs.command(name, "queue:status", "Show which queue is in use, since when and why.",
                  ("queue status", "queue status --json"))  # fmt: skip


def _database(verbs: Group, name: str) -> None:
    told = {
        "backup": ("Write all rows and images into one file, while the daemon runs or not.",
                   ("db backup monday.tar.gz", "db backup --force latest.tar.gz")),
        "restore": ("Restore rows and images; stop every daemon first.",
                    ("db restore monday.tar.gz", "db restore --replace monday.tar.gz")),
        "validate": ("Check tables, rows and image files for consistency.",
                     ("db validate", "db validate --state-dir /var/lib/contenthubd")),
        "upgrade": ("Upgrade the tables to the newest version.",
                    ("db upgrade", "db upgrade --config /etc/contenthubd/config.toml")),
    }  # fmt: skip
    parser = verbs.command(name, "database:run", *told[name])
    if name in {"backup", "restore"}:
        parser.add_argument("file", metavar="FILE", help="the backup")
    if name == "backup":
        parser.add_argument("--force", action="store_true", help="overwrite the file")
    if name == "restore":
        parser.add_argument("--replace", action="store_true", help="replace the rows and images that are there")
    parser.add_argument(
        "--config", metavar="PATH", help="the configuration file (default: the one the daemon would read)"
    )
    parser.add_argument("--state-dir", metavar="DIR", help="the daemon's state directory (default: as configured)")


def _health(top: Group, name: str) -> None:
    parser = top.command(name, "daemon:health", "Show the health of the daemon and its dependencies.",
                         ("health --exit-status", "health --wait 30s"))  # fmt: skip
    parser.add_argument("--wait", type=seconds, nargs="?", const=60.0, metavar="TIME",
                        help=f"wait until the daemon is ready, at most for TIME, {WAIT} (default: 60s)")  # fmt: skip
    parser.add_argument("--exit-status", action="store_true", help="exit 8 unless the status is ok")


def _version(top: Group, name: str) -> None:
    top.command(name, "daemon:version", "Show the versions of contenthubctl and of the daemon.",
                ("version", "version --json"))  # fmt: skip


def _help(top: Group, name: str) -> None:
    parser = top.command(name, "texts:show", "Explain a command, exit codes, formatting or the environment.",
                         ("help task list", "help exit-codes"))  # fmt: skip
    parser.add_argument("topic", metavar="TOPIC", nargs="*", help=f"a noun and a verb, or {', '.join(HELP_TOPICS)}")


_COMMANDS: dict[str, Add | tuple[str, dict[str, Add]]] = {
    "content": ("Submit topics; list, show and review articles.", {
        "generate": _generate, "batch-generate": _batch_generate, "list": _contents, "show": _content,
        "approve": _decide, "reject": _decide,
    }),
    "task": ("List, watch, cancel and retry tasks.", {
        "status": _status, "show": _status, "list": _list, "wait": _wait, "cancel": _cancel, "retry": _retry,
        "stats": _stats,
    }),
    "schedule": ("Submit topics on a schedule.", dict.fromkeys((
        "create", "list", "show", "preview", "pause", "resume", "run", "history", "delete",
    ), _schedule)),
    "account": ("Create and show accounts.", {"create": _account_create, "list": _accounts, "show": _account}),
    "queue": ("Show the task queue.", {"status": _queue_status}),
    "config": ("Check and show the configuration.", {"check": _config_check, "show": _config_show}),
    "db": ("Back up, restore, validate and upgrade the database.", dict.fromkeys(
        ("backup", "restore", "validate", "upgrade"), _database)),
    "health": _health, "version": _version, "help": _help,
    "submit": _generate, "ls": _list, "show": _status, "wait": _wait,
}  # fmt: skip
