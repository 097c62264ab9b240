"""What is no file is never replaced by a backup; one that was cut or edited is never restored in part."""

import os
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import text

from contenthubd.adapters.postgres import archive
from contenthubd.adapters.postgres.migrate import NEWEST, version
from contenthubd.domain.errors import DatabaseRefused, InvalidInput, StateDirectoryError
from tests.contracts.test_backup import Place, place

__all__ = ["place"]


@pytest.mark.parametrize("name", ["folder", "pipe", "link to a folder", "/dev/null", "/", ".", "x" * 300])
async def test_what_is_no_file_is_never_replaced(place: Place, name: str) -> None:
    (place.images.parent / "folder").mkdir()
    os.mkfifo(place.images.parent / "pipe")
    (place.images.parent / "link to a folder").symlink_to("folder")
    before = sorted(place.images.parent.iterdir())
    place.file = place.images.parent / name if name != "." else Path()
    for force in (False, True):
        with pytest.raises(StateDirectoryError, match="cannot be written") as caught:
            await place.backup(force=force)
        assert caught.value.why
    assert sorted(place.images.parent.iterdir()) == before
    with pytest.raises(InvalidInput, match="cannot be read"):
        await place.restore()


async def test_the_longest_name_there_may_be(place: Place) -> None:
    place.file = place.file.with_name("x" * 255)
    await place.backup()
    await place.restore()


async def test_a_backup_under_way_is_not_taken_for_what_a_killed_one_left(place: Place) -> None:
    leftover = place.file.with_name(f".{place.file.name}.01234567.tmp")
    other = place.file.with_name(f".{place.file.name}.notes.tmp")
    for one in (leftover, other):
        one.write_bytes(b"")
    with archive.created(place.file, force=False) as first:
        assert not leftover.exists()
        await place.backup()
        with other.open("rb") as file:
            first.add("tables/x", file)
    assert other.exists()


async def test_a_backup_that_is_cut_anywhere_is_refused_or_complete(place: Place) -> None:
    await place.backup()
    whole = place.file.read_bytes()
    for size in (*range(40), *range(40, len(whole), len(whole) // 25), *range(len(whole) - 70, len(whole))):
        place.file.write_bytes(whole[:size])
        try:
            manifest = archive.checked(place.file, NEWEST)
        except InvalidInput as fault:
            assert "is not a complete backup" in fault.what
        else:
            assert len(whole) - size < 70, "only what stands behind the last part may be cut off"
            assert sum(table.rows for table in manifest.tables) > 0


def _edit_table(manifest: dict[str, Any], **values: Any) -> None:
    """Change what is told of the tasks."""
    next(table for table in manifest["tables"] if table["name"] == "task").update(values)


EDITS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "an unknown version": (lambda it: it.update(schema_version="0000"), "knows no version '0000' of the tables"),
    "a version with more": (lambda it: it.update(schema_version="0001x"), "knows no version"),
    "no tables": (lambda it: it.update(tables=[]), "lists other tables"),
    "a table less": (lambda it: it["tables"].pop(), "lists other tables"),
    "a table twice": (lambda it: it["tables"].append(it["tables"][0]), "lists other tables"),
    "another table": (lambda it: _edit_table(it, name="pg_authid"), "lists other tables"),
    "more rows": (lambda it: _edit_table(it, rows=7_000), "should have 7000 rows"),
    "no columns": (lambda it: _edit_table(it, columns=[]), "other columns"),
    "a column of a zero byte": (lambda it: _edit_table(it, columns=["\0"]), "other columns"),
    "a number beyond 64 bits": (lambda it: it.update(sequences={"fact.id": 2**63}), "has no manifest"),
}


@pytest.mark.parametrize("name", EDITS)
async def test_a_manifest_that_was_edited_changes_nothing(place: Place, name: str) -> None:
    await place.backup()
    content = place.content()
    manifest = msgspec.json.decode(content[archive.MANIFEST])
    edit, told = EDITS[name]
    edit(manifest)
    place.write({**content, archive.MANIFEST: msgspec.json.encode(manifest)})
    with pytest.raises(InvalidInput) as caught:
        await place.restore()
    assert told in str(caught.value)
    assert await version(place.target) is None


@pytest.mark.parametrize("replace", [False, True])
async def test_a_restore_that_postgresql_refuses_says_how_to_repeat_it(place: Place, replace: bool) -> None:
    await place.backup()
    no = "CREATE FUNCTION no() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not on Friday'; END $$"
    for statement in (no, "CREATE EVENT TRIGGER no ON ddl_command_start EXECUTE FUNCTION no()"):
        await place.target.changed(text(statement))
    with pytest.raises(DatabaseRefused, match="not on Friday") as refused:
        await place.restore(replace=replace)
    command = ["contenthubctl", "db", "restore", *(["--replace"] if replace else []), str(place.file)]
    assert shlex.split(refused.value.fix.partition("then run: ")[2]) == command


async def test_a_manifest_without_numbers_gives_no_number_twice(place: Place) -> None:
    await place.backup()
    content = place.content()
    manifest = {**msgspec.json.decode(content[archive.MANIFEST]), "sequences": {}}
    place.write({**content, archive.MANIFEST: msgspec.json.encode(manifest)})
    await place.restore()
    assert await place.target.changed(text("INSERT INTO fact (at, name) VALUES (now(), 'x')")) == 1
