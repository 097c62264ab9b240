"""An answer that as a whole has another form than an article: quoted, indented, HTML, JSON, a refusal.

A quote and an indent around everything are taken off; the others are told, for a person to decide. Linear in the text.
"""

import re
from itertools import islice
from typing import Final

from contenthubd.domain.code import Code, code_is_open
from contenthubd.domain.refusals import refuses

LEAST_LINES: Final = 2
"""One quoted line may be all an article has to say."""
MOST_FORM_CHARS: Final = 3_000
MOST_ERROR_CHARS: Final = 1_000
_QUOTED: Final = re.compile(r" {0,3}>[ \t]?")
_INDENTED: Final = re.compile(r"(?: {4}|\t)")
_HTML: Final = re.compile(r"<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE)
_ARRAY: Final = re.compile(
    r"\[\s{0,100}+(?:\{\s{0,100}+\"[^\"\n]{1,100}\"\s{0,9}:|\"(?>(?:[^\"\\\n]|\\.){0,2000})\"\s{0,100}+(?:,\s{0,100}+\"|\]\s{0,100}+\Z))"
)
_WRITTEN_BREAKS: Final = 2
_WRITTEN_BREAK: Final = re.compile(r"(?<!\\)\\n(?:\\n|#{1,6} |[-*] )")
_HEADING: Final = re.compile(r"(?:#{1,6}[ \t][^\n]{0,300}|\*\*[^*\n]{1,300}\*\*[ \t]*|[^\n]{1,300}\n=+[ \t]*)\r?\n")
_ERROR: Final = re.compile(
    r"(?:error|exception|fatal)\b[ \t]{0,3}[:(\[]|(?:http(?:/\d\.\d)?|status(?: code)?)[: ]{1,2}[45]\d\d\b"
    r"|traceback \(most recent|[45]\d\d (?:bad request|unauthorized|forbidden|not found|too many requests"
    r"|internal server|bad gateway|service unavailable|gateway time)"
    r"|(?:internal server error|bad gateway|service unavailable|too many requests|rate limit exceeded)\b"
    r"|(?:错误|错误码|错误代码|请求失败|请求超时|服务繁忙|系统繁忙)[ \t]{0,3}[:：，,。！!]",
    re.IGNORECASE,
)
_MARKUP: Final = "\ufeff \t\r\n#*_>\"“‘'"


def without_margin(text: str) -> tuple[str, str]:
    """The text without the quote or indent that stands before each of its lines, and what it was ("" if neither)."""
    lines = text.split("\n")
    shown = [line for line in lines if line.strip()]
    if len(shown) < LEAST_LINES:
        return text, ""
    for margin, what in ((_QUOTED, "a quote"), (_INDENTED, "an indent")):
        if all(margin.match(line) for line in shown):
            return "\n".join(margin.sub("", line, count=1) for line in lines), what
    return text, ""


def doubt_of(text: str) -> str:
    """Why this is no article although it has words; empty if its form says nothing of the kind."""
    start = text[:MOST_FORM_CHARS].lstrip("\ufeff \t\r\n")
    if _HTML.match(start):
        return "It is an HTML document, not Markdown."
    if _ARRAY.match(start):
        return "It begins like a JSON array."
    if len(text) <= MOST_ERROR_CHARS and _ERROR.match(start):
        return "It begins like an error message."
    if _has_written_breaks(text):
        return "Its line breaks are written as \\n."
    heading = _HEADING.match(start)
    if refuses(start.lstrip(_MARKUP)) or (heading and refuses(start[heading.end() :].lstrip(_MARKUP))):
        return "It begins like a refusal to write the article."
    if code_is_open(text):
        return "Its last code fence is not closed; its end may be missing."
    return ""


def _has_written_breaks(text: str) -> bool:
    """Paragraphs or list items that are parted by two characters instead of a line break, outside of code."""
    if "\\n" not in text:
        return False
    if "\n" not in text.strip():
        return text.count("\\n") >= _WRITTEN_BREAKS
    code = Code(text)
    places = (found for found in _WRITTEN_BREAK.finditer(text) if not code.holds(found.start()))
    return next(islice(places, _WRITTEN_BREAKS - 1, None), None) is not None
