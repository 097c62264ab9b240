"""What ``list --json`` printed: the rows of one page, newest first.

The array is found by a scanner that knows strings and brackets, not by the form of its lines: it may be compact or
spread out, with log lines before and behind it. It begins a line, since a string inside JSON contains no line break; so
nothing that a row says is taken for the array. One row that cannot be read is skipped and told; a whole page of them
is another program.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any, Final

import msgspec

from contenthubd.adapters.creator.frame import MOST_TEXT
from contenthubd.domain import foreign
from contenthubd.domain.attempt import MARK_PREFIX
from contenthubd.domain.foreign import Unreadable
from contenthubd.domain.outcome import CreatorRow, RowState

_ROW_STATES: Final = {state.value: state for state in RowState}
_LINE_WITH_ARRAY: Final = re.compile(rb"(?:\A|[\r\n])(?:\xef\xbb\xbf)?\[")
_TOKEN: Final = re.compile(rb'"(?>(?:[^"\\]++|\\.)*)"|[\[{]++|[\]}]++|,|"', re.DOTALL)
"""A string, a run of brackets, a comma, or the quote of a string without end. Nothing is looked at twice."""
_HALF: Final = re.compile(rb"(\\\\|\\u[dD][89abAB]..\\u[dD][c-fC-F]..)|\\u[dD][89a-fA-F]..", re.DOTALL)
"""Half a pair of escaped surrogates; whole pairs and escaped backslashes are group 1."""
_TASK_ID: Final = re.compile(rb'"taskId"\s{0,9}:\s{0,9}"([\w.:-]{1,200})"', re.ASCII)
_ID_WITHIN: Final = 4096
_MOST_UNENDED: Final = 4
_FORM_CHANGED: Final = 3
"""A page of so many rows of which none can be read is in another form."""
_NAMELESS: Final = 2
"""So are so many rows without the field that tells whose they are."""
_MARK: Final = MARK_PREFIX.encode()


class _Row(msgspec.Struct, rename="camel"):
    """The fields of a row that are of use, of whatever type; msgspec skips the others unread."""

    task_id: Any = None
    status: Any = None
    requirements: Any = msgspec.UNSET
    error_message: Any = None
    worker_id: Any = None
    started_at: Any = None
    completed_at: Any = None
    created_at: Any = None


_ROW: Final = msgspec.json.Decoder(_Row)


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row, or a part of one, that could not be read; ``key`` is the same for the same row."""

    key: str
    why: str


@dataclass(frozen=True, slots=True)
class Page:
    """One page of ``list --json``, newest rows first."""

    rows: list[CreatorRow]
    newest: datetime | None
    """When the newest of its rows was created, as far as they tell: one wrong time makes no page old."""
    bad: tuple[BadRow, ...] = ()
    size: int = 0
    """How many rows it had, the unreadable ones included."""
    changed: str = ""
    """Why these rows are in another form: the same is wrong with all of them. A row of ours may be among them."""


@dataclass(frozen=True, slots=True)
class OtherForm(Unreadable):
    """The same is wrong with every row of this page; a page that can be read, beside it, says it is only these rows."""

    page: Page


@dataclass(frozen=True, slots=True)
class _Array:
    """The elements of one array as they were printed; None if it has no end."""

    elements: list[bytes] | None
    end: int


def page(stdout: bytes, asked: int) -> Page | Unreadable:
    """The rows of one page; Unreadable without a complete array, or for one with more rows than were asked for."""
    best: Page | None = None
    broken: Unreadable | None = None
    for elements in _arrays(stdout, asked):
        if elements is None:
            broken = Unreadable("the JSON array has no end")
        elif len(elements) > asked:
            broken = Unreadable(f"the JSON array has more rows than the {asked} that were asked for")
        elif (found := _page(elements)) and (best is None or found.rows or not best.rows):
            best = found
    if best and (best.rows or not broken):
        return OtherForm(best.changed, best) if best.changed else best
    return broken or Unreadable("there is no JSON array")


def long_row(head: bytes) -> BadRow | None:
    """The row that a page of one row began with and that was too long to be read; None if ``head`` begins no such row.

    ``head``: the beginning of what was printed, many times shorter than what is too long.
    """
    found = _LINE_WITH_ARRAY.search(head)
    if not found or head[found.end() :].lstrip()[:1] != b"{" or _scan(head, found.end(), 0).elements is not None:
        return None
    named = _TASK_ID.search(head, found.end(), found.end() + _ID_WITHIN)
    key = named[1].decode("ascii") if named else blake2b(head, digest_size=8).hexdigest()
    return BadRow(key, "the row is too long")


def _arrays(stdout: bytes, asked: int) -> Iterator[list[bytes] | None]:
    """The arrays that stand on lines of their own; None for one that looks like rows and has no end."""
    start = unended = 0
    while unended < _MOST_UNENDED and (found := _LINE_WITH_ARRAY.search(stdout, start)):
        array = _scan(stdout, found.end(), asked)
        start = array.end
        if array.elements is None:
            unended += 1
            start = found.end()
            if stdout[start : start + 64].lstrip()[:1] in (b"{", b"]", b""):
                yield None
        elif not stdout[array.end : array.end + 64].partition(b"\n")[0].strip():
            yield array.elements


