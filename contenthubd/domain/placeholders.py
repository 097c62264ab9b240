"""The places of images in an article: names of files for those that were fetched, nothing for those that were lost.

A writer names an image that does not exist yet ``image-placeholder-N``, or nearly so. What is published must not show
that word: the place of a lost image goes with all markup around it, and its alternative text stays where a sentence
needs it. Markdown that is broken around a place is put right. Code is left as it is.

In running text only the exact word is a place; in a destination, in brackets and on a line of its own other spellings
are, too. Every expression is bounded, so the work is linear in the text.
"""

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from contenthubd.domain.code import Code

MAX_POSITION: Final = 9_999
_ANY: Final = re.compile(r"place[ _-]?holder|占位|佔位", re.IGNORECASE)
_SEPARATOR: Final = r"(?>(?:[ \t_.:#\u2010-\u2015\u2212\uff0d\uff3f-]|%2D|%20|%5F){0,3})"
_WORD: Final = (
    rf"(?:(?:image|img|picture){_SEPARATOR}place[ _-]?holder|place[ _-]?holder{_SEPARATOR}(?:image|img|picture)"
    rf"|(?:图片|圖片|图像|圖像){_SEPARATOR}(?:占位|佔位)[符图圖]?)"
)
_EXTENSION: Final = r"(?:\.(?:png|jpe?g|gif|webp|avif|svg))?"
_EXACT: Final = (
    rf"(?<![A-Za-z0-9_/-])(?:\./)?image[-_]placeholder[-_](?P<number>\d{{1,20}}+){_EXTENSION}(?![A-Za-z0-9_-])"
)
_NEARLY: Final = (
    r"(?:(?:image|img|picture|图片?|圖片?)[ \t]{0,2}[:：][ \t]{0,2})?"
    rf"(?<![A-Za-z0-9]){_WORD}{_SEPARATOR}(?P<number>\d{{1,20}}+){_EXTENSION}(?![A-Za-z0-9_-])"
)
_DESTINATION: Final = (
    rf"(?P<way>(?:\./)?)(?P<name>(?:[^()<>\s（）\"']{{0,500}}?(?<![\w-]))?{_WORD}(?:{_SEPARATOR}(?P<number>\d{{1,20}}+))?"
    r"(?P<tail>[^()<>\s（）\"']{0,500}+))"
)
_LINE_BREAK: Final = r"\r?\n(?![ \t\r>]{0,20}\n)"
_TEXT: Final = rf"\[(?P<text>(?>(?:[^\[\]\\\r\n]|\\.|{_LINE_BREAK}|\[[^\[\]]{{0,300}}\]){{0,2000}}))\]"
_TITLE: Final = r"""(?:\s{1,20}(?:"[^"]{0,500}"|'[^']{0,500}'|\([^)\n]{0,500}\)))?"""
_ATTRIBUTES: Final = r"(?:\{[^{}\n]{0,200}\})?"
_LINKED: Final = re.compile(
    rf"(?P<mark>(?:\\?[!！])?){_TEXT}(?P<gap>[ \t]{{0,3}}(?:\r?\n)?\\?)(?P<open>[(（])\s{{0,20}}<?{_DESTINATION}>?"
    rf"(?:(?P<close>{_TITLE}\s{{0,20}}\))|[ \t]{{0,20}}[^()（）\n]{{0,300}}[)）])?{_ATTRIBUTES}",
    re.IGNORECASE,
)
_DESCRIBED: Final = r"(?:[ \t]{0,3}[:：|,，—–-]{1,2}[ \t]{0,3}(?P<text>[^\[\]【】{}<>()（）\n]{0,300}?))?[ \t\r]{0,3}"
_LABELLED: Final = (
    re.compile(rf"[!！]\[(?P<text>[^\[\]\n]{{0,300}})\]\[[ \t]{{0,3}}{_NEARLY}[ \t]{{0,3}}\]", re.IGNORECASE),
    re.compile(rf"[!！]?\[\[[ \t]{{0,3}}{_NEARLY}[ \t]{{0,3}}(?:[|\uff5c][^\[\]\n]{{0,200}})?\]\]", re.IGNORECASE),
    re.compile(
        rf"[!！]?\[[ \t]{{0,3}}{_NEARLY}{_DESCRIBED}\]"
        r"(?:\([^()\n]{0,500}\)|\[[^\[\]\n]{0,200}\])?",
        re.IGNORECASE,
    ),
    re.compile(rf"<!--[ \t]{{0,3}}{_NEARLY}{_DESCRIBED}-->", re.IGNORECASE),
    re.compile(rf"[【{{<]{{1,3}}%?[ \t]{{0,3}}{_NEARLY}{_DESCRIBED}%?[】}}>]{{1,3}}", re.IGNORECASE),
    re.compile(rf"(?:^[ \t>*_~+(（-]{{0,20}}+)(?P<label>{_NEARLY}{_DESCRIBED})[ \t*_~)）.。]{{0,20}}\r?$", re.I | re.M),
    re.compile(rf"^ {{0,3}}#{{1,6}}[ \t]{{1,20}}(?P<label>{_NEARLY})[ \t#]{{0,20}}\r?$", re.I | re.M),
    re.compile(_EXACT, re.IGNORECASE),
)
_ALL: Final = re.compile(rf"[\s\[\]({{<【（]{{0,9}}{_NEARLY}[\s\[\])}}>】）.]{{0,9}}", re.IGNORECASE)
_TAG: Final = re.compile(
    r"<(?:img|source|image|amp-img|embed)\b(?>(?:[^<>\"']|\"[^\"<]{0,1000}\"|'[^'<]{0,1000}'|[\"']){0,1000})(?:>|(?=<|\Z))",
    re.IGNORECASE,
)
_SHORTCODE: Final = re.compile(r"\{\{[<%][^{}]{0,1000}[%>]\}\}|\{%[^{}]{0,1000}%\}")
_ARGUMENT: Final = re.compile(rf"[\s\"'=]{_DESTINATION}", re.IGNORECASE)
_SOURCE: Final = re.compile(rf"\b(?:srcset|src|href)\s{{0,5}}=\s{{0,5}}[\"']?{_DESTINATION}", re.IGNORECASE)
_ALT: Final = re.compile(r"""\balt\s{0,5}=\s{0,5}(?:"([^"]{0,1000})"|'([^']{0,1000})')""", re.IGNORECASE)
_FIGURE: Final = re.compile(
    r"<(figure|picture)\b[^<>]{0,500}+>(?>(?:[^<]|<(?!/?\1)){0,3000})</\1\s{0,5}>", re.IGNORECASE
)
_PICTURE: Final = re.compile(r"<img\b|!\[|<source\b", re.IGNORECASE)
_DEFINED: Final = re.compile(
    rf"^[ \t>]{{0,20}}\[(?P<label>[^\[\]\n]{{1,200}})\]:[ \t]{{0,20}}(?:\r?\n[ \t>]{{0,20}})?<?{_DESTINATION}>?{_TITLE}"
    r"[ \t]{0,20}\r?$",
    re.IGNORECASE | re.MULTILINE,
)
_REFERENCE: Final = re.compile(rf"!?{_TEXT}(?:\[(?P<label>[^\[\]\n]{{0,200}})\])?(?![(:（])")
_INSIDE_TAG: Final = re.compile(r"(?:<[a-z/!][^<>]{0,300}|\]\([^()\n]{0,300})\Z", re.IGNORECASE)
_WRAPPED: Final = re.compile(r"<(p|div|center|figure)\b[^<>]{0,250}>\s{0,20}\Z", re.IGNORECASE)
_PAIRS: Final = {**dict(zip("*_~([{（【「“‘《", "*_~)]}）】」”’》", strict=True)), '"': '"', "'": "'"}
_NOTHING: Final = re.compile(
    r"(?>(?:[ \t\r>*_#~+-]|\d{1,9}[.)](?=\s|$)|\\(?=\r?$)|&nbsp;"
    r"|</?(?:p|div|center|span|b|i|em|strong|u|br|small|font|figure|section)\b[^<>]{0,300}>)*)",
    re.IGNORECASE,
)
_UNDERLINE: Final = re.compile(r" {0,3}(?:=+|-+)[ \t\r]*")


