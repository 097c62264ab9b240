"""Looking over a whole database: is it what the migrations make, do its rows fit each other, are its files there?

Everything is read as it was at one moment, so that a daemon may work meanwhile; files are looked for afterwards.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncpg
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from contenthubd.adapters.postgres import catalog
from contenthubd.adapters.postgres.copying import fix_settings
from contenthubd.adapters.postgres.engine import Database
from contenthubd.adapters.postgres.invariants import INVARIANTS
from contenthubd.adapters.postgres.migrate import NEWEST, version
from contenthubd.adapters.postgres.plausible import DATES
from contenthubd.adapters.postgres.refusals import quoted
from contenthubd.domain.errors import NotFound, StateDirectoryError

EXAMPLES: Final = 5
_ONE_MOMENT: Final = text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
_FETCHED: Final = text("""
    SELECT path FROM image JOIN content ON content.id = image.content_id
    WHERE path IS NOT NULL ORDER BY content_id, position
""")


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at: how many offend, and the first few of them."""

    name: str
    sentence: str
    count: int
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Findings:
    """The version of the tables, and every check."""

    version: str
    checks: tuple[Check, ...]


async def validate(database: Database, images: Path) -> Findings:
    """Look at everything. NotFound for a database without tables, StateDirectoryError if they cannot be judged."""
    found = await version(database)
    if found is None:
        raise NotFound("The database has no tables yet.", fix="Start the daemon, or run: contenthubctl db upgrade")
    if found > NEWEST:
        raise StateDirectoryError(
            f"The database has version {found} of the tables; this contenthubd knows {NEWEST}.",
            fix="Use the version of contenthubd that created them.",
        )
    checks = [await _shape(database, found)]
    async with database.transaction() as moment:
        await moment.execute(_ONE_MOMENT)
        await fix_settings(moment)
        rules = [one for one in (*INVARIANTS, *DATES) if one.since <= found]
        checks += [await _rows(moment, one.name, one.sentence, one.sql) for one in rules]
        checks += [await _sequences(moment), await _files(moment, images)]
    return Findings(found, tuple(checks))


async def _shape(database: Database, found: str) -> Check:
    try:
        async with database.transaction() as connection:
            differing = await catalog.differences(connection, found)
    except asyncpg.InsufficientPrivilegeError as fault:
        base, user = quoted(database.address.database), quoted(database.address.user)
        raise StateDirectoryError(
            "The tables cannot be compared with what they should be.",
            why=f"A schema is created for that and rolled back: {fault}.",
            fix=f"Let the user of database.url create schemas: GRANT CREATE ON DATABASE {base} TO {user};",
        ) from fault
    return _check("schema", "The tables match the migrations.", differing)


async def _rows(moment: AsyncConnection, name: str, sentence: str, sql: str) -> Check:
    found = f"({sql}) AS found"
    counted = f"SELECT offender, count(*) OVER () AS total FROM {found} LIMIT {EXAMPLES}"  # noqa: S608 - our own query
    rows = (await moment.execute(text(counted))).all()
    return Check(name, sentence, rows[0].total if rows else 0, tuple(row.offender for row in rows))


async def _sequences(moment: AsyncConnection) -> Check:
    behind = []
    for identity in await catalog.identities(moment):
        compared = f"SELECT max({identity.column}) AS used FROM {identity.table}"  # noqa: S608 - names from the catalogue
        used = (await moment.execute(text(compared))).scalar_one()
        if used is not None and used > await catalog.last_number(moment, identity):
            behind.append(identity.name)
    return _check("sequences_are_ahead", "The next value of every sequence is unused.", behind)


async def _files(moment: AsyncConnection, images: Path) -> Check:
    missing = [f"image {row.path}" async for row in await moment.stream(_FETCHED) if not (images / row.path).is_file()]
    return _check("images_are_there", "The file of every fetched image exists.", missing)


def _check(name: str, sentence: str, offenders: list[str]) -> Check:
    return Check(name, sentence, len(offenders), tuple(offenders[:EXAMPLES]))