def _scan(data: bytes, start: int, asked: int) -> _Array:
    """The elements from behind an opening bracket to its closing one, or one more than were asked for."""
    depth, begin, elements = 1, start, []
    for token in _TOKEN.finditer(data, start):
        first = data[token.start() : token.start() + 1]
        if first == b'"':
            if token.end() - token.start() == 1:
                return _Array(None, token.end())
        elif first == b",":
            if depth == 1:
                elements.append(data[begin : token.start()])
                begin = token.end()
                if len(elements) > asked:
                    return _Array(elements, len(data))
        elif first in b"[{":
            depth += token.end() - token.start()
        elif (closing := token.end() - token.start()) >= depth:
            end = token.start() + depth
            last = data[begin : end - 1]
            return _Array([*elements, last] if elements or last.strip() else [], end)
        else:
            depth -= closing
    return _Array(None, len(data))


def _page(elements: list[bytes]) -> Page | None:
    """None if nothing in the array is JSON."""
    rows: list[CreatorRow] = []
    bad: list[BadRow] = []
    newest: datetime | None = None
    not_json = nameless = 0
    for element in elements:
        decoded = _decoded(element)
        if isinstance(decoded, Unreadable):
            not_json += decoded.why == _NOT_JSON.why and not _is_framed(element)
            bad.append(_bad(element, decoded.why))
            continue
        made = foreign.moment(decoded.created_at, assume=UTC)
        if isinstance(made, datetime):
            newest = max(made, newest or made)
        row = _creator_row(decoded, element, bad)
        if row:
            rows.append(row)
            nameless += decoded.requirements is msgspec.UNSET
    if elements and not_json == len(elements):
        return None
    return Page(rows, newest, tuple(bad), len(elements), _change(elements, rows, bad, nameless))


def _is_framed(element: bytes) -> bool:
    """Whether it has the brackets of a row, whatever is between them."""
    bare = element.strip()
    return bare.startswith(b"{") and bare.endswith(b"}")


def _change(elements: list[bytes], rows: list[CreatorRow], bad: list[BadRow], nameless: int) -> str:
    """What is wrong with every row; nothing if one is right, or if they are too few to say so and none is ours.

    A row of ours in which its mark is not found where it belongs would be created again.
    """
    if not elements or nameless < len(rows):
        return ""
    ours = any(_MARK in element for element in elements)
    if not rows and (ours or len(elements) >= _FORM_CHANGED):
        return f"none of its {len(elements)} rows can be read: {bad[0].why}"
    if rows and (ours or nameless >= _NAMELESS):
        return f"none of its {len(elements)} rows has the field 'requirements'"
    return ""


_NOT_JSON: Final = Unreadable("the row is not JSON")


def _decoded(element: bytes) -> _Row | Unreadable:
    """Half characters, which strict JSON refuses, become U+FFFD: they must not cost the row."""
    try:
        return _ROW.decode(element)
    except RecursionError:
        return Unreadable("the row is nested too deeply")
    except (msgspec.MsgspecError, UnicodeDecodeError):
        utf8 = element.decode("utf-8", "replace").encode()
    try:
        return _ROW.decode(_HALF.sub(lambda found: found.group(1) or b"\\ufffd", utf8))
    except msgspec.ValidationError as error:
        return Unreadable(f"the row has another form: {error}")
    except msgspec.MsgspecError:
        return _NOT_JSON


def _creator_row(row: _Row, element: bytes, bad: list[BadRow]) -> CreatorRow | None:
    """None for a row whose task could not be read; other fields are left out where they cannot be read."""
    task, state = foreign.identifier(row.task_id), _state(row.status)
    if isinstance(task, Unreadable):
        bad.append(_bad(element, f"taskId: {task.why}"))
        return None
    key = f"{task} {row.status if isinstance(row.status, str) else ''}"[:300]
    unread = ""
    if isinstance(state, Unreadable):
        bad.append(BadRow(key, f"status: {state.why}"))
        unread, state = state.why, RowState.UNKNOWN
    requirements = foreign.text(row.requirements, most=foreign.MEBIBYTE, repair=True)
    error = foreign.clipped(row.error_message, most=MOST_TEXT)
    worker = foreign.identifier(row.worker_id)
    return CreatorRow(
        creator_task_id=task,
        state=state,
        requirements=requirements if isinstance(requirements, str) else "",
        error=error if isinstance(error, str) else None,
        worker_id=worker if isinstance(worker, str) else None,
        started_at=_moment(row.started_at, "startedAt", key, bad),
        completed_at=_moment(row.completed_at, "completedAt", key, bad),
        unread=unread,
    )


def _state(status: object) -> RowState | Unreadable:
    known = _ROW_STATES.get(status) if isinstance(status, str) else None
    return known if known and known is not RowState.UNKNOWN else Unreadable(f"{foreign.quoted(status)} is not a state")


def _moment(value: object, name: str, key: str, bad: list[BadRow]) -> datetime | None:
    if value is None:
        return None
    read = foreign.moment(value, assume=UTC)
    if isinstance(read, Unreadable):
        bad.append(BadRow(key, f"{name}: {read.why}"))
        return None
    return read


def _bad(element: bytes, why: str) -> BadRow:
    return BadRow(blake2b(element, digest_size=8).hexdigest(), why)
