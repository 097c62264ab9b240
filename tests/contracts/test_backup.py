"""A backup gives back the same rows and images; a damaged, newer or foreign one changes nothing."""

import asyncio
import gzip
import stat
import tarfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from io import BytesIO
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from contenthubd.adapters.postgres import archive
from contenthubd.adapters.postgres.backup import backup
from contenthubd.adapters.postgres.engine import Database
from contenthubd.adapters.postgres.migrate import NEWEST, version
from contenthubd.adapters.postgres.restore import restore
from contenthubd.adapters.postgres.validate import validate
from contenthubd.domain.errors import Conflict, ContentHubError, DatabaseUnavailable, InvalidInput, StateDirectoryError
from tests.clock import NOON
from tests.conftest import MakeDatabase
from tests.contracts.rows import everything, fill

PATIENCE_SECONDS = 120  # only ever spent when the fact never comes
COPIED = """account_id, state, mode, topic, requirements, min_chars, max_chars, priority, turn, auto_approve,
    max_retries, timeout_seconds, attempt, created_at, claimed_at, finished_at, error_kind"""

NEWER_ROWS = (
    "INSERT INTO instance VALUES ('default', 'x', now() + interval '1 minute')",
    """INSERT INTO schedule (id, account_id, name, cron, time_zone, request, catch_up, overlap, created_at,
                             checked_until, due_at)
        SELECT gen_random_uuid(), id, 'daily', '0 7 * * *', 'Asia/Shanghai', '{"topic": "京都"}', 'once', false,
               now(), now(), now() FROM account""",
    """INSERT INTO firing (schedule_id, slot_at, at, slots, outcome, task_id)
        SELECT schedule.id, now(), now(), 1, 'fired', task.id FROM schedule, task LIMIT 1""",
    "INSERT INTO discarded_image (path) VALUES ('demo/gone.png')",
)


class Place:
    """A database that is full, an empty one, their images, and a backup file between them."""

    def __init__(self, folder: Path, source: Database, target: Database) -> None:
        self.file = folder / "backup.tar.gz"
        self.source, self.target = source, target
        self.images, self.restored = folder / "images", folder / "restored"

    async def backup(self, *, force: bool = False) -> archive.Manifest:
        """Back the full one up."""
        return await backup(self.source, self.images, self.file, NOON, force=force)

    async def restore(self, *, replace: bool = False) -> archive.Manifest:
        """Restore into the empty one."""
        return await restore(self.target, self.restored, self.file, replace=replace, state_id="ours")

    def content(self) -> dict[str, bytes]:
        """Every member of the file."""
        with tarfile.open(self.file) as tar:
            return {entry.name: file.read() for entry in tar if (file := tar.extractfile(entry)) is not None}

    def write(self, content: dict[str, bytes]) -> None:
        """The file anew, with other members."""
        with tarfile.open(self.file, "w:gz") as tar:
            for name, data in content.items():
                entry = tarfile.TarInfo(name)
                entry.size = len(data)
                tar.addfile(entry, BytesIO(data))


@pytest.fixture
async def place(database: Database, make_database: MakeDatabase, tmp_path: Path) -> Place:
    """A full database of the newest version beside an empty one."""
    await fill(database, tmp_path / "images")
    return Place(tmp_path, database, await make_database(None))


