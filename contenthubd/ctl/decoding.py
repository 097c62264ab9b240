"""Bytes of a batch file → numbered lines. What is certain is read; anything else is refused with what it looks like."""

from __future__ import annotations

import codecs
import re
import shlex
import sys

from contenthubd.ctl.failure import USAGE, Failure
from contenthubd.encodings import decode_certain, is_certainly_utf8, likely, mark

MAX_BYTES = 64 * 2**20
"""Far more than the daemon takes in one request, and an end to /dev/zero."""
_WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
_BINARY = (b"%PDF-", b"\x1f\x8b", b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"\x7fELF", b"{\\rtf", b"7z\xbc\xaf", b"Rar!")
_SAMPLE = 10_000
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x19\x1c-\x1f]")
_NO_TEXT = frozenset({"utf_7", "idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined", "mbcs", "oem"})
_SPOKEN = {"gb18030": "GB18030 (GBK)", "big5": "Big5", "shift_jis": "Shift-JIS", "cp1252": "Windows-1252",
           "utf-16-le": "UTF-16", "utf-16-be": "UTF-16 (big-endian)", "utf-32-le": "UTF-32",
           "utf-32-be": "UTF-32 (big-endian)", "euc_jp": "EUC-JP", "euc_kr": "EUC-KR"}  # fmt: skip


def content(path: str) -> bytes:
    """What the file holds, ``-`` for stdin. Failure if it cannot be read, is too large, or is a workbook."""
    try:
        if path == "-":
            raw = sys.stdin.buffer.read(MAX_BYTES + 1)
        else:
            with open(path, "rb") as file:
                raw = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        fix = "Name a file that exists and is readable; - is standard input."
        why = f"{getattr(error, 'strerror', None) or error}."
        raise Failure(f"{path} cannot be read.", why=why, fix=fix, exit_code=USAGE) from None
    if len(raw) > MAX_BYTES:
        raise Failure(f"{path} is too large.", why=f"It has more than {MAX_BYTES:,} bytes.",
                      fix="Split it into several files.", exit_code=USAGE)  # fmt: skip
    if raw.startswith(_WORKBOOKS):
        raise workbook(path)
    if _is_binary(raw):
        raise Failure(f"{path} is not a text file.", why="It is a document, an image, an archive or a program.",
                      fix="Save the topics as text or as CSV UTF-8.", exit_code=USAGE)  # fmt: skip
    return raw


