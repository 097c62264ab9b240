"""``contenthubd`` and ``python -m contenthubd``: arguments → configuration → run. No rules."""

import argparse
import asyncio
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import anyio

from contenthubd import __version__
from contenthubd.config.loader import Loaded, default_path, load
from contenthubd.domain.errors import ContentHubError


def build_parser() -> argparse.ArgumentParser:
    """The daemon's own command line; everything else is asked of a running one through contenthubctl."""
    parser = argparse.ArgumentParser(
        prog="contenthubd",
        description="Generate, review and publish articles with content-creator, unattended.",
        epilog="Examples:\n  contenthubd --config /etc/contenthubd/config.toml\n"
        "  contenthubd --state-dir ./state config-check",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"contenthubd {__version__}")
    parser.add_argument("--config", type=Path, metavar="FILE", help="the configuration file to read")
    parser.add_argument("--state-dir", metavar="DIR", help="where everything of ours lives (daemon.state_dir)")
    parser.add_argument("--log-level", metavar="LEVEL", help="debug, info, warning or error (daemon.log_level)")
    parser.add_argument(
        "command",
        nargs="?",
        default="run",
        choices=("run", "config-check"),
        help="run the daemon (default), or only tell every fault of the configuration",
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code: 0 after a planned stop, 2 for a wrong configuration, 1 if it could not run."""
    arguments = build_parser().parse_args(argv)

    def read() -> Loaded:
        path = arguments.config or default_path(os.environ)
        wanted = {"daemon.state_dir": arguments.state_dir, "daemon.log_level": arguments.log_level}
        flags = {key: value for key, value in wanted.items() if value is not None}
        return load(path, environ=os.environ, flags=flags)

    try:
        loaded = read()
        if arguments.command == "config-check":
            told = ", ".join(str(file) for file in loaded.files) or "no file; defaults and environment"
            sys.stdout.write(f"The configuration is fine ({told}).\n")
            return 0
        return _run(loaded, read)
    except ContentHubError as fault:
        for part in (f"contenthubd: {fault.what}", fault.why, fault.fix):
            if part:
                sys.stderr.write(part + "\n")
        return fault.exit_code
    except BaseExceptionGroup as group:
        expected, other = group.split(ContentHubError)
        if expected is None or other is not None:
            raise
        sys.stderr.write("".join(f"contenthubd: {fault}\n" for fault in _leaves(expected)))
        return 1


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    leaves: list[BaseException] = []
    for fault in group.exceptions:
        leaves += _leaves(fault) if isinstance(fault, BaseExceptionGroup) else [fault]
    return leaves


def _run(loaded: Loaded, read: Callable[[], Loaded]) -> int:
    from contenthubd.daemon import Daemon  # imported late: config-check needs neither database nor event loop
    from contenthubd.runtime.clock import SystemClock
    from contenthubd.runtime.log import configure

    configure(loaded.config.daemon.log_level, loaded.config.daemon.log_format)
    if sys.version_info < (3, 12):
        # Python 3.11 defaults to a thread for every child; a pidfd costs a third of that.
        asyncio.get_event_loop_policy().set_child_watcher(asyncio.PidfdChildWatcher())
    anyio.run(Daemon(loaded, SystemClock(), read).run)
    return 0


if __name__ == "__main__":
    sys.exit(main())
