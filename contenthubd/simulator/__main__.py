"""`python -m contenthubd.simulator` is `content-creator-simulator`."""

import sys

from contenthubd.simulator.cli import main

if __name__ == "__main__":
    sys.exit(main())
