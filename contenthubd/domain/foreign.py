"""Readers for what somebody else wrote: the creator, a target, a file, a person at the door.

Each answers a value, or Unreadable with the reason. None of them raises, whatever it is given, and each takes time in
proportion to the length of its input, which it refuses to read beyond a bound. So hostile text costs the item it
belongs to, and nothing beside it.
"""

import json
import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Final

EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(9000, 1, 1, tzinfo=UTC)
"""A year inside these bounds can be shown in any time zone and added to; year 1 and year 9999 cannot."""
MOST_DIGITS: Final = 20
"""Enough for 64 bits; Python itself refuses to read more than 4,300."""
MOST_DEPTH: Final = 64
MEBIBYTE: Final = 1024 * 1024

_LONGEST_MOMENT: Final = 64
_LONGEST_ID: Final = 200
_LONGEST_FLOAT: Final = 64
_QUOTED: Final = 60
_BOM: Final = "\ufeff"
_HALVES: Final = dict.fromkeys((0, *range(0xD800, 0xE000)), "\ufffd")
"""NUL, which PostgreSQL does not store, and halves of surrogate pairs, which UTF-8 does not have."""
_ID_CHARS: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:-")
_DIGITS: Final = frozenset("0123456789")


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Why a text does not hold what was expected: a clause without a capital letter or a full stop."""

    why: str


def quoted(value: object) -> str:
    """A foreign value inside a message: one line, short, in quotes, harmless on a terminal."""
    if isinstance(value, str):
        short = value[:_QUOTED]
        return _printable(short) if len(value) <= _QUOTED else f"{_printable(short)}…"
    if value is None or isinstance(value, bool | float):
        return json.dumps(value)
    if isinstance(value, int):
        return str(value) if abs(value) < 10**MOST_DIGITS else f"a number of more than {MOST_DIGITS} digits"
    return "an object" if isinstance(value, dict) else "a list" if isinstance(value, list) else type(value).__name__


def _printable(short: str) -> str:
    """A short text in quotes, what cannot be printed escaped."""
    return f"'{''.join(char if char.isprintable() else repr(char)[1:-1] for char in short)}'"


def text(value: object, *, most: int, repair: bool = False) -> str | Unreadable:
    """A text of at most ``most`` characters that UTF-8 and PostgreSQL can hold; ``repair`` puts U+FFFD for the rest."""
    if not isinstance(value, str):
        return Unreadable(f"{quoted(value)} is not a string")
    if len(value) > most:
        return Unreadable(f"the string has {len(value)} characters; at most {most} are read")
    storable = value.translate(_HALVES) if "\0" in value or not _encodable(value) else value
    if storable != value and not repair:
        return Unreadable("the string contains a NUL or an unpaired surrogate")
    return storable


def _encodable(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def clipped(value: object, *, most: int) -> str | Unreadable:
    """The first ``most`` characters of a text, repaired, with an ellipsis where something was left off."""
    if not isinstance(value, str) or len(value) <= most:
        return text(value, most=most, repair=True)
    short = text(value[:most], most=most, repair=True)
    return short if isinstance(short, Unreadable) else f"{short}…"


def identifier(value: object) -> str | Unreadable:
    """A name that another program gave: ASCII letters, digits and ``._:-``, at most 200, not beginning with ``-``."""
    if not isinstance(value, str):
        return Unreadable(f"{quoted(value)} is not an id")
    if not 0 < len(value) <= _LONGEST_ID or value.startswith("-") or not _ID_CHARS.issuperset(value):
        return Unreadable(f"{quoted(value)} is not an id")
    return value


def whole(value: object, *, least: int, most: int) -> int | Unreadable:
    """A whole number within bounds, given as a number or as ASCII digits with a sign."""
    if isinstance(value, str):
        digits = value[1:] if value[:1] in ("+", "-") else value
        if not 0 < len(digits) <= MOST_DIGITS or not _DIGITS.issuperset(digits):
            return Unreadable(f"{quoted(value)} is not a whole number of at most {MOST_DIGITS} digits")
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        return Unreadable(f"{quoted(value)} is not a whole number")
    if not least <= value <= most:
        return Unreadable(f"{quoted(value)} is not between {least} and {most}")
    return value


def moment(value: object, *, assume: tzinfo | None = None) -> datetime | Unreadable:
    """A time in ISO 8601, in UTC; without a zone of its own it is read in ``assume``, or refused."""
    if not isinstance(value, str) or len(value) > _LONGEST_MOMENT:
        return Unreadable(f"{quoted(value)} is not a time")
    try:
        found = datetime.fromisoformat(value)
    except (ValueError, OverflowError):
        return Unreadable(f"{quoted(value)} is not a time in ISO 8601")
    if found.tzinfo is None and assume is None:
        return Unreadable(f"{quoted(value)} has no time zone")
    try:
        found = (found if found.tzinfo else found.replace(tzinfo=assume)).astimezone(UTC)
    except (ValueError, OverflowError):
        return Unreadable(f"{quoted(value)} is outside the years {EARLIEST.year} to {LATEST.year - 1}")
    if not EARLIEST <= found < LATEST:
        return Unreadable(f"{quoted(value)} is outside the years {EARLIEST.year} to {LATEST.year - 1}")
    return found


class _Refused(ValueError):
    """What JSON allows and we do not."""


def json_value(data: bytes | str, *, most: int = 2 * MEBIBYTE, most_depth: int = MOST_DEPTH) -> object | Unreadable:
    """One JSON value and nothing behind it: at most ``most`` bytes (characters), nested no deeper than ``most_depth``.

    Refused as well: a key twice in one object, whole numbers of more than 20 digits, NaN and infinity. Texts may hold
    halves of surrogate pairs; ``text`` refuses or repairs them.
    """
    if len(data) > most:
        return Unreadable(f"the JSON is {len(data)} long; at most {most} is read")
    try:
        decoded = data.decode() if isinstance(data, bytes) else data
        value = json.loads(
            decoded.removeprefix(_BOM),
            object_pairs_hook=_object,
            parse_int=_json_int,
            parse_float=_json_float,
            parse_constant=_json_constant,
        )
    except _Refused as error:
        return Unreadable(str(error))
    except UnicodeDecodeError as error:
        return Unreadable(f"byte {error.start + 1} is not UTF-8")
    except json.JSONDecodeError as error:
        return Unreadable(f"it is not JSON: {error.msg} at line {error.lineno}, column {error.colno}")
    except RecursionError:
        return Unreadable(f"the JSON is nested deeper than {most_depth} levels")
    return value if _shallow(value, most_depth) else Unreadable(f"the JSON is nested deeper than {most_depth} levels")


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise _Refused(f"the key {quoted(twice)} occurs twice in one object")
    return found


def _json_int(digits: str) -> int:
    if len(digits) > MOST_DIGITS:
        raise _Refused(f"a number has {len(digits)} digits; at most {MOST_DIGITS} are read")
    return int(digits)


def _json_float(digits: str) -> float:
    found = float(digits) if len(digits) <= _LONGEST_FLOAT else math.inf
    if not math.isfinite(found):
        raise _Refused(f"the number {quoted(digits)} is too long or too large")
    return found


def _json_constant(name: str) -> float:
    raise _Refused(f"{name} is not a number")


def _shallow(value: object, most: int) -> bool:
    """Level by level, so that the depth of the value is not our own."""
    level: list[object] = [value]
    for _ in range(most):
        level = [inner for one in level for inner in _parts(one) if isinstance(inner, dict | list)]
        if not level:
            return True
    return False


def _parts(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()
