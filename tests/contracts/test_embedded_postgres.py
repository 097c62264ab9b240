"""The private PostgreSQL: it starts, stops, survives its owner's death and its own, and leaves no process behind."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from sqlalchemy.engine import make_url

from contenthubd.adapters.postgres import cluster, programs
from contenthubd.adapters.postgres.embedded import EmbeddedPostgres, find_postgres_bin
from contenthubd.adapters.postgres.identity import Identity, candidates
from contenthubd.domain.errors import DatabaseUnavailable, StateDirectoryError
from tests.postgres_probe import (
    alive,
    children,
    environment_of,
    names_in,
    owner,
    public_folder,
    put_to_sleep,
    running_on,
    script,
    sql,
    told_by,
    until,
)
from tests.postgres_server import TestServer

MAJOR = 18  # of the wheel


@pytest.fixture
def state() -> Iterator[Path]:
    """An empty state directory that every account may pass through; nothing may run on it afterwards."""
    with public_folder() as folder:
        yield folder


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def made_once() -> AsyncIterator[Path]:
    """A stopped cluster with a table `kept` of one row, to be copied."""
    with public_folder() as folder:
        postgres = EmbeddedPostgres(folder / "data", durable=False)
        url = await postgres.start()
        await sql(url, "CREATE TABLE kept AS SELECT 42 AS number")
        await postgres.stop()
        yield folder / "data"


@pytest.fixture
def data_dir(state: Path, made_once: Path) -> Path:
    """A copy of `made_once` for this test alone."""
    subprocess.run(["cp", "-a", str(made_once), str(state)], check=True)
    return state / "data"


@pytest.fixture
async def postgres(data_dir: Path) -> AsyncIterator[EmbeddedPostgres]:
    """A server to start on `data_dir`; stopped at the end in any case."""
    server = EmbeddedPostgres(data_dir, durable=False)
    yield server
    await server.stop()


def identity_for(data_dir: Path) -> Identity:
    """The identity that a start on the existing cluster takes."""
    return candidates(data_dir)[0]


async def unattended(data_dir: Path, *, marked: bool = True) -> asyncio.subprocess.Process:
    """A running server on ``data_dir`` that does not die with its owner, as after a lost death signal."""
    program = programs.server(find_postgres_bin(), data_dir, data_dir, MAJOR, durable=False)
    program = program if marked else [word.replace(cluster.MARKER, "cluster_name=another") for word in program]
    command = identity_for(data_dir).command(program, directory=data_dir.parent, death_signal=0)
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.DEVNULL)
    ready = data_dir / "postmaster.pid"
    await until(lambda: ready.exists() and "ready" in ready.read_text(encoding="ascii"), "the unattended server is up")
    return process


# ------------------------------------------------------------------------------------------------------ start and stop


async def test_a_first_start_makes_everything_and_a_stop_leaves_no_process(state: Path) -> None:
    postgres = EmbeddedPostgres(state / "new" / "deeper" / "data")
    url = await postgres.start()
    pid = postgres.pid
    assert pid is not None
    assert make_url(url).drivername == "postgresql+asyncpg"
    assert await sql(url, "SELECT current_database()") == "contenthub"
    helpers = children(pid)
    assert helpers != []
    await postgres.stop()
    assert postgres.pid is None
    assert [number for number in (pid, *helpers) if alive(number)] == []


async def test_the_cluster_is_safe_and_the_same_on_every_machine(postgres: EmbeddedPostgres) -> None:
    url = await postgres.start()
    shown = {
        name: await sql(url, f"SHOW {name}")
        for name in ("data_checksums", "server_encoding", "listen_addresses", "unix_socket_permissions", "timezone")
    }
    assert shown == {
        "data_checksums": "on",
        "server_encoding": "UTF8",
        "listen_addresses": "",
        "unix_socket_permissions": "0700",
        "timezone": "UTC",
    }
    assert await sql(
        url, "SELECT lower('ÄÖÜ') || (SELECT string_agg(x, '' ORDER BY x) FROM unnest('{b,a,B}'::text[]) x)"
    ) == ("äöüBab")


async def test_durable_is_the_default_and_only_tests_may_turn_it_off(data_dir: Path) -> None:
    for postgres, expected in (
        (EmbeddedPostgres(data_dir), "on"),
        (EmbeddedPostgres(data_dir, durable=False), "off"),
    ):
        try:
            assert await sql(await postgres.start(), "SHOW fsync") == expected
        finally:
            await postgres.stop()


async def test_data_stay_over_a_restart_of_the_same_object(postgres: EmbeddedPostgres) -> None:
    await postgres.start()
    await postgres.stop()
    assert await sql(await postgres.start(), "SELECT number FROM kept") == 42


async def test_stop_without_start_and_stop_twice_do_nothing(data_dir: Path) -> None:
    postgres = EmbeddedPostgres(data_dir, durable=False)
    await postgres.stop()
    await postgres.start()
    await postgres.stop()
    await postgres.stop()
    assert postgres.pid is None


async def test_misuse_is_told(postgres: EmbeddedPostgres) -> None:
    with pytest.raises(RuntimeError, match="start"):
        await postgres.wait()
    await postgres.start()
    with pytest.raises(RuntimeError, match="stop"):
        await postgres.start()


async def test_ctrl_c_on_the_terminal_does_not_reach_the_server(postgres: EmbeddedPostgres) -> None:
    await postgres.start()
    assert postgres.pid is not None
    assert os.getsid(postgres.pid) == os.getpgid(postgres.pid) == postgres.pid != os.getsid(0)


async def test_the_server_sees_no_keys_of_other_services(
    postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_API_KEY", "secret")
    monkeypatch.setenv("PGDATABASE", "elsewhere")
    await postgres.start()
    assert postgres.pid is not None
    assert environment_of(postgres.pid) - {"LD_LIBRARY_PATH", "TMPDIR"} == {"PATH", "LC_ALL"}


async def test_a_second_owner_is_refused_and_told_who_the_first_is(postgres: EmbeddedPostgres, data_dir: Path) -> None:
    url = await postgres.start()
    second = EmbeddedPostgres(data_dir, durable=False)
    with pytest.raises(StateDirectoryError, match=f"Process {os.getpid()} holds its lock"):
        await second.start()
    assert await sql(url, "SELECT number FROM kept") == 42
    await postgres.stop()
    await second.start()
    await second.stop()


async def test_the_log_is_kept_until_it_is_big_then_begun_again(postgres: EmbeddedPostgres, state: Path) -> None:
    log = state / "postgres.log"
    log.write_text("an older line\n", encoding="ascii")
    await postgres.start()
    await postgres.stop()
    assert log.read_text(encoding="utf-8").startswith("an older line\n")
    log.write_bytes(b"x" * (cluster.LOG_LIMIT_BYTES + 1))
    await postgres.start()
    assert "ready to accept connections" in log.read_text(encoding="utf-8")
    assert log.stat().st_size < cluster.LOG_LIMIT_BYTES


# --------------------------------------------------------------------------------------------------- the server's death


async def test_wait_ends_when_the_server_is_killed_and_a_new_start_recovers(postgres: EmbeddedPostgres) -> None:
    url = await postgres.start()
    await sql(url, "CREATE TABLE later AS SELECT 7 AS number")
    assert postgres.pid is not None
    os.kill(postgres.pid, signal.SIGKILL)
    assert await postgres.wait() == -signal.SIGKILL
    await postgres.stop()
    assert await sql(await postgres.start(), "SELECT number FROM later") == 7


async def test_a_frozen_server_is_killed_with_its_children(data_dir: Path) -> None:
    postgres = EmbeddedPostgres(data_dir, durable=False, stop_seconds=0.3)
    await postgres.start()
    assert postgres.pid is not None
    family = [postgres.pid, *children(postgres.pid)]
    for pid in family:
        await put_to_sleep(pid)
    await postgres.stop()
    await until(lambda: not any(alive(pid) for pid in family), "the frozen server and its children are gone")


async def test_a_stop_that_is_cancelled_leaves_no_server(data_dir: Path) -> None:
    postgres = EmbeddedPostgres(data_dir, durable=False)
    await postgres.start()
    pid = postgres.pid
    assert pid is not None
    await put_to_sleep(pid)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await postgres.stop()
    await until(lambda: not alive(pid), "the server is gone")
    await postgres.start()
    await postgres.stop()


# ---------------------------------------------------------------------------------------------------- the owner's death


async def test_the_server_goes_with_its_killed_owner_and_the_next_owner_has_the_data(
    postgres: EmbeddedPostgres, data_dir: Path
) -> None:
    async with owner(data_dir) as first:
        told = await told_by(first)
        await sql(told["url"], "CREATE TABLE later AS SELECT 7 AS number")
        first.kill()
        await first.wait()
    await until(lambda: not alive(told["pid"]), "the server followed its owner")
    assert await sql(await postgres.start(), "SELECT number FROM later") == 7


async def test_the_next_owner_need_not_wait_for_the_server_of_the_killed_one(
    postgres: EmbeddedPostgres, data_dir: Path
) -> None:
    async with owner(data_dir) as first:
        await told_by(first)
        first.kill()
        await first.wait()
        assert await sql(await postgres.start(), "SELECT number FROM kept") == 42


@pytest.mark.parametrize("frozen", [False, True])
async def test_a_server_without_owner_is_stopped_first(data_dir: Path, frozen: bool) -> None:
    orphan = await unattended(data_dir)
    if frozen:
        await put_to_sleep(orphan.pid)
    postgres = EmbeddedPostgres(data_dir, durable=False, stop_seconds=0.3 if frozen else 30)
    url = await postgres.start()
    assert await orphan.wait() == (-signal.SIGKILL if frozen else 0)
    assert await sql(url, "SELECT number FROM kept") == 42
    await postgres.stop()


async def test_a_server_that_somebody_else_started_is_left_alone(postgres: EmbeddedPostgres, data_dir: Path) -> None:
    foreign = await unattended(data_dir, marked=False)
    with pytest.raises(StateDirectoryError, match=f"kill -INT {foreign.pid}"):
        await postgres.start()
    assert alive(foreign.pid)
    foreign.send_signal(signal.SIGINT)
    assert await foreign.wait() == 0


@pytest.mark.parametrize("kind", ["gone", "zombie", "another program", "ourselves", "empty", "garbage"])
async def test_stale_pid_files_do_not_keep_it_from_starting(
    postgres: EmbeddedPostgres, data_dir: Path, kind: str
) -> None:
    other = await asyncio.create_subprocess_exec("sleep", "600")
    dead = subprocess.Popen([sys.executable, "-I", "-S", "-c", ""])  # noqa: ASYNC220 - asyncio would reap the zombie
    await until(lambda: not alive(dead.pid), "the child has ended")
    if kind == "gone":
        dead.wait()
    first = {"gone": dead.pid, "zombie": dead.pid, "another program": other.pid, "ourselves": os.getpid()}.get(kind)
    text = {"empty": "", "garbage": "\x00\x00"}.get(kind, f"{first}\n{data_dir}\n1700000000\n5432\n{data_dir}\n\n")
    for name in ("postmaster.pid", ".s.PGSQL.5432.lock"):
        (data_dir / name).write_text(text, encoding="ascii")
    try:
        assert await sql(await postgres.start(), "SELECT number FROM kept") == 42
        assert other.returncode is None
    finally:
        dead.wait()
        other.kill()
        await other.wait()


# -------------------------------------------------------------------------------------------------------- half clusters


def with_initdb(folder: Path, text: str) -> Path:
    """A folder of PostgreSQL's programs whose initdb is ``text``; REAL stands for the real one."""
    real = find_postgres_bin()
    script(folder / "initdb", text.replace("REAL", str(real / "initdb")))
    (folder / "postgres").symlink_to(real / "postgres")
    folder.chmod(0o755)
    return folder


