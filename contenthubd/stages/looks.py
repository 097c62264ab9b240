"""Looks: when the creator was looked at, when it answered, and for how long it has not.

All of it in readings of the machine's uptime, which nobody sets.
"""

from datetime import timedelta

from contenthubd.domain.attempt import Flight
from contenthubd.domain.moment import Moment
from contenthubd.ports.clock import Clock
from contenthubd.ports.flights import Key


class Looks:
    """What poll remembers of its looks."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.last: timedelta | None = None
        self._answered: Moment | None = None
        self._unanswered_since: timedelta | None = None
        self._postponed: dict[Key, timedelta] = {}

    def begun(self) -> None:
        """A look begins now."""
        self.last = self._clock.uptime()

    def answered(self, asked: Moment) -> None:
        """The creator answered what was asked at this moment or later."""
        self._answered, self._unanswered_since = asked, None

    def unanswered(self) -> None:
        """It did not."""
        if self._unanswered_since is None:
            self._unanswered_since = self._clock.uptime()

    def postpone(self, key: Key, *, excused: bool = False) -> bool:
        """An article is finished and could not be had; True the first time. ``excused``: the time until now is not
        counted, since a person has to change the creator first."""
        first = key not in self._postponed
        if first or excused:
            self._postponed[key] = self._clock.uptime()
        return first

    def keep(self, keys: set[Key]) -> None:
        """Forget what is not in flight any more."""
        self._postponed = {key: since for key, since in self._postponed.items() if key in keys}

    def is_postponed(self, key: Key) -> bool:
        """Whether its article is finished and could not be had so far."""
        return key in self._postponed

    def may_ask_again(self, pause: timedelta) -> bool:
        """Whether a creator that did not answer was left alone for so long."""
        last = self.last or timedelta()
        return self._unanswered_since is None or self._clock.uptime() >= last + pause

    def saw_overdue(self, flight: Flight) -> bool:
        """Whether the last answer is newer than the attempt's deadline."""
        return self._answered is not None and flight.overdue(self._answered)

    def in_vain(self, key: Key) -> timedelta:
        """For how long an attempt could not be judged, because the creator does not answer."""
        since = self._postponed.get(key, self._unanswered_since)
        return timedelta() if since is None else self._clock.uptime() - since
