"""One instant, told by two clocks: the one on the wall, which people set, and the machine's own, which nobody sets.

A wall clock says when something is due and what people read. How *long* something took, it can only guess: it may have
been set in between, by hand, by NTP, or because a machine woke up with a wrong one. The time since the machine booted
goes on through standby and through every step of the wall clock, but it means nothing beyond the next boot.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Moment:
    """``wall`` is aware UTC; ``uptime`` is the time since the boot named by ``boot_id``."""

    wall: datetime
    boot_id: str | None = None
    uptime: timedelta | None = None

    def since(self, began: "Moment") -> timedelta:
        """How long ago ``began`` was: exactly within one boot, by the wall clock otherwise; never negative."""
        if self.uptime is not None and began.uptime is not None and self.boot_id == began.boot_id:
            passed = self.uptime - began.uptime
            if passed >= timedelta():
                return passed
        return max(self.wall - began.wall, timedelta())
