"""The name of a database: whoever keeps something for it elsewhere puts the name into his keys."""

from typing import Final
from uuid import UUID

from sqlalchemy import text

from contenthubd.adapters.postgres.engine import Database

_ID: Final = text("SELECT id FROM installation")


async def installation_id(database: Database) -> UUID:
    """The id this database was given when its tables were made. DatabaseUnavailable."""
    [row] = await database.rows(_ID)
    found: UUID = row.id
    return found
