"""The only place that reads the clocks, throws dice or makes ids."""

import random
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import uuid_utils.compat

from contenthubd.domain.moment import Moment

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class SystemClock:
    """The machine's clocks (port ``Clock``)."""

    def __init__(self) -> None:
        self._boot_id = _boot_id()

    def now(self) -> datetime:
        """See the port."""
        return datetime.now(UTC)

    def uptime(self) -> timedelta:
        """See the port."""
        return timedelta(seconds=time.clock_gettime(time.CLOCK_BOOTTIME))

    def moment(self) -> Moment:
        """See the port. Without the boot's name there is the wall clock only."""
        return Moment(self.now(), self._boot_id, self.uptime() if self._boot_id else None)

    def random(self) -> float:
        """See the port."""
        return random.random()  # noqa: S311 - spreads retries, guards nothing

    def new_id(self) -> UUID:
        """See the port."""
        return uuid_utils.compat.uuid7()


def _boot_id() -> str | None:
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip() or None
    except OSError:  # /proc may be hidden: then nothing can be told across a restart but by the wall clock
        return None
