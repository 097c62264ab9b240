"""A database that cannot be worked with is refused in one sentence, and what the sentence says to do helps."""

import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from contenthubd.adapters.postgres.admission import admit, faults_of
from contenthubd.adapters.postgres.engine import Database
from contenthubd.adapters.postgres.migrate import NEWEST, OLD_VERSION_TABLE, VERSION_TABLE, bring_to, upgrade, version
from contenthubd.adapters.postgres.validate import validate
from contenthubd.domain.errors import DatabaseRefused
from tests.conftest import MakeDatabase

STATEMENT = re.compile(r"(?:SET \w+|CREATE|GRANT|ALTER)\b[^;]*;")


@dataclass
class Place:
    """One database as its administrator sees it, and the address of an ordinary user of it."""

    admin: Database
    name: str

    @property
    def role(self) -> str:
        return f"user of {self.name}"

    def user(self, database: str = "") -> Database:
        """A connection pool of the ordinary user."""
        url = make_url(self.admin.url).set(username=self.role, database=database or self.name)
        return Database(url.render_as_string(hide_password=False), pool_size=1)

    async def run(self, *statements: str) -> None:
        """As the administrator; ``ROLE`` and ``BASE`` stand for the names."""
        for statement in statements:
            ready = statement.replace("ROLE_", f'"{self.role}"').replace("BASE_", f'"{self.name}"')
            await self.admin.changed(text(ready.replace(":", "\\:")))


@pytest.fixture
async def place(make_database: MakeDatabase) -> Place:
    """An empty database with a user who may do what PostgreSQL permits everybody."""
    made = await make_database(None)
    found = Place(made, str(make_url(made.url).database))
    await found.run("CREATE ROLE ROLE_ LOGIN")
    return found


async def told(database: Database) -> DatabaseRefused:
    """Why the database is refused."""
    with pytest.raises(DatabaseRefused) as caught:
        await admit(database)
    await database.close()
    assert caught.value.exit_code == 2
    assert all((caught.value.what, caught.value.why, caught.value.fix))
    assert "\n" not in str(caught.value)
    return caught.value


@dataclass(frozen=True)
class Case:
    """What an administrator did, and what is said then; ``version`` of our tables was there before."""

    did: tuple[str, ...]
    said: str
    version: str | None = None


OWNED = "GRANT CREATE ON SCHEMA public TO ROLE_"
CASES = {
    "no right to make tables": Case((), "may not make tables in the schema"),
    "no schema": Case((OWNED, "ALTER ROLE ROLE_ SET search_path = nowhere"), "There is no schema"),
    "no usage": Case(("REVOKE ALL ON SCHEMA public FROM PUBLIC",), "There is no schema"),
    "tables of another user": Case((), "may not read and write the tables", NEWEST),
    "a right is missing": Case(
        ("GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO ROLE_",), "may not read and write", NEWEST
    ),
    "older tables of another user": Case(
        (OWNED, "GRANT ALL ON ALL TABLES IN SCHEMA public TO ROLE_"), "belong to the user", "0001"
    ),
    "read-only user": Case((OWNED, "ALTER ROLE ROLE_ SET default_transaction_read_only = on"), "cannot be written to"),
    "read-only database": Case(
        (OWNED, "ALTER DATABASE BASE_ SET default_transaction_read_only = on"), "cannot be written to"
    ),
    "read-only in both": Case(
        (OWNED, "ALTER ROLE ROLE_ IN DATABASE BASE_ SET default_transaction_read_only = on"), "cannot be written to"
    ),
}


@pytest.mark.parametrize("name", CASES)
async def test_what_is_said_to_be_done_helps(place: Place, name: str) -> None:
    case = CASES[name]
    if case.version is not None:
        async with place.admin.transaction() as connection:
            await connection.run_sync(bring_to, case.version)
    await place.run(*case.did)
    refused = await told(place.user())
    assert case.said in refused.what
    statements = STATEMENT.findall(refused.fix)
    assert statements, refused.fix
    async with Database(place.admin.url)._engine.connect() as connection:  # one that has none of the settings yet
        for statement in statements:
            await connection.execute(text(statement))
    user = place.user()
    await admit(user)
    await upgrade(user)
    await admit(user)
    assert await version(user) == NEWEST
    await user.close()
    if "read-only" not in name:
        return
    await place.admin.changed(text(f'ALTER DATABASE "{place.name}" RESET ALL'))


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1", "EUC_CN"])
async def test_another_encoding_is_refused_and_the_line_that_is_told_makes_the_right_one(
    place: Place, encoding: str
) -> None:
    other = f"{place.name}_{encoding.lower()}"
    await place.run(
        f"CREATE DATABASE \"{other}\" OWNER ROLE_ ENCODING '{encoding}' LOCALE_PROVIDER libc LOCALE 'C' "
        "TEMPLATE template0"
    )
    refused = await told(place.user(other))
    assert f"has the encoding {encoding}; contenthubd needs UTF8" in refused.what
    await place.run(f'DROP DATABASE "{other}" WITH (FORCE)')
    [statement] = STATEMENT.findall(refused.fix)
    await place.run(statement.rstrip(";"))
    user = place.user(other)
    await admit(user)
    assert await upgrade(user)
    await user.close()
    await place.run(f'DROP DATABASE "{other}" WITH (FORCE)')


