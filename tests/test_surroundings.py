"""What a run of the tests inherits does not decide how it ends."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests import surroundings
from tests.running import CHECKOUT
from tests.surroundings import KEPT_IGNORED, roomy

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


@pytest.mark.parametrize(("mode", "room", "taken"), [(0o1777, 0, True), (0o1777, 1 << 62, False), (0o755, 0, False)])
def test_temporary_files_go_where_everybody_may_and_all_have_room(
    tmp_path: Path, mode: int, room: int, taken: bool
) -> None:
    tmp_path.chmod(mode)
    assert roomy(tmp_path, room) is taken


def test_what_is_no_folder_holds_no_temporary_files(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert not roomy(tmp_path / "file", 0)
    assert not roomy(tmp_path / "nothing", 0)


@pytest.mark.parametrize(("limit", "told"), [("max", None), ("12345", 12345)])
def test_a_container_may_have_less_memory_than_its_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, told: int | None
) -> None:
    (tmp_path / "limit").write_text(f"{limit}\n", encoding="ascii")
    monkeypatch.setattr(surroundings, "LIMITS", (tmp_path / "limit", tmp_path / "nothing"))
    free = surroundings.spare_memory()
    assert free == told or (told is None and free > 12345)


def test_a_named_folder_for_temporary_files_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", "/somewhere")
    surroundings.keep_files_in_memory()
    assert os.environ["TMPDIR"] == "/somewhere"
