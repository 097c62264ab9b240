"""The encodings of files that people write: what is certain is read, anything else is named.

A byte order mark is certain, and so is UTF-8 that is valid. Everything else is only likely, so it is never read without
being asked for. All of it is linear in the size of the file.
"""

import codecs
import re
from typing import Final

_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
    (b"\x84\x31\x95\x33", "gb18030"),
)
_SAMPLE: Final = 200_000
"""Bytes at which a guess looks."""
_WIDE: Final = re.compile(rb"[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
"""A character of three or four bytes in UTF-8; other encodings hardly ever look like it."""
_NARROW: Final = re.compile(rb"(?<=[\x00-\x7f])[\xc3-\xcf][\x80-\xbf](?=[\x00-\x7f])")
"""A letter of two bytes in UTF-8 between ASCII; in other encodings two such bytes hardly ever stand alone."""
_FREQUENT: Final = {
    "gb18030": re.compile(rb"[\xb0-\xd7\xa1\xa3][\xa1-\xfe]"),
    "big5": re.compile(rb"[\xa4-\xc6\xa1][\x40-\x7e\xa1-\xfe]"),
    "shift_jis": re.compile(rb"[\x82\x83\x81\x88-\x97][\x40-\x7e\x80-\xfc]"),
}
"""Two bytes of the characters that make up most of a text."""
_ORDINARY: Final = re.compile(
    "[\t\n\r -~\u00a0-\u024f\u0370-\u052f\u2010-\u203f\u3000-\u30ff\u4e00-\u9fff\uff01-\uff5e]"
)
_EUC: Final = re.compile(rb"[\xa1-\xfe]{2}")
_SURE_PAIRS: Final = 10
"""So many characters that keep to the half of the codes which these encodings use are hardly ever Chinese."""
_PAIR: Final = {
    "gb18030": re.compile(rb"[\x00-\x7f]|[\x81-\xfe][\x40-\x7e\x80-\xfe]|[\x81-\xfe][0-9][\x81-\xfe][0-9]"),
    "big5": re.compile(rb"[\x00-\x7f]|[\x81-\xfe][\x40-\x7e\xa1-\xfe]"),
    "shift_jis": re.compile(rb"[\x00-\x7f]|[\xa1-\xdf]|[\x81-\xfc][\x40-\x7e\x80-\xfc]"),
}


def mark(raw: bytes) -> tuple[str, int]:
    """The encoding that a byte order mark names and the mark's length; an empty name if there is none."""
    return next(((name, len(start)) for start, name in _MARKS if raw.startswith(start)), ("", 0))


def decode_certain(raw: bytes) -> str:
    """The text of a file with a byte order mark, or in UTF-8; UnicodeDecodeError if it is neither."""
    name, length = mark(raw)
    return raw[length:].decode(name or "utf-8")


def likely(raw: bytes) -> str:
    """The encoding that a file without a mark looks like: empty if it is UTF-8, or cannot be determined."""
    sample = raw[:_SAMPLE]
    if wide := _wide(sample):
        return wide
    text = sample.decode("utf-8", "ignore" if len(raw) > _SAMPLE else "replace")
    if text.isascii():
        return ""
    damaged = text.count("\ufffd")
    if not damaged and sample == raw:
        return "gb18030" if _odd(text, sample) else ""
    if len(_NARROW.findall(sample)) > damaged:
        return ""
    if len(_WIDE.findall(sample)) > 4 * damaged or len(_WIDE.findall(sample)) > 20 + damaged:
        return ""
    shares = {name: _share(name, sample) for name in _FREQUENT}
    best = max(shares, key=lambda name: shares[name])
    if shares[best] >= 0.5:
        return _eastern(sample) or best
    return "cp1252" if _latin(sample) else "gb18030" if _fits_gb18030(raw) else ""


def is_certainly_utf8(raw: bytes) -> bool:
    """Whether text is UTF-8 for certain: valid, with some characters of three or more bytes."""
    if len(_WIDE.findall(raw[:_SAMPLE])) < 4:
        return False
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def refusal(raw: bytes) -> str:
    """Why a settings file is not UTF-8 text and what to do, as the end of a sentence; empty if it is."""
    marked, length = mark(raw)
    if marked not in ("", "utf-8"):
        return f"it is {marked.upper()} text; save it as UTF-8"
    try:
        raw[length:].decode()
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, length + error.start) + 1
        guess = likely(raw)
        looks = f", the file looks like {guess.upper()}" if guess else ""
        return f"line {line} is not UTF-8 text{looks}; save it as UTF-8"
    if (guess := likely(raw)).startswith("utf-"):
        return f"it looks like {guess.upper()} text; save it as UTF-8"
    return ""


def _wide(sample: bytes) -> str:
    """UTF-32 or UTF-16 without a mark: text in UTF-8 has no zero bytes; in the right order these are characters."""
    if b"\0" not in sample:
        return ""
    shares = {}
    for name in ("utf-32-le", "utf-32-be", "utf-16-le", "utf-16-be"):
        text = sample[: len(sample) // 4 * 4 if "32" in name else len(sample) // 2 * 2].decode(name, "replace")
        shares[name] = len(_ORDINARY.findall(text)) / max(len(text), 1)
    best = max(shares, key=lambda name: shares[name])
    return best if shares[best] > 0.9 else ""


def _share(name: str, sample: bytes) -> float:
    """How much of what is not ASCII is a frequent character of this encoding; 0 if the bytes do not fit it."""
    found = _PAIR[name].findall(sample)
    characters = [one for one in found if len(one) > 1 or one > b"\x7f"]
    lost = len(sample) - sum(map(len, found))
    if not characters or lost > 1 + len(characters) // 50:
        return 0.0
    return sum(1 for one in characters if _FREQUENT[name].fullmatch(one)) / len(characters)


def _eastern(sample: bytes) -> str:
    """Japanese and Korean have the form of GB18030: the one is full of kana, the other keeps to the syllables."""
    pairs = [one for one in _PAIR["gb18030"].findall(sample) if len(one) == 2]
    if len(pairs) < _SURE_PAIRS or not all(_EUC.fullmatch(one) for one in pairs):
        return ""
    if sum(one[0] in (0xA4, 0xA5) for one in pairs) * 5 > len(pairs):
        return "euc_jp"
    return "euc_kr" if all(0xB0 <= one[0] <= 0xC8 for one in pairs) else ""


def _fits_gb18030(raw: bytes) -> bool:
    try:
        raw.decode("gb18030")
    except UnicodeDecodeError:
        return False
    return True


def _odd(text: str, sample: bytes) -> bool:
    """Valid UTF-8 that hardly anybody writes, while the same bytes are ordinary Chinese in GB18030."""
    strange = [char for char in text if not char.isascii()]
    if len(strange) < 2 or any(ord(char) > 0x7FF for char in strange) or _share("gb18030", sample) < 1.0:
        return False
    blocks = {_block(char) for char in strange}
    return len(blocks) > 1 or blocks == {"sign"}


def _block(char: str) -> str:
    code = ord(char)
    if code < 0xC0:
        return "sign"
    return "latin" if code < 0x250 else "greek" if 0x370 <= code < 0x400 else str(code >> 8)


def _latin(sample: bytes) -> bool:
    """Single bytes above ASCII, each among ASCII letters: a Western European text."""
    return len(re.findall(rb"(?:[A-Za-z][\xc0-\xff])|(?:[\xc0-\xff][a-z])", sample)) > 0
