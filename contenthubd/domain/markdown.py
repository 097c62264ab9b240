"""What a Markdown parser says about an article: its headings in plain text, and whether there is anything to read.

The parser is not linear on every input, so it is never given a whole article: the structure is read off the first
``WINDOW_CHARS`` characters, each line cut to ``LINE_CHARS``, and the inside of a heading or paragraph off its first
``INLINE_CHARS``. The worst such window takes a fraction of a second.
"""

import html
import re
from collections.abc import Iterator, MutableMapping
from itertools import pairwise
from typing import Any, Final

from markdown_it import MarkdownIt
from markdown_it.token import Token

from contenthubd.domain.placeholders import without_places
from contenthubd.domain.plain import says_something

WINDOW_CHARS: Final = 16_384
LINE_CHARS: Final = 2_000
INLINE_CHARS: Final = 1_000
_LINE: Final = re.compile("[\ufeff\u200b\u200e\u200f\u2060]*+([^\r\n]*+(?:\r\n|\r|\n)?)")
"""One line, without what is invisible before its first character."""
_TAG: Final = re.compile(
    r"<!--.*?(?:-->|\Z)|<(?:script|style)\b.*?(?:</(?:script|style)[^>]*+>|\Z)|<[^<>]*+>", re.DOTALL | re.IGNORECASE
)
_COMMENT: Final = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_H1: Final = re.compile(r"<h1\b[^<>]{0,500}+>((?>(?:[^<]|<(?!/?h1\b)){0,2000}))</h1", re.IGNORECASE)
_FOOTNOTE: Final = re.compile(r" ?\[\^(?!(?:\w-\w){1,9}\])[\w.-]{1,60}\]")
"""Not what a regular expression excludes, as in ``[^a-z]``."""
_ATTRIBUTES: Final = re.compile(r"[ \t]*\{:?[ \t]{0,9}[#.][^{}\n]{0,200}\}[ \t]*\Z")
"""What Hugo, kramdown and Pandoc take for the identifier and the classes of a heading."""
_BLOCKS: Final = MarkdownIt("commonmark")
_BLOCKS.core.ruler.enableOnly(["normalize", "block"])
_INLINE: Final = MarkdownIt("commonmark").enable("strikethrough")
_NOTHING: Final = Token("", "", 0)
_CODE: Final = frozenset({"fence", "code_block"})
_BREAKS: Final = frozenset({"softbreak", "hardbreak"})
_UNREADABLE: Final = (LookupError, RecursionError, ValueError)
"""What a fault of the parser may look like: it costs an article its heading, never its life."""

Definitions = MutableMapping[str, Any]


class Beginning:
    """The first part of an article, parsed once."""

    def __init__(self, article: str) -> None:
        window, self._rest = _window(article)
        self._definitions: Definitions = {}
        self._tokens = _blocks(window, self._definitions)

    def headings(self) -> Iterator[str]:
        """The plain text of each first-level heading, also in HTML, that stands in nothing else; may be empty."""
        for token, inside in pairwise([*self._tokens, _NOTHING]):
            if token.type == "heading_open" and token.tag == "h1" and token.level == 0:
                yield _plain(_ATTRIBUTES.sub("", inside.content[:INLINE_CHARS]), self._definitions)
            elif token.type == "html_block" and token.level == 0:
                yield from (html.unescape(_TAG.sub("", text)) for text in _H1.findall(_COMMENT.sub("", token.content)))

    def reads(self) -> bool:
        """Whether a reader of the article would see any text; markup, comments and images without words are none."""
        if any(_shows(token, self._definitions) for token in self._tokens):
            return True
        # Only a hostile article comes here. The rest is taken as it stands, which costs nothing and loses nothing.
        return says_something(self._rest)


def _shows(token: Token, definitions: Definitions) -> bool:
    if token.type == "inline":
        return says_something(_plain(token.content, definitions)) or says_something(token.content[INLINE_CHARS:])
    if token.type == "html_block":
        return says_something(html.unescape(_TAG.sub("", token.content)))
    return token.type in _CODE and says_something(token.content)


def _window(article: str) -> tuple[str, str]:
    """The first lines, long ones cut short, and what was left out.

    Cut short, for a picture that is written into the article must not hide the heading below it.
    """
    lines, left, size, end = [], [], 0, 0
    for found in _LINE.finditer(article):
        line, over = found[1][:LINE_CHARS], found[1][LINE_CHARS:]
        size += len(line) + 1
        if size > WINDOW_CHARS or not found[0]:
            break
        lines.append(line + "\n" * bool(over))
        left.append(over)
        end = found.end()
    return "".join(lines), "".join([*left, article[end:]])


def _blocks(window: str, definitions: Definitions) -> list[Token]:
    try:
        tokens = _BLOCKS.parse(window, definitions)
    except _UNREADABLE:
        return []
    references = definitions.get("references", {})  # a footnote is defined like a link, and is none
    definitions["references"] = {name: one for name, one in references.items() if not name.startswith("^")}
    return tokens


def _plain(content: str, definitions: Definitions) -> str:
    try:
        [token] = _INLINE.parseInline(content[:INLINE_CHARS], definitions)
    except _UNREADABLE:
        return ""
    return "".join(_texts(token.children or []))


def _texts(tokens: list[Token]) -> Iterator[str]:
    for token in tokens:
        if token.type == "text":
            yield _FOOTNOTE.sub("", without_places(token.content))
        elif token.type == "code_inline":
            yield token.content
        elif token.type == "image":
            yield from _texts(token.children or [])
        elif token.type in _BREAKS or (token.type == "html_inline" and token.content.lower().startswith("<br")):
            yield " "
