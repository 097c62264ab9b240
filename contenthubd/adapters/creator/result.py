"""What ``result`` printed: an article, exact to the last character, and the addresses of its pictures.

An article may hold the very lines that end it, so its end is found by the length that is printed behind it, counted
in UTF-16 units as JavaScript counts. A picture that cannot be read keeps its place, since articles name pictures by
number, but has no address: it is lost like one whose address has died, and never loses the article.
"""

import codecs
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

from contenthubd.adapters.creator.frame import RULE, id_of, line_start, places, state_of, text_of, window
from contenthubd.domain import foreign
from contenthubd.domain.foreign import Unreadable
from contenthubd.domain.outcome import NO_ADDRESS, Picture, RowState

_HEAD: Final = f"📄 任务结果\n{RULE}\n任务ID: ".encode()
_UNFINISHED: Final = "⚠️".encode()
_UNFINISHED_STATE: Final = "任务尚未完成，当前状态: "
_NO_RESULT: Final = "提示: 该任务未生成结果".encode()
_ARTICLE: Final = f". ARTICLE\n{RULE}\n内容:\n".encode()
_COUNT: Final = "\n字数: ".encode()
_RULE: Final = f"\n{RULE}".encode()
_IMAGE: Final = f". IMAGE\n{RULE}\n图片 URL:\n".encode()
_HALF: Final = ("\ufffd" * 3).encode()
"""How half a surrogate pair is printed, which counts as one unit."""
_HALF_SURPLUS: Final = 2
_CHUNK: Final = 65_536
_MOST_COUNTS: Final = 1_000_000
_MOST_PICTURES: Final = 1000
_LONGEST_PICTURE: Final = 8 * foreign.MEBIBYTE
_LONGEST_COUNT: Final = 9


@dataclass(frozen=True, slots=True)
class Result:
    """What ``result`` printed: an article with pictures, or (no article) the state of an unfinished task."""

    article: str | None
    pictures: tuple[Picture, ...] = ()
    state: RowState = RowState.COMPLETED
    unread: tuple[str, ...] = ()
    """Why pictures have no address, one clause each."""
    doubtful: bool = False
    """There are images and no article, and it is not said that there is none."""


@dataclass(frozen=True, slots=True)
class Unframed(Unreadable):
    """Nothing of what ``result`` prints is there: not this article is at fault, but what printed it."""


def result(stdout: bytes, creator_task_id: str) -> Result | Unreadable:
    """The stored article; Unreadable if its counted end is not there, Unframed if it is no result at all."""
    printed = stdout
    head = line_start(printed, _HEAD)
    if head < 0 and b"\r\n" in stdout:
        printed = stdout.replace(b"\r\n", b"\n")
        head = line_start(printed, _HEAD)
    if head < 0:
        return _unfinished(printed)
    lines = window(printed, head)
    if len(lines) <= 4 or not lines[3].startswith("状态: ") or lines[4] != RULE:
        return Unframed("the result has no head with the task's state")
    if id_of(lines[2]) != creator_task_id:
        return Unreadable("the result is of another task")
    behind = printed.find(b"\n", printed.find(_RULE, head + len(_HEAD)) + 1)
    return _contents(printed, behind) if behind >= 0 else Unreadable("the result contains no article")


def _unfinished(printed: bytes) -> Result | Unreadable:
    place = line_start(printed, _UNFINISHED)
    line = window(printed, place)[0] if place >= 0 else ""
    _, found, state = line.partition(_UNFINISHED_STATE)
    read = state_of(f"状态: {state}") if found else Unreadable("")
    return Unframed("there is no result") if isinstance(read, Unreadable) else Result(None, state=read)


