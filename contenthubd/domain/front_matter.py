"""Front matter that an article brings along: recognised by the form of its lines, taken off, never merged.

A reader of YAML or TOML is not asked about the whole block: what was written by a language model is often neither, and
such readers are neither linear nor bounded. Of all fields only the title is of use, and only where no heading is there.
"""

import json
import re
import tomllib
from dataclasses import dataclass
from typing import Final

import yaml

MAX_CHARS: Final = 16_384
MAX_VALUE_CHARS: Final = 400
_OPENING: Final = re.compile(r"(-{3,20}|\+\+\+)[ \t]*\r?\n")
_NAMES: Final = frozenset(
    re.findall(
        r"\w+",
        "title date tags tag categories category author authors description summary keywords slug draft layout"
        " permalink subtitle excerpt lang language image images cover url aliases weight published updated lastmod"
        " publishdate type 标题 日期 标签 作者 分类 关键词 摘要 描述",
    )
)
"""Fields of which one at least makes a block of fields front matter."""
_FIELD: Final = {
    "---": re.compile(r"[\"']?([\w][\w -]{0,40}?)[\"']?[ \t]*(?::(?:[ \t]+|$)|：[ \t]*)(.*)"),
    "+++": re.compile(r"[\"']?([\w][\w.-]{0,40}?)[\"']?[ \t]*=[ \t]*(.*)"),
}
_MORE: Final = {
    "---": re.compile(r"[ \t]+\S.*|-[ \t].*|#.*|[\]}],?|"),
    "+++": re.compile(r"[ \t]+\S.*|#.*|\[.*|\].*|\"\"\".*|"),
}
MAX_BARE_FIELDS: Final = 20
_LABELLED: Final = re.compile(r"[*_]{0,3}(\w[\w ]{0,30}?)[*_]{0,3}[ \t]{0,3}[:：][*_]{0,3}(?:[ \t]{0,3}(.{1,1000}))?")
_OF_MACHINES: Final = frozenset(
    re.findall(
        r"\w+",
        "title tags tag keywords slug description categories category layout excerpt permalink"
        " 标题 关键词 关键字 标签 摘要 描述 元描述",
    )
) | {"meta description", "meta title", "seo title", "seo description", "focus keyword", "focus keywords"}
"""Fields that are meant for programs; a date or an author may stand under any article."""
_GAP: Final = re.compile(r"\n[ \t]*\r?\n\s{0,20}")
_HEADING: Final = re.compile(r" {0,3}#{1,2}[ \t]+\S|[^\n]{1,300}\n {0,3}=+[ \t]*(?:\r?\n|\Z)")
_BODIES: Final = frozenset(["content", "article", "body", "markdown", "text", "正文", "内容", "文章"])
"""Fields that hold an article."""
_JSON_FENCE: Final = re.compile(r"```(?:json)?[ \t]{0,9}\r?\n", re.IGNORECASE)
_SCALARS: Final = (str, int, float)


@dataclass(frozen=True, slots=True)
class Front:
    """What was found before the article: the text without it, its title (or ""), and a doubt in words (or "")."""

    rest: str
    removed: str = ""
    title: str = ""
    doubt: str = ""


def without_front_matter(text: str) -> Front:
    """Take front matter off the beginning of a text that has no white space before it."""
    if text.startswith("{"):
        return _json(text)
    opening = _OPENING.match(text)
    return _fenced(text, opening) if opening else _bare(text)


def _fenced(text: str, opening: re.Match[str]) -> Front:
    line_of, mark = opening[1], opening[1][:3]
    known, title, place, closed = False, "", opening.end(), False
    fields = 0
    while place < min(len(text), MAX_CHARS) and not closed:
        end = text.find("\n", place) + 1 or len(text)
        line = text[place:end].rstrip()
        field = _FIELD[mark].fullmatch(line) if len(line) <= MAX_VALUE_CHARS * 4 else None
        closed = line == line_of or (mark == "---" and line == "..." and fields > 0)
        if not closed and not field and not ((fields or not line) and _MORE[mark].fullmatch(line)):
            break
        if field:
            fields += 1
            known = known or field[1].lower() in _NAMES
            title = title or (_title(mark, field[2] or "") if field[1].lower() in ("title", "标题") else "")
        place = end
    if not fields:
        return Front(text)
    if closed and known:
        return Front(text[place:], text[:place], title)
    if closed:
        return Front(text, doubt="It begins with what may be front matter of its own.")
    return _unclosed(text, opening, title) if known else Front(text)


