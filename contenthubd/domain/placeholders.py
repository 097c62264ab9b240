"""The places of images in an article: names of files for those that were fetched, nothing for those that were lost.

A writer names an image that does not exist yet ``image-placeholder-N``. What is published must not show that word: the
place of a lost image goes, and its alternative text stays where a sentence needs it. Code blocks are left as they are.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final

PLACEHOLDER: Final = re.compile(
    r"(?<![\w-])image[-_]placeholder[-_](\d{1,4})(?:\.(?:png|jpe?g|gif|webp|avif))?(?![\w-])", re.ASCII | re.IGNORECASE
)
_NAME: Final = PLACEHOLDER.pattern
_TEXT: Final = r"\[((?:[^\[\]\\\n]|\\.){0,500})\]"
_TITLE: Final = r"""(?:[ \t]{1,20}(?:"[^"\n]{0,500}"|'[^'\n]{0,500}'|\([^)\n]{0,500}\)))?"""
_LINKED: Final = re.compile(
    rf"!?{_TEXT}\([ \t]{{0,20}}<?[^()<>\s]{{0,40}}{_NAME}>?{_TITLE}[ \t]{{0,20}}\)", re.A | re.I
)
_TAG: Final = re.compile(rf"<img\b[^<>]{{0,1000}}?{_NAME}[^<>]{{0,1000}}>", re.ASCII | re.IGNORECASE)
_ALT: Final = re.compile(r"""\balt[ \t]{0,5}=[ \t]{0,5}(?:"([^"]{0,500})"|'([^']{0,500})')""", re.IGNORECASE)
_DEFINED: Final = re.compile(
    rf" {{0,3}}\[([^\[\]\n]{{1,200}})\]:[ \t]{{0,20}}<?{_NAME}>?{_TITLE}[ \t]{{0,20}}", re.A | re.I
)
_REFERENCE: Final = re.compile(rf"!{_TEXT}(?:\[([^\[\]\n]{{0,200}})\])?(?!\()")
_FENCE: Final = re.compile(r" {0,3}(`{3,}|~{3,})")
_DECORATION: Final = " \t\r>*_-"


def placed(body: str, names: Mapping[int, str]) -> str:
    """The article with the images ``names`` (by position) in their places, and no trace of the others."""
    if not PLACEHOLDER.search(body):
        return body
    lines = list(_lines(body))
    lost = frozenset(
        found[1].casefold()
        for line, is_code in lines
        if not is_code and (found := _DEFINED.fullmatch(line.rstrip("\r"))) and int(found[2]) not in names
    )
    return "\n".join(
        _placed_line(line, is_code, names, lost) for line, is_code in lines if _stays(line, is_code, names)
    )


def positions(body: str) -> frozenset[int]:
    """Which images the article names outside of code."""
    return frozenset(
        int(found[1]) for line, is_code in _lines(body) if not is_code for found in PLACEHOLDER.finditer(line)
    )


def _lines(body: str) -> Iterator[tuple[str, bool]]:
    """Each line, and whether it is code or its fence."""
    fence = ""
    for line in body.split("\n"):
        found = _FENCE.match(line)
        if fence:
            closes = found is not None and found[1].startswith(fence) and not line.strip().strip(fence[0])
            yield line, True
            fence = "" if closes else fence
        else:
            fence = found[1] if found else ""
            yield line, bool(fence)


def _stays(line: str, is_code: bool, names: Mapping[int, str]) -> bool:
    """A line that is nothing but the place of a lost image goes as a whole."""
    if is_code:
        return True
    bare = line.strip(_DECORATION)
    for pattern, group in ((_LINKED, 2), (_TAG, 1), (PLACEHOLDER, 1), (_DEFINED, 2)):
        found = pattern.fullmatch(bare)
        if found:
            return int(found[group]) in names
    return True


def _placed_line(line: str, is_code: bool, names: Mapping[int, str], lost: frozenset[str]) -> str:
    if is_code:
        return line
    if lost:
        line = _REFERENCE.sub(lambda found: _referred(found, lost), line)
    if not PLACEHOLDER.search(line):
        return line
    line = _LINKED.sub(lambda found: _named(found, names, found[2], found[1]), line)
    line = _TAG.sub(lambda found: _named(found, names, found[1], _alternative(found[0])), line)
    return PLACEHOLDER.sub(lambda found: names.get(int(found[1]), ""), line)


def _named(found: re.Match[str], names: Mapping[int, str], number: str, instead: str) -> str:
    """An image, a link or a tag with its file's name; only its text where there is no file."""
    name = names.get(int(number))
    return instead if name is None else PLACEHOLDER.sub(name, found[0])


def _referred(found: re.Match[str], lost: frozenset[str]) -> str:
    return found[1] if (found[2] or found[1]).casefold() in lost else found[0]


def _alternative(tag: str) -> str:
    found = _ALT.search(tag)
    return (found[1] or found[2] or "") if found else ""
