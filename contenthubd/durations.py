"""Durations as people write them, ``90s``, ``15m``, ``24h``, ``7d``: one reader for options and configuration."""

from __future__ import annotations

import re

EXAMPLES = "90s, 15m, 24h or 7d"
_SECONDS = {"d": 86_400, "h": 3600, "m": 60, "s": 1, "ms": 0.001}
_NUMBER = r"([0-9]{1,400}(?:\.[0-9]{1,40})?)"
_WRITTEN = re.compile(_NUMBER + r"([dhms]?)", re.ASCII)
_MEANT = re.compile(_NUMBER + r" ?([a-z]+) ?", re.ASCII)
_WORDS = {
    "d": ("d", "day", "days"), "h": ("h", "hr", "hrs", "hour", "hours"), "m": ("m", "min", "mins", "minute", "minutes"),
    "s": ("s", "sec", "secs", "second", "seconds"), "ms": ("ms", "msec", "millisecond", "milliseconds"),
}  # fmt: skip
_UNITS = {word: _SECONDS[unit] for unit, words in _WORDS.items() for word in words} | {
    word: 7 * 86_400 for word in ("w", "week", "weeks")
}
_LONGEST_SHOWN = 40


def seconds(text: str) -> tuple[float, bool]:
    """The seconds, and whether a unit was written; without one the number stands as it is.

    ValueError with what is wrong, and what to write instead.
    """
    found = _WRITTEN.fullmatch(text)
    if found is None:
        raise ValueError(f"{text[:_LONGEST_SHOWN]!r} is not a duration; write {_meant(text) or EXAMPLES}")
    return float(found[1]) * _SECONDS[found[2] or "s"], bool(found[2])


def _meant(text: str) -> str:
    """``90m`` for ``1h30m``, ``5m`` for ``5 min``; empty if nobody knows what was meant."""
    word = text.strip().lower()[:_LONGEST_SHOWN]
    parts = _MEANT.findall(word)
    if not parts or "".join(_MEANT.split(word)[::3]) or any(unit not in _UNITS for _, unit in parts):
        return ""
    total = sum(float(number) * _UNITS[unit] for number, unit in parts)
    unit = next((unit for unit in "dhm" if total >= _SECONDS[unit] and not total % _SECONDS[unit]), "s")
    return f"{total / _SECONDS[unit]:.6f}".rstrip("0").rstrip(".") + unit
