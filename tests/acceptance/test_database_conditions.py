"""PostgreSQL answers but does not do its work: a full disk, a standby, limits. Nothing is lost, nothing is charged.

Each condition comes while tasks run and goes again; meanwhile the door and health say what it is and what to do.
"""

import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import asyncpg
import pytest
from sqlalchemy.engine import make_url

from contenthubd.adapters.postgres.embedded import EmbeddedPostgres
from tests.plain_connection import connect_to
from tests.postgres_probe import can, owner, private_mounts, public_folder, told_by
from tests.running import Refused, RunningDaemon

CAN_MOUNT = can(*private_mounts(), sys.executable, "-c", "import asyncpg")
ROLE = "studio"
FLOOD = 400
"""Topics of one request: their rows do not fit into what room the pages have, and take more than a millisecond."""
Admin: TypeAlias = "asyncpg.Connection[Any]"


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where a server of this test's own may live."""
    with public_folder() as made:
        yield made


@asynccontextmanager
async def administrator(url: str) -> AsyncIterator[Admin]:
    """A connection of the superuser, whom no limit concerns."""
    connection = await connect_to(url)
    try:
        yield connection
    finally:
        await connection.close(timeout=10)


async def hang_up(admin: Admin) -> None:
    """End every connection of the daemon, so that the next ones get what was set for its user."""
    await admin.execute(f"SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE usename = '{ROLE}'")  # noqa: S608 - a name of ours


@asynccontextmanager
async def set_for_role(admin: Admin, setting: str) -> AsyncIterator[None]:
    """A setting for new connections of the daemon; those that it has in the end keep it."""
    await admin.execute(f"ALTER ROLE {ROLE} SET {setting}")
    await hang_up(admin)
    yield
    await admin.execute(f"ALTER ROLE {ROLE} RESET ALL")


@asynccontextmanager
async def full_at_commit(admin: Admin) -> AsyncIterator[None]:
    """Every write is found impossible when it is committed."""
    await admin.execute("""
        CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE 'could not extend file' USING ERRCODE = 'disk_full'; END $$
    """)
    tables = [row["relname"] for row in await admin.fetch("SELECT relname FROM pg_class WHERE relkind = 'r' "
              "AND relnamespace = 'public'::regnamespace AND relname <> 'instance'")]  # fmt: skip
    for table in tables:
        await admin.execute(
            f"CREATE CONSTRAINT TRIGGER full_disk AFTER INSERT OR UPDATE ON {table} DEFERRABLE INITIALLY DEFERRED "
            "FOR EACH ROW EXECUTE FUNCTION full_disk()"
        )
    yield
    await admin.execute("DROP FUNCTION full_disk CASCADE")


@asynccontextmanager
async def read_only_server(admin: Admin) -> AsyncIterator[None]:
    """What hosted servers do whose disk is nearly full; connections that are there notice."""
    await admin.execute("SET default_transaction_read_only = off")
    await admin.execute("ALTER SYSTEM SET default_transaction_read_only = on")
    await admin.execute("SELECT pg_reload_conf()")
    yield
    await admin.execute("ALTER SYSTEM RESET default_transaction_read_only")
    await admin.execute("SELECT pg_reload_conf()")


@asynccontextmanager
async def no_connection_left(admin: Admin) -> AsyncIterator[None]:
    """As many connections as are permitted."""
    await admin.execute(f"ALTER ROLE {ROLE} CONNECTION LIMIT 0")
    await hang_up(admin)
    yield
    await admin.execute(f"ALTER ROLE {ROLE} CONNECTION LIMIT -1")


@asynccontextmanager
async def locked_tables(admin: Admin) -> AsyncIterator[None]:
    """Somebody holds a lock for longer than the role may wait."""
    async with set_for_role(admin, "lock_timeout = '20ms'"), admin.transaction():
        await admin.execute("LOCK TABLE task IN EXCLUSIVE MODE")
        yield


