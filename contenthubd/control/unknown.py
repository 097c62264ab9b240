"""Names that a message does not have: all of them at once, each with its place and with what was probably meant."""

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from itertools import islice
from typing import Any, Final, get_args, get_type_hints

import msgspec

from contenthubd.control.display import visible

MOST: Final = 50
"""Names that are told; a body can hold millions."""
_NAMED: Final = 5
_SHOWN_CHARS: Final = 60


@dataclass(frozen=True, slots=True)
class Unknown:
    """One name. ``place`` is empty for the message itself, ``index`` that of a request in a list."""

    name: str
    place: str
    index: int | None
    fix: str

    @property
    def sentence(self) -> str:
        """What is wrong."""
        return f"{self.place}: Unknown field {self._shown!r}." if self.place else f"Unknown field {self._shown!r}."

    @property
    def path(self) -> str:
        """The name with its place."""
        return f"{self.place}.{self._shown}" if self.place else self._shown

    @property
    def _shown(self) -> str:
        return visible(self.name[:_SHOWN_CHARS]) + ("…" if len(self.name) > _SHOWN_CHARS else "")


def unknown_fields(value: Any, kind: type[msgspec.Struct]) -> list[Unknown]:
    """At most ``MOST`` names in ``value``, decoded without a type, that ``kind`` and its parts do not have."""
    return list(islice(_of(value, kind, "", None, {}), MOST))


def told(found: list[Unknown]) -> str:
    """One sentence about all of them."""
    if len(found) == 1:
        return found[0].sentence
    named = ", ".join(one.path for one in found[:_NAMED])
    return f"Unknown fields: {named}{', …' if len(found) > _NAMED else ''}."


def _of(
    value: Any, kind: type[msgspec.Struct], place: str, index: int | None, elsewhere: dict[str, str]
) -> Iterator[Unknown]:
    if not isinstance(value, dict):
        return
    parts = _parts(kind)
    nested = {
        name: f"each entry of {part}" if many else part
        for part, (inner, many) in parts.items()
        for name in inner.__struct_fields__
    }
    for name in value:
        if name not in kind.__struct_fields__:
            yield Unknown(name, place, index, _fix(name, kind, {**elsewhere, **nested}))
    above = dict.fromkeys(kind.__struct_fields__, "the whole request")
    for part, (inner, many) in parts.items():
        for number, one in enumerate(_listed(value.get(part), many)):
            yield from _of(one, inner, f"{part}[{number}]" if many else part, number if many else index, above)


def _listed(value: Any, many: bool) -> list[Any]:
    if not many:
        return [value]
    return value if isinstance(value, list) else []


@cache
def _parts(kind: type[msgspec.Struct]) -> dict[str, tuple[type[msgspec.Struct], bool]]:
    """Fields that are messages themselves or lists of them: the kind of those, and whether it is a list."""
    found = {}
    for name, hint in get_type_hints(kind).items():
        inner = get_args(hint)[0] if get_args(hint) else hint
        if isinstance(inner, type) and issubclass(inner, msgspec.Struct):
            found[name] = (inner, inner is not hint)
    return found


def _fix(name: str, kind: type[msgspec.Struct], elsewhere: dict[str, str]) -> str:
    if name in elsewhere:
        return f"{name} is a field of {elsewhere[name]}."
    near = get_close_matches(name[:_SHOWN_CHARS], [*kind.__struct_fields__, *elsewhere], n=1)
    return f"Did you mean {near[0]!r}?" if near else f"Valid names: {', '.join(kind.__struct_fields__)}."
