"""A backup reads the same everywhere: whatever a server, a database or a role says about dates, numbers and bytes."""

import tarfile
from io import BytesIO
from pathlib import Path
from typing import Final

import msgspec
import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from contenthubd.adapters.postgres import archive
from contenthubd.adapters.postgres.backup import backup
from contenthubd.adapters.postgres.copying import SETTINGS, DatedRows
from contenthubd.adapters.postgres.engine import Database
from contenthubd.adapters.postgres.migrate import version
from contenthubd.adapters.postgres.restore import restore
from contenthubd.adapters.postgres.validate import validate
from contenthubd.domain.errors import InvalidInput
from tests.clock import NOON
from tests.conftest import MakeDatabase
from tests.contracts.rows import everything, fill

ODD: Final = {
    "datestyle": "'SQL, DMY'",
    "intervalstyle": "iso_8601",
    "timezone": "'Asia/Kolkata'",
    "extra_float_digits": "-15",
    "bytea_output": "escape",
    "client_encoding": "LATIN1",
    "standard_conforming_strings": "off",
    "array_nulls": "off",
    "statement_timeout": "60000",
}
FOURTH_OF_MARCH: Final = (
    "UPDATE task SET created_at = '2026-03-04 05:06:07.123456+00', timeout_seconds = 0.1::float8 + 0.2::float8"
)


async def odd(database: Database, settings: dict[str, str]) -> Database:
    """The same database for who connects anew: its own defaults are odd now."""
    name = make_url(database.url).database
    for setting, value in settings.items():
        await database.changed(text(f'ALTER DATABASE "{name}" SET {setting} = {value}'))
    return Database(database.url)


@pytest.mark.parametrize("style", ["SQL, DMY", "SQL, MDY", "German, DMY", "Postgres, DMY", "ISO, DMY"])
async def test_a_backup_is_the_same_whatever_the_server_says(
    database: Database, make_database: MakeDatabase, tmp_path: Path, style: str
) -> None:
    await fill(database, tmp_path / "images")
    await database.changed(text(FOURTH_OF_MARCH))
    before = await everything(database)
    source = await odd(database, {**ODD, "datestyle": f"'{style}'"})
    empty = await make_database(None)
    target = await odd(empty, {**ODD, "datestyle": "'SQL, MDY'"})
    file = tmp_path / "backup.tar.gz"
    made = await backup(source, tmp_path / "images", file, NOON, force=False)
    assert b"2026-03-04 05:06:07.123456+00\t" in archived(file)["tables/task"]
    await restore(target, tmp_path / "restored", file, replace=False, state_id="ours")
    assert made.missing_images == ()
    after = await everything(empty)  # its connection is older than the settings
    for table in ("task", "attempt", "content", "fact", "publication", "image"):
        assert after.rows[table] == before.rows[table], table
    for one in (source, target):
        await one.close()


def archived(file: Path) -> dict[str, bytes]:
    """Every member of a backup."""
    with tarfile.open(file) as tar:
        return {entry.name: member.read() for entry in tar if (member := tar.extractfile(entry)) is not None}


def write(file: Path, content: dict[str, bytes]) -> None:
    """A backup whose checksums are right for what it holds now."""
    manifest = msgspec.json.decode(content.pop(archive.MANIFEST))
    manifest["checksums"] = {name: archive.checksum(BytesIO(data)) for name, data in content.items()}
    with tarfile.open(file, "w:gz") as tar:
        for name, data in {**content, archive.MANIFEST: msgspec.json.encode(manifest)}.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, BytesIO(data))


AMBIGUOUS: Final = {
    "05/11/2026 10:00:00 UTC": "account.created_at",
    "05/11/2026 10:00:00.5 CST": "task.created_at",
    "05.11.2026 10:00:00 UTC": "publication.published_at",
    "Thu 05 Nov 10:00:00 2026 UTC": "fact.at",
    "Thu Nov 05 10:00:00 2026 UTC": "content.created_at",
    "2026-11-05 10:00:00": "image.due_at",
    "2026-11-05 10:00:00 CST": "attempt.claimed_at",
    "2026-11-05": "publication.created_at",
    "11-05-2026 10:00:00+00": "fact.at",
}


async def test_an_old_backup_with_other_dates_is_refused_and_changes_nothing(
    database: Database, make_database: MakeDatabase, tmp_path: Path
) -> None:
    await fill(database, tmp_path / "images")
    file, target = tmp_path / "backup.tar.gz", await make_database(None)
    made = await backup(database, tmp_path / "images", file, NOON, force=False)
    places = {entry.name: entry.columns for entry in made.tables}
    good = archived(file)
    for written, column in AMBIGUOUS.items():
        table, _, name = column.partition(".")
        rows = [line.split(b"\t") for line in good[f"tables/{table}"].splitlines()]
        rows[-1][places[table].index(name)] = written.encode()
        write(file, {**good, f"tables/{table}": b"".join(b"\t".join(row) + b"\n" for row in rows)})
        with pytest.raises(InvalidInput) as caught:
            await restore(target, tmp_path / "restored", file, replace=False, state_id="ours")
        assert f"{written!r} in {column}" in caught.value.what
        assert caught.value.why
        assert caught.value.fix
        assert await version(target) is None
        assert not list((tmp_path / "restored").rglob("*.png"))


@pytest.mark.parametrize("size", [1, 7, 64, 1 << 20])
def test_rows_pass_unchanged_in_pieces_of_any_size(size: int) -> None:
    whole = "".join(
        f"{number}\t{at}\ttext with \\t and \\n\n"
        for number, at in enumerate(
            [
                "2026-11-05 10:00:00+00", "2026-11-05 10:00:00.123456+05:30", "\\N", "infinity", "-infinity",
                "0001-01-01 00:00:00+00 BC", "10000-01-01 00:00:00+00", "1890-01-01 00:00:00+08:05:43",
            ]
        )
    ).encode()  # fmt: skip
    rows = DatedRows("t", ("id", "at", "said"), {"at"}, BytesIO(whole))
    pieces = []
    while piece := rows.read(size):
        pieces.append(piece)
    assert b"".join(pieces) == whole
    broken = DatedRows("t", ("id", "said", "at"), {"at"}, BytesIO(b"1\tx\t05/11/2026 10:00:00 UTC"))
    with pytest.raises(InvalidInput, match="05/11/2026"):
        while broken.read(size):
            pass


async def test_days_and_months_that_changed_places_are_seen_by_validate(database: Database, tmp_path: Path) -> None:
    await fill(database, tmp_path)
    swap = "make_timestamptz(2026, extract(day FROM created_at)::int, extract(month FROM created_at)::int, 0, 0, 0)"
    await database.changed(text("UPDATE content SET created_at = make_timestamptz(2026, 5, 11, 10, 0, 0)"))
    await database.changed(text(f"UPDATE content SET created_at = {swap}"))  # noqa: S608 - our own expression
    found = {check.name: check for check in (await validate(database, tmp_path)).checks if check.count}
    assert "dates_agree_with_ids" in found
    assert "its id is from" in found["dates_agree_with_ids"].examples[0]


async def test_every_setting_is_known_to_some_supported_server(database: Database) -> None:
    """A name with a slip would be left out without a word."""
    known = {row.name.lower() for row in await database.rows(text("SELECT name FROM pg_settings"))}
    assert set(SETTINGS) - known <= {"transaction_timeout"}
