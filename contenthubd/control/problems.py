"""Every error that leaves through the door, as one ``application/problem+json`` (RFC 9457)."""

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Final

import msgspec
import structlog
from aiohttp import web
from aiohttp.http import HttpProcessingError
from aiohttp.http_exceptions import ContentLengthError, TransferEncodingError

from contenthubd.control import wire
from contenthubd.control.display import visible
from contenthubd.documents import document
from contenthubd.domain.errors import ContentHubError

log = structlog.get_logger(__name__)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

PROBLEM_TYPE: Final = "application/problem+json"
MAX_FAULTS: Final = 1000
"""One body can hold millions of faults; nobody reads more of them than these."""
_SHOWN_CHARS: Final = 200
_TOLD: Final = {
    "Span callback error": "The body is not encoded as its headers say",
    "Can not decode content-encoding": "The Content-Encoding is not supported; valid values: gzip, deflate, identity",
    "Got more than": "The request line or a header is too long, or there are too many headers",
    "Pause on PRI": "HTTP/2 is not supported",
}
"""By its beginning, what the parser says about its own work and not about the request."""
_ENCODE: Final = msgspec.json.Encoder().encode
_CODES: Final = {404: "unknown_route", 405: "method_not_allowed", 413: "too_large", 415: "unsupported_encoding"}


class RequestTimeout(ContentHubError):
    """A request that did not arrive in time; its connection is closed."""

    code = "request_timeout"
    http_status = 408


class IncompleteRequest(ContentHubError):
    """A client that stopped sending before its request was complete."""

    code = "bad_request"
    http_status = 400


class TooManyConnections(ContentHubError):
    """As many connections are open as the door serves at once."""

    code = "too_many_connections"
    http_status = 503


def problem(error: ContentHubError) -> web.Response:
    """An expected error as the client sees it."""
    return _response(_told(error.http_status, error.code, error.what, error.why, error.fix, _faults(error)))


def raw_problem(error: ContentHubError) -> bytes:
    """The same as the bytes of a whole HTTP/1.1 answer that ends its connection, for where no request was read."""
    body = _ENCODE(_told(error.http_status, error.code, error.what, error.why, error.fix, [])) + b"\n"
    head = (
        f"HTTP/1.1 {error.http_status} {HTTPStatus(error.http_status).phrase}\r\nContent-Type: {PROBLEM_TYPE}\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body


def protocol_problem(status: int, message: str) -> web.Response:
    """What could not be read as HTTP; the connection is closed after it."""
    first = (message.strip().splitlines() or ["bad request"])[0].rstrip(":. ")
    told = next((words for start, words in _TOLD.items() if first.startswith(start)), visible(first[:_SHOWN_CHARS]))
    why = told + "." if " " in told else ""  # a single word is a piece of the request
    refused = _response(_told(status, "bad_request", "The request could not be read as HTTP/1.1.", why))
    refused.force_close()
    return refused


def internal_problem(fault: BaseException) -> web.Response:
    """A defect of contenthubd as the client sees it: its kind, and nothing of its text."""
    what = "contenthubd hit an internal error while answering this request."
    fix = "Report it with the lines of the daemon's log at request_failed. No other request is affected."
    return _response(_told(500, "internal_error", what, type(fault).__name__, fix))


def as_problem(request: web.BaseRequest, response: web.StreamResponse) -> web.StreamResponse:
    """A refusal of the HTTP library as a problem; every other response as it is."""
    if response.status < 400 or response.content_type == PROBLEM_TYPE or response.prepared:
        return response
    status, path = response.status, visible(request.path[:_SHOWN_CHARS])
    why = fix = ""
    match response:
        case web.HTTPNotFound():
            what, fix = f"There is nothing at {path}.", f"Every path: {document('http-api.md')}"
        case web.HTTPMethodNotAllowed():
            what = f"{path} does not support the method {visible(request.method[:_SHOWN_CHARS])}."
            fix = f"Valid methods: {', '.join(sorted(response.allowed_methods))}."
        case web.HTTPRequestEntityTooLarge():
            what = f"The request is larger than {request.client_max_size // 2**20} MiB."
            fix = "Send it in several smaller batches."
        case _:
            what, why = "The request could not be read.", f"{visible(response.reason or '')}."
    told = _response(_told(status, _CODES.get(status, "bad_request"), what, why, fix))
    if "Allow" in response.headers:
        told.headers["Allow"] = ", ".join(sorted(getattr(response, "allowed_methods", ())))
    if response.keep_alive is False:
        told.force_close()
    return told


@web.middleware
async def errors_as_problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn our errors, the library's refusals and defects into problems; a defect is logged with its traceback."""
    try:
        return await handler(request)
    except ContentHubError as error:
        return problem(error)
    except web.HTTPException as refusal:
        return as_problem(request, refusal)
    except (web.RequestPayloadError, HttpProcessingError) as fault:
        return _unreadable_body(request, fault)
    except (ConnectionError, asyncio.IncompleteReadError):  # the client is gone: nobody reads this
        return protocol_problem(400, "The connection was closed before the end of the request")
    except Exception as fault:  # noqa: BLE001 - one request must not be answered with silence; told with its traceback
        return failed(request, fault)


def failed(request: web.BaseRequest, fault: BaseException) -> web.Response:
    """Log a defect once, with its traceback; the answer to its request."""
    path = visible(request.path[:_SHOWN_CHARS])
    log.error("request_failed", method=request.method[:_SHOWN_CHARS], path=path, exc_info=fault)
    return internal_problem(fault)


def _unreadable_body(request: web.Request, fault: Exception) -> web.Response:
    encoding = request.headers.get("Content-Encoding", "")
    if isinstance(fault, ContentLengthError | TransferEncodingError) or not encoding:
        why = "It ended early, or its framing is wrong."
    else:
        why = f"It is not encoded as the header Content-Encoding says: {visible(encoding[:_SHOWN_CHARS])}."
    refused = _response(_told(400, "bad_request", "The body of the request could not be read.", why))
    refused.force_close()
    return refused


def _response(told: wire.Problem) -> web.Response:
    return web.Response(body=_ENCODE(told) + b"\n", status=told.status, content_type=PROBLEM_TYPE)


def _told(
    status: int, code: str, detail: str, why: str = "", fix: str = "", faults: list[wire.Fault] | None = None
) -> wire.Problem:
    return wire.Problem(
        type=wire.PROBLEM_TYPE + code, title=HTTPStatus(status).phrase, status=status, detail=detail, code=code,
        why=why, fix=fix, faults=faults or [],
    )  # fmt: skip


def _faults(error: ContentHubError) -> list[wire.Fault]:
    """``faults`` of an error: sentences, or (index, sentence) pairs about the requests of a submit."""
    faults = list(getattr(error, "faults", ()))
    told = [
        wire.Fault(detail=fault) if isinstance(fault, str) else wire.Fault(index=fault[0], detail=fault[1])
        for fault in faults[:MAX_FAULTS]
    ]
    if len(faults) > MAX_FAULTS:
        told.append(wire.Fault(detail=f"{len(faults) - MAX_FAULTS:,} more faults are not listed."))
    return told
