"""Requests for every route of the door: paths, queries, headers, bodies and framing, right and wrong."""

import gzip
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

import msgspec.inspect as types
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from contenthubd.control import wire, wire_schedules
from contenthubd.control.routes import ROUTES
from tests.fuzz.values import bodies, near, scalars, texts, valid


@dataclass(frozen=True, slots=True)
class Shape:
    """What a route reads: a body, a query."""

    body: type[wire.Refusing] | None = None
    query: type[wire.Refusing] | None = None


SHAPES: Final = {
    ("POST", "/v1/tasks"): Shape(body=wire.SubmitRequest),
    ("GET", "/v1/tasks"): Shape(query=wire.TaskFilter),
    ("GET", "/v1/tasks/{fragment}"): Shape(query=wire.TaskQuery),
    ("POST", "/v1/tasks/{fragment}/cancel"): Shape(),
    ("POST", "/v1/tasks/{fragment}/retry"): Shape(),
    ("GET", "/v1/wait"): Shape(query=wire.WaitQuery),
    ("GET", "/v1/stats"): Shape(query=wire.StatsQuery),
    ("GET", "/v1/contents"): Shape(query=wire.ContentFilter),
    ("GET", "/v1/contents/{fragment}"): Shape(query=wire.ContentQuery),
    ("POST", "/v1/contents/{fragment}/approve"): Shape(body=wire.Decision),
    ("POST", "/v1/contents/{fragment}/reject"): Shape(body=wire.Decision),
    ("POST", "/v1/accounts"): Shape(body=wire.NewAccount),
    ("GET", "/v1/accounts"): Shape(),
    ("GET", "/v1/accounts/{name}"): Shape(),
    ("POST", "/v1/schedules"): Shape(body=wire_schedules.NewSchedule),
    ("GET", "/v1/schedules"): Shape(query=wire_schedules.ScheduleFilter),
    ("GET", "/v1/schedules/{name}"): Shape(),
    ("POST", "/v1/schedules/{name}/pause"): Shape(),
    ("POST", "/v1/schedules/{name}/resume"): Shape(),
    ("POST", "/v1/schedules/{name}/delete"): Shape(),
    ("POST", "/v1/schedules/{name}/run"): Shape(),
    ("GET", "/v1/schedules/{name}/firings"): Shape(query=wire_schedules.FiringFilter),
    ("GET", "/v1/preview"): Shape(query=wire_schedules.PreviewQuery),
    ("GET", "/v1/health"): Shape(),
    ("GET", "/v1/version"): Shape(),
    ("GET", "/v1/config"): Shape(),
    ("GET", "/v1/queue"): Shape(),
}
"""What each route reads; a test fails when one is missing here."""
DEFINED: Final = tuple((route.method, route.path) for route in ROUTES)
_NO_LONG_POLL: Final = ("0", "0.01", "-1", "26", "nan", "1e400", "", "x")
_ODD_PAIRS: Final = ("%", "%zz", "a", "=", "&&", "%ff%fe", "a=b=c", ";", "+", "?", "%00")
_HEADERS: Final = (
    b"Content-Type: application/json", b"Content-Type: text/plain; charset=utf-16",
    b"Content-Type: multipart/form-data",
    b"Content-Type: \xff\xfe", b"Accept: text/html", b"Accept-Encoding: br;q=2, *;q=-1", b"Expect: 100-continue",
    b"Expect: 417-please", b"Connection: keep-alive", b"Connection: close",
    b"Connection: Upgrade\r\nUpgrade: websocket",
    b"Connection: Upgrade\r\nUpgrade: h2c", b"Host:", b"Host: a:99999999", b"Range: bytes=0-5, 7-", b"If-Match: *",
    b"If-Modified-Since: Thu, 99 Foo 0000 99:99:99 GMT", b"Date: never", b"Cookie: a=\x01; ;;=;",
    b"X-Long: " + b"x" * 9000,
    b"X-HTTP-Method-Override: DELETE", b"Authorization: Basic !!!", b"Content-Length: 3", b"Content-Length: -1",
    b"Content-Length: 99999999999999999999", b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip, chunked",
    b"Transfer-Encoding: nothing", b"Content-Encoding: nothing", b"Content-Encoding: br", b"Content-Encoding: zstd",
    b"Sec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13", b"Forwarded: for=\"", b"\xff: x", b"No colon",
    b" folded: yes",
)  # fmt: skip


