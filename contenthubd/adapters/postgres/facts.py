"""Facts about the daemon itself (port ``FactStore``)."""

import json
from datetime import datetime
from typing import Final

from sqlalchemy import text

from contenthubd.adapters.postgres.engine import Database
from contenthubd.ports.tasks import Fact

_ADD: Final = text("INSERT INTO fact (at, name, data) VALUES (:at, :name, CAST(:data AS jsonb))")


class PostgresFacts:
    """The table ``fact``. Every method raises DatabaseUnavailable while PostgreSQL is away."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, fact: Fact, at: datetime) -> None:
        """Write one fact that belongs to no task."""
        data = json.dumps(fact.data, ensure_ascii=False, default=str)
        await self._database.changed(_ADD, at=at, name=fact.name, data=data)
