"""From what somebody wrote to a checked value, and back to something that may be shown.

``from_text`` only guesses the type a text stands for (environment variables know nothing but text) and leaves what it
cannot read as it is; ``check`` is the one judge. A refusal quotes what was found, so quoting masks passwords first.
"""

import json
import re
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
from msgspec import inspect

from contenthubd import durations
from contenthubd.adapters.images import proxies
from contenthubd.adapters.postgres.address import SCHEMES, parse
from contenthubd.config.keys import Key, choices, suggest, unwrap
from contenthubd.domain import invisible
from contenthubd.domain.errors import InvalidInput

_UNITS = {"seconds": 1, "days": 86_400}
_FIRST = {"seconds": "s", "days": "d"}
_BOOLEANS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
_WHOLE = re.compile(r"[+-]?[0-9]{1,40}")
_NUMBER = re.compile(r"[+-]?[0-9]{1,40}(\.[0-9]{1,40})?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_QUOTE_LIMIT = 80
_TOML_TYPES = {"datetime": "date-time", "date": "local date", "time": "local time"}
# Greedy up to the last @: a password that itself holds @ or / must not leak its tail.
_URL_PASSWORD = re.compile(r"(://[^:/@\s]*:)\S*@")
_QUERY_PASSWORD = re.compile(r"([?&][a-z_]*(?:password|passwd|secret|token)=)[^&\s]*", re.IGNORECASE)
_URL_SCHEMES = {
    "redis_url": ("redis", "rediss", "unix"),
    "creator_redis_url": ("redis", "rediss"),
    "proxy_url": ("http", "https"),
    "image_proxy_url": proxies.SCHEMES,
}


def boolean(text: str) -> bool | None:
    """What a text means as true or false; None when it means neither."""
    return _BOOLEANS.get(text.strip().lower())


def from_text(shape: inspect.Type, text: str) -> object:
    """The value a text stands for where ``shape`` is wanted, or the text itself when it stands for none."""
    bare = unwrap(shape)[0]
    word = text.strip()
    match bare:
        case inspect.BoolType():
            found = boolean(word)
            return text if found is None else found
        case inspect.IntType():
            return int(word) if _WHOLE.fullmatch(word) else _fraction(word, text)
        case inspect.FloatType():
            return _in_unit(shape, _fraction(word, text))
        case inspect.LiteralType() | inspect.EnumType():
            return word.lower()
        case inspect.VarTupleType():
            return _list_from_text(bare, word)
        case _:
            return text


def _in_unit(shape: inspect.Type, value: object) -> object:
    """``"90s"`` and the like as a number of the key's unit; what is none stays as it is."""
    unit = _UNITS.get(unwrap(shape)[1].get("unit", ""))
    if unit is None or not isinstance(value, str):
        return value
    try:
        read, with_unit = durations.seconds(value.strip())
    except ValueError:
        return value
    return read / unit if with_unit else value


def _spans(shape: inspect.Type, value: object) -> object:
    """The same for a key that is a list of durations."""
    bare = unwrap(shape)[0]
    if isinstance(bare, inspect.VarTupleType) and isinstance(value, list | tuple):
        return [_in_unit(bare.item_type, item) for item in value]
    return _in_unit(shape, value)


def check(key: Key, value: object, home: Path | None) -> object:
    """The value as the model wants it; ``home`` replaces a leading ``~``. Raises InvalidInput with one sentence."""
    shape = inspect.type_info(key.annotation)
    try:
        converted = msgspec.convert(_spans(shape, value), key.annotation)
    except msgspec.ValidationError as error:
        words = choices(key.shape)
        hint = suggest(value, words) if isinstance(value, str) else ""
        hint = hint or _duration_hint(shape, value)
        raise InvalidInput(f"{key.path} must be {key.expected}, found {quoted(value)}.{hint}") from error
    for text in _texts(converted):
        if _CONTROL.search(text):
            raise InvalidInput(
                f"{key.path} must not contain control characters such as line breaks, found {quoted(text)}."
            )
        # An unpaired surrogate is a byte of a path that is not UTF-8.
        if fault := invisible.key_fault(text.encode("utf-8", "replace").decode()):
            raise InvalidInput(f"{key.path} {fault} Found {quoted(text)}.")
    further = _FURTHER.get(key.check)
    return further(key, converted, home) if further else converted


def _duration_hint(shape: inspect.Type, value: object) -> str:
    """How to write what was meant as a duration."""
    bare = unwrap(shape)[0]
    item, written = (bare.item_type, value) if isinstance(bare, inspect.VarTupleType) else (shape, [value])
    unit = unwrap(item)[1].get("unit", "")
    if unit not in _UNITS or not isinstance(written, list | tuple):
        return ""
    for one in written:
        if isinstance(one, str):
            try:
                _, with_unit = durations.seconds(one.strip())
            except ValueError as fault:
                return f" {fault}."
            if not with_unit:
                return f' Write it without quotes, or with its unit: "{one.strip()}{_FIRST[unit]}".'
    return ""


def quoted(value: object) -> str:
    """A found value in words a person recognises, without passwords and without its tail when it is long."""
    match value:
        case str():
            return _shortened(json.dumps(masked(value), ensure_ascii=False))
        case bool() | int() | float():
            return _shortened(json.dumps(value) if isinstance(value, bool) else str(value))
        case list() | tuple():
            return f"the list {_shortened(masked(json.dumps(value, ensure_ascii=False, default=str)))}"
        case dict():
            return "a table"
        case _:
            return f"a {_TOML_TYPES.get(type(value).__name__, type(value).__name__)}"


def masked(text: str) -> str:
    """The text with each password inside an address replaced by ``***``, in characters that can be printed anywhere."""
    printable = text.encode("utf-8", "backslashreplace").decode()
    return _QUERY_PASSWORD.sub(r"\1***", _URL_PASSWORD.sub(r"\1***@", printable))


def plain(value: object) -> object:
    """A checked value as JSON knows it: words, whole numbers without a point, lists; passwords masked."""
    match value:
        case Enum():
            return value.value
        case str():
            return masked(value)
        case tuple():
            return [plain(item) for item in value]
        case float() if value.is_integer():
            return int(value)
        case _:
            return value


def _shortened(text: str) -> str:
    return text if len(text) <= _QUOTE_LIMIT else text[:_QUOTE_LIMIT] + "…"


def _fraction(word: str, text: str) -> object:
    return float(word) if _NUMBER.fullmatch(word) else text


def _list_from_text(shape: inspect.VarTupleType, word: str) -> object:
    """JSON when it begins with a bracket, else parts between commas; an empty text is the empty list."""
    if word.startswith("["):
        try:
            return json.loads(word)
        except (ValueError, RecursionError):
            return word
    items = [from_text(shape.item_type, part.strip()) for part in word.split(",")] if word else []
    unread = isinstance(unwrap(shape.item_type)[0], inspect.FloatType) and any(isinstance(item, str) for item in items)
    return word if unread else items


def _texts(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, tuple) else ()


def _absolute(key: Key, text: str, home: Path | None) -> str:
    if text == "~" or text.startswith("~/"):
        if home is None:
            raise InvalidInput(f"{key.path} begins with ~, but this user has no home directory; give an absolute path.")
        return str(home / text[2:])
    if not text.startswith("/"):
        raise InvalidInput(f"{key.path} must be {key.expected}, found {quoted(text)}.")
    return str(Path(text))


def _path(key: Key, value: object, home: Path | None) -> object:
    return _absolute(key, str(value), home) if value else ""


def _command(key: Key, value: object, home: Path | None) -> object:
    """A bare program name is looked up in PATH later; a path must not depend on the directory we were started in."""
    if not isinstance(value, tuple) or not value:
        return value
    program = str(value[0])
    if not program.strip():
        raise InvalidInput(f"{key.path} must begin with the name of a program, found {quoted(value)}.")
    if "/" not in program:
        return value
    if not program.startswith(("/", "~/")):
        raise InvalidInput(
            f"{key.path} must begin with a program name or an absolute path, found {quoted(program)}, "
            "which is relative to the current directory."
        )
    return (_absolute(key, program, home), *value[1:])


def _url(key: Key, value: object, home: Path | None) -> object:
    text = str(value)
    if not text:
        return text
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        # Python's own message may quote a piece of the password, so neither it nor its chain is told.
        raise InvalidInput(
            f"{key.path} must be {key.expected}; the host or port in {quoted(text)} is invalid. "
            "In a password write / @ : and # as %2F %40 %3A and %23."
        ) from None
    if parts.scheme not in _URL_SCHEMES[key.check] or "://" not in text:
        raise InvalidInput(f"{key.path} must be {key.expected}, found {quoted(text)}.")
    if port == 0:
        raise InvalidInput(f"{key.path} has the invalid port 0: {quoted(text)}.")
    return _with_place(key, text, parts.scheme, bool(parts.hostname), parts.path)


def _proxy_url(key: Key, value: object, home: Path | None) -> object:
    """As the adapter reads it, so that what passes here is what images are fetched through."""
    text = _url(key, value, home)
    try:
        if text:
            proxies.read(str(text))
    except InvalidInput as fault:
        raise InvalidInput(f"{key.path} is invalid: {fault.what} Found {quoted(text)}.") from None
    return text


def _postgres_url(key: Key, value: object, home: Path | None) -> object:
    """As the adapter reads it, so that what passes here is what it connects with."""
    text = str(value)
    if not text:
        return text
    if text.partition("://")[0] not in SCHEMES or "://" not in text:
        raise InvalidInput(f"{key.path} must be {key.expected}, found {quoted(text)}.")
    try:
        parse(text)
    except InvalidInput as fault:
        raise InvalidInput(f"{key.path}: {fault.what}") from None  # its chain may quote a password
    return text


def _with_place(key: Key, text: str, scheme: str, has_host: bool, path: str) -> str:
    """Refuse an address that says how but not where: no host, or for a socket no path."""
    if scheme == "unix" and path in ("", "/"):
        raise InvalidInput(f"{key.path} has no socket path: write unix:///path/to/redis.sock, found {quoted(text)}.")
    if scheme != "unix" and not has_host:
        raise InvalidInput(f"{key.path} has no host: write {scheme}://host:port, found {quoted(text)}.")
    return text


_FURTHER: dict[str, Callable[[Key, object, Path | None], object]] = {
    "path": _path,
    "command": _command,
    "postgres_url": _postgres_url,
    **dict.fromkeys(_URL_SCHEMES, _url),
    "proxy_url": _proxy_url,
    "image_proxy_url": _proxy_url,
}