@st.composite
def _paths(draw: st.DrawFn, path: str, known: tuple[str, ...]) -> str:
    """A path with its parts filled in: what exists, the beginning of an id, or anything."""
    for part in ("{fragment}", "{name}"):
        if part in path:
            word = draw(st.sampled_from(known) | st.sampled_from(known).map(lambda one: one[:8]) | texts)
            kept = draw(st.sampled_from(("", "", "/")))
            path = path.replace(part, quote(word.encode("utf-8", "surrogatepass"), safe=kept) or "%20")
    return path


def _shown(value: Any) -> bytes:
    text = value if isinstance(value, str) else "" if value is None else str(value)
    return text.encode("utf-8", "surrogatepass")


@st.composite
def _queries(draw: st.DrawFn, kind: type[wire.Refusing] | None, known: tuple[str, ...]) -> str:
    """A query string of this type, of something near it, or of anything."""
    good = valid(types.type_info(kind), known) if kind else st.just({})
    value = draw(good | near(good) | st.dictionaries(texts, scalars, max_size=3))
    given = value if isinstance(value, dict) else {"x": value}
    pairs = [(name, one) for name, many in given.items() for one in (many if isinstance(many, list) else [many])]
    if kind is wire.WaitQuery:
        pairs.append(("timeout", draw(st.sampled_from(_NO_LONG_POLL))))
    quoted = [f"{quote(_shown(name))}={quote(_shown(one))}" for name, one in pairs]
    if kind is not wire.WaitQuery:  # the last one counts
        quoted += draw(st.lists(st.sampled_from(_ODD_PAIRS), max_size=1))
    return "?" + "&".join(quoted) if quoted else ""


@st.composite
def _encoded(draw: st.DrawFn, body: bytes) -> tuple[list[bytes], bytes]:
    """A body, how it is encoded or said to be."""
    packed = gzip.compress(body, 1, mtime=0)
    match draw(st.sampled_from(("plain",) * 8 + ("gzip", "deflate", "broken", "lies"))):
        case "gzip":
            return [b"Content-Encoding: gzip"], packed
        case "deflate":
            return [b"Content-Encoding: deflate"], zlib.compress(body, 1)
        case "broken":
            whole = bytearray(packed)
            whole[draw(st.integers(0, len(whole) - 1))] ^= draw(st.integers(1, 255))
            return [b"Content-Encoding: gzip"], bytes(whole[: draw(st.integers(1, len(whole)))])
        case "lies":
            return [b"Content-Encoding: " + draw(st.sampled_from((b"gzip", b"deflate", b"x")))], body
        case _:
            return [], body


