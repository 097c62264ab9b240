"""A daemon's stages on a fresh database, with one account."""

import pytest

from contenthubd.adapters.postgres.engine import Database
from tests.stages.house import House


@pytest.fixture
async def house(database: Database) -> House:
    """The stages, a scripted creator, a clock at noon and the account ``demo``."""
    made = House(database)
    await made.account()
    return made