async def test_a_killed_initdb_leaves_nothing_behind(state: Path) -> None:
    bin_dir = with_initdb(state / "bin", '"REAL" "$@" >/dev/null; kill -9 $$')
    with pytest.raises(StateDirectoryError, match="exit code -9"):
        await EmbeddedPostgres(state / "data", bin_dir=bin_dir, durable=False).start()
    assert names_in(state) == ["bin", "data.lock"]
    postgres = EmbeddedPostgres(state / "data", durable=False)
    await postgres.start()
    await postgres.stop()


async def test_an_owner_killed_during_initdb_leaves_no_process_and_no_half_cluster(state: Path) -> None:
    bin_dir = with_initdb(state / "bin", '"REAL" "$@" >/dev/null; mv "$2/PG_VERSION" "$2/half"; exec sleep 600')
    async with owner(state / "data", bin_dir) as first:
        await until(lambda: any(state.glob("data.initdb-*/half")) or not alive(first.pid), "half a cluster is made")
        assert any(state.glob("data.initdb-*/half"))
        first.kill()
        await first.wait()
    await until(lambda: running_on(state) == [], "initdb followed its owner")
    assert not (state / "data").exists()
    postgres = EmbeddedPostgres(state / "data", durable=False)
    await postgres.start()
    await postgres.stop()
    assert names_in(state) == ["bin", "data", "data.lock", "postgres.log"]


