"""From what the creator printed to what it means. Pure; decided by the text alone, never by an exit code.

The traps, all of them seen: topic and requirements are echoed before the answer and may hold lines that look like
an answer (so what counts begins after the mark, which nobody but us knows); a failed sync run prints "success" and
differs in one line; an article may hold the very lines that end it (so its end is found by its counted length, in
UTF-16 units as JavaScript counts); the array of ``list --json`` may have log lines before and behind it; and what
was cut off must count as unreadable, never as an answer.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import msgspec

from contenthubd.domain.outcome import CreatorRow, Picture, RowState

RULE: Final = "─" * 40
_ANSI: Final = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_UUID: Final = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_ID_LINE: Final = re.compile(rf"^任务ID: ({_UUID})$", re.MULTILINE)
_SYNC_END: Final = re.compile(rf"^✅ 执行成功\n{RULE}\n任务ID: ({_UUID})\n状态: (\S+)$", re.MULTILINE)
_STATUS: Final = re.compile(r"^状态: \S+ (\S+)$", re.MULTILINE)
_ERROR_TEXT: Final = re.compile(rf"^错误信息:\n(.*?)\n{RULE}$", re.MULTILINE | re.DOTALL)
_WORKER: Final = re.compile(r"^Worker ID: (\S+)$", re.MULTILINE)
_UNFINISHED: Final = re.compile(r"^⚠️\s+任务尚未完成，当前状态: \S+ (\S+)$", re.MULTILINE)
_LOG_LINE: Final = re.compile(r"^\d{4}-\d\d-\d\d [\d:]+ \[error\]: (.*?) (\{.*\})$", re.MULTILINE)
_COUNT: Final = re.compile(rf"\n字数: (\d+)\n{RULE}(?=\n|\Z)")
_RESULT_HEAD: Final = re.compile(rf"^📄 任务结果\n{RULE}\n任务ID: ({_UUID})\n状态: .*\n{RULE}$", re.MULTILINE)
_ARTICLE_HEAD: Final = re.compile(rf"\n\d+\. ARTICLE\n{RULE}\n内容:\n")
_IMAGE: Final = re.compile(rf"^\d+\. IMAGE\n{RULE}\n图片 URL:\n(.*)\n{RULE}$", re.MULTILINE)
_NO_RESULT: Final = "提示: 该任务未生成结果"
_CREATED: Final = "✅ 任务已成功创建\n"
_REQUEUED: Final = "✅ 任务已添加到队列！"
_UNKNOWN_TASK: Final = "未找到任务"
_VARIABLE: Final = re.compile(r"path: \[ '(\w+)' \]")
CLAIM_NOISE: Final = "Failed to claim task"

_STATES: Final = {
    "待处理": RowState.PENDING,
    "运行中": RowState.RUNNING,
    "等待中": RowState.WAITING,
    "已完成": RowState.COMPLETED,
    "失败": RowState.FAILED,
    "已取消": RowState.CANCELLED,
}
_ROW_STATES: Final = {state.value: state for state in RowState}


class Unreadable(ValueError):
    """The output does not hold what this command prints when it works: cut off, garbage, or another program."""


def text_of(stdout: bytes) -> str:
    """Decoded; bytes that are not UTF-8 become U+FFFD, as the creator itself does."""
    return stdout.decode("utf-8", "replace")


def accepted_id(stdout: bytes, mark: str) -> str:
    """The id of a task created in async mode; Unreadable."""
    answer = _after_echo(stdout, mark).partition(_CREATED)[2]
    found = _ID_LINE.search(answer)
    if not found:
        raise Unreadable("there is no line with the new task's id")
    return found.group(1)


@dataclass(frozen=True, slots=True)
class SyncEnd:
    """How a run in sync mode ended, by its own words."""

    creator_task_id: str
    state: RowState


def sync_end(stdout: bytes, mark: str) -> SyncEnd:
    """The end of a sync run; Unreadable."""
    found = _SYNC_END.search(_after_echo(stdout, mark))
    state = _STATES.get(found.group(2)) if found else None
    if not found or not state:
        raise Unreadable("there is no line with the task's state")
    return SyncEnd(found.group(1), state)


def sync_cause(stdout: bytes, creator_task_id: str) -> str | None:
    """Why a sync run failed, from its own log lines; None if they do not say."""
    causes: dict[str, str] = {}
    for event, fields in _log_lines(stdout):
        if fields.get("taskId") == creator_task_id and (cause := error_text(fields)):
            causes.setdefault(event, cause)
    for event in ("[SyncExecutor] Workflow execution error", "[SyncExecutor] Task execution failed"):
        if event in causes:
            return causes[event]
    return next(iter(causes.values()), None)


def error_text(fields: dict[str, Any]) -> str | None:
    """The error of one log entry: a string, or an object with a message."""
    error = fields.get("error")
    if isinstance(error, dict):
        error = error.get("message")
    return error if isinstance(error, str) and error.strip() else None


class _Row(msgspec.Struct, rename="camel"):
    """The fields of a row that are of use; msgspec skips the others unread."""

    task_id: str
    status: str
    requirements: str = ""
    error_message: str | None = None
    worker_id: str | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    created_at: datetime | None = None


_ROWS: Final = msgspec.json.Decoder(list[_Row])
_ROW_KEY: Final = b'"taskId":'
"""Once in every row, and in no string, whose quotes are escaped."""
_HALF: Final = re.compile(rb"(\\\\|\\u[dD][89abAB]..\\u[dD][c-fC-F]..)|\\u[dD][89a-fA-F]..")
"""Half a pair of escaped surrogates; whole pairs and escaped backslashes are group 1."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page of ``list --json``, newest rows first."""

    rows: list[CreatorRow]
    oldest: datetime | None
    """When the last row of the page was created."""


