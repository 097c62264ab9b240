"""Which parts of a Markdown text are code: what a reader sees letter by letter, and nobody may change.

A Markdown parser says which lines are fenced or indented code, also inside quotes and lists. It is given the first
``WINDOW_CHARS`` characters only, which bounds its time; behind them every line that looks like a fence counts as one.
"""

import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from typing import Final

from markdown_it import MarkdownIt

WINDOW_CHARS: Final = 65_536
MAX_ELEMENT_CHARS: Final = 20_000
_LINE_END: Final = re.compile(r"\r\n|\r|\n")
_FENCE: Final = re.compile(r"^[ \t>]{0,40}+(?:(?:[-*+]|\d{1,9}[.)])[ \t]{1,8}+)?(`{3,}+(?=[^`\n]*$)|~{3,}+)(.*)$", re.M)
_PARAGRAPH_END: Final = re.compile(r"\n[ \t\r>]*+\n")
_BACKTICKS: Final = re.compile(r"(\\*+)(`++)")
_ELEMENT: Final = re.compile(r"<(pre|code|kbd|samp|script|style|textarea)\b[^<>]{0,500}+>", re.IGNORECASE)
_BLOCKS: Final = MarkdownIt("commonmark")
_BLOCKS.core.ruler.enableOnly(["normalize", "block"])
_CODE: Final = frozenset({"fence", "code_block"})
_UNREADABLE: Final = (LookupError, RecursionError, ValueError)
"""What a fault of the parser may look like: lines that look like fences are code then."""

Span = tuple[int, int]


class Code:
    """The code of one text, found once."""

    def __init__(self, text: str) -> None:
        spans = [*_blocks_and_inline(text)]
        self._starts, self._ends = _merged(spans)
        self._starts, self._ends = _merged([*spans, *self._elements(text)])

    def holds(self, place: int) -> bool:
        """Whether the character at ``place`` is code."""
        before = bisect_right(self._starts, place) - 1
        return before >= 0 and place < self._ends[before]

    def _elements(self, text: str) -> Iterator[Span]:
        """HTML elements whose text is code. An end tag that was not found once is not looked for again."""
        lowered, absent, end = text.lower() if "<" in text else "", set[str](), 0
        for opening in _ELEMENT.finditer(text):
            tag = f"</{opening[1].lower()}"
            if opening.start() < end or tag in absent or self.holds(opening.start()) or len(lowered) != len(text):
                continue
            closing = lowered.find(tag, opening.end(), opening.end() + MAX_ELEMENT_CHARS)
            if closing < 0:
                absent.add(tag)
            elif not self.holds(closing):
                end = closing + len(tag)
                yield opening.start(), end


def code_is_open(text: str) -> bool:
    """Whether the last fence is never closed, so that all behind it is code."""
    closed = True
    for start, end in _fences(text):
        last = text.rfind("\n", start, end) + 1
        closed = end < len(text) or bool(last > start and _FENCE.match(text, last))
    return not closed


def _merged(spans: list[Span]) -> tuple[list[int], list[int]]:
    """The spans as starts and ends, ascending and without overlap."""
    starts: list[int] = []
    ends: list[int] = []
    for start, end in sorted(spans):
        if ends and start <= ends[-1]:
            ends[-1] = max(ends[-1], end)
        else:
            starts.append(start)
            ends.append(end)
    return starts, ends


def _blocks_and_inline(text: str) -> Iterator[Span]:
    known = text.rfind("\n", 0, WINDOW_CHARS) + 1 or WINDOW_CHARS if len(text) > WINDOW_CHARS else len(text)
    try:
        yield from _parsed(text[:known])
    except _UNREADABLE:
        known = 0
    if known < len(text):
        yield from ((max(start, known), end) for start, end in _fences(text) if end > known)
        ends = [known, *(found.end() for found in _PARAGRAPH_END.finditer(text, known)), len(text)]
        for start, end in pairwise(ends):
            yield from _inline(text, start, end)


def _parsed(window: str) -> list[Span]:
    """Lines of code, and the code within the lines of each paragraph and heading."""
    lines = [0, *(found.end() for found in _LINE_END.finditer(window)), len(window)]
    spans: list[Span] = []
    for token in _BLOCKS.parse(window):
        if token.map is None or token.type not in (*_CODE, "inline"):
            continue
        start, end = (lines[min(line, len(lines) - 1)] for line in token.map)
        spans.extend([(start, end)] if token.type in _CODE else _inline(window, start, end))
    return spans


def _fences(text: str) -> Iterator[Span]:
    """What lies between two lines that look like fences, wherever they stand."""
    opening: re.Match[str] | None = None
    for found in _FENCE.finditer(text):
        if opening is None:
            opening = found
        elif found[1].startswith(opening[1]) and not found[2].strip():
            yield opening.start(), found.end()
            opening = None
    if opening:
        yield opening.start(), len(text)


def _inline(text: str, start: int, end: int) -> Iterator[Span]:
    """Code between two runs of equally many backticks."""
    runs = list(_BACKTICKS.finditer(text, start, end)) if text.find("`", start, end) >= 0 else []
    later: defaultdict[int, list[int]] = defaultdict(list)
    for number in range(len(runs) - 1, -1, -1):
        later[len(runs[number][2])].append(number)
    number = 0
    while number < len(runs):
        escaped = len(runs[number][1]) % 2
        closers = later[len(runs[number][2]) - escaped]
        while closers and closers[-1] <= number:
            closers.pop()
        if closers:
            closer = closers.pop()
            yield runs[number].start(2) + escaped, runs[closer].end()
            number = closer
        number += 1
