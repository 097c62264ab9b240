"""Whether a database can be worked with at all: asked before anything is made in it, each fault with its remedy."""

from typing import Any, Final

from sqlalchemy import text

from contenthubd.adapters.postgres.absence import AGAIN, PRIMARY
from contenthubd.adapters.postgres.address import Address
from contenthubd.adapters.postgres.binaries import OLDEST_MAJOR
from contenthubd.adapters.postgres.engine import Database
from contenthubd.adapters.postgres.migrate import (
    NEWEST,
    VERSION_TABLE,
    Seen,
    foreign,
    newer,
    seen,
    tables,
    tables_of,
)
from contenthubd.adapters.postgres.refusals import create_database, quoted
from contenthubd.domain.errors import DatabaseRefused, DatabaseUnavailable

ENCODING: Final = "UTF8"
ISOLATION: Final = "read committed"
_SERVER: Final = text("""
    SELECT CAST(current_setting('server_version_num') AS integer) / 10000 AS major,
           current_setting('server_version') AS version, current_setting('server_encoding') AS encoding,
           current_schema() AS schema, current_setting('search_path') AS search_path,
           pg_is_in_recovery() AS standby, current_setting('transaction_read_only') = 'on' AS read_only,
           (SELECT source FROM pg_settings WHERE name = 'default_transaction_read_only') AS read_only_by,
           current_setting('default_transaction_isolation') AS isolation,
           (SELECT source FROM pg_settings WHERE name = 'default_transaction_isolation') AS isolation_by,
           coalesce(has_schema_privilege(to_regnamespace(quote_ident(current_schema())), 'CREATE'), false)
               AS may_create,
           (SELECT quote_ident(nspname) FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
            WHERE pg_class.oid = to_regclass(:table) AND nspname <> current_schema()) AS elsewhere
""")
_RIGHTS: Final = text("""
    SELECT relname AS table, pg_get_userbyid(relowner) AS owner, pg_has_role(relowner, 'USAGE') AS owned,
           has_table_privilege(pg_class.oid, 'SELECT') AND has_table_privilege(pg_class.oid, 'INSERT')
           AND has_table_privilege(pg_class.oid, 'UPDATE') AND has_table_privilege(pg_class.oid, 'DELETE') AS usable
    FROM pg_class WHERE relnamespace = to_regnamespace(quote_ident(current_schema())) AND relkind IN ('r', 'p')
      AND relname = ANY(CAST(:tables AS text[])) ORDER BY relname
""")


async def admit(database: Database, *, replaced: bool = False, reads: bool = False) -> None:
    """Nothing, if the database can be worked with. DatabaseRefused, or DatabaseUnavailable for what passes.

    ``replaced``: the tables will be made anew, so it does not matter in what condition they are. ``reads``: nothing is
    written, so a standby or a server that permits only reading will do.
    """
    for fault in await faults_of(database, replaced=replaced, reads=reads):
        raise fault


async def faults_of(database: Database, *, replaced: bool = False, reads: bool = False) -> list[DatabaseUnavailable]:
    """Everything that keeps us from working with it; nothing is changed. DatabaseUnavailable if it cannot be asked."""
    address = database.address
    async with database.transaction() as connection:
        server: Any = (await connection.execute(_SERVER, {"table": VERSION_TABLE})).one()
        rights = (await connection.execute(_RIGHTS, {"tables": [*tables(), VERSION_TABLE]})).all()
        if any(row.table == VERSION_TABLE and not row.usable for row in rights):
            return [*_server_faults(server, address, reads), *_rights_faults(server, rights, address)]
        found = await seen(connection) if server.schema else Seen(None, "", frozenset())
    faults = [*_server_faults(server, address, reads), *_place_faults(server, found, address)]
    return faults if faults or found.version is None or replaced else _table_faults(server, found, rights, address)


def _server_faults(server: Any, address: Address, reads: bool) -> list[DatabaseUnavailable]:
    faults: list[DatabaseUnavailable] = []
    if server.major < OLDEST_MAJOR:
        faults.append(
            DatabaseRefused(
                f"PostgreSQL {server.version} at {address.place} is too old.",
                why=f"contenthubd needs PostgreSQL {OLDEST_MAJOR} or newer.",
                fix="Upgrade the server, or leave database.url empty to use the private PostgreSQL.",
            )
        )
    if server.encoding != ENCODING:
        faults.append(
            DatabaseRefused(
                f"The database {address.database!r} has the encoding {server.encoding}; contenthubd needs {ENCODING}.",
                why="It cannot store every character of an article, and an encoding cannot be changed afterwards.",
                fix=f"Create a database under another name and name it in database.url: {create_database(address)}",
            )
        )
    if server.standby and not reads:
        what, why = f"PostgreSQL at {address.place} accepts no writes.", "It is a standby."
        fix = f"{PRIMARY} Work starts automatically when it is promoted."
        faults.append(DatabaseUnavailable(what, why=why, fix=fix))
    elif server.read_only and not reads:
        faults.append(_read_only(server, address))
    if server.isolation != ISOLATION:
        faults.append(_isolated(server, address))
    return faults