async def test_a_cancelled_first_start_leaves_nothing_behind(state: Path) -> None:
    bin_dir = with_initdb(state / "bin", 'echo begun > "$2/begun"; exec sleep 600')
    postgres = EmbeddedPostgres(state / "data", bin_dir=bin_dir, durable=False)
    starting = asyncio.create_task(postgres.start())
    await until(lambda: any(state.glob("data.initdb-*/begun")) or starting.done(), "initdb runs")
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert names_in(state) == ["bin", "data.lock"]
    again = EmbeddedPostgres(state / "data", durable=False)
    await again.start()
    await again.stop()


# ------------------------------------------------------------------------------------------------------------ the suite


async def test_databases_are_copied_from_a_template() -> None:
    async def make(url: str) -> None:
        await sql(url, "CREATE TABLE made AS SELECT 1 AS number")

    server = TestServer()
    await server.start()
    try:
        await server.create_template("house", make)
        first, second = await server.fresh_database("house"), await server.fresh_database("house")
        await sql(first, "UPDATE made SET number = 2")
        assert [await sql(url, "SELECT number FROM made") for url in (first, second)] == [2, 1]
        await server.drop(first)
        assert await sql(second, "SELECT count(*) FROM pg_database WHERE datname = 'house_1'") == 0
    finally:
        await server.stop()


async def test_a_broken_setting_is_quoted_and_nothing_is_left(postgres: EmbeddedPostgres, data_dir: Path) -> None:
    settings = data_dir / "postgresql.conf"
    good = settings.read_text(encoding="utf-8")
    settings.write_text(good + "\nno_such_setting = 1\n", encoding="utf-8")
    with pytest.raises(DatabaseUnavailable, match="no_such_setting") as caught:
        await postgres.start()
    assert str(data_dir.parent / "postgres.log") in caught.value.fix
    assert running_on(data_dir) == []
    settings.write_text(good, encoding="utf-8")
    await postgres.start()
