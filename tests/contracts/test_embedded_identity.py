"""Who runs the private PostgreSQL: root with and without user namespaces, ordinary users, numbers without account."""

import os
import pwd
import subprocess
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from contenthubd.adapters.postgres.embedded import EmbeddedPostgres, find_postgres_bin
from contenthubd.adapters.postgres.identity import candidates
from contenthubd.domain.errors import StateDirectoryError
from tests.postgres_probe import (
    CHECKOUT,
    alive,
    can,
    owner,
    plain_environment,
    public_folder,
    script,
    sql,
    told_by,
    until,
    user_of,
)

NOBODY = pwd.getpwnam("nobody")
THE_OTHERS = ("tests/contracts/test_embedded_postgres.py", "tests/contracts/test_embedded_faults.py")
WITHOUT_NAMESPACES = [sys.executable, str(CHECKOUT / "tests" / "without_namespaces.py")]
WITHOUT_RIGHTS = [*WITHOUT_NAMESPACES, "setpriv", "--bounding-set=-dac_override,-dac_read_search"]
"""As in a container that has also taken from root the right to pass through every folder."""
AS_ROOT = os.geteuid() == 0
needs_root = pytest.mark.skipif(not AS_ROOT, reason="only root can become another user")
needs_namespaces = pytest.mark.skipif(
    not can("unshare", "--user", "true"), reason="user namespaces are not allowed here"
)
forbids_namespaces = pytest.mark.skipif(
    not AS_ROOT or not can(*WITHOUT_NAMESPACES, "true"), reason="only root in a full user range can forbid namespaces"
)
reaches_programs = pytest.mark.skipif(
    not AS_ROOT
    or not can("setpriv", f"--reuid={NOBODY.pw_uid}", "--clear-groups", str(find_postgres_bin() / "initdb"), "-V"),
    reason="only root can become another user, and that user must be able to read this environment",
)


@pytest.fixture
def state() -> Iterator[Path]:
    """An empty state directory that every account may pass through; nothing may run on it afterwards."""
    with public_folder() as folder:
        yield folder


def number_without_account() -> int:
    """A user number that nobody has."""
    taken = {account.pw_uid for account in pwd.getpwall()}
    return next(number for number in count(45_000) if number not in taken)


def as_user(number: int) -> list[str]:
    """The prefix that runs a command as user ``number``, without other rights than to read this checkout and Python."""
    become = ["setpriv", f"--reuid={number}", f"--regid={number}", "--clear-groups"]
    reaches = can(
        *become, "sh", "-c", 'cd "$0" && exec "$1" -c "import pytest, contenthubd"', str(CHECKOUT), sys.executable
    )
    reading = [] if reaches else ["--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search"]
    return [*become, *reading]


# ---------------------------------------------------------------------------------------------------------------- root


@needs_root
@needs_namespaces
async def test_root_keeps_the_files_and_postgres_sees_nobody(state: Path) -> None:
    postgres = EmbeddedPostgres(state / "data", durable=False)
    await postgres.start()
    assert postgres.pid is not None
    shown, outside, length = Path(f"/proc/{postgres.pid}/uid_map").read_text(encoding="ascii").split()
    assert (int(shown), int(outside), int(length)) == (NOBODY.pw_uid, 0, 1)
    assert (state / "data").stat().st_uid == 0
    await postgres.stop()


@needs_root
@reaches_programs
async def test_a_data_directory_of_nobody_is_served_by_nobody(state: Path) -> None:
    data_dir = state / "data"
    data_dir.mkdir(mode=0o700)
    os.chown(data_dir, NOBODY.pw_uid, NOBODY.pw_gid)
    async with owner(data_dir) as first:
        told = await told_by(first)
        assert user_of(told["pid"]) == NOBODY.pw_uid
        await sql(told["url"], "CREATE TABLE kept AS SELECT 42 AS number")
        first.kill()
        await first.wait()
    await until(lambda: not alive(told["pid"]), "the server followed its owner in spite of its change of user")
    postgres = EmbeddedPostgres(data_dir, durable=False)
    assert await sql(await postgres.start(), "SELECT number FROM kept") == 42
    await postgres.stop()


@forbids_namespaces
@reaches_programs
@pytest.mark.parametrize("name", ["data", "a path with spaces"])
async def test_root_without_namespaces_runs_it_as_nobody(
    state: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = state / "run"
    runtime.mkdir()
    runtime.chmod(0o711)
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(runtime))
    async with owner(state / name, wrapped_in=WITHOUT_NAMESPACES) as first:
        told = await told_by(first)
        assert user_of(told["pid"]) == NOBODY.pw_uid
        assert (state / name).stat().st_uid == NOBODY.pw_uid
        assert state.stat().st_mode & 0o777 == 0o711
        assert await sql(told["url"], "SELECT 1") == 1
        first.kill()
        await first.wait()
    await until(lambda: not alive(told["pid"]), "the server followed its owner")