def _isolated(server: Any, address: Address) -> DatabaseRefused:
    """Only behind a pooler: where a session is ours, its level is set when it begins."""
    name = "default_transaction_isolation"
    remedy = _resets(address, name).get(server.isolation_by, f"Remove {name} from the settings of the server.")
    return DatabaseRefused(
        f"Transactions through the connection pooler are {server.isolation}; contenthubd needs {ISOLATION}.",
        why=f"{name} is set, and a pooler in transaction mode lets no session set it for itself. Under another level "
        "statements of several workers fail instead of waiting for each other.",
        fix=f"{remedy} Then reconnect the pooler: RECONNECT; in its console.",
    )


def _read_only(server: Any, address: Address) -> DatabaseUnavailable:
    remedies = _resets(address, "default_transaction_read_only")
    remedies["database"] = f"SET default_transaction_read_only = off; {remedies['database']}"
    what = f"The database {address.database!r} cannot be written to."
    if server.read_only_by in remedies:
        why = "default_transaction_read_only is on for this user or database."
        return DatabaseRefused(what, why=why, fix=remedies[server.read_only_by])
    return DatabaseUnavailable(what, why="The server permits only reading at the moment.", fix=AGAIN)


def _resets(address: Address, setting: str) -> dict[str, str]:
    """What takes a setting back, by the source that PostgreSQL names for it."""
    user, base = quoted(address.user), quoted(address.database)
    return {
        "user": f"ALTER ROLE {user} RESET {setting};",
        "database": f"ALTER DATABASE {base} RESET {setting};",
        "database user": f"ALTER ROLE {user} IN DATABASE {base} RESET {setting};",
        "client": f"Remove {setting} from the parameter options in database.url.",
    }


def _place_faults(server: Any, found: Seen, address: Address) -> list[DatabaseUnavailable]:
    user = quoted(address.user)
    if server.schema is None:
        return [
            DatabaseRefused(
                "There is no schema for the tables.",
                why=f"No schema of search_path ({server.search_path}) exists and may be used by {address.user!r}.",
                fix=f"CREATE SCHEMA contenthub AUTHORIZATION {user}; "
                f"ALTER ROLE {user} IN DATABASE {quoted(address.database)} SET search_path = contenthub;",
            )
        ]
    if server.elsewhere and found.version is None:
        return [
            DatabaseRefused(
                f"The tables of contenthubd are in the schema {server.elsewhere}, but search_path begins with "
                f"{quoted(server.schema)}.",
                why="New, empty tables would be made there and hide them.",
                fix=f"ALTER ROLE {user} IN DATABASE {quoted(address.database)} SET search_path = {server.elsewhere};",
            )
        ]
    if found.foreign:
        return [foreign(f"It has a table {found.foreign[0]!r} that contenthubd did not create.")]
    if found.version is not None and found.version > NEWEST:
        return [newer(found.version)]
    if found.version != NEWEST and not server.may_create:
        return [
            DatabaseRefused(
                f"The user {address.user!r} may not make tables in the schema {quoted(server.schema)}.",
                why="The tables of contenthubd are to be made or upgraded there.",
                fix=f"GRANT CREATE, USAGE ON SCHEMA {quoted(server.schema)} TO {user};",
            )
        ]
    return []


def _table_faults(server: Any, found: Seen, rights: Any, address: Address) -> list[DatabaseUnavailable]:
    assert found.version is not None  # noqa: S101 - asked only where there are tables
    missing = sorted(tables_of(found.version) - found.present)
    if missing:
        return [
            DatabaseRefused(
                f"Tables of contenthubd are missing: {', '.join(missing)}.",
                why=f"The database says that it has version {found.version} of them.",
                fix="Restore a backup: contenthubctl db restore --replace FILE",
            )
        ]
    others = sorted({row.owner for row in rights if not row.owned})
    if others and (found.version != NEWEST or found.table != VERSION_TABLE):
        return [
            DatabaseRefused(
                f"The tables are to be upgraded, but belong to the user {others[0]!r}.",
                why="Only their owner can change them.",
                fix=f"GRANT {quoted(others[0])} TO {quoted(address.user)}; or run db upgrade as that user.",
            )
        ]
    return _rights_faults(server, rights, address)


def _rights_faults(server: Any, rights: Any, address: Address) -> list[DatabaseUnavailable]:
    user, schema = quoted(address.user), quoted(server.schema)
    others = sorted({row.owner for row in rights if not row.owned})
    unusable = [row.table for row in rights if not row.usable]
    if unusable:
        return [
            DatabaseRefused(
                f"The user {address.user!r} may not read and write the tables: {', '.join(unusable)}.",
                why=f"They belong to the user {others[0]!r}." if others else "The rights were revoked.",
                fix=f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {user};",
            )
        ]
    return []
