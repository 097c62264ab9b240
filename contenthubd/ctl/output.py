"""What goes to stdout (data) and to stderr (talk): tables as wide as the terminal, JSON, or names.

Tables are drawn here and not by rich: a list must come as quickly as a status, and rich alone takes longer to import
than the whole command.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence

from contenthubd import streams
from contenthubd.ctl.layout import GAP, NARROWEST_TEXT, cut, fitted, hang, table, width
from contenthubd.ctl.times import column

TYPE_CHECKING = False  # typing itself takes two milliseconds to import, a tenth of a status answer
if TYPE_CHECKING:
    from typing import Any, TextIO

FORMATS = ("table", "wide", "json", "jsonl", "name")
_COLORS = {
    "completed": "32", "published": "32", "approved": "32", "ok": "32", "running": "36", "submitted": "36",
    "submitting": "36", "retrying": "33", "pending_review": "33", "starting": "33", "stopping": "33", "degraded": "33",
    "failed": "31", "timeout": "31", "rejected": "31", "cancelled": "2",
}  # fmt: skip


class Output:
    """How this command was told to speak."""

    def __init__(self, form: str, *, quiet: bool, headers: bool, color: str) -> None:
        self.form = "table" if form == "wide" else form
        self.wide = form == "wide"
        """Every column, in full width."""
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
        self._talk(text, label)

    def _talk(self, text: str, label: str = "") -> None:
        told = hang(f"Error: {printable(text)}" if label else printable(text), room_of(sys.stderr))
        try:
            print(label + told.removeprefix("Error:") if label else told, file=sys.stderr)
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
        row: Callable[[dict[str, Any]], Sequence[str]], name: str, *, more: Sequence[str] = (),
    ) -> None:  # fmt: skip
        """A list: a table, the page as JSON, one JSON object a line, or one name a line.

        ``more`` are columns that are shown only in the wide form; ``row`` has their cells behind the others.
        """
        if self.form == "table":
            shown = [*columns, *more] if self.wide else list(columns)
            self._table(shown, [list(row(item))[: len(shown)] for item in items])
        elif self.form == "json":
            self.data(page)
        else:
            for item in items:
                print(item[name] if self.form == "name" else json.dumps(item, ensure_ascii=False))

    def data(self, thing: Any) -> None:
        """JSON on stdout, indented unless it is asked for in lines."""
        print(json.dumps(thing, ensure_ascii=False, indent=None if self.form == "jsonl" else 2))

    def room(self) -> int | None:
        """Columns that data may take; None where it is not cut."""
        return None if self.wide else room_of(sys.stdout)

    def _labelled(self, lines: list[tuple[str, Any]]) -> None:
        told = [(label, printable(str(value))) for label, value in lines if value not in (None, "", [])]
        margin = max((len(label) for label, _ in told), default=0) + GAP
        room = self.room()
        beside = room is None or room - margin >= NARROWEST_TEXT
        indent = " " * (margin if beside else GAP)
        for label, value in told:
            text = hang_below(value, None if room is None else room - len(indent), indent)
            shown = self.painted(text, _COLORS.get(value))
            print(f"{label:<{margin}}{shown}" if beside else f"{cut(label, room or margin)}\n{indent}{shown}")

    def _table(self, columns: Sequence[str], rows: list[list[str]]) -> None:
        heads = list(columns)
        for i in range(len(heads)):
            more, cells = column([row[i] for row in rows], heading=self.headers)
            heads[i] += more
            for row, cell in zip(rows, cells, strict=True):
                row[i] = printable(cell).replace("\n", " ")
        numbers, widths = table(heads, rows, self.room(), headed=self.headers)
        for number, row in enumerate([heads, *rows] if self.headers else rows):
            code = "1" if self.headers and number == 0 else None
            shown = [_padded(row[i], widths[i], self, code) for i in numbers]
            print((" " * GAP).join(shown).rstrip())

    def _colored(self, stream: TextIO) -> bool:
        if self._color != "auto":
            return self._color == "always"
        if os.environ.get("NO_COLOR"):
            return False
        return bool(os.environ.get("FORCE_COLOR")) or (stream.isatty() and os.environ.get("TERM") != "dumb")


def printable(text: str) -> str:
    """With control characters made visible, which could move the cursor of whoever looks; line breaks stay."""
    return streams.visible(text).replace("\t", " ")


def short(identifier: str | None) -> str:
    """The end of an id, which is what differs between ids made together."""
    return (identifier or "").replace("-", "")[-8:]


def _padded(cell: str, room: int, output: Output, code: str | None) -> str:
    shown = fitted(cell, room)
    return output.painted(shown, code or _COLORS.get(cell)) + " " * (room - width(shown))


def room_of(stream: TextIO) -> int | None:
    """Columns of a line: what COLUMNS says, else the terminal's; None for a pipe or a file, which get everything.

    ``watch`` and pagers set COLUMNS for what they run.
    """
    said = os.environ.get("COLUMNS", "")
    if said.isdecimal() and int(said) > 0:
        return int(said)
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80 if stream.isatty() else None
    except (OSError, ValueError):
        return 80


def hang_below(text: str, room: int | None, indent: str) -> str:
    """Wrapped lines, each but the first behind the indent; what is indented in the text stays so."""
    return hang(text, room).replace("\n", "\n" + indent)
