"""Tables and texts: widths, colours, what a pipe gets."""

import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contenthubd.ctl import output
from contenthubd.ctl.output import Output, cut, duration, instant, printable, width


class Terminal(io.StringIO):
    """A stdout that is a terminal."""

    def isatty(self) -> bool:
        """Yes."""
        return True


ROWS: list[dict[str, Any]] = [
    {"id": "1", "topic": "京都的秋天" * 20, "state": "failed", "where": "/a/very/long/path/" + "x" * 60},
    {"id": "2", "topic": "Tea", "state": "completed", "where": ""},
]


def drawn(form: str = "table", color: str = "auto", headers: bool = True) -> None:
    shown = Output(form, quiet=False, headers=headers, color=color)
    shown.many({"things": ROWS}, ROWS, ("ID", "TOPIC", "STATE"), lambda r: (r["id"], r["topic"], r["state"]), "id")


@pytest.mark.parametrize(("text", "columns"), [("Tea", 3), ("京都", 4), ("é", 1), ("e\u0301", 1), ("🍵", 2), ("", 0)])
def test_width(text: str, columns: int) -> None:
    assert width(text) == columns


@given(st.text(max_size=60), st.integers(min_value=2, max_value=40))
def test_cut_fits(text: str, room: int) -> None:
    assert width(cut(text, room)) <= room or width(text) <= room
    assert cut(text, room) == text or cut(text, room).endswith("…")


@given(st.text(max_size=60))
def test_printable_moves_no_cursor(text: str) -> None:
    assert not any((char < " " and char != "\n") or "\x7f" <= char <= "\x9f" for char in printable(text))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        ("2026-01-31T07:00:00.047Z", "2026-01-31 07:00:00Z"),
        ("2026-01-31T07:00:00Z", "2026-01-31 07:00:00Z"),
        ("2026-03-29T03:00:00+02:00", "2026-03-29 03:00:00+02:00"),
        ("2026-03-29T03:00:00.5-11:00", "2026-03-29 03:00:00-11:00"),
    ],
)
def test_times_are_told_to_the_second(value: str | None, text: str) -> None:
    assert instant(value) == text


@pytest.mark.parametrize(("value", "text"), [(None, ""), (0, "0:00"), (65, "1:05"), (3723.9, "1:02:03")])
def test_duration(value: float | None, text: str) -> None:
    assert duration(value) == text


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_a_table_fits_the_terminal(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stdout", terminal)
    monkeypatch.setenv("COLUMNS", str(columns))
    drawn(color="never")
    lines = terminal.getvalue().splitlines()
    assert all(width(line) <= columns for line in lines)
    assert max(map(width, lines)) == columns
    ends = [width(line[: line.index(word)]) for line, word in zip(lines, ("STATE", "failed", "completed"), strict=True)]
    assert len(set(ends)) == 1, "columns stand below each other"


def test_a_path_stays_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stdout", terminal)
    monkeypatch.setenv("COLUMNS", "80")
    shown = Output("table", quiet=False, headers=True, color="never")
    shown.many({}, ROWS, ("TOPIC", "LOCATION"), lambda row: (row["topic"], row["where"]), "id")
    assert ROWS[0]["where"] in terminal.getvalue()


def test_a_pipe_gets_everything(capsys: pytest.CaptureFixture[str]) -> None:
    drawn()
    shown = capsys.readouterr().out
    assert ROWS[0]["topic"] in shown
    assert "\x1b" not in shown


def test_forms(capsys: pytest.CaptureFixture[str]) -> None:
    drawn("name")
    assert capsys.readouterr().out == "1\n2\n"
    drawn("jsonl")
    assert len(capsys.readouterr().out.splitlines()) == 2
    drawn(headers=False)
    assert "TOPIC" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("color", "environ", "terminal", "colored"),
    [
        ("auto", {}, True, True),
        ("auto", {}, False, False),
        ("auto", {"NO_COLOR": "1"}, True, False),
        ("auto", {"FORCE_COLOR": "1"}, False, True),
        ("auto", {"TERM": "dumb"}, True, False),
        ("always", {"NO_COLOR": "1"}, False, True),
        ("never", {"FORCE_COLOR": "1"}, True, False),
    ],
)
def test_colors(
    color: str, environ: dict[str, str], terminal: bool, colored: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    stream = Terminal() if terminal else io.StringIO()
    monkeypatch.setattr("sys.stdout", stream)
    drawn(color=color)
    assert ("\x1b[" in stream.getvalue()) is colored


def test_topics_cannot_move_the_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    Output("table", quiet=False, headers=True, color="auto").one({}, lambda: [("topic", "a\x1b[2Jb")], "x")
    assert capsys.readouterr().out == "topic  a␛[2Jb\n"
    assert output.short(None) == ""
