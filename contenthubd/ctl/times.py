"""Times for people: local time with its offset from UTC. Written without ``datetime``, which takes long to load."""

from __future__ import annotations

import re
import time

MINUTE = len("2026-01-31 07:00")

_IN_TEXT = re.compile(r"\b[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?Z\b")


class When(str):
    """An RFC 3339 time in a table's cell: the table decides whether the offset stands in the heading."""

    __slots__ = ()


def instant(text: str | None) -> str:
    """``2026-01-31 08:00:00+01:00``: a time in UTC as clocks here show it; one with an offset of its own as it is."""
    if not text or "T" not in text:
        return text or ""
    if not text.endswith("Z"):
        clock, sign, offset = _parted(text)
        return f"{clock}{sign}{offset}"
    here = time.localtime(seconds_of(text))
    return time.strftime("%Y-%m-%d %H:%M:%S", here).rjust(19, "0") + _offset(here.tm_gmtoff)


def instants(text: str) -> str:
    """A sentence of the daemon with each time of it as clocks here show it."""
    return _IN_TEXT.sub(lambda found: instant(found[0]), text)


def minute(text: str | None) -> str:
    """The same without seconds."""
    told = instant(text)
    return told[:MINUTE] + told[19:]


def seconds_of(text: str) -> int:
    """Seconds since 1970 of a time in UTC."""
    year, month, day = int(text[:4]), int(text[5:7]), int(text[8:10])
    hour, minutes, seconds = int(text[11:13]), int(text[14:16]), int(text[17:19])
    return ((_days(year, month, day) * 24 + hour) * 60 + minutes) * 60 + seconds


def column(cells: list[str], *, heading: bool) -> tuple[str, list[str]]:
    """A column of times: what stands behind its heading, and the cells; one offset for all stands in the heading."""
    told = [minute(cell) if isinstance(cell, When) else cell for cell in cells]
    offsets = {one[MINUTE:] for one, cell in zip(told, cells, strict=True) if isinstance(cell, When) and one}
    if not heading or len(offsets) != 1:
        return "", told
    cut = [one[:MINUTE] if isinstance(cell, When) else one for one, cell in zip(told, cells, strict=True)]
    return f" ({offsets.pop()})", cut


def duration(seconds: float | None) -> str:
    """``1:02:03``, ``4:05``; never less than nothing, though a wall clock that was set back may say so."""
    if seconds is None:
        return ""
    whole = max(int(seconds), 0)
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"


def _parted(text: str) -> tuple[str, str, str]:
    day, _, rest = text.partition("T")
    sign = "-" if "-" in rest else "+"
    clock, _, offset = rest.partition(sign)
    return f"{day} {clock[:8]}", sign if offset else "", offset


def _offset(seconds: int) -> str:
    sign, minutes = ("-" if seconds < 0 else "+"), abs(seconds) // 60
    return f"{sign}{minutes // 60:02}:{minutes % 60:02}"


def _days(year: int, month: int, day: int) -> int:
    """Days since 1970-01-01 in the Gregorian calendar; the year begins in March, so that the leap day is its last."""
    year -= month <= 2
    era, of_era = divmod(year, 400)
    of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    return era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719_468
