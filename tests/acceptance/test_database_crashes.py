"""`db upgrade`, `db restore` and `db backup` die by SIGKILL at every step: what was there is whole, or what is new is.

Every case has a database and a state directory of its own. The commands are real processes; one process that has loaded
the program makes them all by fork, since loading it costs more than all the rest.
"""

import asyncio
import json
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import text

from contenthubd import faultpoints
from contenthubd.adapters.postgres import archive
from contenthubd.adapters.postgres.admission import admit
from contenthubd.adapters.postgres.backup import backup
from contenthubd.adapters.postgres.engine import Database
from contenthubd.adapters.postgres.migrate import NEWEST, scripts, upgrade, version
from contenthubd.adapters.postgres.prune import PostgresRetention
from contenthubd.adapters.postgres.restore import restore
from contenthubd.adapters.postgres.validate import validate
from contenthubd.ctl.failure import CONFLICT
from contenthubd.domain.errors import DatabaseUnavailable
from tests import prepared_cluster
from tests.acceptance.test_db_commands import db, images
from tests.clock import NOON
from tests.conftest import MakeDatabase
from tests.contracts.rows import everything, fill
from tests.control.conftest import PIPE, ended, plain_environment
from tests.running import CHECKOUT

FIRST = "0001"
STEPS = len(scripts()) - 1
"""From the first version to the newest."""
UPGRADES = [
    "upgrade.locked", *(f"upgrade.step:{number}" for number in range(1, STEPS + 1)), "upgrade.done", "upgrade.committed"
]  # fmt: skip
RESTORES = [
    "restore.checked", "restore.cleared", "upgrade.step:1", "restore.made", "restore.table:1", "restore.table:6",
    "restore.image", "restore.filled", f"upgrade.step:{1 + STEPS}", "restore.done", "restore.committed",
]  # fmt: skip
BACKUPS = ["backup.table:1", "backup.table:6", "backup.image", "backup.finished", "backup.renamed"]
FORKS = """
import json, os, sys
import alembic.command, contenthubd.database
from contenthubd.__main__ import main
codes = []
for environ, words in json.load(sys.stdin):
    child = os.fork()
    if not child:
        os.environ.update(environ)
        os.dup2(2, 1)
        os._exit(main(words))
    codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
print(json.dumps(codes))
"""


@dataclass
class Case:
    """A database in use, which a command is to change and dies over."""

    point: str
    database: Database
    state_dir: Path
    words: tuple[str, ...] = ()
    """What stands behind the command in this case alone."""

    @property
    def environ(self) -> dict[str, str]:
        """What the command finds in its environment."""
        return {
            "CONTENTHUBD_DATABASE__URL": self.database.url,
            "CONTENTHUBD_STATE_DIR": str(self.state_dir),
            faultpoints.VARIABLE: self.point,
        }


async def run(cases: Sequence[Case], *words: str) -> list[int]:
    """The same command for every case; the exit codes."""
    plan = [(case.environ, ["db", *words, *case.words]) for case in cases]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", FORKS, cwd=CHECKOUT, env=plain_environment(), stdin=PIPE, stdout=PIPE, stderr=PIPE
    )
    result = await ended(process, json.dumps(plan))
    assert result.code == 0, result.err
    codes: list[int] = json.loads(result.out)
    return codes


async def in_use(make_database: MakeDatabase, folder: Path, point: str) -> Case:
    """A database of the first version with rows, and an image in its state directory."""
    case = Case(point, await make_database(FIRST), folder / point.replace(":", "-"))
    await fill(case.database, case.state_dir / "images")
    return case


async def sound(case: Case) -> bool:
    """Whether tables, rows and files fit each other."""
    found = await validate(case.database, case.state_dir / "images")
    return [check.name for check in found.checks if check.count] == []


async def test_an_upgrade_that_is_killed_has_changed_all_or_nothing(
    make_database: MakeDatabase, tmp_path: Path
) -> None:
    cases = [await in_use(make_database, tmp_path, point) for point in UPGRADES]
    before = [await everything(case.database) for case in cases]
    assert await run(cases, "upgrade") == [-signal.SIGKILL] * len(cases)
    for case, rows in zip(cases, before, strict=True):
        committed = case.point == "upgrade.committed"
        assert await version(case.database) == (NEWEST if committed else FIRST), case.point
        assert await everything(case.database, rows.columns) == rows
        # What a daemon does at its start:
        await admit(case.database)
        assert await upgrade(case.database) is not committed
        assert await everything(case.database, rows.columns) == rows
        assert await sound(case), case.point


