"""What the database says about its own tables: their columns, what they refer to, and their whole shape as text."""

from collections.abc import Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import Any, Final

import asyncpg
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from contenthubd.adapters.postgres.migrate import OLD_VERSION_TABLE, VERSION_TABLE, scripts, tables

REFERENCE: Final = "contenthubd_reference"
_COLUMNS: Final = text("""
    SELECT pg_class.relname AS table, array_agg(attname ORDER BY attnum) AS columns
    FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
    WHERE relnamespace = to_regnamespace(quote_ident(current_schema())) AND relname = ANY(CAST(:tables AS text[]))
      AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
    GROUP BY relname
""")
_INSTANTS: Final = text("""
    SELECT relname AS table, array_agg(attname) AS columns FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
    WHERE relnamespace = to_regnamespace(quote_ident(current_schema())) AND relname = ANY(CAST(:tables AS text[]))
      AND attnum > 0 AND NOT attisdropped
      AND atttypid = ANY(CAST(ARRAY['date', 'timestamp', 'timestamptz'] AS regtype[]))
    GROUP BY relname
""")
_REFERENCES: Final = text("""
    SELECT DISTINCT one.relname AS table, other.relname AS needs
    FROM pg_constraint JOIN pg_class one ON one.oid = conrelid JOIN pg_class other ON other.oid = confrelid
    WHERE contype = 'f' AND connamespace = to_regnamespace(quote_ident(current_schema())) AND conrelid <> confrelid
""")
_IDENTITIES: Final = text("""
    SELECT relname AS table, attname AS column, pg_get_serial_sequence(quote_ident(relname), attname) AS sequence
    FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
    WHERE relnamespace = to_regnamespace(quote_ident(current_schema())) AND relname = ANY(CAST(:tables AS text[]))
      AND attidentity <> '' AND NOT attisdropped
    ORDER BY relname, attname
""")
_SHAPE: Final = (
    """
    SELECT 'column ' || table_name || '.' || column_name || ': ' || concat_ws(', ', ordinal_position, udt_name,
           'null ' || is_nullable, 'default ' || column_default, 'identity ' || identity_generation)
    FROM information_schema.columns WHERE table_schema = current_schema()
    """,
    """
    SELECT 'constraint ' || conname || ' on ' || relname || ': ' || pg_get_constraintdef(pg_constraint.oid)
           || CASE WHEN convalidated THEN '' ELSE ', not validated' END
    FROM pg_constraint JOIN pg_class ON pg_class.oid = conrelid
    WHERE connamespace = to_regnamespace(quote_ident(current_schema()))
    """,
    """
    SELECT 'index ' || indexname || ': ' || replace(indexdef, ' ON ' || quote_ident(schemaname) || '.', ' ON ')
    FROM pg_indexes WHERE schemaname = current_schema()
    """,
    "SELECT 'function ' || proname FROM pg_proc WHERE pronamespace = to_regnamespace(quote_ident(current_schema()))",
    """
    SELECT 'trigger ' || tgname || ' on ' || relname FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid
    WHERE NOT tgisinternal AND relnamespace = to_regnamespace(quote_ident(current_schema()))
    """,
)


@dataclass(frozen=True, slots=True)
class IdentityColumn:
    """A column that numbers its rows by itself, and the sequence it takes the numbers from."""

    table: str
    column: str
    sequence: str

    @property
    def name(self) -> str:
        """``table.column``."""
        return f"{self.table}.{self.column}"


async def columns(connection: AsyncConnection) -> Mapping[str, tuple[str, ...]]:
    """Our tables that are there, with the columns that can be written; those come first that others refer to."""
    found = {row.table: tuple(row.columns) for row in await connection.execute(_COLUMNS, {"tables": list(tables())})}
    order: TopologicalSorter[str] = TopologicalSorter({table: () for table in sorted(found)})
    for row in await connection.execute(_REFERENCES):
        if row.table in found and row.needs in found:
            order.add(row.table, row.needs)
    return {table: found[table] for table in order.static_order()}


async def instants(connection: AsyncConnection) -> Mapping[str, tuple[str, ...]]:
    """The columns of our tables that hold dates and times, by table."""
    found = await connection.execute(_INSTANTS, {"tables": list(tables())})
    return {row.table: tuple(row.columns) for row in found}


async def identities(connection: AsyncConnection) -> list[IdentityColumn]:
    """Every column of ours that numbers its rows."""
    found = await connection.execute(_IDENTITIES, {"tables": list(tables())})
    return [IdentityColumn(row.table, row.column, row.sequence) for row in found]


async def last_number(connection: AsyncConnection, identity: IdentityColumn) -> int:
    """The last number the column's sequence gave, 0 if none yet."""
    statement = f"SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END FROM {identity.sequence}"  # noqa: S608 - a name from the catalogue
    last: int = (await connection.execute(text(statement))).scalar_one()
    return last


async def differences(connection: AsyncConnection, version: str) -> list[str]:
    """How the tables differ from what the migrations up to ``version`` make; each is one line with + or -.

    The wanted tables are made in a schema of their own and rolled back at once, so they come from the same server.
    """
    driver = await driver_of(connection)
    present = await _shape(driver)
    attempt = driver.transaction()
    await attempt.start()
    try:
        await driver.execute(f"CREATE SCHEMA {REFERENCE}; SET LOCAL search_path TO {REFERENCE}")
        for script in scripts():
            if script.name[: len(version)] <= version:
                await driver.execute(script.read_text(encoding="utf-8"))
        wanted = await _shape(driver)
    finally:
        await attempt.rollback()
    return sorted([f"+ {line}" for line in present - wanted] + [f"- {line}" for line in wanted - present])


async def driver_of(connection: AsyncConnection) -> "asyncpg.Connection[Any]":
    """The driver's own connection, inside the same transaction: it copies rows in and out in bulk."""
    raw = await connection.get_raw_connection()
    driver: asyncpg.Connection[Any] = raw.driver_connection
    return driver


async def _shape(driver: "asyncpg.Connection[Any]") -> set[str]:
    lines = {str(row[0]) for statement in _SHAPE for row in await driver.fetch(statement)}
    return {line for line in lines if VERSION_TABLE not in line and OLD_VERSION_TABLE not in line}