def _is_binary(raw: bytes) -> bool:
    """Whether it begins as no text does; UTF-16 and UTF-32 have zero bytes, and are left to those who decode."""
    if raw.startswith(_BINARY):
        return True
    sample = raw[:_SAMPLE]
    controls = len(_CONTROL.findall(sample))
    return controls > max(16, len(sample) // 20) and not (mark(raw)[0] or likely(raw).startswith("utf-"))


def workbook(path: str) -> Failure:
    """What to tell about a file that a spreadsheet program keeps for itself."""
    return Failure(f"{path} is a workbook of a spreadsheet program, not a text file.",
                   fix="In the spreadsheet program, save it as CSV UTF-8.", exit_code=USAGE)  # fmt: skip


def lines(
    raw: bytes, encoding: str | None, path: str, account: str
) -> tuple[list[tuple[int, str]], list[tuple[int, str]]]:
    """Numbered lines, and faults of lines that are not UTF-8. Failure if the whole file is in doubt."""
    if encoding:
        return _numbered(_as_told(raw, encoding, path)), []
    guess = "" if mark(raw)[0] else likely(raw)
    if guess and guess != "cp1252":
        raise _looks_like(raw, guess, path, account)
    try:
        return _numbered(decode_certain(raw)), []
    except UnicodeDecodeError as error:
        if name := mark(raw)[0].replace("utf-8", ""):
            why = f"Its byte order mark says {name}, but byte {error.start + 1} does not fit."
            fix = "Save it again as CSV UTF-8."
            raise Failure(f"{path} is damaged.", why=why, fix=fix, exit_code=USAGE) from None
    return _line_by_line(raw[mark(raw)[1] :], guess)


def _numbered(text: str) -> list[tuple[int, str]]:
    """Lines end with LF, CR LF or CR; an end mark of DOS is no line."""
    whole = text.replace("\r\n", "\n").replace("\r", "\n").removesuffix("\x1a")
    return list(enumerate(whole.split("\n"), 1))


def _line_by_line(raw: bytes, guess: str) -> tuple[list[tuple[int, str]], list[tuple[int, str]]]:
    good, faults = [], []
    for number, line in enumerate(raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n"), 1):
        try:
            text = line.decode()
        except UnicodeDecodeError as error:
            looks = f"; the file looks like {_SPOKEN[guess]}, which --encoding {guess} reads" if guess else ""
            faults.append(
                (number, f"Not UTF-8: byte {error.start + 1} of the line is 0x{line[error.start]:02x}{looks}.")
            )
            continue
        if not text.isascii() and all(ord(char) < 0x800 for char in text):
            faults.append(
                (
                    number,
                    "This line may not be UTF-8, because other lines are not. Set the encoding with --encoding NAME.",
                )
            )
            continue
        good.append((number, text))
    return good, faults


def _as_told(raw: bytes, encoding: str, path: str) -> str:
    codec = _codec(encoding)
    marked, length = mark(raw)
    told = codec.name.replace("_", "-").removesuffix("-sig")
    if (marked and not _agree(marked, told)) or (not marked and told != "utf-8" and is_certainly_utf8(raw)):
        what = f"begins with a byte order mark of {marked}" if marked else "is UTF-8 text"
        raise Failure(f"{path} is not {encoding}.", why=f"It {what}.", fix="Leave --encoding out.", exit_code=USAGE)
    try:
        return raw[length:].decode(marked or codec.name)
    except (UnicodeDecodeError, UnicodeError) as error:
        start = getattr(error, "start", 0)
        line = raw.count(b"\n", 0, start) + 1
        guess = likely(raw)
        fix = (
            f"Use --encoding {guess}."
            if guess
            else "Use the encoding in which the file was saved, or save it as CSV UTF-8."
        )
        raise Failure(f"{path} is not {encoding}.", why=f"Byte {start + 1}, in line {line}, does not fit.", fix=fix,
                      exit_code=USAGE) from None  # fmt: skip


def _agree(marked: str, told: str) -> bool:
    return marked == told or (told in ("utf-16", "utf-32") and marked.startswith(told)) or (
        marked == "gb18030" and told in ("gbk", "gb2312"))  # fmt: skip


def _codec(encoding: str) -> codecs.CodecInfo:
    try:
        codec = codecs.lookup(encoding)
        "".encode(encoding)  # refuses what is no encoding of text, such as base64
    except (LookupError, ValueError):
        codec = None
    if codec is None or codec.name.replace("-", "_") in _NO_TEXT:
        raise Failure(f"Invalid value {encoding[:40]!r} for --encoding.", why="There is no such encoding.",
                      fix="Common ones: utf-8, gb18030, big5, shift_jis, utf-16, cp1252.", exit_code=USAGE)  # fmt: skip
    return codec


def _looks_like(raw: bytes, guess: str, path: str, account: str) -> Failure:
    try:
        raw.decode()
        why = f"It could be read as UTF-8, but looks like {_SPOKEN[guess]}."
        fix = f"\nIf it is UTF-8: {_again(path, account, 'utf-8')}"
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        why = f"Byte 0x{raw[error.start]:02x} in line {line} is not UTF-8; the file looks like {_SPOKEN[guess]}."
        fix = ""
    return Failure(f"The encoding of {path} is ambiguous; nothing was submitted." if fix else
                   f"{path} is not UTF-8 text; nothing was submitted.",
                   why=why, fix=f"{_again(path, account, guess)}{fix}", exit_code=USAGE)  # fmt: skip


def _again(path: str, account: str, encoding: str) -> str:
    command = [
        "contenthubctl",
        "content",
        "batch-generate",
        "--account",
        account,
        "--file",
        path,
        "--encoding",
        encoding,
    ]
    return shlex.join(command)
