"""Tables and texts: widths, colours, what a pipe gets."""

import io
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contenthubd.ctl import output
from contenthubd.ctl.layout import clusters, cut, fitted, table, width, wrap
from contenthubd.ctl.output import Output, printable
from contenthubd.ctl.times import When, column, duration, instant, seconds_of
from tests.control.conftest import zone


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
        ("2026-01-31T07:00:00.047Z", "2026-01-31 08:00:00+01:00"),
        ("2026-07-31T07:00:00Z", "2026-07-31 09:00:00+02:00"),
        ("0001-01-01T00:00:00Z", "0001-01-01 00:53:28+00:53"),
        ("2026-03-29T03:00:00+02:00", "2026-03-29 03:00:00+02:00"),
        ("2026-03-29T03:00:00.5-11:00", "2026-03-29 03:00:00-11:00"),
    ],
)
def test_times_are_told_to_the_second_with_their_offset(
    value: str | None, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with zone("Europe/Berlin", monkeypatch):
        assert instant(value) == text


@given(st.datetimes())
def test_the_calendar_is_the_one_of_the_library(moment: datetime) -> None:
    told = moment.replace(microsecond=0)
    assert seconds_of(f"{told.isoformat()}Z") == (told - datetime(1970, 1, 1)).total_seconds()  # noqa: DTZ001 - both UTC


@pytest.mark.parametrize(
    ("cells", "heading", "shown"),
    [
        (
            ["2026-01-31T07:00:00Z", "", "2026-01-30T23:30:00Z"],
            " (+01:00)",
            ["2026-01-31 08:00", "", "2026-01-31 00:30"],
        ),
        (["2026-01-31T07:00:00Z", "2026-07-31T07:00:00Z"], "", ["2026-01-31 08:00+01:00", "2026-07-31 09:00+02:00"]),
        (["", ""], "", ["", ""]),
    ],
)
def test_one_offset_stands_in_the_heading(
    cells: list[str], heading: str, shown: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with zone("Europe/Berlin", monkeypatch):
        assert column([When(cell) for cell in cells], heading=True) == (heading, shown)
        alone = column([When(cell) for cell in cells], heading=False)[1]
        assert all(cell == "" or cell[16] == "+" for cell in alone)


@pytest.mark.parametrize(("value", "text"), [(None, ""), (0, "0:00"), (65, "1:05"), (3723.9, "1:02:03"), (-90, "0:00")])
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


def test_the_wide_form_shows_more_columns_whole(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    for form, whole in (("table", False), ("wide", True)):
        shown = Output(form, quiet=False, headers=True, color="never")
        shown.many({}, ROWS, ("TOPIC",), lambda row: (row["topic"], row["where"]), "id", more=("LOCATION",))
        out = capsys.readouterr().out
        assert (ROWS[0]["where"] in out, "LOCATION" in out, ROWS[0]["topic"] in out) == (whole, whole, whole)


@given(st.integers(1, 200), st.lists(st.tuples(*[st.text(max_size=70)] * 6), max_size=5), st.booleans())
def test_no_line_of_a_table_is_wider_than_the_terminal(room: int, rows: list[tuple[str, ...]], headers: bool) -> None:
    heads = ("ID", "STATE", "ACCOUNT", "CREATED", "TOPIC", "WHY")
    lines = printed(
        room, lambda shown: shown.many({}, [{"row": row} for row in rows], heads, lambda one: one["row"], ""), headers
    )
    assert max(map(width, lines), default=0) <= room
    if headers:
        assert all(name in heads or name.endswith("…") for name in lines[0].split()), "headings stay whole"


@given(
    st.integers(1, 200), st.lists(st.tuples(st.sampled_from(["id", "next step"]), st.text(max_size=200)), max_size=4)
)
def test_no_labelled_line_is_wider_than_the_terminal(room: int, lines: list[tuple[str, str]]) -> None:
    told = [(label, text.replace("/", ".")) for label, text in lines]  # paths stay whole, to be copied
    shown = printed(room, lambda output: output.one({}, lambda: told, ""))
    assert max(map(width, shown), default=0) <= max(room, 6), shown


@given(st.text(alphabet=st.sampled_from("a é京👩👨👧\u200d🏽\ufe0f🇩🇪❤1\u20e3\u0301"), max_size=30), st.integers(0, 30))
def test_text_is_cut_between_what_readers_take_for_characters(text: str, room: int) -> None:
    shown = cut(text, room).removesuffix("…")
    if cut(text, room) != text:
        whole = list(clusters(text))
        assert list(clusters(shown)) == whole[: len(list(clusters(shown)))]


@pytest.mark.parametrize(
    "joined", ["👨\u200d👩\u200d👧", "🇩🇪", "👍🏽", "❤\ufe0f", "e\u0301", "🏴\U000e0067\U000e0062\U000e007f"]
)
def test_joined_characters_are_never_torn(joined: str) -> None:
    assert printable(joined) == joined
    for room in range(1, 9):
        shown = cut(joined * 5, room).removesuffix("…")
        assert shown == joined * (len(shown) // len(joined))


def test_a_path_and_a_command_stay_whole_in_a_sentence() -> None:
    text = "Fix it, then run contenthubctl content reject 12345678 && contenthubctl content approve 12345678"
    assert wrap(text, 50)[1:] == ["contenthubctl content reject 12345678 &&", "contenthubctl content approve 12345678"]
    assert wrap("see /" + "x" * 60, 40) == ["see", "/" + "x" * 60]
    assert wrap("京都的秋天，很美。" * 2, 18) == ["京都的秋天，很美。", "京都的秋天，很美。"]
    assert wrap("京都的秋天，很美。", 10) == ["京都的秋", "天，很美。"], "no line begins with a comma"


@pytest.mark.parametrize("room", range(12, 60))
@pytest.mark.parametrize(
    "path", ["/srv/articles/春季养生-十月/" + "秋" * 40 + ".md", "~/文章/春", "https://例子/京都的秋天"]
)
def test_a_path_in_any_script_stays_whole(path: str, room: int) -> None:
    assert sum(path in line for line in wrap(f"published {path} 京都的秋天，很美", room)) == 1


@pytest.mark.parametrize("room", range(40, 120, 4))
def test_times_and_cron_expressions_are_whole_or_absent(room: int) -> None:
    rows = [("daily", "studio", "30 7 * * MON-FRI", "Europe/Berlin", "2026-11-30 06:30", "News of the day " * 3)]
    columns = ("NAME", "ACCOUNT", "CRON", "TIME ZONE", "NEXT (+08:00)", "TOPIC")
    shown, widths = table(columns, rows, room, headed=True)
    for number in {2, 4} & set(shown):
        assert widths[number] >= len(rows[0][number])
    assert {2, 4} <= set(shown) or room < 72


def test_a_topic_makes_room_for_the_reason() -> None:
    rows = [("5f3a9c21", "failed", "A topic that is known to whoever reads this list", "The key is not valid. " * 2)]
    _, widths = table(("ID", "STATE", "TOPIC", "WHY"), rows, 80, headed=True)
    assert widths[2] == 16
    assert widths[3] >= 40


@pytest.mark.parametrize("room", range(4, 30))
@pytest.mark.parametrize("path", ["/var/lib/contenthubd/published/2026/tea-7.md", "/发布/2026/春季养生-十.md"])
def test_of_a_path_in_a_cell_the_end_is_shown(path: str, room: int) -> None:
    shown = fitted(path, room)
    assert width(shown) <= room
    assert shown == path or (shown[0] == "…" and path.endswith(shown[1:]))
    assert fitted("京都的秋天很美", 8).endswith("…")


def printed(room: int, show: Callable[[Output], None], headers: bool = True) -> list[str]:
    """What a command writes on a terminal of that width."""
    terminal = Terminal()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("sys.stdout", terminal)
        patched.setenv("COLUMNS", str(room))
        show(Output("table", quiet=False, headers=headers, color="never"))
    return terminal.getvalue().split("\n")


@pytest.mark.parametrize("room", range(10, 100, 6))
def test_a_state_is_whole_or_absent(room: int) -> None:
    columns = ("ID", "STATE", "ACCOUNT", "CREATED (+00:00)", "TITLE", "RESULT")
    row = ["00dc5a1b", "pending_review", "review", "2026-11-27 20:52", "需要审阅的文章", "waiting for review: no image"]
    shown, widths = table(columns, [row], room, headed=True)
    assert 1 not in shown or widths[1] == len("pending_review")
    assert sum(widths[i] for i in shown) + 2 * (len(shown) - 1) <= room


def test_the_reason_is_readable_at_80_columns() -> None:
    columns = ("ID", "STATE", "ACCOUNT", "CREATED (+00:00)", "TOPIC", "WHY")
    row = ["f7e7b02b", "failed", "studio", "2026-11-27 20:52", "A long topic on bread and tea", "Request failed: " * 4]
    shown, widths = table(columns, [row], 80, headed=True)
    assert [columns[i] for i in shown] == ["ID", "STATE", "ACCOUNT", "TOPIC", "WHY"]
    assert widths[5] >= 36
    row[5] = "Request failed with status code 400"
    assert table(columns, [row], 80, headed=True)[1][5] == len(row[5]), "its end is what tells"
    row[5] = "no answer"
    assert len(table(columns, [row], 80, headed=True)[0]) == len(columns), "a short reason needs no more room"


def test_why_an_article_is_not_out_is_readable_at_80_columns() -> None:
    columns = ("ID", "STATE", "ACCOUNT", "CREATED (+00:00)", "TITLE", "RESULT")
    row = [
        "fc4592bc",
        "pending_review",
        "studio",
        "2026-11-27 20:52",
        "A long title on bread",
        "waiting for review: no",
    ]
    shown, widths = table(columns, [row], 80, headed=True)
    assert "CREATED (+00:00)" not in [columns[i] for i in shown]
    assert widths[5] == len(row[5])
    row[5] = "/var/lib/contenthubd/published/studio/2026-11-27-bread-481998cebbf8/index.md"
    assert len(table(columns, [row], 80, headed=True)[0]) == len(columns), "of a path the end is enough"


def test_of_a_schedule_the_next_run_is_shown_before_its_zone() -> None:
    columns = ("NAME", "ACCOUNT", "CRON", "TIME ZONE", "NEXT (+08:00)", "TOPIC")
    row = [
        "weekly-long-name-of-schedule",
        "studio",
        "0 9,12,15 1-15/2 * MON",
        "Europe/Berlin",
        "2026-11-30 07:30",
        "周",
    ]
    shown, _ = table(columns, [row], 80, headed=True)
    assert [columns[i] for i in shown] == ["NAME", "ACCOUNT", "CRON", "NEXT (+08:00)"]


@pytest.mark.parametrize("room", range(20, 90, 7))
def test_gaps_between_parts_of_a_line_stay(room: int) -> None:
    line = "2026-11-27 20:52:20+00:00  task accepted  attempt 1, creator task c07d687b-0124-4f3f-b26a-ae1f9c68eb44"
    told = wrap(line, room)
    assert max(map(width, told)) <= max(room, 36)
    assert all(part in line for part in told), "nothing but line breaks is put in"


@pytest.mark.parametrize("room", [12, 20, 40])
def test_of_a_published_article_the_folder_is_shown(room: int) -> None:
    shown = fitted("/var/lib/contenthubd/published/studio/2026-11-27-秋天的京都-481998cebbf8/index.md", room)
    assert shown.endswith("cebbf8")
    assert width(shown) <= room
    assert fitted("/tea/index.md", 80) == "/tea/index.md"


def test_a_pipe_gets_everything(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
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


@pytest.mark.parametrize("room", [50, 60, 80, 200])
def test_a_command_that_is_quoted_keeps_its_quotes(room: int) -> None:
    text = "Start it with `contenthubd` (or `systemctl start contenthubd`); if it listens elsewhere, give (`sudo ls`)."
    assert " ".join(wrap(text, room)) == text
