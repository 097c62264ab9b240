"""Rows as text: the settings that decide how PostgreSQL writes and reads it, and a guard for text written without them.

A role, a database, a configuration file or a connection pooler may set each of them differently, and a backup must
read the same everywhere. They are set for one transaction at a time: that holds behind a pooler as well, and changes
nothing for others who use the same connection after us.
"""

import re
from collections.abc import Collection, Sequence
from typing import IO, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from contenthubd.domain.errors import InvalidInput

SETTINGS: Final = {
    "client_encoding": "UTF8",
    "datestyle": "ISO, YMD",
    "intervalstyle": "postgres",
    "timezone": "UTC",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "array_nulls": "on",
    "quote_all_identifiers": "off",
    "standard_conforming_strings": "on",
    "transform_null_equals": "off",
    "row_security": "off",
    "statement_timeout": "0",
    "lock_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "transaction_timeout": "0",
}
"""What the text of a column, or the meaning of one, depends on; that rows are left out by no policy; that a large table
is cut short by no limit. A server that does not know one of them is left alone with it."""
_SET: Final = text("""
    SELECT set_config(pg_settings.name, wanted.value, true)
    FROM unnest(CAST(:names AS text[]), CAST(:values AS text[])) AS wanted (name, value)
    JOIN pg_settings ON lower(pg_settings.name) = wanted.name
""")
_INSTANT: Final = re.compile(
    rb"[0-9]{4,6}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?[+-][0-9]{2}(?::[0-9]{2}){0,2}(?: BC)?"
    rb"|-?infinity|\\N"
)
_SHOWN: Final = 60


async def fix_settings(connection: AsyncConnection) -> None:
    """Set everything that copied text depends on until the transaction ends, whatever role or server say."""
    await connection.execute(_SET, {"names": list(SETTINGS), "values": list(SETTINGS.values())})


class DatedRows:
    """The rows of one table as text, read through unchanged; InvalidInput at the first date that is not ISO 8601.

    Text such as ``05/11/2026`` means 5 November to one server and 11 May to another, and neither complains.
    """

    def __init__(self, table: str, columns: Sequence[str], instants: Collection[str], file: IO[bytes]) -> None:
        self._table = table
        self._columns = [(number, name) for number, name in enumerate(columns) if name in instants]
        self._file = file
        self._begun = b""

    def read(self, size: int = -1) -> bytes:
        """The next piece."""
        piece = self._file.read(size)
        if self._columns:
            *rows, self._begun = (self._begun + piece).split(b"\n")
            if not piece and self._begun:
                rows.append(self._begun)
            for row in rows:
                self._check(row.split(b"\t"))
        return piece

    def _check(self, row: list[bytes]) -> None:
        for number, name in self._columns:
            if number < len(row) and not _INSTANT.fullmatch(row[number]):
                found = row[number][:_SHOWN].decode("utf-8", "backslashreplace")
                raise InvalidInput(
                    f"The backup contains an ambiguous date: {found!r} in {self._table}.{name}.",
                    why="It was written in the DateStyle of its server, which may put the day or the month first; "
                    "a backup made by this version is in ISO 8601.",
                    fix="Make a new backup with this version of contenthubd, from the database it came from; "
                    "nothing was changed.",
                )