def _contents(printed: bytes, start: int) -> Result | Unreadable:
    """What follows the head: numbered blocks, the article first."""
    place = _block(printed, _ARTICLE, start)
    if place < 0:
        if printed.find(_NO_RESULT, start) >= 0:
            return Result(None)
        if _block(printed, _IMAGE, start) >= 0:
            return Result(None, doubtful=True)
        return Unreadable("the result contains no article")
    begin = place + len(_ARTICLE)
    end = _counted_end(printed, begin)
    if isinstance(end, Unreadable):
        return end
    found = list(islice(_pictures(printed, end), _MOST_PICTURES))
    pictures = tuple(Picture(NO_ADDRESS) if isinstance(one, Unreadable) else one for one in found)
    unread = tuple(one.why for one in found if isinstance(one, Unreadable))
    return Result(text_of(printed[begin:end]), pictures, unread=unread)


def _block(printed: bytes, heading: bytes, start: int) -> int:
    """Where the heading of a numbered block stands, behind its number; -1 if there is none."""
    for place in places(printed, heading, start, _MOST_PICTURES):
        line = printed[max(start, place - _LONGEST_COUNT - 1) : place].rpartition(b"\n")
        if line[1] and line[2].isdigit():
            return place
    return -1


def _counted_end(printed: bytes, start: int) -> int | Unreadable:
    """Where the article that begins at ``start`` ends: the last place with a right count behind it.

    An article may hold a right count of its own beginning; behind its true end only images follow.
    """
    counted, units, halves, end = start, 0, 0, None
    for place in places(printed, _COUNT, start, _MOST_COUNTS):
        count = _count_at(printed, place + len(_COUNT))
        if count is None:
            continue
        units += _utf16_units(printed, counted, place)
        halves += printed.count(_HALF, counted, place)
        counted = place
        surplus = units - count
        if surplus == 0 or (0 < surplus <= halves * _HALF_SURPLUS and surplus % _HALF_SURPLUS == 0):
            end = place
    return Unreadable("the article's end is missing") if end is None else end


def _count_at(printed: bytes, start: int) -> int | None:
    """The number of a count that is followed by a separator."""
    digits = printed[start : start + _LONGEST_COUNT + 1].partition(b"\n")[0]
    end = start + len(digits)
    if not digits.isdigit() or not printed.startswith(_RULE, end):
        return None
    behind = printed[end + len(_RULE) : end + len(_RULE) + 1]
    return int(digits) if behind in (b"", b"\n") else None


def _utf16_units(printed: bytes, start: int, end: int) -> int:
    """How many UTF-16 units lie between two line feeds; piece by piece, since four bytes a character add up."""
    units = 0
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    for place in range(start, end, _CHUNK):
        stop = min(place + _CHUNK, end)
        units += len(decoder.decode(printed[place:stop], final=stop == end).encode("utf-16-le")) // 2
    return units


def _pictures(printed: bytes, start: int) -> Iterator[Picture | Unreadable]:
    """One address per block (async), or one block with a JSON array (sync)."""
    while (place := _block(printed, _IMAGE, start)) >= 0:
        begin = place + len(_IMAGE)
        start = printed.find(b"\n", begin)
        if start < 0 or not printed.startswith(_RULE, start):
            yield Unreadable("an image block has no end")
            start = begin
            continue
        yield from _block_pictures(printed[begin:start].strip())


def _block_pictures(content: bytes) -> Iterator[Picture | Unreadable]:
    if not content.startswith((b"[", b"{")):
        yield _picture(text_of(content), "")
        return
    read = foreign.json_value(content, most=_LONGEST_PICTURE)
    if isinstance(read, Unreadable):
        yield Unreadable(f"an image block cannot be read: {read.why}")
        return
    for item in read if isinstance(read, list) else [read]:
        fields = item if isinstance(item, dict) else {"url": item}
        yield _picture(fields.get("url"), fields.get("prompt"))


def _picture(url: object, prompt: object) -> Picture | Unreadable:
    address = foreign.text(url, most=_LONGEST_PICTURE)
    if isinstance(address, Unreadable) or not address.strip():
        return Unreadable(f"an image has no address, but {foreign.quoted(url)}")
    said = foreign.clipped(prompt, most=_CHUNK)
    return Picture(address.strip(), said if isinstance(said, str) else "")
