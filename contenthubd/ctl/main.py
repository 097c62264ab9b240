"""contenthubctl: the entry.

A command lives for a few milliseconds. Collecting garbage while it imports would take a tenth of them, so that is
switched off before anything is imported, and on again by what lasts longer.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence

TYPE_CHECKING = False  # typing itself takes two milliseconds to import
if TYPE_CHECKING:
    from contenthubd.ctl.arguments import Parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command with these words, by default those of the command line; its exit code."""
    gc.disable()
    try:
        from contenthubd import streams  # see above

        if argv is None:
            streams.prepare()
        from contenthubd.ctl.run import run  # see above

        return run(list(sys.argv[1:] if argv is None else argv))
    finally:
        gc.enable()


def build_parser() -> Parser:
    """Every command with every option."""
    from contenthubd.ctl import commands  # see above

    return commands.build_parser()


if __name__ == "__main__":
    sys.exit(main())