def files(root: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


async def test_a_backup_gives_back_the_same_rows_and_images(place: Place) -> None:
    for insertion in NEWER_ROWS:
        await place.source.changed(text(insertion))
    made = await place.backup()
    await place.restore()
    before, after = await everything(place.source), await everything(place.target)
    assert (len(before.rows.pop("instance")), len(after.rows.pop("instance"))) == (1, 1)
    assert await place.target.rows(text("SELECT 1 FROM instance WHERE seen_until > now()")) == []
    assert [len(rows.rows.pop("schedule")) for rows in (before, after)] == [1, 1], "see the test of its times"
    old_id, new_id = before.rows.pop("installation"), after.rows.pop("installation")
    assert after == before
    assert old_id != new_id
    assert [table for table, rows in before.rows.items() if not rows] == [], "every table has something to lose"
    assert files(place.restored) == files(place.images)
    assert (made.images, made.missing_images, len(files(place.images))) == (1, (), 1)
    assert {entry.name: entry.rows for entry in made.tables if entry.name in before.rows} == {
        table: len(rows) for table, rows in before.rows.items()
    }
    assert [check.name for check in (await validate(place.target, place.restored)).checks if check.count] == []


async def test_numbers_go_on_where_they_were(place: Place) -> None:
    """Even behind rows that were removed: who follows the facts remembers the last number it saw."""
    await place.source.changed(text("DELETE FROM fact WHERE id = (SELECT max(id) FROM fact)"))
    await place.backup()
    await place.restore()
    insertion = text("INSERT INTO fact (at, name) VALUES (now(), 'x') RETURNING id")
    [[there]], [[here]] = await place.source.rows(insertion), await place.target.rows(insertion)
    assert here == there


async def test_a_backup_of_the_previous_version_is_brought_to_the_newest(
    make_database: MakeDatabase, tmp_path: Path
) -> None:
    place = Place(tmp_path, await make_database("0001"), await make_database(None))
    await fill(place.source, place.images)
    before = await everything(place.source)
    assert (await place.backup()).schema_version == "0001"
    assert (await version(place.source)) == "0001"
    await place.restore()
    assert await everything(place.target, before.columns) == before
    assert await version(place.target) == NEWEST
    assert [check.name for check in (await validate(place.target, place.restored)).checks if check.count] == []


async def test_the_backup_is_of_one_moment(place: Place) -> None:
    """A task and its fact come when facts were copied and tasks were not yet: neither is in the backup."""
    before = await everything(place.source)
    blocked = text("SELECT 1 FROM pg_locks WHERE NOT granted AND relation = CAST('task' AS regclass)")
    doubled = text(f"INSERT INTO task ({COPIED}, id) SELECT {COPIED}, gen_random_uuid() FROM task")  # noqa: S608 - names of ours
    async with asyncio.TaskGroup() as group, place.source.transaction() as daemon:
        await daemon.execute(text("LOCK TABLE task"))
        making = group.create_task(place.backup())
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not (await daemon.execute(blocked)).first():  # a lock that is waited for comes without an event
                assert not making.done()
        await daemon.execute(doubled)
        await daemon.execute(text("INSERT INTO fact (at, name) VALUES (now(), 'task_submitted')"))
    await place.restore()
    after = await everything(place.target)
    assert (after.rows["task"], after.rows["fact"]) == (before.rows["task"], before.rows["fact"])
    assert len((await everything(place.source)).rows["task"]) == 2 * len(after.rows["task"])


async def test_the_file_is_private_and_nothing_is_overwritten(place: Place) -> None:
    await place.backup()
    assert stat.S_IMODE(place.file.stat().st_mode) == 0o600
    first = place.file.read_bytes()
    with pytest.raises(Conflict, match="already exists") as caught:
        await place.backup()
    assert "--force" in caught.value.fix
    assert place.file.read_bytes() == first
    await place.source.changed(text("DELETE FROM publication"))
    await place.backup(force=True)
    assert place.file.read_bytes() != first


async def test_a_backup_that_fails_leaves_no_file(place: Place) -> None:
    [image] = place.images.rglob("*.png")
    image.unlink()
    image.mkdir()  # opening it fails, after all tables were copied
    with pytest.raises(StateDirectoryError, match="cannot be written"):
        await place.backup()
    assert [path.name for path in place.file.parent.iterdir()] == ["images"]
    place.file = place.file.parent / "missing" / "backup.tar.gz"
    with pytest.raises(StateDirectoryError, match="cannot be written"):
        await place.backup()


async def test_an_image_whose_file_is_gone_is_told(place: Place) -> None:
    [image] = place.images.rglob("*.png")
    image.unlink()
    made = await place.backup()
    assert made.missing_images == (str(image.relative_to(place.images)),)
    await place.restore()
    wrong = [check.name for check in (await validate(place.target, place.restored)).checks if check.count]
    assert wrong == ["images_are_there"]


async def test_an_empty_database_is_not_backed_up(place: Place) -> None:
    with pytest.raises(StateDirectoryError, match="nothing to back up"):
        await backup(place.target, place.restored, place.file, NOON, force=False)
    assert not place.file.exists()


async def test_rows_are_replaced_only_when_told_so(place: Place, make_database: MakeDatabase, tmp_path: Path) -> None:
    await place.backup()
    place.target = await make_database("0001")
    old = tmp_path / "old"
    place.restored = old
    await fill(place.target, old)
    before, images = await everything(place.target), files(old)
    with pytest.raises(Conflict, match="not empty") as caught:
        await place.restore()
    assert "--replace" in caught.value.fix
    assert (await everything(place.target), files(old)) == (before, images)
    await place.restore(replace=True)
    assert files(old) == files(place.images)
    after, wanted = await everything(place.target), await everything(place.source)
    assert after.rows["task"] == wanted.rows["task"]


async def test_tables_without_rows_are_no_obstacle(place: Place, make_database: MakeDatabase) -> None:
    await place.backup()
    place.target = await make_database(NEWEST)
    await place.restore()
    assert (await everything(place.target)).rows["task"] == (await everything(place.source)).rows["task"]


async def test_a_database_in_use_is_refused(place: Place, make_database: MakeDatabase) -> None:
    await place.backup()
    place.target = await make_database(NEWEST)
    await place.target.changed(text("INSERT INTO instance VALUES ('default', 'x', now() + interval '1 minute')"))
    with pytest.raises(Conflict, match="daemon uses"):
        await place.restore(replace=True)
    await place.target.changed(text("UPDATE instance SET state_id = 'ours'"))  # we hold its lock: it does not run
    await place.restore()


def _cut(place: Place) -> None:
    content = place.file.read_bytes()
    place.file.write_bytes(content[: len(content) * 2 // 3])


def _flipped(place: Place) -> None:
    content = place.content()
    content["tables/task"] = content["tables/task"].replace(b"pending", b"running")
    place.write(content)


def _short(place: Place) -> None:
    content = place.content()
    del content["tables/fact"]
    place.write(content)


def _foreign(place: Place) -> None:
    place.file.write_bytes(gzip.compress(b"something else" * 1000))


def _plain(place: Place) -> None:
    place.file.write_bytes(b"no archive at all")


def _climbing(place: Place) -> None:
    content = place.content()
    manifest = msgspec.json.decode(content.pop(archive.MANIFEST))
    content["images/../../outside.png"] = content.pop(next(name for name in content if name.startswith("images/")))
    manifest["checksums"]["images/../../outside.png"] = next(
        manifest["checksums"].pop(name) for name in list(manifest["checksums"]) if name.startswith("images/")
    )
    place.write({**content, archive.MANIFEST: msgspec.json.encode(manifest)})


def _doubled(place: Place) -> None:
    """An altered part first, and the true one behind it."""
    content = place.content()
    manifest = content.pop(archive.MANIFEST)
    with tarfile.open(place.file, "w:gz") as tar:
        for name, data in [("tables/task", b""), *content.items(), (archive.MANIFEST, manifest)]:
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, BytesIO(data))


@pytest.mark.parametrize("damage", [_cut, _flipped, _short, _foreign, _plain, _climbing, _doubled])
async def test_a_damaged_backup_changes_nothing(place: Place, damage: Callable[[Place], None]) -> None:
    await place.backup()
    damage(place)
    with pytest.raises(InvalidInput, match="is not a complete backup") as caught:
        await place.restore()
    assert caught.value.why
    assert await version(place.target) is None
    assert not place.restored.exists()


@pytest.mark.parametrize(("key", "value"), [("schema_version", "9999"), ("format", archive.FORMAT + 1)])
async def test_a_backup_of_a_newer_version_is_refused(place: Place, key: str, value: object) -> None:
    await place.backup()
    content = place.content()
    manifest = {**msgspec.json.decode(content[archive.MANIFEST]), key: value}
    place.write({**content, archive.MANIFEST: msgspec.json.encode(manifest)})
    with pytest.raises(InvalidInput, match="newer contenthubd") as caught:
        await place.restore()
    assert caught.value.why
    assert caught.value.fix
    assert await version(place.target) is None


async def test_schedules_go_on_from_the_moment_of_the_restore(place: Place) -> None:
    """Their slots since the backup have fired, as far as anybody knows."""
    for insertion in NEWER_ROWS:
        await place.source.changed(text(insertion))
    await place.source.changed(text("UPDATE schedule SET checked_until = now() - interval '7 days', due_at = now()"))
    await place.backup()
    await place.restore()
    least = text("SELECT least(checked_until, due_at) > now() - interval '1 hour' FROM schedule")
    assert [tuple(row) for row in await place.target.rows(least)] == [(True,)]


async def test_an_image_that_was_damaged_is_healed(place: Place) -> None:
    await place.backup()
    await place.restore()
    [image] = [path for path in place.restored.rglob("*") if path.is_file()]
    image.write_bytes(b"")
    await place.restore(replace=True)
    assert files(place.restored) == files(place.images)


async def test_a_commit_whose_answer_is_lost_takes_no_image_back(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    await place.backup()
    transaction = place.target.transaction

    @asynccontextmanager
    async def answerless() -> AsyncIterator[AsyncConnection]:
        async with transaction() as connection:
            yield connection
        if files(place.restored):
            raise DatabaseUnavailable("PostgreSQL does not answer.")

    monkeypatch.setattr(place.target, "transaction", answerless)
    with pytest.raises(DatabaseUnavailable):
        await place.restore()
    monkeypatch.undo()
    assert files(place.restored) == files(place.images)
    wrong = [check.name for check in (await validate(place.target, place.restored)).checks if check.count]
    assert wrong == []


async def test_a_restore_that_fails_in_the_middle_changes_nothing(
    place: Place, make_database: MakeDatabase, tmp_path: Path
) -> None:
    """Rows that their tables refuse, in a file that is whole: found when nearly all was copied."""
    await place.source.changed(text("ALTER TABLE image DROP CONSTRAINT path_if_fetched"))
    await place.source.changed(text("UPDATE image SET state = 'lost'"))
    await place.backup()
    place.target, place.restored = await make_database("0001"), tmp_path / "old"
    await fill(place.target, place.restored)
    before, images = await everything(place.target), files(place.restored)
    with pytest.raises(ContentHubError, match="does not fit"):
        await place.restore(replace=True)
    assert (await everything(place.target), files(place.restored)) == (before, images)
    assert await version(place.target) == "0001"


async def test_a_disk_that_refuses_images_changes_nothing(place: Place) -> None:
    await place.backup()
    place.restored.write_bytes(b"a file where the folder should be")
    with pytest.raises(StateDirectoryError, match="cannot be put"):
        await place.restore()
    assert await version(place.target) is None
