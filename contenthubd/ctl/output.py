"""What goes to stdout (data) and to stderr (talk): tables that know the width of Chinese, JSON, or names.

Tables are drawn here and not by rich: a list must come as quickly as a status, and rich alone takes longer to import
than the whole command.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence

from contenthubd import streams

TYPE_CHECKING = False  # typing itself takes two milliseconds to import, a tenth of a status answer
if TYPE_CHECKING:
    from typing import Any, TextIO

FORMATS = ("table", "json", "jsonl", "name")
NARROWEST = 20
_COLORS = {
    "completed": "32", "published": "32", "approved": "32", "ok": "32", "running": "36", "submitted": "36",
    "submitting": "36", "retrying": "33", "pending_review": "33", "starting": "33", "degraded": "33", "failed": "31",
    "timeout": "31", "rejected": "31", "cancelled": "2",
}  # fmt: skip


class Output:
    """How this command was told to speak."""

    def __init__(self, form: str, *, quiet: bool, headers: bool, color: str) -> None:
        self.form = form
        self.quiet = quiet
        self.headers = headers
        self._color = color

    def say(self, text: str) -> None:
        """Talk for people: stderr, silent with --quiet."""
        if not self.quiet:
            self._talk(text)

    def fail(self, text: str) -> None:
        """An error: stderr, never silent."""
        label = self.painted("Error:", "31;1", sys.stderr)
        self._talk(text, f"{label} ")

    def _talk(self, text: str, label: str = "") -> None:
        try:
            print(f"{label}{printable(text)}", file=sys.stderr)
        except OSError:  # full: there is no other place to say it, and the work does not depend on it
            streams.drop(sys.stderr)

    def painted(self, text: str, code: str | None, stream: TextIO | None = None) -> str:
        """The text in a colour where colours are wanted, by default on stdout."""
        return f"\x1b[{code}m{text}\x1b[0m" if code and self._colored(stream or sys.stdout) else text

    def one(self, thing: dict[str, Any], lines: Callable[[], Iterable[tuple[str, Any]]], name: str) -> None:
        """One object: labelled lines for people, JSON, or its name."""
        if self.form == "name":
            print(name)
        elif self.form == "table":
            self._labelled(list(lines()))
        else:
            self.data(thing)

    def many(
        self, page: dict[str, Any], items: Sequence[dict[str, Any]], columns: Sequence[str],
        row: Callable[[dict[str, Any]], Sequence[str]], name: str,
    ) -> None:  # fmt: skip
        """A list: a table, the page as JSON, one JSON object a line, or one name a line."""
        if self.form == "table":
            self._table(columns, [row(item) for item in items])
        elif self.form == "json":
            self.data(page)
        else:
            for item in items:
                print(item[name] if self.form == "name" else json.dumps(item, ensure_ascii=False))

    def data(self, thing: Any) -> None:
        """JSON on stdout, indented unless it is asked for in lines."""
        print(json.dumps(thing, ensure_ascii=False, indent=None if self.form == "jsonl" else 2))

    def _labelled(self, lines: list[tuple[str, Any]]) -> None:
        told = [(label, printable(str(value))) for label, value in lines if value not in (None, "", [])]
        margin = max((len(label) for label, _ in told), default=0)
        for label, value in told:
            shown = value.replace("\n", "\n" + " " * (margin + 2))
            print(f"{label:<{margin}}  {self.painted(shown, _COLORS.get(value))}")

    def _table(self, columns: Sequence[str], rows: list[Sequence[str]]) -> None:
        cells = [[printable(cell).replace("\n", " ") for cell in row] for row in rows]
        table = [list(columns), *cells] if self.headers else cells
        widths = [max((width(row[i]) for row in table), default=0) for i in range(len(columns))]
        room = _terminal_columns()
        if room:
            _squeeze(widths, room, columns)
        for number, row in enumerate(table):
            code = "1" if self.headers and number == 0 else None
            shown = [_padded(cell, widths[i], self, code) for i, cell in enumerate(row)]
            print("  ".join(shown).rstrip())

    def _colored(self, stream: TextIO) -> bool:
        if self._color != "auto":
            return self._color == "always"
        if os.environ.get("NO_COLOR"):
            return False
        return bool(os.environ.get("FORCE_COLOR")) or (stream.isatty() and os.environ.get("TERM") != "dumb")


def printable(text: str) -> str:
    """With control characters made visible, which could move the cursor of whoever looks; line breaks stay."""
    return streams.visible(text).replace("\t", " ")


def width(text: str) -> int:
    """Columns on a terminal: Chinese, Japanese, Korean and emoji take two, combining marks none."""
    if text.isascii():
        return len(text)
    import unicodedata  # a large table, only for texts that need it

    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )


def cut(text: str, room: int) -> str:
    """At most ``room`` columns; what was cut off shows as an ellipsis."""
    if width(text) <= room:
        return text
    while text and width(text) > room - 1:
        text = text[: -max(1, (width(text) - room) // 2)]
    return text + "…"


def short(identifier: str | None) -> str:
    """The end of an id, which is what differs between ids made together."""
    return (identifier or "").replace("-", "")[-8:]


def instant(text: str | None) -> str:
    """A time for people: ``2026-01-31 07:00:00Z``; fractions of a second are for programs."""
    day, _, rest = (text or "").partition("T")
    return f"{day} {rest[:8]}{rest[8:].lstrip('.0123456789')}" if rest else day


def duration(seconds: float | None) -> str:
    """``1:02:03``, ``4:05``."""
    if seconds is None:
        return ""
    whole = int(seconds)
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"


def _padded(cell: str, room: int, output: Output, code: str | None) -> str:
    shown = cut(cell, room)
    return output.painted(shown, code or _COLORS.get(cell)) + " " * (room - width(shown))


def _squeeze(widths: list[int], room: int, columns: Sequence[str]) -> None:
    """Take what is too much from the widest column, again and again; paths stay whole, to be copied."""
    room -= 2 * (len(widths) - 1)
    while sum(widths) > room:
        candidates = [i for i, name in enumerate(columns) if name != "LOCATION" and widths[i] > NARROWEST]
        if not candidates:
            return
        widths[max(candidates, key=widths.__getitem__)] -= 1


def _terminal_columns() -> int:
    """Columns of the terminal that stdout is, 0 if it is none: a pipe gets everything."""
    if not sys.stdout.isatty():
        return 0
    try:
        return int(os.environ.get("COLUMNS") or os.get_terminal_size(sys.stdout.fileno()).columns)
    except (OSError, ValueError):
        return 80