@dataclass(frozen=True, slots=True)
class _Place:
    """Where an image is named: what goes if it is lost, and what is written instead of which part if it is not."""

    start: int
    end: int
    number: int | None
    text: str = ""
    is_link: bool = False
    """Whether other images may be named in its text."""
    name: tuple[int, int] | None = None
    """The part that is the file's name; None: the whole becomes an image."""


@dataclass(frozen=True, slots=True)
class Named:
    """Which images an article names outside of code, and how many places have no number that an image can have."""

    positions: frozenset[int]
    without_number: int


def named(body: str) -> Named:
    """The images that the article names."""
    if not _ANY.search(body):
        return Named(frozenset(), 0)
    places = list(_found(body, Code(body)))
    inner = [named(place.text) for place in places if place.is_link]
    numbers = frozenset(place.number for place in places if place.number)
    count = sum(not place.number for place in places)
    return Named(numbers.union(*(one.positions for one in inner)), count + sum(one.without_number for one in inner))


def positions(body: str) -> frozenset[int]:
    """The numbers of the images that the article names outside of code."""
    return named(body).positions


def without_places(text: str) -> str:
    """A text without markup, without the places in it: the exact word, or another spelling that is all there is."""
    if not _ANY.search(text):
        return text
    return "" if _ALL.fullmatch(text) else _LABELLED[-1].sub("", text)


