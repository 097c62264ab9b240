"""What ``create``, ``status`` and ``retry`` printed, read by the text alone, never by an exit code.

The traps, all of them seen: topic and requirements are echoed before the answer and may hold lines that look like
an answer (so what counts begins after the mark, which nobody but us knows); a failed sync run prints "success" and
differs in one line; and what was cut off must count as unreadable, never as an answer.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from contenthubd.adapters.creator.frame import (
    MOST_TEXT,
    RULE,
    id_of,
    line_start,
    places,
    rest_of_line,
    short_text,
    state_of,
    text_of,
    uncoloured,
    unix_lines,
    window,
)
from contenthubd.domain import foreign
from contenthubd.domain.foreign import Unreadable
from contenthubd.domain.outcome import CreatorRow, RowState

CLAIM_NOISE: Final = "Failed to claim task"
_CREATED: Final = "✅ 任务已成功创建"
_FINISHED: Final = "✅ 执行成功"
_REQUEUED: Final = "✅ 任务已添加到队列！".encode()
_UNKNOWN_TASK: Final = "未找到任务"
_ERROR: Final = "错误信息:\n".encode()
_WORKER: Final = b"Worker ID: "
_RULE_LINE: Final = f"\n{RULE}".encode()
_BANNER_END: Final = b"=" * 40
_PRINTED: Final = re.compile(rb"\S")
_VARIABLE: Final = "path: [ '"
_MOST_PLACES: Final = 100
_MOST_VARIABLES: Final = 20
_LONGEST_LOG_LINE: Final = 65_536
_CAUSES: Final = ("[SyncExecutor] Workflow execution error", "[SyncExecutor] Task execution failed")


def accepted_id(stdout: bytes, mark: str) -> str | Unreadable:
    """The id of a task created in async mode."""
    printed = unix_lines(stdout)
    start = _behind_echo(printed, mark)
    if isinstance(start, Unreadable):
        return start
    for place in places(printed, _CREATED.encode(), start, 1):
        for line in window(printed, place)[1:-1]:
            found = id_of(line)
            if isinstance(found, str):
                return found
    return Unreadable("there is no line with the new task's id")


@dataclass(frozen=True, slots=True)
class SyncEnd:
    """How a run in sync mode ended, by its own words."""

    creator_task_id: str
    state: RowState


def sync_end(stdout: bytes, mark: str) -> SyncEnd | Unreadable:
    """The end of a sync run. The article is printed behind it, so the first one counts."""
    printed = unix_lines(stdout)
    start = _behind_echo(printed, mark)
    if isinstance(start, Unreadable):
        return start
    for place in places(printed, _FINISHED.encode(), start, _MOST_PLACES):
        lines = window(printed, place)[:-1]
        if len(lines) < 4 or lines[:2] != [_FINISHED, RULE]:
            continue
        task, state = id_of(lines[2]), state_of(lines[3])
        if isinstance(task, str) and isinstance(state, RowState) and state is not RowState.UNKNOWN:
            return SyncEnd(task, state)
    return Unreadable("there is no line with the task's state")


def sync_cause(stdout: bytes, creator_task_id: str) -> str | None:
    """Why a sync run failed, from its own log lines; None if they do not say."""
    causes: dict[str, str] = {}
    for event, fields in _log_lines(stdout, creator_task_id.encode()):
        if fields.get("taskId") == creator_task_id and (cause := error_text(fields)):
            causes.setdefault(event, cause)
    known = [causes[event] for event in _CAUSES if event in causes]
    return next(iter([*known, *causes.values()]), None)


def error_text(fields: dict[str, object]) -> str | None:
    """The error of one log entry: a string, or an object with a message."""
    error = fields.get("error")
    if isinstance(error, dict):
        error = error.get("message")
    read = foreign.clipped(error, most=MOST_TEXT)
    return read if isinstance(read, str) and read.strip() else None


def status_row(stdout: bytes, creator_task_id: str) -> CreatorRow | Unreadable:
    """What ``status`` says of one task (the requirements are not part of it)."""
    printed = unix_lines(stdout)
    start = line_start(printed, f"任务ID: {creator_task_id}\n".encode())
    if start < 0:
        return Unreadable("there is no line with the task's id")
    state = state_of(text_of(rest_of_line(printed, printed.find(b"\n", start) + 1)))
    if isinstance(state, Unreadable):
        return state
    error, behind = None, start
    if (began := line_start(printed, _ERROR, start)) >= 0:
        end = printed.find(_RULE_LINE, began)
        if end >= 0:
            error, behind = short_text(printed[began + len(_ERROR) : end]), end
    worker = line_start(printed, _WORKER, behind)
    named = foreign.identifier(text_of(rest_of_line(printed, worker + len(_WORKER)))) if worker >= 0 else None
    return CreatorRow(
        creator_task_id=creator_task_id,
        state=state,
        requirements="",
        error=error,
        worker_id=named if isinstance(named, str) else None,
    )


def requeued(stdout: bytes) -> bool:
    """Whether ``retry`` added a job."""
    return _REQUEUED in stdout


def unknown_task(stderr: str) -> bool:
    """Whether ``status`` or ``result`` said that there is no such task."""
    return _UNKNOWN_TASK in stderr


def missing_variables(stderr: str) -> tuple[str, ...] | None:
    """The environment variables that the creator refuses to start without; None if it did not say so."""
    if "Environment variable validation failed" not in stderr:
        return None
    found = [part.partition("'")[0] for part in stderr.split(_VARIABLE)[1 : _MOST_VARIABLES + 1]]
    return tuple(dict.fromkeys(name for name in found if name.isidentifier()))


def only_banner(stdout: bytes) -> bool:
    """Whether nothing came after the banner that precedes every answer."""
    rule = stdout.rfind(_BANNER_END)
    return not _PRINTED.search(stdout, rule + len(_BANNER_END) if rule >= 0 else 0)  # an article is not copied for this


def _behind_echo(stdout: bytes, mark: str) -> int | Unreadable:
    """Where the echo of the requirements ends: with the mark, which nobody can forge; all before it may be."""
    for place in places(stdout, mark.encode(), 0, _MOST_PLACES):
        end = stdout.find(b"\n", place)
        if end >= 0 and uncoloured(rest_of_line(stdout, place)) == mark.encode():
            return end + 1
    return Unreadable("the echo of the requirements is missing")


def _log_lines(stdout: bytes, needle: bytes) -> Iterator[tuple[str, dict[str, object]]]:
    """Event and fields of the error lines that hold ``needle``."""
    start = 0
    for _ in range(_MOST_PLACES):
        place = stdout.find(needle, start)
        if place < 0:
            return
        begin = stdout.rfind(b"\n", start, place) + 1 or start
        start = stdout.find(b"\n", place) + 1 or len(stdout)
        if start - begin <= _LONGEST_LOG_LINE:
            yield from _log_line(text_of(uncoloured(stdout[begin:start])).rstrip())


def _log_line(line: str) -> Iterator[tuple[str, dict[str, object]]]:
    """``DATE TIME [error]: EVENT {FIELDS}``."""
    _, found, said = line.partition(" [error]: ")
    event, _, fields = said.partition(" {")
    read = foreign.json_value("{" + fields) if found else None
    if isinstance(read, dict):
        yield event, read