def page(stdout: bytes, asked: int) -> Page:
    """The rows of one page; Unreadable if the array is not whole, or has more rows than were asked for."""
    array = _array(stdout)
    if array.count(_ROW_KEY) > asked:
        raise Unreadable(f"the JSON array has more rows than the {asked} that were asked for")
    try:
        rows = _ROWS.decode(array)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        rows = _forgiving(array)
    return Page([_creator_row(row) for row in rows], rows[-1].created_at if rows else None)


def _array(stdout: bytes) -> bytes:
    """Strings inside JSON hold no line break, so a line that is only a bracket begins or ends the array."""
    output = b"\n" + stdout
    start = max(output.rfind(b"\n[\n"), output.rfind(b"\n[]\n"))
    if start < 0:
        raise Unreadable("there is no JSON array")
    if output.startswith(b"\n[]\n", start):
        return b"[]"
    end = output.find(b"\n]\n", start)
    if end < 0:
        raise Unreadable("the JSON array has no end")
    return output[start : end + 3]


def _forgiving(array: bytes) -> list[_Row]:
    """Half characters, which strict JSON refuses, become U+FFFD: they must not hide everybody's rows."""
    utf8 = array.decode("utf-8", "replace").encode()
    try:
        return _ROWS.decode(_HALF.sub(lambda found: found.group(1) or b"\\ufffd", utf8))
    except msgspec.MsgspecError as error:
        raise Unreadable(f"the JSON array does not hold rows: {error}") from error


def _creator_row(row: _Row) -> CreatorRow:
    return CreatorRow(
        creator_task_id=row.task_id,
        state=_ROW_STATES.get(row.status, RowState.RUNNING),
        requirements=row.requirements,
        error=row.error_message,
        worker_id=row.worker_id,
        started_at=row.started_at,
        completed_at=row.completed_at,
    )