def placed(body: str, names: Mapping[int, str]) -> str:
    """The article with the images ``names`` (by position) in their places, and no trace of the others."""
    code = Code(body) if _ANY.search(body) else None
    places = list(_found(body, code)) if code else []
    if not code or not places:
        return body
    kept = [place for place in places if place.number in names]
    lost = [*_lost(body, [place for place in places if place.number not in names], kept)]
    lost = sorted([*lost, *_references(body, code, lost, places)], key=lambda place: place.start)
    came = (change for place in kept for change in _put(body, place, names))
    return _written(body, [*_gone(body, lost, kept, names), *came])


# ------------------------------------------------------------------------------------------------------ where they are


def _found(body: str, code: Code) -> Iterator[_Place]:
    """All places in their order; of those that overlap, the one found by the expression that knows more."""
    taken: list[_Place] = []
    for finder in (_tags, _shortcodes, _definitions, _links, _labels):
        taken = sorted([*taken, *_free(finder(body, code), taken)], key=lambda place: place.start)
    yield from taken


def _free(places: Iterable[_Place], taken: list[_Place]) -> Iterator[_Place]:
    """Those that do not overlap with one that was taken before, nor with one another."""
    spans = iter([*((place.start, place.end) for place in taken), (1 << 62, 1 << 62)])
    start, end = next(spans)
    last = 0
    for place in sorted(places, key=lambda place: (place.start, -place.end)):
        while end <= place.start:
            start, end = next(spans)
        if place.end <= start and place.start >= last:
            last = place.end
            yield place


def _number(found: re.Match[str]) -> int | None:
    """Which image a match names; None if no image can have that number."""
    tail = found.groupdict().get("tail") or ""
    number = int(found["number"]) if found["number"] and not tail[:1].isalnum() else 0
    return number if 0 < number <= MAX_POSITION else None


def _links(body: str, code: Code) -> Iterator[_Place]:
    for found in _LINKED.finditer(body):
        is_url = "://" in found["name"] and not found["mark"]
        if is_url or code.holds(found.start()) or code.holds(found.start("name")):
            continue
        whole = found["open"] == "(" and found["close"] and not found["gap"] and found["mark"] in ("", "!")
        name = found.span("name") if whole else None
        yield _Place(found.start(), found.end(), _number(found), found["text"], not found["mark"], name)


def _definitions(body: str, code: Code) -> Iterator[_Place]:
    for found in _DEFINED.finditer(body):
        if not code.holds(found.start("name")):
            yield _Place(found.start(), found.end(), _number(found), name=found.span("name"))


def _tags(body: str, code: Code) -> Iterator[_Place]:
    for found in _TAG.finditer(body):
        source = _SOURCE.search(body, found.start(), found.end())
        if source and not code.holds(found.start()):
            alt = _ALT.search(found[0])
            text = (alt[1] or alt[2] or "") if alt else ""
            yield _Place(found.start(), found.end(), _number(source), text, name=source.span("name"))


def _shortcodes(body: str, code: Code) -> Iterator[_Place]:
    """What site generators put in the place of a call such as ``{{< figure src="…" >}}``."""
    for found in _SHORTCODE.finditer(body) if "{{" in body or "{%" in body else ():
        source = _ARGUMENT.search(body, found.start(), found.end())
        called = source and body[found.start() + len("{%") : source.start()].strip(" \t\n<%-")
        if source and called and not code.holds(found.start()):
            yield _Place(found.start(), found.end(), _number(source), name=source.span("name"))


def _labels(body: str, code: Code) -> Iterator[_Place]:
    """Places that are no destination: in brackets, alone on a line, in running text."""
    for expression in _LABELLED:
        for found in expression.finditer(body):
            groups = found.groupdict()
            start, end = found.span("label" if "label" in groups else 0)
            if code.holds(found.start("number")):
                continue
            inside = bool(_INSIDE_TAG.search(body, max(start - 320, 0), start))
            if inside:
                yield _Place(start, end, _number(found), name=(start, end))
            else:
                start, end = _with_pairs(body, start, end)
                yield _Place(start, end, _number(found), (groups.get("text") or "").strip())


def _with_pairs(body: str, start: int, end: int) -> tuple[int, int]:
    """The span with the brackets, quotes and emphasis that enclose nothing else."""
    for _ in range(6):
        if not start > 0 or end >= len(body) or _PAIRS.get(body[start - 1]) != body[end]:
            break
        start, end = start - 1, end + 1
    return start, end


# ------------------------------------------------------------------------------------------------- what becomes of them