@asynccontextmanager
async def full_disk(admin: Admin, small: Path) -> AsyncIterator[None]:
    """A file takes all the room of the small file system."""
    with pytest.raises(asyncpg.DiskFullError):
        await admin.execute(f"COPY (SELECT repeat('x', 10000) FROM generate_series(1, 20000)) TO '{small}/ballast'")  # noqa: S608 - a path of ours
    yield
    await admin.execute(f"COPY (SELECT '') TO '{small}/ballast'")


@dataclass(frozen=True)
class Condition:
    """What an administrator does to the server, and what is said while it lasts."""

    comes: Callable[[Admin], AbstractAsyncContextManager[None]]
    said: str
    fix: str


CONDITIONS = (
    Condition(full_at_commit, "is full. It said: could not extend file.", "Free space"),
    Condition(read_only_server, "accepts no writes. It said: cannot execute ", "default_transaction_read_only"),
    Condition(
        lambda admin: set_for_role(admin, "default_transaction_read_only = on"), "accepts no writes.", "set it to off"
    ),
    Condition(no_connection_left, "accepts no more connections. It said: too many connections for role", "LIMIT"),
    Condition(
        lambda admin: set_for_role(admin, "statement_timeout = '1ms'"),
        "canceled a statement. It said: canceling statement due to statement timeout.",
        f'ALTER ROLE "{ROLE}" SET statement_timeout = 0;',
    ),
    Condition(locked_tables, "stopped waiting for a lock.", f'ALTER ROLE "{ROLE}" SET lock_timeout = 0;'),
)


async def endure(daemon: RunningDaemon, admin: Admin, condition: Condition) -> None:
    """Tasks are at work while it comes, and end well once it has gone."""
    await daemon.submit("one", "two", "three")
    async with condition.comes(admin):
        refused = await daemon.until(lambda: submit_refused(daemon, condition.said))
        assert refused.problem["status"] == 503
        assert condition.fix in refused.problem["fix"]
        [fault] = (await daemon.get("/health"))["faults"]
        assert fault["part"] == "database"
        assert condition.said in fault["what"]
        assert condition.fix in fault["hint"]
    tasks = await daemon.until(lambda: all_completed(daemon))
    assert [task["retry_count"] for task in tasks] == [0] * len(tasks)


async def submit_refused(daemon: RunningDaemon, said: str) -> Refused | None:
    """How a big request is refused with these words; what is accepted must be generated as well."""
    try:
        await daemon.submit(*(f"topic {number}" for number in range(FLOOD)), max_retries=0)
    except Refused as refused:
        # A connection that was ended may be met once by each of its users; they are refused in other words.
        return refused if said in f"{refused.problem['detail']} {refused.problem['why']}" else None
    return None


async def all_completed(daemon: RunningDaemon) -> list[dict[str, Any]]:
    """Every task, once all are completed."""
    try:
        tasks = await daemon.tasks()
    except Refused as refused:
        assert refused.problem["code"] == "database_unavailable"
        return []
    return tasks if all(task["state"] == "completed" for task in tasks) else []


async def url_of_role(admin: Admin, url: str, *, tablespace: str = "") -> str:
    """The address of an ordinary user with a database of his own."""
    await admin.execute(f"CREATE ROLE {ROLE} LOGIN")
    place = f" TABLESPACE {tablespace}" if tablespace else ""
    await admin.execute(f"CREATE DATABASE {ROLE} OWNER {ROLE}{place}")
    return make_url(url).set(username=ROLE, database=ROLE).render_as_string(hide_password=False)


@asynccontextmanager
async def simulated(state_dir: Path, url: str) -> AsyncIterator[RunningDaemon]:
    """A daemon whose creator is at work for a moment."""
    settings: dict[str, dict[str, Any]] = {
        "tasks": {"mode": "sync", "lease_seconds": 6},
        "creator": {"manage_worker": False},
        "database": {"url": url, "command_timeout_seconds": 5},
    }
    daemon = RunningDaemon.simulated(state_dir, settings, latency_seconds=0.3)
    await daemon.start()
    try:
        await daemon.account()
        yield daemon
        assert await daemon.stop() == 0
    finally:
        await daemon.stop()
    assert "Traceback" not in daemon.log_path.read_text(encoding="utf-8")