def status_row(stdout: bytes, creator_task_id: str) -> CreatorRow:
    """What ``status`` says of one task (the requirements are not part of it); Unreadable."""
    text = text_of(stdout)
    found = _STATUS.search(text)
    state = _STATES.get(found.group(1)) if found else None
    if not state or f"任务ID: {creator_task_id}\n" not in text:
        raise Unreadable("there is no line with the task's state")
    error, worker = _ERROR_TEXT.search(text), _WORKER.search(text)
    return CreatorRow(
        creator_task_id=creator_task_id,
        state=state,
        requirements="",
        error=error.group(1) if error else None,
        worker_id=worker.group(1) if worker else None,
    )


@dataclass(frozen=True, slots=True)
class Result:
    """What ``result`` printed: an article with pictures, or (no article) the state of an unfinished task."""

    article: str | None
    pictures: tuple[Picture, ...] = ()
    state: RowState = RowState.COMPLETED


def result(stdout: bytes, creator_task_id: str) -> Result:
    """The stored article, exact to the last character; Unreadable if its counted end is not there."""
    text = text_of(stdout)
    unfinished = _UNFINISHED.search(text)
    head = _RESULT_HEAD.search(text)
    if unfinished and not head:
        return Result(None, state=_STATES.get(unfinished.group(1), RowState.RUNNING))
    if not head or head.group(1) != creator_task_id:
        raise Unreadable("the result has no head with the task's id")
    article = _ARTICLE_HEAD.search(text, head.end())
    if not article:
        if text.find(_NO_RESULT, head.end()) >= 0 or _IMAGE.search(text, head.end()):
            return Result(None)
        raise Unreadable("the result holds no article")
    start = article.end()
    end = _counted_end(text, start)
    return Result(text[start:end], tuple(_pictures(text, end)))


def _counted_end(text: str, start: int) -> int:
    """Where the article that begins at ``start`` ends: the last place with a right count behind it.

    An article may hold a right count of its own beginning; behind its true end only images follow.
    """
    units, counted, end = 0, start, None
    for found in _COUNT.finditer(text, start):
        units += _utf16_units(text[counted : found.start()])
        counted = found.start()
        if units == int(found.group(1)):
            end = counted
    if end is None:
        raise Unreadable("the article's end is missing")
    return end


def _utf16_units(text: str) -> int:
    return len(text) + sum(1 for char in text if char > "\uffff")


def _pictures(text: str, start: int) -> Iterator[Picture]:
    """One address per block (async), or one block with a JSON array (sync)."""
    for found in _IMAGE.finditer(text, start):
        content = found.group(1).strip()
        if not content.startswith("["):
            yield Picture(content)
            continue
        for item in json.loads(content):
            if isinstance(item, dict) and item.get("url"):
                yield Picture(str(item["url"]), str(item.get("prompt") or ""))


def requeued(stdout: bytes) -> bool:
    """Whether ``retry`` added a job."""
    return _REQUEUED in text_of(stdout)


def unknown_task(stderr: str) -> bool:
    """Whether ``status`` or ``result`` said that there is no such task."""
    return _UNKNOWN_TASK in stderr


def missing_variables(stderr: str) -> tuple[str, ...] | None:
    """The environment variables that the creator refuses to start without; None if it did not say so."""
    if "Environment variable validation failed" not in stderr:
        return None
    return tuple(dict.fromkeys(_VARIABLE.findall(stderr)))


def only_banner(stdout: bytes) -> bool:
    """Whether nothing came after the banner that precedes every answer."""
    return not text_of(stdout).rstrip().rpartition("=" * 40)[2].strip()


def _after_echo(stdout: bytes, mark: str) -> str:
    """What follows the echoed requirements. They end with the mark, which nobody can forge; all before it may be."""
    _, found, rest = _ANSI.sub("", text_of(stdout)).partition(f"{mark}\n")
    if not found:
        raise Unreadable("the echo of the requirements is missing")
    return rest


def _log_lines(stdout: bytes) -> Iterator[tuple[str, dict[str, Any]]]:
    for found in _LOG_LINE.finditer(_ANSI.sub("", text_of(stdout))):
        try:
            fields = json.loads(found.group(2))
        except ValueError:
            continue
        if isinstance(fields, dict):
            yield found.group(1), fields
