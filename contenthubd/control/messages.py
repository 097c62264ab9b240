"""Bytes to wire types and back; what cannot be read is told with its place."""

import asyncio
import re
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final, TypeVar, get_args, get_origin, get_type_hints

import msgspec
from aiohttp import web
from multidict import MultiMapping

from contenthubd.control import bounds, unknown, wire, wire_schedules
from contenthubd.control.connections import Connections, Visitor
from contenthubd.control.display import visible
from contenthubd.control.peer import Peer
from contenthubd.control.problems import RequestTimeout
from contenthubd.domain.errors import InvalidInput

CONNECTIONS: Final = web.AppKey("connections", Connections)
T = TypeVar("T", bound=wire.Refusing)

_PATH: Final = re.compile(r"(?: - at `(?P<path>[^`]+)`)$")
_UNKNOWN: Final = "Object contains unknown field"
_BYTE: Final = re.compile(r"\s*\(byte (\d+)\)$")
_INDEX: Final = re.compile(r"\$\.requests\[(\d+)\]")
_LONG: Final = re.compile(r"Expected '(?:str|array)' of length (?P<sign><=|>=) (?P<bound>\d+)")
_BOUND: Final = re.compile(r"Expected '(?:int|float)' (?P<sign><=|>=|<|>) (?P<bound>\S+)")
_BOUNDS: Final = {
    "<=": "must be at most {}",
    ">=": "must be at least {}",
    "<": "must be less than {}",
    ">": "must be more than {}",
}
_PATTERNS: Final = {
    bounds.NO_NUL: "It contains the character U+0000 (NUL), which cannot be stored",
    bounds.CURSOR: "It is not a cursor of an earlier reply",
}
_MAX_MESSAGE_CHARS: Final = 400
_ENCODE: Final = msgspec.json.Encoder().encode

_ENCODINGS: Final = ("", "identity", "gzip", "deflate", "br", "zstd")
"""What the HTTP library unpacks, the last two where it finds their libraries; the parser refuses them otherwise."""


class MalformedJson(InvalidInput):
    """The body is not JSON at all."""

    code = "malformed_json"
    http_status = 400


class UnsupportedEncoding(InvalidInput):
    """The body is packed in a way that cannot be read."""

    code = "unsupported_encoding"
    http_status = 415


class InvalidMessage(InvalidInput):
    """A value of the wrong type or an unknown name, found before any stage was asked."""

    def __init__(self, what: str, *, fix: str = "", faults: Sequence[str | tuple[int, str]] = ()) -> None:
        super().__init__(what, fix=fix)
        self.faults = list(faults)


def reply(message: wire.Telling, status: int = 200) -> web.Response:
    """A wire type as a JSON response."""
    return web.Response(body=_ENCODE(message) + b"\n", status=status, content_type="application/json")


async def body(request: web.Request, kind: type[T]) -> T:
    """The body as a wire type; InvalidInput tells the position of bad JSON, or the path of a bad value."""
    raw = await _read(request)
    try:
        return _existing(msgspec.json.decode(raw, type=kind))
    except msgspec.ValidationError as error:
        raise _unknown(str(error), kind, lambda: msgspec.json.decode(raw)) or _invalid(str(error), kind) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _malformed(raw, str(error)) from None


async def optional_body(request: web.Request, kind: type[T]) -> T:
    """As ``body``; no body at all means every default."""
    return await body(request, kind) if request.can_read_body else kind()


def query(request: web.Request, kind: type[T]) -> T:
    """The query string as a wire type; lists are repeated or separated by commas.

    A value may be empty only where that is the default: a filter that came from an unset variable is no filter at all,
    and would select everything.
    """
    _filled(request.query, kind)
    given = _gathered(request.query, kind)
    try:
        return _existing(msgspec.convert(given, kind, strict=False))
    except msgspec.ValidationError as error:
        raise _unknown(str(error), kind, lambda: given) or _invalid(str(error), kind) from None


def path_name(request: web.Request, part: str) -> str:
    """A name or a fragment of an id out of the path."""
    try:
        return msgspec.convert(request.match_info[part], bounds.Name)
    except msgspec.ValidationError as error:
        raise _invalid(f"{error} - at `$.{part}`", wire.Refusing) from None


async def asking(request: web.Request) -> Peer:
    """Who sends this request, as the kernel said it when the connection was made."""
    visitor = request.protocol
    if not isinstance(visitor, Visitor) or visitor.peer is None:
        raise TypeError("A request of the control socket comes from a connection with credentials.")
    return await request.app[CONNECTIONS].users.named(visitor.peer)


async def _read(request: web.Request) -> bytes:
    encoding = request.headers.get("Content-Encoding", "").strip()
    if encoding.lower() not in _ENCODINGS:
        raise UnsupportedEncoding(
            f"The Content-Encoding {visible(encoding[:40])!r} is not supported.",
            fix="Valid values: gzip, deflate, identity.",
        )
    seconds = request.app[CONNECTIONS].limits.body_seconds
    try:
        async with asyncio.timeout(seconds):
            return await request.read()
    except TimeoutError:
        raise RequestTimeout(f"The body of the request was not complete within {seconds:g} seconds.") from None


def _existing(message: T) -> T:
    """The message, if each of its times exists; InvalidMessage."""
    for name in message.__struct_fields__:
        value = getattr(message, name)
        fault = bounds.instant_fault(value) if isinstance(value, datetime) else ""
        if fault:
            raise InvalidMessage(f"{name}: {fault}.")
    return message


