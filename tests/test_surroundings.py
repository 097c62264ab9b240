"""What a run of the tests inherits does not decide how it ends."""

import signal
import subprocess
import sys

from tests.running import CHECKOUT
from tests.surroundings import KEPT_IGNORED

INHERITED = """
import os, signal, sys
for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
    try:
        signal.signal(number, signal.SIG_IGN)
    except OSError:  # the C library keeps a few for itself
        pass
signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
os.execv(sys.executable, [sys.executable, "-c", '''
import subprocess
from tests import surroundings
surroundings.hear_signals()
print(subprocess.run(["cat", "/proc/self/status"], stdout=-1, text=True).stdout)
'''])
"""


def test_signals_that_were_ignored_at_the_start_are_heard() -> None:
    told = subprocess.run(
        [sys.executable, "-c", INHERITED], cwd=CHECKOUT, stdout=subprocess.PIPE, text=True, check=True
    )
    masks = {name: int(value, 16) for name, _, value in (line.partition(":") for line in told.stdout.splitlines())
             if name in ("SigBlk", "SigIgn")}  # fmt: skip
    kept = sum(1 << (number - 1) for number in KEPT_IGNORED)
    known = sum(1 << (number - 1) for number in signal.valid_signals())
    assert masks["SigBlk"] & known == 0
    assert masks["SigIgn"] & known & ~kept == 0
