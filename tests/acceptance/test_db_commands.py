"""contenthubd db … as a person runs it: beside a running daemon, without one, and on a database of another version."""

import asyncio
import json
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from contenthubd.adapters.postgres.engine import Database
from contenthubd.adapters.postgres.migrate import NEWEST
from contenthubd.ctl.failure import CONFLICT
from tests.conftest import MakeDatabase, StartDaemon
from tests.contracts.rows import everything, fill
from tests.control.conftest import PIPE, Result, ended, plain_environment
from tests.running import CHECKOUT, RunningDaemon

TOPICS = [f"Topic {number}" for number in range(5)]


async def db(state_dir: Path, *words: str, url: str = "", environ: Mapping[str, str] | None = None) -> Result:
    """``contenthubd db …`` on a state directory, or on a database of a server."""
    given = {**plain_environment(), **(environ or {}), "CONTENTHUBD_STATE_DIR": str(state_dir)}
    if url:
        given["CONTENTHUBD_DATABASE__URL"] = url
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "contenthubd", "db", *words,
        cwd=CHECKOUT, env=given, stdin=PIPE, stdout=PIPE, stderr=PIPE,
    )  # fmt: skip
    return await ended(process)


async def worked(daemon: RunningDaemon) -> None:
    """Five articles with images, published."""
    await daemon.account()
    await daemon.submit(*TOPICS)
    tasks = await daemon.settled()
    assert [task["state"] for task in tasks] == ["completed"] * len(TOPICS)


async def contents(daemon: RunningDaemon) -> list[dict[str, object]]:
    """Every article with its text."""
    listed = (await daemon.get("/contents", limit=1000))["contents"]
    return [await daemon.get(f"/contents/{one['id']}") for one in sorted(listed, key=lambda one: str(one["id"]))]


def images(state_dir: Path) -> dict[str, bytes]:
    """Every image by its path."""
    root = state_dir / "images"
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*.*") if path.is_file()}


async def test_a_backup_beside_a_running_daemon_starts_another_one(start_daemon: StartDaemon, tmp_path: Path) -> None:
    daemon = await start_daemon(latency_seconds=0.1)
    file, state_dir = tmp_path / "backup.tar.gz", daemon.state_dir
    await worked(daemon)

    made = await db(state_dir, "backup", str(file))
    assert made.code == 0, made.err
    assert made.out.startswith("Backed up ")
    refused = await db(state_dir, "restore", "--replace", str(file))
    assert refused.code == CONFLICT
    assert "already uses the state directory" in refused.err
    checked = await db(state_dir, "validate")
    assert checked.code == 0, checked.out
    assert " wrong " not in checked.out
    wanted, pictures = await contents(daemon), images(state_dir)
    assert len(wanted) == len(TOPICS)
    assert pictures
    await daemon.stop()

    second = state_dir.with_name("second")
    restored = await db(second, "restore", str(file))
    assert restored.code == 0, restored.err
    assert images(second) == pictures
    again = RunningDaemon.simulated(second, latency_seconds=0.1)
    async with again:
        told = json.dumps(await contents(again), sort_keys=True)
        assert told == json.dumps(wanted, sort_keys=True)
        await again.submit("One more")
        assert [task["state"] for task in await again.settled()] == ["completed"]
    assert (await db(second, "validate")).code == 0


async def test_the_commands_start_and_stop_the_private_server_themselves(state_dir: Path, tmp_path: Path) -> None:
    missing = await db(state_dir, "backup", str(tmp_path / "none.tar.gz"))
    assert missing.code == 3
    assert "no database" in missing.err
    assert not state_dir.exists()
    made, again = await db(state_dir, "upgrade"), await db(state_dir, "upgrade")
    assert (made.code, again.code) == (0, 0)
    assert (made.out, again.out) == (
        f"The tables were created, at version {NEWEST}.\n",
        f"The tables have version {NEWEST}, the newest. There was nothing to do.\n",
    )
    file = tmp_path / "backup.tar.gz"
    assert (await db(state_dir, "backup", str(file))).code == 0
    there = await db(state_dir, "backup", str(file))
    assert there.code == 6
    assert "--force" in there.err
    assert (await db(state_dir, "backup", "--force", str(file))).code == 0
    assert not (state_dir / "postgres" / "postmaster.pid").exists()
    file.write_bytes(file.read_bytes()[:-100])
    damaged = await db(state_dir, "restore", str(file))
    assert damaged.code == 2
    assert "is not a complete backup" in damaged.err


@pytest.fixture
async def previous(make_database: MakeDatabase, state_dir: Path) -> Database:
    """A database of the previous version on a server, with rows, and images in the state directory."""
    made = await make_database("0001")
    await fill(made, state_dir / "images")
    return made


async def test_upgrade_of_the_previous_version_keeps_every_row(previous: Database, state_dir: Path) -> None:
    before = await everything(previous)
    found = await db(state_dir, "validate", url=previous.url)
    assert found.code == 0, found.out
    assert "contenthubctl db upgrade" in found.out
    upgraded = await db(state_dir, "upgrade", url=previous.url)
    assert upgraded.out == f"The tables were upgraded from version 0001 to {NEWEST}.\n"
    assert await everything(previous, before.columns) == before
    assert (await db(state_dir, "validate", url=previous.url)).code == 0


async def test_a_backup_of_the_previous_version_is_restored_as_the_newest(
    previous: Database, make_database: MakeDatabase, state_dir: Path, tmp_path: Path
) -> None:
    before, file = await everything(previous), tmp_path / "backup.tar.gz"
    assert (await db(state_dir, "backup", str(file), url=previous.url)).code == 0
    pictures = images(state_dir)
    shutil.rmtree(state_dir)
    target = await make_database(None)
    restored = await db(state_dir, "restore", str(file), url=target.url)
    assert restored.code == 0, restored.err
    assert f"from version 0001 to {NEWEST}" in restored.out
    assert await everything(target, before.columns) == before
    assert images(state_dir) == pictures
    refused = await db(state_dir, "restore", str(file), url=target.url)
    assert refused.code == 6
    assert "--replace" in refused.err
    assert (await db(state_dir, "restore", "--replace", str(file), url=target.url)).code == 0
    assert await everything(target, before.columns) == before


async def test_a_violation_is_shown_and_told_by_the_exit_code(previous: Database, state_dir: Path) -> None:
    [image] = (state_dir / "images").rglob("*.png")
    image.unlink()
    found = await db(state_dir, "validate", url=previous.url)
    assert found.code == 1
    assert "1 wrong  The file of every fetched image exists." in found.out
    assert image.name in found.out