async def test_a_restore_that_is_killed_has_replaced_all_or_nothing(
    make_database: MakeDatabase, tmp_path: Path
) -> None:
    file = tmp_path / "backup.tar.gz"
    source = await in_use(make_database, tmp_path, "source")
    await source.database.changed(text("UPDATE task SET topic = 'restored'"))
    await backup(source.database, source.state_dir / "images", file, NOON, force=False)
    wanted, pictures = await everything(source.database), images(source.state_dir)
    cases = [await in_use(make_database, tmp_path, point) for point in RESTORES]
    before = [(await everything(case.database), images(case.state_dir)) for case in cases]

    assert await run(cases, "restore", "--replace", str(file)) == [-signal.SIGKILL] * len(cases)
    for case, (rows, shown) in zip(cases, before, strict=True):
        committed = case.point == "restore.committed"
        expected = wanted if committed else rows
        assert await version(case.database) == (NEWEST if committed else FIRST), case.point
        assert await everything(case.database, expected.columns) == expected, case.point
        assert shown.items() <= images(case.state_dir).items(), "no image of the old rows is gone"
        assert await sound(case), case.point
        if committed:
            discarded = await PostgresRetention(case.database).discarded_images(100)
            assert set(discarded) == shown.keys() - pictures.keys() != set(), "the daemon removes them"

    for case in cases:
        case.point = ""  # again, undisturbed
    assert await run(cases, "restore", "--replace", str(file)) == [0] * len(cases)
    for case in cases:
        assert await everything(case.database, wanted.columns) == wanted
        assert images(case.state_dir) == pictures


async def test_a_backup_that_is_killed_leaves_a_complete_file_or_none(
    make_database: MakeDatabase, tmp_path: Path
) -> None:
    source = await in_use(make_database, tmp_path, "source")
    files = [tmp_path / point.replace(":", "-") / "backup.tar.gz" for point in BACKUPS]
    cases = [
        Case(point, source.database, source.state_dir, (str(file),)) for point, file in zip(BACKUPS, files, strict=True)
    ]
    for file in files:
        file.parent.mkdir()
    assert await run(cases, "backup") == [-signal.SIGKILL] * len(cases)
    for case, file in zip(cases, files, strict=True):
        assert file.exists() is (case.point == "backup.renamed"), case.point
        case.point = ""  # again, undisturbed
    assert await run(cases, "backup") == [0] * (len(cases) - 1) + [CONFLICT], "the last one was complete"
    for file in files:
        assert [path.name for path in file.parent.iterdir()] == [file.name], "what was unfinished is removed"
        assert archive.checked(file, NEWEST).images == len(images(source.state_dir)) > 0


@pytest.mark.parametrize("tag", ["CREATE TABLE", "CREATE INDEX", "ALTER TABLE"])
async def test_a_disk_that_is_full_in_the_middle_changes_nothing(
    make_database: MakeDatabase, tmp_path: Path, tag: str
) -> None:
    file = tmp_path / "backup.tar.gz"
    source, case = [await in_use(make_database, tmp_path, name) for name in ("source", "target")]
    await backup(source.database, source.state_dir / "images", file, NOON, force=False)
    rows, shown = await everything(case.database), images(case.state_dir)
    await case.database.changed(text(
        "CREATE FUNCTION full_disk() RETURNS event_trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE 'could not extend file' USING ERRCODE = 'disk_full'; END $$"
    ))  # fmt: skip
    await case.database.changed(
        text(f"CREATE EVENT TRIGGER full_disk ON ddl_command_end WHEN TAG IN ('{tag}') EXECUTE FUNCTION full_disk()")
    )
    with pytest.raises(DatabaseUnavailable, match=r"The disk of PostgreSQL at .* is full"):
        await upgrade(case.database)
    pictures = case.state_dir / "images"
    with pytest.raises(DatabaseUnavailable, match=r"The disk of PostgreSQL at .* is full"):
        await restore(case.database, pictures, file, replace=True, state_id="ours")
    assert await version(case.database) == FIRST
    assert await everything(case.database, rows.columns) == rows
    assert images(case.state_dir) == shown
    await case.database.changed(text("DROP FUNCTION full_disk CASCADE"))
    await restore(case.database, pictures, file, replace=True, state_id="ours")
    assert images(case.state_dir) == images(source.state_dir)
    assert await sound(case)


async def test_a_private_database_whose_restore_was_killed_is_as_it_was(
    make_database: MakeDatabase, state_dir: Path, tmp_path: Path
) -> None:
    """The command owns the server: both go, and the next command starts it again."""
    file = tmp_path / "backup.tar.gz"
    source = await in_use(make_database, tmp_path, "source")
    await backup(source.database, source.state_dir / "images", file, NOON, force=False)
    await asyncio.to_thread(prepared_cluster.copy_to, state_dir / "postgres")
    killed = await db(state_dir, "restore", str(file), environ={faultpoints.VARIABLE: "restore.done"})
    assert killed.code == -signal.SIGKILL
    found = await db(state_dir, "validate")
    assert found.code == 0, found.out + found.err
    restored = await db(state_dir, "restore", str(file))
    assert restored.code == 0, "there is no row that --replace would have to replace: " + restored.err
    assert images(state_dir) == images(source.state_dir)