def _bare(text: str) -> Front:
    """Fields without any line around them, before a heading: several are front matter, a single one is a doubt."""
    end = _GAP.search(text, 0, MAX_CHARS)
    fields = [_LABELLED.fullmatch(line.strip()) for line in text[: end.start()].splitlines()] if end else []
    if not end or not fields or len(fields) > MAX_BARE_FIELDS or not all(fields):
        return Front(text)
    named = {found[1].lower(): found[2] or "" for found in fields if found}
    title = named.get("title") or named.get("标题") or ""
    if not named.keys() & _OF_MACHINES or not (_HEADING.match(text, end.end()) or (title and len(fields) == 1)):
        return Front(text)
    if len(fields) == 1:
        return Front(text, doubt="It begins with what may be front matter of its own.")
    return Front(text[end.end() :], text[: end.end()], title[:MAX_VALUE_CHARS])


def _unclosed(text: str, opening: re.Match[str], title: str) -> Front:
    """Front matter that never ends is taken off up to the first blank line."""
    doubt = "It begins with front matter of its own that is not closed."
    end = _GAP.search(text, opening.end(), MAX_CHARS)
    return Front(text[end.end() :], text[: end.end()], title, doubt) if end else Front(text, doubt=doubt)


def _json(text: str) -> Front:
    """One JSON object before an article; an object that is all there is, or that cannot be read, is a doubt."""
    end = text.find("\n}", 0, MAX_CHARS)
    try:
        fields, end = json.JSONDecoder().raw_decode(text[: end + 2] if end > 0 else text[:MAX_CHARS])
    except (ValueError, RecursionError):
        return Front(text, doubt="It begins like a JSON object.") if re.match(r"\{\s*\"", text) else Front(text)
    if not isinstance(fields, dict) or not fields:
        return Front(text)
    if not text[end:].strip():
        return Front(text, doubt="It is a JSON object, not Markdown.")
    if not {str(name).lower() for name in fields} & _NAMES:
        return Front(text, doubt="It begins with a JSON object.")
    title = fields.get("title")
    return Front(text[end:], text[:end], str(title)[:MAX_VALUE_CHARS] if isinstance(title, _SCALARS) else "")


def article_in(text: str) -> tuple[str, str] | None:
    """The article and its title in a JSON object that is all there is, perhaps fenced; None if that is not certain."""
    bare = text.strip()
    fence = _JSON_FENCE.match(bare)
    if fence and bare.endswith("```"):
        bare = bare[fence.end() : -3].strip()
    if not (bare.startswith("{") and bare.endswith("}")):
        return None
    try:
        fields = json.loads(bare, strict=False)
    except (ValueError, RecursionError):
        return None
    bodies = [name for name in fields if name.lower() in _BODIES and isinstance(fields[name], str)]
    others = {name.lower() for name in fields} - _BODIES - _NAMES
    if len(bodies) != 1 or others or not fields[bodies[0]].strip():
        return None
    title = fields.get("title", fields.get("标题"))
    return fields[bodies[0]], title[:MAX_VALUE_CHARS] if isinstance(title, str) else ""


def _title(mark: str, value: str) -> str:
    """One value, read by the reader of its language; a text that is none stays as it stands."""
    value = value[:MAX_VALUE_CHARS]
    try:
        read = yaml.safe_load(value) if mark == "---" else tomllib.loads(f"title = {value}")["title"]
    except (yaml.YAMLError, ValueError, RecursionError, LookupError):
        return value
    return read if isinstance(read, str) else value
