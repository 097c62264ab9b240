"""A connection of the tests' own to a private PostgreSQL: everything is said, so the environment has no say."""

from pathlib import Path
from typing import Any

import asyncpg
from sqlalchemy.engine import make_url


async def connect_to(url: str, **options: Any) -> "asyncpg.Connection[Any]":
    """Connect to the database of a SQLAlchemy URL whose server listens on a Unix socket."""
    parts = make_url(url)
    return await connect_in(Path(str(parts.query["host"])), parts.username, parts.database, **options)


async def connect_in(folder: Path, user: str | None, database: str | None, **options: Any) -> "asyncpg.Connection[Any]":
    """Connect to the server whose socket lies in this folder."""
    return await asyncpg.connect(
        **{"port": 5432, **options}, host=str(folder), user=user, password="", passfile="/dev/null", database=database,
        ssl=False, target_session_attrs="any",
    )  # fmt: skip