async def test_who_cannot_connect_at_all_is_told_how_to(place: Place) -> None:
    missing = await told(place.user('no such "base"'))
    assert "has no database" in missing.what
    assert STATEMENT.findall(missing.fix)
    await place.run("REVOKE CONNECT ON DATABASE BASE_ FROM PUBLIC")
    refused = await told(place.user())
    assert "may not connect to the database" in refused.what
    await place.run(STATEMENT.findall(refused.fix)[0].rstrip(";"), "ALTER ROLE ROLE_ NOLOGIN")
    refused = await told(place.user())
    assert "may not log in" in refused.what
    await place.run(STATEMENT.findall(refused.fix)[0].rstrip(";"))
    user = place.user()
    assert [fault.what for fault in await faults_of(user)] != []  # connected; the right to make tables is another story
    await user.close()
    url = make_url(place.admin.url).set(username="nobody at all")
    unknown = await told(Database(url.render_as_string(hide_password=False)))
    assert "has no user 'nobody at all'" in unknown.what


async def test_tables_of_another_program_are_left_alone(place: Place) -> None:
    await place.run("CREATE TABLE task (id int)", "INSERT INTO task VALUES (1)")
    for call in (admit, upgrade):
        with pytest.raises(DatabaseRefused, match="belongs to another program") as caught:
            await call(place.admin)
        assert "'task'" in caught.value.why
    assert await place.admin.first(text("SELECT count(*) FROM task")) == (1,)
    assert await version(place.admin) is None


@pytest.mark.parametrize("number", ["a1b2c3d4e5f6", "0002", "9999"])
async def test_a_version_table_of_another_program_is_neither_read_nor_touched(place: Place, number: str) -> None:
    await place.run(
        f"CREATE TABLE {OLD_VERSION_TABLE} (version_num varchar(32) PRIMARY KEY)",
        f"INSERT INTO {OLD_VERSION_TABLE} VALUES ('{number}')",  # noqa: S608 - names of ours
    )
    assert await version(place.admin) is None
    await admit(place.admin)
    assert await upgrade(place.admin)
    assert await version(place.admin) == NEWEST
    assert await place.admin.first(text(f"SELECT version_num FROM {OLD_VERSION_TABLE}")) == (number,)  # noqa: S608 - a name of ours


STRANGE_VERSIONS = (
    "CREATE TABLE contenthubd_version (v int)",
    "CREATE TABLE contenthubd_version AS SELECT 7 AS version_num",
    "CREATE TABLE contenthubd_version AS SELECT NULL\\:\\:text AS version_num",
    "CREATE TABLE contenthubd_version AS SELECT unnest(ARRAY['0001', '0002']) AS version_num",
    "CREATE VIEW contenthubd_version AS SELECT 'a1b2c3'\\:\\:text AS version_num",
)


@pytest.mark.parametrize("made", STRANGE_VERSIONS)
async def test_a_version_table_of_another_shape_is_not_ours(place: Place, made: str) -> None:
    await place.admin.changed(text(made))
    await place.run(OWNED, "GRANT ALL ON contenthubd_version TO ROLE_")
    refused = await told(place.user())
    assert "belongs to another program" in refused.what
    assert "'contenthubd_version'" in refused.why
    with pytest.raises(DatabaseRefused, match="belongs to another program"):
        await upgrade(place.admin)