async def test_whatever_stops_it_for_a_while_costs_nothing(state_dir: Path, folder: Path) -> None:
    server = EmbeddedPostgres(folder / "data", durable=False)
    url = await server.start()
    try:
        async with administrator(url) as outside:
            named = await url_of_role(outside, url)
        superuser = make_url(url).set(database=ROLE).render_as_string(hide_password=False)
        async with simulated(state_dir, named) as daemon, administrator(superuser) as admin:
            for condition in CONDITIONS:
                await endure(daemon, admin, condition)
            assert daemon.events("write_postponed"), "what was generated meanwhile had to wait"
    finally:
        await server.stop()


@pytest.mark.skipif(not CAN_MOUNT, reason="private mounts are not allowed here, or Python cannot be reached in one")
async def test_a_disk_that_is_really_full(state_dir: Path, folder: Path) -> None:
    small = folder / "small"
    small.mkdir()
    mount = 'mount -t tmpfs -o size=24m,mode=777 tmpfs "$0" && mkdir -m 777 "$0/data" && exec "$@"'
    async with owner(folder / "data", wrapped_in=[*private_mounts(), "sh", "-c", mount, str(small)]) as process:
        url = (await told_by(process))["url"]
        async with administrator(url) as outside:
            await outside.execute(f"CREATE TABLESPACE small LOCATION '{small}/data'")
            named = await url_of_role(outside, url, tablespace="small")
        async with simulated(state_dir, named) as daemon, administrator(url) as admin:
            full = Condition(lambda it: full_disk(it, small), "is full. It said: could not extend file ", "Free space")
            await endure(daemon, admin, full)


def fill_up(file: Path) -> None:
    """Take all the room that its file system has by now."""
    with pytest.raises(OSError, match="No space left"), file.open("ab", buffering=0) as ballast:
        while True:
            ballast.write(bytes(1 << 16))


async def database_fault(daemon: RunningDaemon, words: str) -> dict[str, Any] | None:
    """The fault of the database in health, once it has these words."""
    faults: list[dict[str, Any]] = (await daemon.get("/health"))["faults"]
    return next((fault for fault in faults if words in fault["what"]), None)


@pytest.mark.skipif(not CAN_MOUNT, reason="private mounts are not allowed here, or Python cannot be reached in one")
async def test_a_private_server_that_ends_because_its_disk_is_full(state_dir: Path) -> None:
    """PostgreSQL ends itself where it cannot write its journal, and does not start again until there is room."""
    wal = state_dir / "postgres" / "pg_wal"
    daemon = RunningDaemon.simulated(state_dir, {"tasks": {"mode": "sync"}}, latency_seconds=0.3)
    daemon.prepared = True
    mount = (
        'cp -a "$0" "$0.kept" && mount -t tmpfs -o size=80m,mode=700 tmpfs "$0" && chown --reference "$0.kept" "$0" '
        '&& cp -a "$0.kept/." "$0" && exec "$@"'
    )
    daemon.wrapped_in = [*private_mounts(), "sh", "-c", mount, str(wal)]
    async with daemon:
        await daemon.account()
        await daemon.submit("one", "two", "three")
        ballast = Path(f"/proc/{daemon.pid}/root{wal}/ballast")
        url = f"postgresql://contenthub@/contenthub?host={wal.parent}"

        async def ended() -> dict[str, Any] | None:
            """Again and again: a crash makes PostgreSQL give room back, which may be enough for it to go on."""
            fill_up(ballast)
            with suppress(asyncpg.PostgresError, OSError):
                async with administrator(url) as admin:
                    await admin.execute("CREATE TEMP TABLE more AS SELECT 1; SELECT pg_switch_wal(); DROP TABLE more")
            return await database_fault(daemon, "did not start")

        fault = await daemon.until(ended)
        assert "No space left on device" in fault["what"]
        assert "Free some space" in fault["hint"]
        ballast.unlink()
        tasks = await daemon.until(lambda: all_completed(daemon))
        assert [task["retry_count"] for task in tasks] == [0] * 3
        await daemon.submit("four")
        await daemon.settled()
