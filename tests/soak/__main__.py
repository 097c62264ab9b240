"""``python -m tests.soak --tasks 100000``: many tasks through a real daemon; does anything grow?

Sync mode and a creator that takes no time, so that a task costs little more than what contenthubd itself does: every
task is submitted, claimed, run in a child, settled, reviewed and published as a file. At each mark the daemon is idle,
and what it holds is counted. Exit code 1 if it holds more than it may: memory beyond ``MEMORY_RATIO`` of what it was
at ``WARM_TASKS``, file descriptors beyond ``SPARE_FILES``, or a child. ``--json FILE`` keeps the figures of every mark.
"""

import argparse
import asyncio
import json
import sys
from pathlib import Path

from tests.bench import instant, place
from tests.soak.marks import Mark, faults, plain
from tests.soak.run import Run

DEFAULT_TASKS = 100_000


async def soak(tasks: int, kept: Path | None) -> list[Mark]:
    """Run so many tasks; the marks that were taken on the way, written to ``kept`` each time."""
    marks: list[Mark] = []
    async with place.directory() as folder:
        program = await instant.build(folder)
        async with place.daemon(folder, [str(program)]) as daemon:
            async for mark in Run(daemon).marks(tasks):
                marks.append(mark)
                header, row = plain(marks[-1:]).splitlines()
                print(row if len(marks) > 1 else f"{header}\n{row}", file=sys.stderr, flush=True)
                if kept:
                    kept.write_text(json.dumps([mark.figures for mark in marks], indent=1))
    return marks


def main() -> int:
    """0 if nothing grew, else 1."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--tasks", type=int, default=DEFAULT_TASKS, metavar="N", help="how many (100000)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    arguments = parser.parse_args()
    marks = asyncio.run(soak(arguments.tasks, arguments.json))
    print(plain(marks))
    found = faults(marks)
    print("\n".join(found) if found else "Nothing grew.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
