"""Arguments → one command → exit code. Commands are imported when they are called for."""

import sys
from argparse import Namespace
from collections.abc import Callable

from contenthubd import streams
from contenthubd.ctl.arguments import parse
from contenthubd.ctl.client import Client, socket_path
from contenthubd.ctl.commands import build_parser
from contenthubd.ctl.failure import FAILED, INTERRUPTED, UNHEARD, USAGE, Failure, Unheard
from contenthubd.ctl.output import Output

HELP = frozenset({"-h", "--help"})
PATHS = frozenset({"file", "config", "state_dir", "socket"})
Command = Callable[[Namespace, Client, Output], int]


def run(words: list[str]) -> int:
    """Run one command; the exit codes are those of ``contenthubctl help exit-codes``."""
    output = Output("table", quiet=False, headers=True, color="auto")
    args = Namespace()
    try:
        args = _arguments(words)
        _are_text(args)
        output = Output(
            getattr(args, "output", "table"), quiet=getattr(args, "quiet", False),
            headers=getattr(args, "headers", True), color=getattr(args, "color", "auto"),
        )  # fmt: skip
        code = _command(args.run)(args, Client(socket_path(getattr(args, "socket", None))), output)
    except SystemExit:  # --help and --version end like this
        try:
            streams.flush(sys.stdout)
        except OSError as error:
            return _unwritten(output, error)
        raise
    except Failure as failure:
        if hasattr(args, "leaf"):
            failure.about_option(args.leaf.options(), args.leaf.prog)
        output.fail(failure.text())
        code = failure.exit_code
    except KeyboardInterrupt:
        code = INTERRUPTED
    except Unheard:
        code = UNHEARD
    except OSError as error:
        if error.filename is not None:
            raise
        return _unwritten(output, error)
    try:
        streams.flush(sys.stdout)
    except OSError as error:
        return _unwritten(output, error)
    return code


def _unwritten(output: Output, error: OSError) -> int:
    """What was done is done; only its result could not be written."""
    streams.drop(sys.stdout)
    output.fail(f"Standard output cannot be written: {error.strerror or error}.")
    return FAILED


def _are_text(args: Namespace) -> None:
    """A Failure for an argument with bytes that are not UTF-8; a path may have any, since files do."""
    for name, value in vars(args).items():
        for text in value if isinstance(value, list) else [value]:
            if name in PATHS or not isinstance(text, str) or text.isascii():
                continue
            try:
                text.encode()
            except UnicodeEncodeError as error:
                option = name if isinstance(value, list) or name in ("id", "name") else "--" + name.replace("_", "-")
                raise Failure(
                    f"{option} is not UTF-8 text.", why=f"Character {error.start + 1} cannot be read.",
                    fix="Check the terminal's encoding.", exit_code=USAGE,
                ) from None  # fmt: skip


def _arguments(words: list[str]) -> Namespace:
    """Building the whole parser takes longer than answering, so it is built for help and for mistakes only."""
    if not HELP.isdisjoint(words):
        return parse(build_parser(), words)
    try:
        return parse(build_parser(frozenset(words)), words)
    except Failure:
        return parse(build_parser(), words)  # says the same, but knows all that might have been meant


def _command(name: str) -> Command:
    module, _, function = name.partition(":")
    # __import__ and not importlib, which would have to be imported itself.
    command: Command = getattr(__import__(f"contenthubd.ctl.{module}", fromlist=[function]), function)
    return command