@st.composite
def _framed(draw: st.DrawFn, body: bytes) -> tuple[list[bytes], bytes]:
    """Headers that say how long a body is and how it is encoded, true or not; and its bytes."""
    headers, body = draw(_encoded(body))
    match draw(st.sampled_from(("right",) * 8 + ("short", "long", "chunked", "bad chunks", "none"))):
        case "right":
            headers.append(b"Content-Length: %d" % len(body))
        case "short":
            headers.append(b"Content-Length: %d" % (len(body) // 2))
        case "long":
            headers.append(b"Content-Length: %d" % (len(body) + draw(st.integers(1, 1000))))
        case "chunked":
            headers.append(b"Transfer-Encoding: chunked")
            cut = draw(st.integers(0, len(body)))
            parts = [part for part in (body[:cut], body[cut:]) if part]
            body = b"".join(b"%x;a=b\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
        case "bad chunks":
            headers.append(b"Transfer-Encoding: chunked")
            body = draw(st.sampled_from((b"zz\r\n", b"-1\r\n", b"ffffffffffffffffff\r\n", b"5\n", b""))) + body
    return headers, body


@st.composite
def requests(draw: st.DrawFn, method: str, path: str, known: Sequence[str]) -> bytes:
    """One request for a route, its connection to be closed after it."""
    names = tuple(known)
    shape = SHAPES[method, path]
    verb = draw(st.sampled_from((method,) * 12 + ("HEAD", "OPTIONS", "DELETE", "PATCH", "BREW", "CONNECT", "TRACE")))
    target = draw(_paths(path, names)) + draw(_queries(shape.query, names))
    headers, body = (
        draw(_framed(draw(bodies(shape.body, names)))) if verb == "POST" or draw(st.booleans()) else ([], b"")
    )
    headers += draw(st.lists(st.sampled_from(_HEADERS), max_size=1))
    version = draw(st.sampled_from((b"1.1",) * 9 + (b"1.0",)))
    head = b"%b %b HTTP/%b" % (verb.encode(), target.encode("ascii", "replace"), version)
    return b"\r\n".join([head, b"Host: localhost", *headers, b"", b""]) + body


GOOD: Final = b"GET /v1/version HTTP/1.1\r\nHost: localhost\r\n\r\n"
_LINES: Final = (
    b"GET", b"GET /", b"GET / HTTP/9.9", b"GET / HTTP/1.1 x", b"get /v1/version HTTP/1.1", b"\x16\x03\x01\x02",
    b"PRI * HTTP/2.0",
    b"GET * HTTP/1.1", b"OPTIONS * HTTP/1.1", b"GET http://other/v1/version HTTP/1.1",
    b"GET //v1//version HTTP/1.1", b"GET \xff HTTP/1.1",
    b"CONNECT a:1 HTTP/1.1", b"GET /%00 HTTP/1.1", b"GET /" + b"a" * 70_000 + b" HTTP/1.1",
    b"GET /v1/../v1/version HTTP/1.1", b"",
    b"A" * 70_000, b"GET http://[::1 HTTP/1.1", b"GET /#fragment HTTP/1.1", b"GET ?x HTTP/1.1", b"\0" * 20,
    b"GET /\tx HTTP/1.1",
)  # fmt: skip
_FIELDS: Final = (
    *_HEADERS, b"Host: localhost", b": empty", b"a" * 70_000 + b": x", b"x: " + b"y" * 70_000, b"a: b\nc: d",
    b"a:\rb",
    b"Content-Length: 1, 1", b"Content-Length: +1", b"Content-Length: 0x1", b"Transfer-Encoding: identity",
    b"X\0: y", b"X: \0",
)  # fmt: skip


@st.composite
def _protocol(draw: st.DrawFn) -> bytes:
    line = draw(st.sampled_from(_LINES) | st.just(b"GET /v1/version HTTP/1.1") | st.binary(max_size=30))
    fields = draw(st.lists(st.sampled_from(_FIELDS), max_size=draw(st.sampled_from((2, 2, 2, 200)))))
    end = draw(st.sampled_from((b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r")))
    whole = end.join([line, *fields, b"", b""]) + draw(st.binary(max_size=20))
    return whole[: draw(st.integers(0, len(whole)))] if draw(st.booleans()) else whole


def conversations() -> SearchStrategy[bytes]:
    """Bytes that need not be HTTP: bad lines, headers without end, halves of requests, several in one."""
    parts = st.lists(st.just(GOOD) | _protocol() | st.just(b"\r\n"), min_size=1, max_size=4).map(b"".join)
    return parts | st.just(GOOD * 40) | st.binary(max_size=200)