def _malformed(raw: bytes, message: str) -> MalformedJson:
    if not raw.strip():
        return MalformedJson("The request has no body.", why="JSON is expected.")
    at = _BYTE.search(message)
    if at is None:
        return MalformedJson("The body is not JSON.", why=message)
    before = raw[: int(at.group(1))]
    line, column = before.count(b"\n") + 1, len(before) - (before.rfind(b"\n") + 1) + 1
    why = _BYTE.sub("", message).removeprefix("JSON is malformed: ")
    return MalformedJson(f"The body is not JSON: line {line}, byte {column}.", why=f"{why[:1].upper()}{why[1:]}.")


def _invalid(message: str, kind: type[wire.Refusing]) -> InvalidMessage:
    """msgspec's "Expected `int`, got `str` - at `$.requests[3].priority`" as one of our errors."""
    if len(message) > _MAX_MESSAGE_CHARS:  # it repeats the unknown name, however long
        message = f"{message[: _MAX_MESSAGE_CHARS // 2]}…{message[-_MAX_MESSAGE_CHARS // 2 :]}"
    found = _PATH.search(message)
    path = found.group("path") if found else "$"
    field = path.removeprefix("$").lstrip(".")
    index = _INDEX.match(path)
    message = _ranged(_PATH.sub("", message), kind, field)
    what = f"{visible(field)}: {_sentence(message)}." if field else f"{_sentence(message)}."
    fix = _suggestion(message, kind, re.sub(r"\[.*?\]$", "", field).rpartition(".")[2])
    return InvalidMessage(what, fix=fix, faults=[(int(index.group(1)), what)] if index else [])


def _unknown(message: str, kind: type[wire.Refusing], value: Callable[[], Any]) -> InvalidMessage | None:
    """Every unknown name of a message at once: msgspec tells of the first one only. None if that is not the fault."""
    if not message.startswith(_UNKNOWN):
        return None
    try:
        found = unknown.unknown_fields(value(), kind)
    except (msgspec.DecodeError, RecursionError):  # something behind the first one is worse
        return None
    if not found:
        return None
    sentences = [f"{one.sentence} {one.fix}" if len(found) > 1 else one.sentence for one in found]
    faults = [text if one.index is None else (one.index, text) for one, text in zip(found, sentences, strict=True)]
    several = len(found) > 1 or found[0].index is not None
    return InvalidMessage(
        unknown.told(found), fix=found[0].fix if len(found) == 1 else "", faults=faults if several else ()
    )


def _ranged(message: str, kind: type[wire.Refusing], field: str) -> str:
    """A number out of range with both ends of the range; msgspec tells of one."""
    if not _BOUND.search(message.replace("`", "'")):
        return message
    ends: dict[str, float] = {}
    for meta in getattr(get_type_hints(kind, include_extras=True).get(field), "__metadata__", ()):
        ends |= {name: end for name in ("ge", "gt", "le", "lt") if (end := getattr(meta, name, None)) is not None}
    lowest = f"at least {ends['ge']:,g}" if "ge" in ends else f"more than {ends['gt']:,g}" if "gt" in ends else ""
    highest = f"at most {ends['le']:,.12g}" if "le" in ends else ""
    return f"must be {lowest} and {highest}" if lowest and highest else message


def _sentence(message: str) -> str:
    for pattern, sentence in _PATTERNS.items():
        if repr(pattern) in message:
            return sentence
    sentence = visible(message.strip()).replace("`", "'").replace("Object contains unknown", "Unknown")
    sentence = _LONG.sub(_length, sentence)
    return _BOUND.sub(lambda found: _BOUNDS[found["sign"]].format(found["bound"]), sentence)


def _length(found: re.Match[str]) -> str:
    unit = "character" if "'str'" in found[0] else "item"
    which, bound = ("maximum" if found["sign"] == "<=" else "minimum"), int(found["bound"])
    return f"The {which} is {bound:,} {unit}{'s' if bound != 1 else ''}"


def _suggestion(message: str, kind: type[wire.Refusing], field: str) -> str:
    if message.startswith("Invalid enum value"):
        named = {"mode": wire.Mode, "catch_up": wire_schedules.CatchUp}
        words = get_args(named.get(field) or (wire.ReviewState if kind is wire.ContentFilter else wire.State))
        return f"Choose from {', '.join(words)}."
    if message.startswith("Invalid RFC3339"):
        return "Write a time with its offset, such as 2026-01-31T07:00:00Z."
    return ""


def _filled(given: MultiMapping[str], kind: type[wire.Refusing]) -> None:
    """InvalidMessage for an empty value."""
    may_be_empty = {one.name for one in msgspec.structs.fields(kind) if one.default == ""}
    for name in kind.__struct_fields__:
        if name not in may_be_empty and any(not value.strip() for value in given.getall(name, ())):
            raise InvalidMessage(f"{name}: The value is empty.", fix=f"Give a value, or leave {name} out.")


def _gathered(given: MultiMapping[str], kind: type[wire.Refusing]) -> dict[str, Any]:
    hints = get_type_hints(kind)
    gathered: dict[str, Any] = {}
    for name in given:
        if get_origin(hints.get(name)) is tuple:
            gathered[name] = [part for value in given.getall(name) for part in value.split(",") if part]
        else:
            gathered[name] = given.getall(name)[-1]
    return gathered
