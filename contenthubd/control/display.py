"""Foreign text in a message: what a reader could not see, or would take for another letter, is escaped."""

import unicodedata


def visible(text: str) -> str:
    """``text`` with an escape in place of every character that is invisible or looks like an ASCII letter.

    Chinese, Japanese and Korean characters stay as they are; they cannot be taken for others.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(one if _plain(one) else one.encode("unicode_escape").decode("ascii") for one in text)


def _plain(one: str) -> bool:
    return one.isprintable() and (one.isascii() or unicodedata.east_asian_width(one) in "WF")
