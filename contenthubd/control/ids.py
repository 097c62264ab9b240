"""Ids as people type them: any unique beginning or end of the canonical UUID, dashes optional.

Ids are UUIDv7: those made together begin alike, since the first twelve hex digits are the time, but their ends are
random. So the short form that is shown to people is the last eight hex digits, and it is accepted like a beginning.
"""

import re
from typing import Final

from contenthubd.domain.errors import AmbiguousId, InvalidInput

SHORT_LENGTH: Final = 8
MIN_LENGTH: Final = 4
_HEX: Final = re.compile(r"[0-9a-f]{4,32}")


def pattern(text: str) -> str:
    """The fragment as 4 to 32 lowercase hex digits, to be matched against both ends of an id; InvalidInput."""
    fragment = text.strip().lower().replace("-", "")
    if _HEX.fullmatch(fragment):
        return fragment
    raise InvalidInput(
        f"{text[:60]!r} is not an id.",
        why=f"Give {MIN_LENGTH}–32 hex digits from the start or the end of the id; dashes are optional.",
        fix="List ids with: contenthubctl task list",
    )


def short(task_id: str) -> str:
    """The form shown to people: the last eight hex digits."""
    return task_id.replace("-", "")[-SHORT_LENGTH:]


def ambiguous(noun: str, text: str, candidates: list[str]) -> AmbiguousId:
    """The error for a fragment that fits several rows; a few of them are named."""
    return AmbiguousId(
        f"{text!r} matches more than one {noun}.",
        why="It could be " + ", ".join(sorted(candidates)[:5]) + (", …" if len(candidates) > 5 else "") + ".",
        fix=f"Give more of the id, from its beginning or its end; lists show the last {SHORT_LENGTH} characters.",
    )