def _put(body: str, place: _Place, names: Mapping[int, str]) -> Iterator[tuple[int, int, str]]:
    """What is written where an image came."""
    name, text = names[place.number or 0], _text(place, names)
    if not place.name:
        yield place.start, place.end, f"{'' if place.is_link else '!'}[{text}]({name})"
        return
    if place.is_link and text != place.text:
        yield place.start + 1, place.start + 1 + len(place.text), text
    yield *place.name, name


def _text(place: _Place, names: Mapping[int, str]) -> str:
    """The text of a place: the images that are named in a link take theirs, those in an alternative text go."""
    if not _ANY.search(place.text):
        return place.text
    if place.is_link:
        return placed(place.text, names)
    return without_places(_LINKED.sub(lambda found: found["text"], place.text))


def _lost(body: str, lost: list[_Place], kept: list[_Place]) -> Iterator[_Place]:
    """The places of lost images; a figure, a paragraph or a division that holds nothing else is one place."""
    figures = []
    starts, others = [place.start for place in lost], [place.start for place in kept]
    for found in _FIGURE.finditer(body):
        first, last = (bisect_left(starts, place) for place in found.span())
        alone = first < last and bisect_left(others, found.start()) == bisect_left(others, found.end())
        if alone and len(_PICTURE.findall(found[0])) <= last - first:
            text = lost[last - 1].text if found[1].lower() == "picture" else ""
            figures.append(_Place(found.start(), found.end(), None, text))
    for place in (*figures, *_free(lost, figures)):
        yield _with_wrapping(body, place)


def _with_wrapping(body: str, place: _Place) -> _Place:
    for _ in range(3):
        opening = _WRAPPED.search(body, max(place.start - 300, 0), place.start)
        closing = re.compile(rf"\s{{0,20}}</{opening[1]}\s{{0,5}}>", re.I).match(body, place.end) if opening else None
        if not opening or not closing:
            break
        place = replace(place, start=opening.start(), end=closing.end(), text="")
    return place


def _references(body: str, code: Code, lost: list[_Place], taken: list[_Place]) -> Iterator[_Place]:
    """Images and links that refer to the definition of a lost image."""
    definitions = (_DEFINED.fullmatch(body, place.start, place.end) for place in lost)
    labels = {_label(found["label"]) for found in definitions if found}
    if labels:
        places = (
            _Place(found.start(), found.end(), None, found["text"])
            for found in _REFERENCE.finditer(body)
            if _label(found["label"] or found["text"]) in labels and not code.holds(found.start())
        )
        yield from _free(places, sorted([*taken, *lost], key=lambda place: place.start))


def _label(text: str) -> str:
    return " ".join(text.casefold().split())


def _gone(
    body: str, lost: list[_Place], kept: list[_Place], names: Mapping[int, str]
) -> Iterator[tuple[int, int, str]]:
    """What is written instead of lost places: their texts, and nothing where no other text is on their lines."""
    others = [place.start for place in kept]
    for first, last, places in _by_lines(body, lost):
        if bisect_left(others, first) != bisect_left(others, last) or not _is_bare(body, first, last, places):
            yield from ((place.start, place.end, _text(place, names)) for place in places)
        else:
            yield _removed(body, first, last)


def _by_lines(body: str, places: list[_Place]) -> list[tuple[int, int, list[_Place]]]:
    """The places that share lines, and where these lines begin and end."""
    groups: list[tuple[int, int, list[_Place]]] = []
    for place in places:
        shared = bool(groups) and place.start <= groups[-1][1]
        first, last, members = groups.pop() if shared else (body.rfind("\n", 0, place.start) + 1, -1, [])
        if place.end > last:
            last = body.find("\n", place.end)
            last = len(body) if last < 0 else last
        members.append(place)
        groups.append((first, last, members))
    return groups


def _is_bare(body: str, first: int, last: int, places: list[_Place]) -> bool:
    """Whether nothing but decoration is left of the lines without the places."""
    rest, end = [], first
    for place in places:
        rest.append(body[end : place.start])
        end = place.end
    return bool(_NOTHING.fullmatch("".join([*rest, body[end:last]])))


def _removed(body: str, first: int, last: int) -> tuple[int, int, str]:
    """Whole lines; the underline of a heading that is gone goes, too."""
    after = body.find("\n", last + 1)
    after = len(body) if after < 0 else after
    before = body[max(body.rfind("\n", 0, max(first - 1, 0)), 0) : first].strip()
    if last < len(body) and not before and _UNDERLINE.fullmatch(body, last + 1, after) and body[last + 1 : after]:
        last = after
    if last < len(body):
        return first, last + 1, ""
    return max(first - 1, 0), last, ""


def _written(body: str, changes: list[tuple[int, int, str]]) -> str:
    parts, end = [], 0
    for start, stop, text in sorted(changes):
        if start >= end or not text:
            parts.append(body[end : max(start, end)])
            parts.append(text)
            end = max(stop, end)
    return "".join([*parts, body[end:]])
