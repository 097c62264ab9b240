"""Validate finds what does not hold, each thing by its own name, and nothing where all is well."""

from pathlib import Path

import pytest
from sqlalchemy import text

from contenthubd.adapters.postgres.engine import Database
from contenthubd.adapters.postgres.invariants import INVARIANTS
from contenthubd.adapters.postgres.migrate import NEWEST, upgrade, version
from contenthubd.adapters.postgres.plausible import DATES
from contenthubd.adapters.postgres.validate import EXAMPLES, validate
from contenthubd.domain.errors import NotFound, StateDirectoryError
from tests.conftest import MakeDatabase
from tests.contracts.rows import everything, fill

OFFENCES = {
    "open_attempts_are_held": [
        "UPDATE attempt SET ended_at = NULL, outcome = NULL, creator_task_id = NULL WHERE outcome = 'failed'"
    ],
    "ended_attempts_have_no_lease": ["UPDATE attempt SET owner = 'me', leased_until = now()"],
    "tasks_in_flight_have_their_attempt": [
        "UPDATE task SET state = 'running', finished_at = NULL WHERE state = 'failed'"
    ],
    "only_tasks_in_flight_wait": ["UPDATE attempt SET ended_at = NULL, outcome = NULL WHERE outcome = 'failed'"],
    "attempts_are_counted": ["DELETE FROM attempt"],
    "retries_are_bounded": ["UPDATE task SET retry_count = max_retries + 2 WHERE state = 'failed'"],
    "completed_tasks_have_a_content": [
        "DELETE FROM publication", "DELETE FROM image", "UPDATE fact SET content_id = NULL", "DELETE FROM content"
    ],
    "contents_are_unique": [
        "ALTER TABLE content DROP CONSTRAINT content_task_id_key",
        "INSERT INTO content (id, task_id, account_id, state, title, body, created_at) "
        "SELECT gen_random_uuid(), task_id, account_id, 'pending_review', title, body, created_at FROM content",
    ],
    "accounts_agree": [
        "INSERT INTO account (id, name, created_at) VALUES (gen_random_uuid(), 'other', now())",
        "UPDATE content SET account_id = (SELECT id FROM account WHERE name = 'other')",
    ],
    "publications_are_unique": [
        "ALTER TABLE publication DROP CONSTRAINT publication_content_id_target_key",
        "INSERT INTO publication (id, content_id, target, state, priority, due_at, created_at) "
        "SELECT gen_random_uuid(), content_id, target, 'cancelled', 5, due_at, created_at FROM publication",
    ],
    "publications_fit_their_content": ["UPDATE content SET state = 'rejected'"],
    "published_contents_have_a_publication": ["DELETE FROM publication"],
    "facts_tell_of_something": ["INSERT INTO fact (at, name, task_id) VALUES (now(), 'x', gen_random_uuid())"],
    "dates_agree_with_ids": ["UPDATE content SET created_at = created_at - interval '29 days'"],
    "the_past_is_past": ["UPDATE fact SET at = now() + interval '2 days'"],
    "sequences_are_ahead": ["SELECT setval('task_sequence_seq', 1)"],
    "schema": ["DROP INDEX task_waiting", "ALTER TABLE task ADD COLUMN colour text"],
}  # fmt: skip


async def wrong(database: Database, images: Path) -> dict[str, int]:
    """The checks that did not hold, and how many offend."""
    return {check.name: check.count for check in (await validate(database, images)).checks if check.count}


async def test_nothing_is_wrong_with_what_the_daemon_writes(database: Database, tmp_path: Path) -> None:
    await fill(database, tmp_path)
    found = await validate(database, tmp_path)
    assert [check.name for check in found.checks if check.count] == []
    assert len(found.checks) == len(INVARIANTS) + len(DATES) + 3
    assert all(check.sentence.endswith(".") for check in found.checks)


def test_every_invariant_has_an_offence_here() -> None:
    assert set(OFFENCES) == {*(invariant.name for invariant in (*INVARIANTS, *DATES)), "schema", "sequences_are_ahead"}


@pytest.mark.parametrize("name", OFFENCES)
async def test_an_offence_is_found(database: Database, tmp_path: Path, name: str) -> None:
    await fill(database, tmp_path)
    for statement in OFFENCES[name]:
        await database.rows(text(statement)) if statement.startswith("SELECT") else await database.changed(
            text(statement)
        )
    assert name in await wrong(database, tmp_path)


async def test_a_lost_file_is_found(database: Database, tmp_path: Path) -> None:
    await fill(database, tmp_path)
    [image] = tmp_path.rglob("*.png")
    image.unlink()
    assert await wrong(database, tmp_path) == {"images_are_there": 1}


async def test_only_the_first_few_offenders_are_named_but_all_are_counted(database: Database, tmp_path: Path) -> None:
    await fill(database, tmp_path)
    await database.changed(
        text("INSERT INTO fact (at, name, task_id) SELECT now(), 'x', gen_random_uuid() FROM generate_series(1, 30)")
    )
    [check] = [check for check in (await validate(database, tmp_path)).checks if check.count]
    assert (check.count, len(check.examples)) == (30, EXAMPLES)


async def test_validate_leaves_no_trace(database: Database, tmp_path: Path) -> None:
    await fill(database, tmp_path)
    before = await everything(database)
    schemas = text("SELECT nspname FROM pg_namespace ORDER BY nspname")
    had = await database.rows(schemas)
    await validate(database, tmp_path)
    assert await everything(database) == before
    assert await database.rows(schemas) == had


async def test_the_previous_version_is_judged_by_its_own_tables(make_database: MakeDatabase, tmp_path: Path) -> None:
    previous = await make_database("0001")
    await fill(previous, tmp_path)
    found = await validate(previous, tmp_path)
    assert found.version == "0001"
    assert [check.name for check in found.checks if check.count] == []
    assert await version(previous) == "0001"
    await upgrade(previous)
    found = await validate(previous, tmp_path)
    assert found.version == NEWEST
    assert [check.name for check in found.checks if check.count] == []


async def test_what_cannot_be_judged_is_refused(make_database: MakeDatabase, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no tables"):
        await validate(await make_database(None), tmp_path)
    newer = await make_database(NEWEST)
    await newer.changed(text("UPDATE contenthubd_version SET version_num = '9999'"))
    with pytest.raises(StateDirectoryError, match="version 9999"):
        await validate(newer, tmp_path)
