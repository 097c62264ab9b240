"""Commands that the wrong user runs: the fix is the command as the right one, and no tree changes its owner."""

import os
import pwd
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import pytest
import structlog

from contenthubd.__main__ import main
from contenthubd.adapters.postgres.identity import candidates
from contenthubd.domain.errors import StateDirectoryDenied, StateDirectoryError
from contenthubd.runtime import lifecycle
from tests.running import short_directory

NOBODY = 65_534
NEW_ID = UUID(int=1)
US = pwd.getpwuid(os.geteuid()).pw_name


@pytest.fixture(autouse=True)
def _log(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What the commands set up for their log lasts no longer than they do; nothing is configured but by the test."""
    before = structlog.get_config()
    for name in [name for name in os.environ if name.startswith("CONTENTHUBD_")]:
        monkeypatch.delenv(name)
    yield
    structlog.configure(**before)


@pytest.fixture(autouse=True, scope="module")
def _imported(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Before anybody steps down: the interpreter and a checkout may be closed to others."""
    with pytest.MonkeyPatch.context() as patched:
        patched.delenv("CONTENTHUBD_CONFIG", raising=False)
        assert main(["db", "validate", "--state-dir", str(tmp_path_factory.mktemp("empty"))]) == 3


@contextmanager
def somebody_else() -> Iterator[None]:
    """As root nothing is forbidden, so root steps down."""
    if os.geteuid() == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if os.getuid() == 0:
            os.seteuid(0)


@pytest.fixture
def foreign() -> Iterator[Path]:
    """A state directory of another user, which nobody else may enter."""
    if os.geteuid() != 0:
        if os.access("/", os.W_OK):
            pytest.skip("needs a directory of another user; / belongs to this one")
        yield Path("/")
        return
    folder = short_directory()
    folder.chmod(0o711)
    made = folder / "state"
    made.mkdir(mode=0o700)
    yield made
    made.rmdir()
    folder.rmdir()


@pytest.mark.parametrize(
    "words",
    [["db", "validate"], ["db", "upgrade"], ["db", "backup", "--force", "my backup.tar.gz"],
     ["db", "restore", "--replace", "monday.tar.gz"]],
    ids=lambda words: words[1],
)  # fmt: skip
@pytest.mark.parametrize("how", ["option", "variable"])
def test_a_command_on_another_users_state_directory_names_the_command_as_that_user(
    foreign: Path, words: list[str], how: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if how == "variable":
        monkeypatch.setenv("CONTENTHUBD_STATE_DIR", str(foreign))
    if os.geteuid() != 0 and words[1] in ("validate", "backup"):
        pytest.skip("/ is no state directory, and this user has no other one of somebody else")
    with somebody_else():
        code = main([*words, *(["--state-dir", str(foreign)] if how == "option" else [])])
    told = capfd.readouterr().err
    assert code == StateDirectoryDenied.exit_code, told
    command = next(line.partition("directory: ")[2] for line in told.splitlines() if line.startswith("  fix: "))
    assert shlex.split(command)[:5] == ["sudo", "-u", "root", "contenthubctl", "db"]
    assert sorted(shlex.split(command)[5:]) == sorted([*words[1:], "--state-dir", str(foreign)])
    assert "chown" not in told
    assert "Traceback" not in told


def test_the_daemon_on_another_users_state_directory(foreign: Path) -> None:
    with somebody_else(), pytest.raises(StateDirectoryDenied) as refused, lifecycle.owned(foreign, NEW_ID):
        pass
    assert refused.value.fix.startswith("Run contenthubd as its owner: sudo -u root contenthubd;")
    assert refused.value.why.endswith("It belongs to the user root.")


def test_a_data_directory_of_another_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 7)
    with pytest.raises(StateDirectoryError) as refused:
        candidates(tmp_path)
    assert refused.value.fix == f"Run contenthubd as its owner: sudo -u {US} contenthubd"


def test_whose_a_directory_is(tmp_path: Path) -> None:
    assert lifecycle.other_owner(tmp_path) == "", "ours"
    assert lifecycle.other_owner(tmp_path / "new") == "", "nobody's yet"
    if os.geteuid() == 0:
        numbered = tmp_path / "numbered"
        numbered.mkdir()
        os.chown(numbered, 54_321, 54_321)
        assert lifecycle.other_owner(numbered) == "#54321", "as sudo takes a number"


def test_a_configuration_that_this_user_may_not_read(capfd: pytest.CaptureFixture[str]) -> None:
    file = short_directory() / "config.toml"
    file.write_text("")
    file.chmod(0)
    file.parent.chmod(0o755)
    with somebody_else():
        code = main(["config-check", "--config", str(file)])
    told = capfd.readouterr().err
    assert code == 2
    assert "fix: Run the command as the daemon's user" in told
    file.unlink()
    file.parent.rmdir()


def test_a_database_that_is_away_is_told_to_a_command_as_to_a_command(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CONTENTHUBD_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("CONTENTHUBD_DATABASE__URL", f"postgresql://u@/x?host={tmp_path}")
    for words in (["config-check", "--connect"], ["db", "validate"], ["db", "backup", str(tmp_path / "b.tar.gz")]):
        assert main(words) == 5
        told = capfd.readouterr()
        assert "Run the command again when it answers." in told.err
        assert "Work resumes" not in told.err
        assert "is valid" not in told.out, "nothing is called fine that does not work"
