"""The only place that reads the clock, throws dice or makes ids."""

import random
from datetime import UTC, datetime
from uuid import UUID

import uuid_utils.compat


class SystemClock:
    """The machine's clock (port ``Clock``)."""

    def now(self) -> datetime:
        """See the port."""
        return datetime.now(UTC)

    def random(self) -> float:
        """See the port."""
        return random.random()  # noqa: S311 - spreads retries, guards nothing

    def new_id(self) -> UUID:
        """See the port."""
        return uuid_utils.compat.uuid7()