@forbids_namespaces
async def test_root_without_namespaces_uses_folders_that_only_root_may_enter(state: Path) -> None:
    closed = state / "closed"
    closed.mkdir(mode=0o700)
    async with owner(closed / "deeper" / "data", wrapped_in=WITHOUT_NAMESPACES) as process:
        told = await told_by(process)
        assert user_of(told["pid"]) == NOBODY.pw_uid
        assert await sql(told["url"], "SELECT 1") == 1
    assert closed.stat().st_mode & 0o777 == 0o700
    await until(lambda: not alive(told["pid"]), "the server followed its owner")


@forbids_namespaces
@reaches_programs
async def test_root_without_namespaces_and_rights_is_told_when_nobody_cannot_enter_the_folder(state: Path) -> None:
    closed = state / "closed"
    closed.mkdir(mode=0o700)
    async with owner(closed / "deeper" / "data", wrapped_in=WITHOUT_RIGHTS) as process:
        told = await told_by(process)
    assert told["code"] == "state_directory"
    assert "cannot enter" in told["text"]
    assert closed.stat().st_mode & 0o777 == 0o700


@forbids_namespaces
async def test_root_without_namespaces_and_rights_is_told_when_nobody_cannot_run_the_programs(state: Path) -> None:
    bin_dir = state / "closed" / "bin"
    for name in ("postgres", "initdb"):
        script(bin_dir / name, "exit 0")
    bin_dir.parent.chmod(0o700)
    async with owner(state / "data", bin_dir, wrapped_in=WITHOUT_RIGHTS) as process:
        told = await told_by(process)
    assert told["code"] == "unavailable"
    assert "cannot be run" in told["text"]
    assert "Permission denied" in told["text"]


@forbids_namespaces
@needs_namespaces
@reaches_programs
async def test_data_of_root_are_told_where_namespaces_are_gone_and_can_be_given_to_nobody(state: Path) -> None:
    data_dir = state / "data"
    postgres = EmbeddedPostgres(data_dir, durable=False)
    await sql(await postgres.start(), "CREATE TABLE kept AS SELECT 42 AS number")
    await postgres.stop()
    async with owner(data_dir, wrapped_in=WITHOUT_NAMESPACES) as process:
        told = await told_by(process)
    assert f"chown -R nobody {data_dir}" in told["text"]
    subprocess.run(["chown", "-R", "nobody", str(data_dir)], check=True)  # noqa: ASYNC221 - a moment
    async with owner(data_dir, wrapped_in=WITHOUT_NAMESPACES) as process:
        told = await told_by(process)
        assert await sql(told["url"], "SELECT number FROM kept") == 42


@needs_root
async def test_data_of_another_user_are_refused(state: Path) -> None:
    data_dir = state / "data"
    data_dir.mkdir(mode=0o700)
    os.chown(data_dir, 1, 1)
    with pytest.raises(StateDirectoryError, match="contenthubd runs as root") as caught:
        await EmbeddedPostgres(data_dir, durable=False).start()
    assert caught.value.fix == f"Run contenthubd as its owner: sudo -u {pwd.getpwuid(1).pw_name} contenthubd"


# ------------------------------------------------------------------------------------------------------ ordinary users


@pytest.mark.skipif(AS_ROOT, reason="root's own case is test_data_of_another_user_are_refused")
def test_data_of_root_are_refused_to_an_ordinary_user() -> None:
    with pytest.raises(StateDirectoryError, match="It belongs to root; contenthubd runs as"):
        candidates(Path("/usr"))


def passes_as(number: int, *chosen: str) -> None:
    """Run the other tests of the private PostgreSQL once more as user ``number``."""
    with public_folder() as folder:
        home = folder / "home"
        home.mkdir()
        os.chown(home, number, number)
        unused = ("cacheprovider", "xdist", "cov", "hypothesispytest")  # loading them takes half a second
        options = [word for name in unused for word in ("-p", f"no:{name}")]
        options += ["--durations=5", f"--basetemp={home}/pytest"]
        done = subprocess.run(
            [*as_user(number), sys.executable, "-m", "pytest", *options, *chosen],
            cwd=CHECKOUT,
            env=plain_environment() | {"HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
    print(done.stdout)
    assert done.returncode == 0, done.stderr


@reaches_programs
def test_everything_works_for_an_ordinary_user_too() -> None:
    passes_as(NOBODY.pw_uid, *THE_OTHERS)


@needs_root
@needs_namespaces
@reaches_programs
def test_a_user_number_without_account_works_too() -> None:
    chosen = "first_start or killed"
    passes_as(number_without_account(), *THE_OTHERS, "-k", chosen)


@forbids_namespaces
@reaches_programs
async def test_a_user_number_without_account_is_told_where_namespaces_are_gone(state: Path) -> None:
    number = number_without_account()
    os.chown(state, number, number)
    async with owner(state / "data", wrapped_in=[*WITHOUT_NAMESPACES, *as_user(number)]) as process:
        told = await told_by(process)
    assert told["code"] == "state_directory"
    assert "has no account" in told["text"]
