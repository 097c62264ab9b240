"""``contenthubd`` and ``python -m contenthubd``: arguments → configuration → run. No rules."""

import argparse
import asyncio
import os
import shlex
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import anyio

from contenthubd import __version__, faultpoints, streams
from contenthubd.config.loader import Loaded, default_path, load
from contenthubd.domain.errors import ContentHubError, DatabaseUnavailable, StateDirectoryError, StateDirectoryTaken


def build_parser() -> argparse.ArgumentParser:
    """The daemon's own command line; everything else is asked of a running one through contenthubctl."""
    parser = argparse.ArgumentParser(
        prog="contenthubd",
        description="Generate, review and publish articles with content-creator, unattended.",
        epilog="Examples:\n  contenthubd --config /etc/contenthubd/config.toml\n"
        "  contenthubd --state-dir ./state config-check\n"
        "  contenthubd --state-dir ./state db backup monday.tar.gz",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[_common()],
    )
    parser.add_argument("--version", action="version", version=f"contenthubd {__version__}")
    parser.set_defaults(command="run", config=None, state_dir=None, log_level=None)
    commands = parser.add_subparsers(metavar="COMMAND", title="commands")
    for name, help_ in (
        ("run", "run the daemon (default)"),
        ("config-check", "check the configuration and list every error"),
    ):
        commands.add_parser(name, help=help_, description=help_, parents=[_common()]).set_defaults(command=name)
    check = commands.choices["config-check"]
    check.add_argument("--connect", action="store_true", help="also connect to the database; nothing is changed there")
    _add_database(commands.add_parser("db", help="back up, restore, validate or upgrade the database"))
    return parser


def _common() -> argparse.ArgumentParser:
    """The options that may stand before and after the command; what is not given leaves no trace."""
    common = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    common.add_argument("--config", type=Path, metavar="FILE", help="the configuration file to read")
    common.add_argument("--state-dir", metavar="DIR", help="the directory for all data (daemon.state_dir)")
    common.add_argument("--log-level", metavar="LEVEL", help="debug, info, warning or error (daemon.log_level)")
    return common


