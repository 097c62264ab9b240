"""What the parts of the creator's output have in common: its separators, its words for states, text between marks.

Output is searched as bytes, by marks and from one mark to the next, and only what is wanted is decoded: a look at
eight megabytes takes milliseconds and no second copy of them.
"""

import codecs
import re
from collections.abc import Iterator
from typing import Final

from contenthubd.domain import foreign
from contenthubd.domain.foreign import Unreadable
from contenthubd.domain.outcome import RowState

RULE: Final = "─" * 40
MOST_TEXT: Final = 16_384
"""Characters of an error or a name that are kept."""
_WINDOW: Final = 4096
_COLOUR: Final = re.compile(rb"\x1b\[[0-9;]*+[A-Za-z]")
"""Each byte is looked at once: no parameter begins with the escape, and none is given back."""
_STATES: Final = {
    "待处理": RowState.PENDING,
    "运行中": RowState.RUNNING,
    "等待中": RowState.WAITING,
    "已完成": RowState.COMPLETED,
    "失败": RowState.FAILED,
    "已取消": RowState.CANCELLED,
}


def text_of(data: bytes) -> str:
    """Decoded; bytes that are not UTF-8 become U+FFFD, as the creator itself does."""
    return data.decode("utf-8", "replace")


def short_text(data: bytes) -> str:
    """A text for people: at most ``MOST_TEXT`` characters of it, which PostgreSQL can store."""
    read = foreign.clipped(text_of(data[: 4 * MOST_TEXT + 4]), most=MOST_TEXT)
    return "" if isinstance(read, Unreadable) else read


def unix_lines(stdout: bytes) -> bytes:
    """With every line ended by a line feed alone."""
    return stdout.replace(b"\r\n", b"\n") if b"\r\n" in stdout else stdout


def window(data: bytes, start: int) -> list[str]:
    """The lines of the 4 KiB from ``start``, without colour."""
    return text_of(_COLOUR.sub(b"", data[start : start + _WINDOW])).split("\n")


def uncoloured(line: bytes) -> bytes:
    """A line without the escape sequences of colour."""
    return _COLOUR.sub(b"", line) if b"\x1b" in line else line


def places(data: bytes, mark: bytes, start: int, most: int) -> Iterator[int]:
    """Where ``mark`` stands, from ``start`` on: the first ``most`` places."""
    for _ in range(most):
        start = data.find(mark, start)
        if start < 0:
            return
        yield start
        start += len(mark)


def line_start(data: bytes, mark: bytes, start: int = 0) -> int:
    """Where a line that begins with ``mark`` begins; -1 if there is none."""
    if start == 0 and data.startswith((mark, codecs.BOM_UTF8 + mark)):
        return data.index(mark)
    place = data.find(b"\n" + mark, max(0, start - 1))
    return place + 1 if place >= 0 else -1


def rest_of_line(data: bytes, start: int) -> bytes:
    """From ``start`` to the end of the line, but no more than is of use."""
    end = data.find(b"\n", start, start + _WINDOW)
    return data[start : end if end >= 0 else start + _WINDOW]


def state_of(line: str) -> RowState | Unreadable:
    """The state in ``状态: <icon> <word>`` or ``状态: <word>``; RowState.UNKNOWN for a word nobody knows."""
    label, _, rest = line.partition(": ")
    words = rest.split()
    if not label.endswith("状态") or not 1 <= len(words) <= 2:
        return Unreadable("there is no line with the task's state")
    return _STATES.get(words[-1], RowState.UNKNOWN)


def id_of(line: str) -> str | Unreadable:
    """The id in ``任务ID: <id>``."""
    if not line.startswith("任务ID: "):
        return Unreadable("there is no line with the task's id")
    return foreign.identifier(line.removeprefix("任务ID: "))
