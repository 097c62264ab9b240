"""An answer that as a whole has another form than an article: quoted, indented, HTML, JSON, a refusal.

A quote and an indent around everything are taken off; the others are told, for a person to decide. Linear in the text.
"""

import re
from typing import Final

LEAST_LINES: Final = 2
"""One quoted line may be all an article has to say."""
MOST_REFUSAL_CHARS: Final = 600
_QUOTED: Final = re.compile(r" {0,3}>[ \t]?")
_INDENTED: Final = re.compile(r"(?: {4}|\t)")
_HTML: Final = re.compile(r"<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE)
_ARRAY: Final = re.compile(r"\[\s{0,100}[\[{\"]")
_WRITTEN_BREAKS: Final = 2
_REFUSED_THING: Final = (
    r"(?:with |for )?(?:that|this|the|your|an?|any|such)? ?(?:requested |kind of |type of )?"
    r"(?:request|article|content|topic|piece|post|essay|text|task|story)"
)
_CANNOT: Final = r"(?:can(?:no|')t|can’t|won't|won’t|(?:am |are |'m |’m )?(?:unable|not able)(?: to)?)"
_DO: Final = r"(?:write|create|generate|assist|help|provide|fulfil?l|produce|complete|comply)"
_REFUSAL: Final = re.compile(
    r"(?:i'?m|i’m|i am|we are)? ?(?:very |so |really |truly )?(?:sorr[y]|afraid)\b[^\n]{0,80}?\b" + _CANNOT + r"\b"
    r"|(?:i apologi[sz]e|my apologies|unfortunately),?[^\n]{0,60}? i ?" + _CANNOT + r"\b"
    r"|i " + _CANNOT + r" (?:\w+ ){0,3}?" + _DO + " " + _REFUSED_THING +
    r"|i(?:'m|’m| am) (?:unable|not able) to " + _DO + r"\b"
    r"|as an ai\b|as a (?:large )?language model\b"
    r"|(?:很|非常|十分|实在)?(?:抱歉|对不起|對不起|遗憾|遺憾)[^\n]{0,40}?(?:无法|無法|不能|没办法|沒辦法|不便|不予)"
    r"|我(?:们|們)?(?:无法|無法|不能|没办法|不便)"
    r"(?:为您|为你|為您|帮|协助|提供|撰写|撰寫|生成|创作|完成|满足|回答|继续|讨论)"
    r"|作为(?:一个|一款|一名)?(?:ai|人工智能|大?语言模型|智能助手)",
    re.IGNORECASE,
)  # fmt: skip


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
    beginning = text[:MOST_REFUSAL_CHARS].lstrip("\ufeff \t\r\n#*_>\"“‘'")
    if _HTML.match(text[:MOST_REFUSAL_CHARS].lstrip("\ufeff \t\r\n")):
        return "It is an HTML document, not Markdown."
    if _ARRAY.match(text[:MOST_REFUSAL_CHARS].lstrip("\ufeff \t\r\n")):
        return "It begins like a JSON array."
    if "\n" not in text.strip() and text.count("\\n") >= _WRITTEN_BREAKS:
        return "Its line breaks are written as \\n."
    if _REFUSAL.match(beginning):
        return "It begins like a refusal to write the article."
    return ""
