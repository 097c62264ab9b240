"""Bytes to wire types and back, and every error as one ``application/problem+json`` (RFC 9457)."""

import re
from collections.abc import Awaitable, Callable
from difflib import get_close_matches
from http import HTTPStatus
from typing import Any, Final, TypeVar, get_args, get_origin, get_type_hints

import msgspec
import structlog
from aiohttp import web
from multidict import MultiMapping

from contenthubd.control import wire, wire_schedules
from contenthubd.domain.errors import ContentHubError, InvalidInput

log = structlog.get_logger(__name__)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
T = TypeVar("T", bound=wire.Refusing)

_PATH: Final = re.compile(r"(?: - at `(?P<path>[^`]+)`)$")
_UNKNOWN: Final = re.compile(r"unknown field `([^`]+)`")
_BYTE: Final = re.compile(r"\s*\(byte (\d+)\)$")
_INDEX: Final = re.compile(r"\$\.requests\[(\d+)\]")
_BOUND: Final = re.compile(r"Expected '(?:int|float)' (?P<sign><=|>=|<|>) (?P<bound>\S+)")
_BOUNDS: Final = {
    "<=": "It is at most {}",
    ">=": "It is at least {}",
    "<": "It is less than {}",
    ">": "It is more than {}",
}
_ENCODE: Final = msgspec.json.Encoder().encode


class MalformedJson(InvalidInput):
    """The body is not JSON at all."""

    code = "malformed_json"
    http_status = 400


class InvalidMessage(InvalidInput):
    """A value of the wrong type or an unknown name, found before any stage was asked."""

    def __init__(self, what: str, *, why: str = "", fix: str = "", index: int | None = None) -> None:
        super().__init__(what, why=why, fix=fix)
        self.faults = [(index, what)] if index is not None else []


def reply(message: wire.Telling, status: int = 200) -> web.Response:
    """A wire type as a JSON response."""
    return web.Response(body=_ENCODE(message) + b"\n", status=status, content_type="application/json")


async def body(request: web.Request, kind: type[T]) -> T:
    """The body as a wire type; InvalidInput tells the position of bad JSON, or the path of a bad value."""
    raw = await request.read()
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.ValidationError as error:
        raise _invalid(str(error), kind) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _malformed(raw, str(error)) from None


async def optional_body(request: web.Request, kind: type[T]) -> T:
    """As ``body``; no body at all means every default."""
    return await body(request, kind) if request.can_read_body else kind()


def query(request: web.Request, kind: type[T]) -> T:
    """The query string as a wire type; lists are repeated or separated by commas."""
    try:
        return msgspec.convert(_gathered(request.query, kind), kind, strict=False)
    except msgspec.ValidationError as error:
        raise _invalid(str(error), kind) from None


def problem(error: ContentHubError) -> web.Response:
    """An expected error as the client sees it."""
    return _problem(error.http_status, error.code, error.what, error.why, error.fix, _faults(error))


@web.middleware
async def errors_as_problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn our errors, aiohttp's own refusals and bugs of ours into problems; a bug is logged with its traceback."""
    try:
        return await handler(request)
    except ContentHubError as error:
        return problem(error)
    except web.HTTPNotFound:
        return _problem(404, "unknown_route", f"There is nothing at {request.path[:200]}.", fix="See docs/http-api.md.")
    except web.HTTPMethodNotAllowed as error:
        allowed = ", ".join(sorted(error.allowed_methods))
        what = f"{request.path[:200]} does not answer {request.method}."
        refused = _problem(405, "method_not_allowed", what, fix=f"Use {allowed}.")
        refused.headers["Allow"] = allowed
        return refused
    except web.HTTPRequestEntityTooLarge:
        what = f"The request is over {request.client_max_size // 2**20} MiB."
        return _problem(413, "too_large", what, fix="Send it in several smaller batches.")
    except web.HTTPBadRequest as error:
        return _problem(400, "bad_request", "The request cannot be read.", error.reason)
    except web.HTTPException:
        raise
    except Exception as fault:  # one request must not be answered with silence; told with its traceback
        log.error("request_failed", method=request.method, path=request.path[:200], exc_info=fault)
        what = "contenthubd hit an internal error while answering this request."
        fix = "Report it with what the daemon's log says at request_failed. Nothing else is affected."
        return _problem(500, "internal_error", what, type(fault).__name__, fix)


def _problem(
    status: int, code: str, detail: str, why: str = "", fix: str = "", faults: list[wire.Fault] | None = None
) -> web.Response:
    told = wire.Problem(
        type=wire.PROBLEM_TYPE + code, title=HTTPStatus(status).phrase, status=status, detail=detail, code=code,
        why=why, fix=fix, faults=faults or [],
    )  # fmt: skip
    return web.Response(body=_ENCODE(told) + b"\n", status=status, content_type="application/problem+json")


def _faults(error: ContentHubError) -> list[wire.Fault]:
    """``faults`` of an error: sentences, or (index, sentence) pairs about the requests of a submit."""
    return [
        wire.Fault(detail=fault) if isinstance(fault, str) else wire.Fault(index=fault[0], detail=fault[1])
        for fault in getattr(error, "faults", ())
    ]


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
    found = _PATH.search(message)
    path = found.group("path") if found else "$"
    sentence = _PATH.sub("", message).replace("`", "'").replace("Object contains unknown", "Unknown")
    field = path.removeprefix("$").lstrip(".")
    sentence = _BOUND.sub(lambda found: _BOUNDS[found["sign"]].format(found["bound"]), sentence)
    index = _INDEX.match(path)
    return InvalidMessage(
        f"{field}: {sentence}." if field else f"{sentence}.",
        fix=_suggestion(message, kind, re.sub(r"\[.*?\]$", "", field).rpartition(".")[2]),
        index=int(index.group(1)) if index else None,
    )


def _suggestion(message: str, kind: type[wire.Refusing], field: str) -> str:
    if message.startswith("Invalid enum value"):
        named = {"mode": wire.Mode, "catch_up": wire_schedules.CatchUp}
        words = get_args(named.get(field) or (wire.ReviewState if kind is wire.ContentFilter else wire.State))
        return f"Choose from {', '.join(words)}."
    unknown = _UNKNOWN.search(message)
    if unknown is None:
        return ""
    nested = wire.TopicRequest.__struct_fields__ if kind in (wire.SubmitRequest, wire_schedules.NewSchedule) else ()
    known = [*kind.__struct_fields__, *nested]
    near = get_close_matches(unknown.group(1), known, n=1)
    return f"Did you mean {near[0]!r}?" if near else f"Valid values: {', '.join(known)}."


def _gathered(given: MultiMapping[str], kind: type[wire.Refusing]) -> dict[str, Any]:
    hints = get_type_hints(kind)
    gathered: dict[str, Any] = {}
    for name in given:
        if get_origin(hints.get(name)) is tuple:
            gathered[name] = [part for value in given.getall(name) for part in value.split(",") if part]
        else:
            gathered[name] = given.getall(name)[-1]
    return gathered
