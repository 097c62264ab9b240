"""``python -m tests.chaos``: hundreds of tasks while everything around them breaks; then see what must be true.

Exit code 0 if it is, 1 if not. The seed, printed first, decides what happens in which order; only the moment at which
each thing meets the tasks is left to the machine.
"""

import argparse
import asyncio
import logging
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import structlog

from tests.chaos.report import Report
from tests.chaos.run import Options, run

TASKS = 300
MINUTES = 5.0
INTERRUPTED = 130


def main() -> int:
    """Run it and tell."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(100_000), help="which plan")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="how long faults are injected")
    parser.add_argument("--tasks", type=int, default=TASKS, help="how many tasks are submitted meanwhile")
    parser.add_argument("--log", type=Path, help="where the daemon's log is kept (default: it is not)")
    given = parser.parse_args()
    print(f"seed {given.seed}", flush=True)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    if sys.version_info < (3, 12):
        asyncio.get_event_loop_policy().set_child_watcher(asyncio.PidfdChildWatcher())  # as the daemon does
    try:
        report = asyncio.run(_run(Options(given.seed, given.minutes, given.tasks, tell=_teller(), keep_log=given.log)))
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("\nInterrupted; everything that was started has been ended.")
        return INTERRUPTED
    print(f"\n{report}\n")
    if not report.sound:
        again = f"--seed {given.seed} --minutes {given.minutes:g} --tasks {given.tasks}"
        print(f'Something must not be as it is. Again: make chaos ARGS="{again}"')
    return 0 if report.sound else 1


async def _run(options: Options) -> Report:
    """SIGTERM and SIGHUP end it as Ctrl-C does: everything that was started is ended first."""
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    return await run(options)


def _teller() -> Callable[[str], None]:
    began = time.monotonic()
    return lambda text: print(f"{time.monotonic() - began:7.1f} s  {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
