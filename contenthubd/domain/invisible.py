"""What a person's text may hold that no eye sees: one rule for every door it can come in by.

Joiners stay, since emoji and several scripts are written with them, and so do single zero-width spaces, which some
scripts break lines by. What turns text around, hides words from a reviewer, or shows that the text was read in a
wrong encoding is refused. A byte order mark is dropped: editors leave it behind, and it means nothing inside a text.
"""

import re
import unicodedata
from typing import Final

BOM: Final = "\ufeff"
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_C1: Final = re.compile(r"[\x80-\x9f]")
_HALF: Final = re.compile(r"[\ud800-\udfff]")
_BIDI: Final = re.compile(r"[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_NO_CHARACTER: Final = re.compile(
    "[\ufdd0-\ufdef" + "".join(chr(plane << 16 | end) for plane in range(17) for end in (0xFFFE, 0xFFFF)) + "]"
)
_FLAG: Final = re.compile("\U0001f3f4[\U000e0020-\U000e007e]+\U000e007f")
"""The flag of a region, such as Scotland's: the one right use of tag characters."""
_HIDDEN: Final = re.compile(
    "[\u2061-\u2065\u206a-\u206f\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e00ff\U000e01f0-\U000e0fff]"
    "|(?:^|[\ufe00-\ufe0f\U000e0100-\U000e01ef])[\ufe00-\ufe0f\U000e0100-\U000e01ef]"
    "|[\u00ad\u180e\u200b-\u200d\u2060]{4}"
)
_BLANK: Final = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
"""Letters and symbols that are drawn as nothing."""
_UNSEEN: Final = frozenset({"Cc", "Cf", "Zs", "Zl", "Zp", "Mn", "Me"})


def cleaned(text: str) -> str:
    """The text without byte order marks."""
    return text.replace(BOM, "")


def blank(text: str) -> bool:
    """Whether nothing of it can be seen."""
    return all(char in _BLANK or unicodedata.category(char) in _UNSEEN for char in text)


def fault(text: str) -> str:
    """The first thing that is wrong with a text, as the end of a sentence; empty if nothing is."""
    if text.isascii() and text.isprintable():
        return ""
    if found := _CONTROL.search(text.replace("\r\n", "\n")):
        return f"contains the control character {_named(found)}; remove it."
    if _HALF.search(text):
        return "contains an unpaired surrogate, which is not valid text."
    if found := _C1.search(text):
        return f"contains the control character {_named(found)}; it was probably read in the wrong encoding."
    if found := _BIDI.search(text):
        return f"contains {_named(found)}, which changes the direction of the text; remove it."
    if found := _NO_CHARACTER.search(text):
        return f"contains {_named(found)}, which is not a character."
    if "\ufffd" in text:
        return "contains U+FFFD, which stands for text that was damaged in a conversion; submit the original text."
    if found := _HIDDEN.search(_FLAG.sub("", text)):
        return f"contains the invisible character {_named(found)}; remove it."
    if text.strip() and blank(text):
        return "contains only invisible characters."
    return ""


def named_fault(name: str, text: str) -> str:
    """The first thing that is wrong with the text of this name, as a sentence; empty if nothing is."""
    found = fault(text)
    if name.endswith("s"):
        found = found.replace("contains ", "contain ", 1)
    return f"The {name} {found}" if found else ""


def key_fault(text: str) -> str:
    """As ``fault``, for what is compared and not read: nothing invisible at all."""
    for char in text:
        if char in _BLANK or (unicodedata.category(char) in _UNSEEN and char != " "):
            return fault(text) or f"contains the invisible character U+{ord(char):04X}; remove it."
    return fault(text)


def _named(found: re.Match[str]) -> str:
    return f"U+{ord(found[0][-1]):04X}"
