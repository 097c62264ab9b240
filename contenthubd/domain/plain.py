"""Characters: what a reader sees of a text, and a text as one safe line.

Everything here is linear in the text and knows no markup. A title is shown in terminals, tables, front matter and file
names, so it contains no control character, none that turns the writing direction, and none that only seems to be there.
"""

import re
import unicodedata
from typing import Final

_ZERO_WIDTH_JOINER: Final = "\u200d"
_FILLERS: Final = "\u115f\u1160\u3164\uffa0"
_BLANKS: Final = frozenset("\u2800\ufffc\ufffd\U0001d159")
"""Symbols by their category that show nothing, or only that something was lost."""
_LETTER: Final = re.compile(rf"(?![{_FILLERS}])[^\W_]")
_SYMBOLS: Final = frozenset({"Sc", "Sm", "So"})
_IGNORABLE: Final = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\u3164\ufeff\uffa0"
    "\ufff0-\uffff\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
)
_DROPPED: Final = re.compile(
    f"(\U0001f3f4[\U000e0020-\U000e007f]+)|[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\ud800-\udfff\ufdd0-\ufdef{_IGNORABLE}"
    "\U000e0000-\U000e00ff\U000e01f0-\U000e0fff]"
)
"""What a title loses; a flag of a region, which is spelt in invisible letters, keeps them."""
_SPACE: Final = re.compile(r"\s+")
_PARTS: Final = re.compile("[\u200c\u200d\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f\u1160-\u11ff\ud7b0-\ud7ff]")
_JAMO: Final = re.compile("[\u1100-\u115f\ua960-\ua97c]")
_HANGUL: Final = re.compile("[\u1100-\u115f\ua960-\ua97c\uac00-\ud7a3]")
_FLAG_LETTER: Final = re.compile("[\U0001f1e6-\U0001f1ff]")
_LONGEST_CLUSTER: Final = 64
_VIRAMA: Final = 9  # the combining class of what joins two letters of Indian scripts


def says_something(text: str) -> bool:
    """Whether a reader sees a letter, a digit or a picture; punctuation, marks and ASCII symbols alone say nothing."""
    return bool(_LETTER.search(text)) or any(
        not char.isascii() and unicodedata.category(char) in _SYMBOLS and char not in _BLANKS for char in set(text)
    )


def one_line(text: str, limit: int) -> str:
    """The text as a title of at most ``limit`` characters: one line, white space collapsed; empty if nothing shows."""
    kept = _DROPPED.sub(lambda found: found[1] or "", _SPACE.sub(" ", text)).strip()
    line = _SPACE.sub(" ", kept)
    return cut(line, limit).strip() if says_something(line) else ""


def cut(text: str, limit: int) -> str:
    """At most ``limit`` characters, cut between two characters as a reader counts them."""
    if len(text) <= limit:
        return text
    lowest = max(limit - _LONGEST_CLUSTER, 0)
    end = next((end for end in range(limit, lowest, -1) if not _joined(text, end)), limit)
    return text[:end]


def _joined(text: str, place: int) -> bool:
    """Whether the characters on both sides of ``place`` are drawn as one."""
    left, right = text[place - 1], text[place]
    if unicodedata.category(right)[0] == "M" or _PARTS.match(right) or left == _ZERO_WIDTH_JOINER:
        return True
    if (_JAMO.match(left) and _HANGUL.match(right)) or (unicodedata.combining(left) == _VIRAMA and right.isalpha()):
        return True
    return bool(_FLAG_LETTER.match(right)) and _flag_letters_before(text, place) % 2 == 1


def _flag_letters_before(text: str, place: int) -> int:
    start = place
    while start > 0 and place - start < _LONGEST_CLUSTER * 4 and _FLAG_LETTER.match(text[start - 1]):
        start -= 1
    return place - start