NAMES_TAKEN = {
    "a type": ("CREATE TYPE task AS ENUM ('a')", 'type "task" already exists'),
    "a domain": ("CREATE DOMAIN batch AS int", 'type "batch" already exists'),
    "an index": ("CREATE TABLE task_waiting (x int)", 'relation "task_waiting" already exists'),
    "an event trigger": (
        "CREATE FUNCTION no() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not on Friday'; END $$",
        "PostgreSQL said: not on Friday.",
    ),
}


@pytest.mark.parametrize("name", NAMES_TAKEN)
async def test_what_keeps_tables_from_being_made_is_one_sentence(place: Place, name: str) -> None:
    made, said = NAMES_TAKEN[name]
    await place.run(made)
    if name == "an event trigger":
        await place.run("CREATE EVENT TRIGGER no ON ddl_command_start EXECUTE FUNCTION no()")
    with pytest.raises(DatabaseRefused) as caught:
        await upgrade(place.admin)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    await place.run(*(["DROP EVENT TRIGGER no"] if name == "an event trigger" else []))
    assert await version(place.admin) is None


async def test_a_quoted_schema_and_quoted_names_are_the_same_tables(place: Place, tmp_path: Path) -> None:
    await place.run(
        'CREATE SCHEMA "Hüb ""x"" y" AUTHORIZATION ROLE_', "ALTER ROLE ROLE_ SET quote_all_identifiers = on"
    )
    await place.run('ALTER ROLE ROLE_ SET search_path = "Hüb ""x"" y"', "GRANT CREATE ON DATABASE BASE_ TO ROLE_")
    database = place.user()
    await upgrade(database)
    found = await validate(database, tmp_path)
    await database.close()
    assert [check.examples for check in found.checks if check.count] == []


async def test_an_option_that_may_not_be_set_is_not_a_missing_right_to_connect(place: Place) -> None:
    parts = make_url(place.user().url).update_query_dict({"options": "-clog_statement=all"})
    refused = await told(Database(parts.render_as_string(hide_password=False)))
    assert "refuses a setting of the connection" in refused.what


@pytest.mark.parametrize("number", ["0001", "0002"])
async def test_the_version_table_of_an_older_release_gets_our_name(make_database: MakeDatabase, number: str) -> None:
    database = await make_database(number)
    await database.changed(text(f"ALTER TABLE {VERSION_TABLE} RENAME TO {OLD_VERSION_TABLE}"))
    await database.changed(text(f"ALTER INDEX {VERSION_TABLE}_pkc RENAME TO {OLD_VERSION_TABLE}_pkc"))
    assert await version(database) == number
    assert await upgrade(database)
    assert not await upgrade(database)
    found = await database.rows(text("SELECT relname FROM pg_class WHERE relname ~ '_version(_pkc)?$' ORDER BY 1"))
    assert [row.relname for row in found if row.relname.startswith(("alembic", "contenthubd"))] == [
        VERSION_TABLE, f"{VERSION_TABLE}_pkc"
    ]  # fmt: skip
    assert await version(database) == NEWEST


async def test_a_schema_of_our_own_in_a_shared_database(place: Place) -> None:
    """Whatever its name looks like; and what is in public belongs to others."""
    await place.run("CREATE TABLE task (id int)", 'CREATE SCHEMA "Studio One" AUTHORIZATION ROLE_')
    url = place.user().url + "&options=-c%20search_path%3D%22Studio%5C%20One%22"
    user = Database(url)
    await admit(user)
    assert await upgrade(user)
    assert await version(user) == NEWEST
    assert await user.first(text("SELECT count(*) FROM installation")) == (1,)
    await user.close()


async def test_tables_that_another_schema_would_hide_are_told(place: Place) -> None:
    assert await upgrade(place.admin)
    await place.run("CREATE SCHEMA early", f'ALTER DATABASE "{place.name}" SET search_path = early, public')
    refused = await told(Database(place.admin.url))
    assert "in the schema public, but search_path begins with" in refused.what


async def test_missing_tables_are_told_and_may_be_replaced(place: Place) -> None:
    await upgrade(place.admin)
    await place.run("DROP TABLE firing")
    refused = await told(Database(place.admin.url))
    assert "missing: firing" in refused.what
    await admit(place.admin, replaced=True)


async def test_a_right_that_is_taken_away_later_is_one_sentence(place: Place) -> None:
    await upgrade(place.admin)
    await place.run("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO ROLE_")
    user = place.user()
    await admit(user)
    await place.run("REVOKE ALL ON task FROM ROLE_")
    with pytest.raises(DatabaseRefused, match="lacks a right"):
        await user.rows(text("SELECT id FROM task"))
    await user.close()
