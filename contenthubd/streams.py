"""The standard streams of both programs, made safe before anything is opened or written.

A missing stream becomes /dev/null: otherwise the next file or socket gets its number, and what is written to the
stream lands in there. What the encoding of the terminal lacks is written as ``\\u4e66``. A reader who went away ends
no command: the rest of the output is dropped, and the exit code stays that of the work.
"""

from __future__ import annotations

import errno
import io
import os
import re
import sys

TYPE_CHECKING = False  # typing itself takes two milliseconds to import, a tenth of a status answer
if TYPE_CHECKING:
    from typing import TextIO

    from _typeshed import ReadableBuffer

# All that moves a cursor, turns text around or forges a line. Line breaks and tabs stay.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f\ufff9-\ufffb\ufeff\ud800-\udfff]"
)
_STEERS = re.compile(rf"\x1b\[[0-9;]{{0,9}}m|{_UNSAFE.pattern}")


def prepare() -> None:
    """Call it first. Streams that were replaced (by a test, say) are left alone."""
    _fill()
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:
            made = open(number, mode, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115 - it stays open
            setattr(sys, name, made)
            setattr(sys, f"__{name}__", made)
        elif number and stream is getattr(sys, f"__{name}__"):
            made = _writer(number, stream)
            setattr(sys, name, made)
            setattr(sys, f"__{name}__", made)


def flush(stream: TextIO) -> None:
    """Write what is buffered; OSError if it cannot be written, which is then dropped so that it is told once."""
    try:
        stream.flush()
    except OSError:
        drop(stream)
        raise


def drop(stream: TextIO) -> None:
    """From now on what is written there goes nowhere; at the end of the program nothing is left to complain about."""
    try:
        number = stream.fileno()
    except (OSError, ValueError):
        return  # no stream of the system: a test's
    _into_nowhere(number)


def visible(text: str) -> str:
    """The text with each character that could steer a terminal made visible: ``␛``, or ``\\u202e``."""
    return text if text.isprintable() else _UNSAFE.sub(_shown, text)


def _shown(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code < 0x20:
        return chr(0x2400 + code)
    return "\u2421" if code == 0x7F else f"\\u{code:04x}"


def _fill() -> None:
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            nowhere = os.open(os.devnull, os.O_RDWR)  # the lowest free number, which is this one
            os.set_inheritable(nowhere, True)


def unheard() -> bool:
    """Whether nobody is left to read what either stream says."""
    from select import POLLERR, poll  # only for what is asked again and again

    out, err = (getattr(getattr(stream, "buffer", None), "raw", None) for stream in (sys.stdout, sys.stderr))
    if not isinstance(out, _Patient) or not isinstance(err, _Patient) or not err.gone:
        return False
    look = poll()
    look.register(out.fileno(), 0)
    return out.gone or any(events & POLLERR for _, events in look.poll(0))


class _Patient(io.FileIO):
    """Goes on into nowhere when its reader has gone."""

    gone = False

    def write(self, data: ReadableBuffer, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            # EIO: the terminal was closed.
            if error.errno not in (errno.EPIPE, errno.EIO):
                raise
            self.gone = True
            _into_nowhere(self.fileno())
            return memoryview(data).nbytes


class _Terminal(io.TextIOWrapper):
    """Lets colours through and nothing else that steers a terminal: the last guard behind whoever prints."""

    def write(self, text: str, /) -> int:
        super().write(text if text.isprintable() else _STEERS.sub(_uncoloured, text))
        return len(text)


def _uncoloured(found: re.Match[str]) -> str:
    return found[0] if len(found[0]) > 1 else _shown(found)


def _into_nowhere(number: int) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, number)
    os.close(nowhere)


def _writer(number: int, stream: TextIO) -> TextIO:
    encoding = stream.encoding or "utf-8"
    line_buffering = number == 2 or stream.isatty()
    raw = io.BufferedWriter(_Patient(number, "w", closefd=False))
    kind = _Terminal if number == 1 and stream.isatty() else io.TextIOWrapper
    return kind(raw, encoding=encoding, errors="backslashreplace", line_buffering=line_buffering)
