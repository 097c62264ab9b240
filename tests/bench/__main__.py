"""``python -m tests.bench``: measure, print each ratio beside its target, write docs/benchmarks.md.

Each measure is taken in turn with what it is compared with, so that a slow machine slows both. Nothing here fails
because a target is missed: the table says so, and a person decides.
"""

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import structlog

from tests.bench import cli, dispatch, document, idle, instant, makespan, place, plan, submit, throughput
from tests.bench.table import Line, plain
from tests.running import CHECKOUT

Measure = Callable[[Path, Path], Awaitable[Sequence[Line]]]


async def _submit(folder: Path, _: Path) -> Sequence[Line]:
    return await submit.measure(folder)


async def _makespan(folder: Path, _: Path) -> Sequence[Line]:
    return await makespan.measure(folder)


async def _cli(folder: Path, _: Path) -> Sequence[Line]:
    return await cli.measure(folder)


MEASURES: dict[str, Measure] = {
    "throughput": throughput.measure,
    "submit": _submit,
    "dispatch": dispatch.measure,
    "idle": idle.measure,
    "cli": _cli,
    "makespan": _makespan,
    "plan": plan.measure,
}


async def run(names: list[str]) -> dict[str, Sequence[Line]]:
    """The named measures, one after another, each in a directory of its own."""
    found: dict[str, Sequence[Line]] = {}
    for name in names:
        print(f"measuring {name} …", file=sys.stderr, flush=True)
        async with place.directory() as folder:
            found[name] = await MEASURES[name](folder, await instant.build(folder))
    return found


def main() -> None:
    """Measure everything, or what was named."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"some of: {', '.join(MEASURES)} (default: all)")
    names = parser.parse_args().names or list(MEASURES)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    if sys.version_info < (3, 12):
        asyncio.get_event_loop_policy().set_child_watcher(asyncio.PidfdChildWatcher())  # as the daemon does
    load = os.getloadavg()[0]
    found = asyncio.run(run(names))
    print(plain([line for lines in found.values() for line in lines]))
    if list(found) == list(MEASURES):
        document.write(CHECKOUT / "docs" / "benchmarks.md", found, load)


if __name__ == "__main__":
    main()
