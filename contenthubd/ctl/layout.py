"""How text fits a terminal: widths in columns, cells that are cut, sentences that are wrapped, tables that shrink.

Text is cut and wrapped between grapheme clusters, which is what a reader takes for one character: a family emoji, a
flag, a letter with its accents. ``wcwidth`` knows them; it is loaded only for texts beyond ASCII and plain Chinese,
Japanese and Korean, since loading it takes longer than the rest of the command.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

ELLIPSIS = "…"
GAP = 2
NARROWEST_TEXT = 20
"""Where less is left beside a label, the text goes below it."""
_PLAIN = re.compile(
    r"[\x20-\x7e\u00a1-\u00ac\u00ae-\u024f\u2010-\u2027\u3000-\u3029\u3031-\u303e\u3041-\u3096\u309b-\u30ff"
    r"\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3\uff01-\uff60]*"
)
_FIRST_WIDE = "\u2e80"
_EVERY_ARTICLE = "/index.md"
"""What every published article ends with: where room is short, the folder tells more."""
_NOT_FIRST = frozenset(
    "\u3001\u3002\uff0c\uff0e\uff1a\uff1b\uff01\uff1f\uff09\u3011\u300b\u300d\u300f\u3009\u3015\u2026\u2014,.:;!?)]}%"
)
_COMMAND = re.compile(r"\(?`?(?:contenthubctl|systemctl|sudo)(?: (?!&&)[^\s;]+)+")
_TEXTS = frozenset({"TOPIC", "TITLE", "WHY", "RESULT", "LOCATION", "VALUE", "ORIGIN"})
_TOPICS = frozenset({"TOPIC", "TITLE"})
"""Texts that are known already: they make room for those that are news."""
_EXACT = ("CRON", "NEXT", "AT", "DUE", "CREATED", "FINISHED", "STATE", "TASK")
"""Of a time, a state, an id or a cron expression no part may be missing: the column goes before it is cut."""
_NEWS = frozenset({"WHY", "RESULT"})
_SPARED_FOR_NEWS = frozenset({"CREATED"})
READABLE = 36
"""Columns that a reason needs to tell something, "Request failed with status code 400" for one; the time of creation
makes room for it, then known texts do."""
NARROWEST_TOPIC = 10
ROOMY = 60
"""On a narrower terminal nothing is readable anyway, and columns go as they come."""
_FIRST_TO_GO = ("BATCH", "MODE", "PRIORITY", "TRIES", "RUNS", "ORIGIN", "LOCATION", "CHARS", "TIME ZONE")


def width(text: str) -> int:
    """Columns on a terminal: Chinese, Japanese, Korean and emoji take two, combining marks none."""
    if text.isascii():
        return len(text)
    if _PLAIN.fullmatch(text):
        return len(text) + sum(char >= _FIRST_WIDE for char in text)
    return sum(map(_cluster_width, clusters(text)))


def clusters(text: str) -> Iterable[str]:
    """What a reader takes for single characters."""
    if _PLAIN.fullmatch(text):
        return text
    from wcwidth import iter_graphemes  # see above

    return iter_graphemes(text)


def _cluster_width(cluster: str) -> int:
    if _PLAIN.fullmatch(cluster):
        return 1 + (cluster >= _FIRST_WIDE)
    from wcwidth import wcswidth  # see above

    return max(0, wcswidth(cluster))


def cut(text: str, room: int) -> str:
    """At most ``room`` columns; what was cut off shows as an ellipsis."""
    if width(text) <= room:
        return text
    kept, used = [], 1
    for cluster in clusters(text):
        used += _cluster_width(cluster)
        if used > room:
            break
        kept.append(cluster)
    return "".join(kept) + ELLIPSIS if room > 0 else ""


def cut_front(text: str, room: int) -> str:
    """At most ``room`` columns of the end, which is what differs between paths."""
    if width(text) <= room:
        return text
    kept, used = [], 1
    for cluster in reversed(list(clusters(text))):
        used += _cluster_width(cluster)
        if used > room:
            break
        kept.append(cluster)
    return ELLIPSIS + "".join(reversed(kept)) if room > 0 else ""


def fitted(text: str, room: int) -> str:
    """A cell: of a path or an address the end, of everything else the beginning."""
    if width(text) <= room or not _whole(text) or " " in text:
        return cut(text, room)
    return cut_front(text.removesuffix(_EVERY_ARTICLE), room)


def wrap(text: str, room: int | None) -> list[str]:
    """Lines of at most ``room`` columns (None: no limit), broken at words; a path or an address stays whole."""
    lines = text.split("\n")
    if room is None:
        return lines
    return [part for line in lines for part in ([line] if width(line) <= room else _filled(line, max(room, 2)))]


def hang(text: str, room: int | None) -> str:
    """Lines that are wrapped, with what follows indented below the words of the first."""
    told = []
    for line in text.split("\n"):
        lead = re.match(r" *(?:- |why: |fix: )?", line)
        indent = " " * (len(lead[0]) if lead else 0)
        first, *rest = wrap(line[len(indent) :], None if room is None else room - len(indent))
        told += [line[: len(indent)] + first, *(indent + part for part in rest)]
    return "\n".join(told)


def _filled(line: str, room: int) -> list[str]:
    lines: list[str] = []
    now = ""
    for gap, word in _words(line, room):
        if now and width(now + gap + word) <= room:
            now += gap + word
            continue
        if now:
            lines.append(now)
        now = word
        if width(word) > room and not _whole(word):
            *full, now = _broken(word, room)
            lines += full
    return [*lines, now]


def _words(line: str, room: int) -> Iterable[tuple[str, str]]:
    """What may stand at the end of a line, each with what goes before it: a command to be pasted is one, if it fits."""
    start = 0
    for command in _COMMAND.finditer(line):
        if width(command[0]) > room:
            continue
        yield from _single_words(line[start : command.start()])
        yield " " if line[: command.start()].endswith(" ") else "", command[0]
        start = command.end()
    yield from _single_words(line[start:])


def _single_words(text: str) -> Iterable[tuple[str, str]]:
    gap = ""
    for number, word in enumerate(text.split(" ")):
        gap += " " if number else ""
        if not word:
            continue
        for part in [word] if word.isascii() or _whole(word) else _breakable(word):
            yield gap, part
            gap = ""


def _breakable(word: str) -> Iterable[str]:
    """Wide characters may be parted from each other, but none begins a line that closes a sentence or a bracket."""
    part = ""
    for cluster in clusters(word):
        wide = _cluster_width(cluster) == 2
        if part and cluster not in _NOT_FIRST and (wide or part[-1] >= _FIRST_WIDE):
            yield part
            part = ""
        part += cluster
    yield part


def _whole(word: str) -> bool:
    return word.startswith(("/", "~/", "./")) or "://" in word


def _broken(word: str, room: int) -> list[str]:
    lines, now = [], ""
    for cluster in clusters(word):
        if now and width(now) + _cluster_width(cluster) > room:
            lines.append(now)
            now = ""
        now += cluster
    return [*lines, now]


def table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], room: int | None, *, headed: bool
) -> tuple[list[int], list[int]]:
    """Which columns are shown (their numbers) and how wide each is, so that a line fits into ``room`` (None: no limit).

    Topics shrink first, then all texts, the widest first, down to a third of the room; then everything that is wider
    than its heading by much; then columns go, the least telling first. The first one stays.
    """
    heads = [width(name) if headed else 0 for name in columns]
    widths = [max([heads[i], *(width(row[i]) for row in rows)]) for i in range(len(columns))]
    shown = list(range(len(columns)))
    if room is None:
        return shown, widths
    texts = [max(16, head) for head in heads]
    _shrink(widths, [i for i in shown if columns[i] in _TOPICS], texts, room)
    _shrink(widths, [i for i in shown if columns[i] in _TEXTS], texts, room)
    inexact = [i for i in shown[1:] if columns[i].partition(" ")[0] not in _EXACT]
    _shrink(widths, inexact, [max(10, head) for head in heads], room)
    needs = {i: min(_longest_sentence(rows, i), READABLE) for i in shown if columns[i] in _NEWS}
    if any(widths[i] < need for i, need in needs.items()) and room >= ROOMY:
        spare = next((i for i in shown if columns[i].partition(" ")[0] in _SPARED_FOR_NEWS), None)
        if spare is not None:
            return _without(spare, columns, rows, room, headed=headed)
        _lend(widths, needs, [i for i in shown if columns[i] in _TOPICS])
    while len(shown) > 1 and _total(widths, shown) > room:
        shown.remove(_next_to_go(columns, shown))
    widths[0] = min(widths[0], room)
    return shown, widths


def _longest_sentence(rows: Sequence[Sequence[str]], i: int) -> int:
    """Columns of the longest cell that is words: of a path the end tells enough."""
    return max((width(row[i]) for row in rows if " " in row[i] or not _whole(row[i])), default=0)


def _lend(widths: list[int], needs: dict[int, int], topics: Sequence[int]) -> None:
    """Columns of known texts to reasons that would be cut."""
    for i, need in needs.items():
        for topic in topics:
            lent = min(max(need - widths[i], 0), max(widths[topic] - NARROWEST_TOPIC, 0))
            widths[topic] -= lent
            widths[i] += lent


def _without(
    spare: int, columns: Sequence[str], rows: Sequence[Sequence[str]], room: int, *, headed: bool
) -> tuple[list[int], list[int]]:
    """The table without one of its columns, in the numbers of all."""
    rest = [i for i in range(len(columns)) if i != spare]
    shown, widths = table([columns[i] for i in rest], [[row[i] for i in rest] for row in rows], room, headed=headed)
    widths.insert(spare, 0)
    return [rest[i] for i in shown], widths


def _shrink(widths: list[int], which: Sequence[int], floor: Sequence[int], room: int) -> None:
    """Take what is too much from the widest of these columns, again and again, down to the floor."""
    excess = _total(widths, range(len(widths))) - room
    while excess > 0:
        able = [i for i in which if widths[i] > floor[i]]
        if not able:
            return
        widest = max(able, key=widths.__getitem__)
        rivals = [widths[i] for i in able if i != widest]
        step = min(excess, widths[widest] - max([floor[widest], *(one - 1 for one in rivals)]))
        widths[widest] -= max(step, 1)
        excess -= max(step, 1)


def _next_to_go(columns: Sequence[str], shown: Sequence[int]) -> int:
    named = [i for name in _FIRST_TO_GO for i in shown[1:] if columns[i] == name]
    return named[0] if named else shown[-1]


def _total(widths: Sequence[int], shown: Iterable[int]) -> int:
    told = [widths[i] for i in shown]
    return sum(told) + GAP * (len(told) - 1)