def _add_database(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(metavar="VERB", dest="verb", required=True)
    told = {
        "backup": "write all rows and images into one file, while the daemon runs or not",
        "restore": "restore rows and images; stop every daemon first",
        "validate": "check tables, rows and image files for consistency",
        "upgrade": "upgrade the tables to the newest version",
    }
    made = {
        name: verbs.add_parser(name, help=text, description=text, parents=[_common()]) for name, text in told.items()
    }
    for name, verb in made.items():
        verb.set_defaults(command=f"db {name}")
    made["backup"].add_argument("file", type=Path, metavar="FILE", help="the backup to write")
    made["backup"].add_argument("--force", action="store_true", help="overwrite the file")
    made["restore"].add_argument("file", type=Path, metavar="FILE", help="the backup to read")
    made["restore"].add_argument("--replace", action="store_true", help="replace the rows and images that are there")


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code: 0 after a planned stop, 2 for a wrong configuration, 1 if it could not run."""
    if argv is None:
        streams.prepare()
        # Whoever started us may ignore it, which is inherited: the exit codes of child processes would be lost.
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    try:
        code = _main(argv)
    except SystemExit as asked:  # --help, --version and wrong words end like this
        code = asked.code if isinstance(asked.code, int) else 0
    try:
        streams.flush(sys.stdout)
    except OSError as error:
        sys.stderr.write(f"contenthubd: Standard output cannot be written: {error.strerror}.\n")
        return code or 1
    return code


def _main(argv: Sequence[str] | None) -> int:
    arguments = build_parser().parse_args(argv)

    def read() -> Loaded:
        path = arguments.config or default_path(os.environ)
        wanted = {"daemon.state_dir": arguments.state_dir, "daemon.log_level": arguments.log_level}
        flags = {key: value for key, value in wanted.items() if value is not None}
        return load(path, environ=os.environ, flags=flags)

    try:
        loaded = read()
        if arguments.command == "config-check":
            return _check(loaded, arguments)
        if arguments.command.startswith("db "):
            return _database(loaded, arguments)
        return _run(loaded, read)
    except ContentHubError as fault:
        sys.stderr.write(_told(fault))
        return fault.exit_code
    except BaseExceptionGroup as group:
        expected, other = group.split(ContentHubError)
        if expected is None or other is not None:
            raise
        faults = _leaves(expected)
        sys.stderr.write("".join(f"contenthubd: {fault}\n" for fault in faults))
        codes = {fault.exit_code for fault in faults if isinstance(fault, ContentHubError)}
        return codes.pop() if len(codes) == 1 else 1


def _check(loaded: Loaded, arguments: argparse.Namespace) -> int:
    """Say that the configuration is valid, and what is missing here; with --connect only once the database answered."""
    code = _database(loaded, arguments) if arguments.connect else 0
    told = ", ".join(str(file) for file in loaded.files) or "no file; defaults and environment"
    sys.stdout.write(f"The configuration is valid ({told}).\n")
    sys.stderr.write("".join(streams.visible(f"Warning: {text}") + "\n" for text in _doubts(loaded)))
    return code


def _doubts(loaded: Loaded) -> Iterator[str]:
    """What is missing here. It is no error of the file: the daemon may run as another user, or with another PATH."""
    from contenthubd.adapters.images.proxies import proxies_of  # imported late, as the daemon is
    from contenthubd.adapters.publishers.faults import unwritable

    config = loaded.config
    program = config.creator.command[0]
    if shutil.which(program) is None:
        yield f"this user cannot run creator.command: there is no program {program!r}."
    if config.creator_env_file and not config.creator_env_file.exists():
        yield f"creator.env_file names no file: {config.creator_env_file}"
    for proxy in proxies_of(config.images.proxy, os.environ).faults:
        yield f"images would not be fetched with this environment. {proxy.what} {proxy.fix}"
    fault = unwritable(config.published_dir)
    if fault:
        yield f"this user cannot publish below {config.published_dir}: {fault.why} {fault.fix}"


def _told(fault: ContentHubError) -> str:
    """The three parts, a line each, as contenthubctl tells them."""
    parts = [f"contenthubd: {fault.what}"]
    for label, part in (("why", fault.why), ("fix", fault.fix)):
        parts += [f"  {label}: " + part.replace("\n", "\n       ")] if part else []
    return streams.visible("\n".join(parts)) + "\n"


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    leaves: list[BaseException] = []
    for fault in group.exceptions:
        leaves += _leaves(fault) if isinstance(fault, BaseExceptionGroup) else [fault]
    return leaves


def _database(loaded: Loaded, arguments: argparse.Namespace) -> int:
    """Run the command; what another user's state directory refuses is told with the command as that user."""
    from contenthubd.adapters.postgres.absence import AGAIN  # imported late, as the daemon is
    from contenthubd.runtime import lifecycle

    directory = loaded.config.state_dir
    try:
        return _command(loaded, arguments)
    except PermissionError as denied:
        refused: ContentHubError = lifecycle.unusable(directory, denied)
        cause: Exception = denied
    except StateDirectoryError as fault:
        refused, cause = fault, fault
    except DatabaseUnavailable as fault:
        fault.fix = fault.fix.replace(AGAIN, "Run the command again when it answers.")
        raise
    if (owner := lifecycle.other_owner(directory)) and not isinstance(refused, StateDirectoryTaken):
        refused.fix = f"Run the command as the user who owns the state directory: {_as(owner, arguments)}"
    raise refused from cause


def _as(owner: str, arguments: argparse.Namespace) -> str:
    """The command as another user."""
    words = ["contenthubctl", *arguments.command.split()]
    for name in ("config", "state_dir"):  # sudo leaves our variables out
        if value := getattr(arguments, name) or os.environ.get(f"CONTENTHUBD_{name.upper()}"):
            words += [f"--{name.replace('_', '-')}", str(value)]
    words += [f"--{name}" for name in ("force", "replace", "connect") if getattr(arguments, name, False)]
    if "file" in arguments:
        words.append(str(arguments.file))
    return f"sudo -u {shlex.join([owner, *words])}"


def _command(loaded: Loaded, arguments: argparse.Namespace) -> int:
    from contenthubd.database import Commands  # imported late, as the daemon is
    from contenthubd.runtime.clock import SystemClock
    from contenthubd.runtime.log import configure

    configure(arguments.log_level or "warning", loaded.config.daemon.log_format)
    faultpoints.arm(os.environ.get(faultpoints.VARIABLE))
    commands = Commands(loaded.config, SystemClock(), lambda line: sys.stdout.write(f"{line}\n"))
    if arguments.command == "config-check":
        return anyio.run(commands.connect)
    match arguments.verb:
        case "backup":
            return anyio.run(partial(commands.backup, arguments.file, force=arguments.force))
        case "restore":
            return anyio.run(partial(commands.restore, arguments.file, replace=arguments.replace))
        case "validate":
            return anyio.run(commands.validate)
        case _:
            return anyio.run(commands.upgrade)


def _run(loaded: Loaded, read: Callable[[], Loaded]) -> int:
    from contenthubd.runtime import lifecycle

    lifecycle.outlive_signals()  # before what takes long
    from contenthubd.daemon import Daemon  # imported late: config-check needs neither database nor event loop
    from contenthubd.runtime.clock import SystemClock
    from contenthubd.runtime.log import configure

    lines = configure(loaded.config.daemon.log_level, loaded.config.daemon.log_format)
    faultpoints.arm(os.environ.get(faultpoints.VARIABLE))
    if sys.version_info < (3, 12):
        # Python 3.11 defaults to a thread for every child; a pidfd costs a third of that.
        asyncio.get_event_loop_policy().set_child_watcher(asyncio.PidfdChildWatcher())
    try:
        anyio.run(Daemon(loaded, SystemClock(), read).run)
    finally:
        lines.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
