"""The command line by itself: examples, suggestions, documentation."""

import argparse
import io
import re
import shlex
from collections.abc import Iterator
from contextlib import redirect_stdout, suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contenthubd import __version__
from contenthubd.ctl.arguments import Parser, Whole, below, leaves, parse, period, seconds
from contenthubd.ctl.commands import _COMMANDS, ALIASES, BATCH_FORMATS, HELP_TOPICS
from contenthubd.ctl.failure import USAGE, Failure
from contenthubd.ctl.layout import width
from contenthubd.ctl.main import build_parser, main
from contenthubd.ctl.output import FORMATS
from contenthubd.ctl.run import _are_text, _arguments
from contenthubd.ctl.texts import TEXTS
from contenthubd.domain.request import Request, check
from tests.running import CHECKOUT

LEAVES = list(leaves(build_parser()))
DOCS = (CHECKOUT / "docs" / "cli.md").read_text(encoding="utf-8")


def needed(leaf: Parser) -> list[str]:
    """The shortest command line that this command takes."""
    words = leaf.prog.split()[1:]
    for action in leaf._actions:
        value = next(iter(action.choices)) if action.choices else "1" if action.type is int else "abcd"
        if action.option_strings and action.required:
            words += [action.option_strings[-1], value]
        elif not action.option_strings and action.nargs in (None, "+"):
            words.append(value)
    return words


def examples(leaf: Parser) -> list[str]:
    return re.findall(r"^  contenthubctl (.*)$", leaf.epilog or "", re.MULTILINE)


@pytest.mark.parametrize("leaf", LEAVES, ids=lambda leaf: leaf.prog)
def test_every_command_has_two_examples_that_parse(leaf: Parser) -> None:
    assert len(examples(leaf)) == 2
    for example in examples(leaf):
        words = shlex.split(example.partition(" >")[0])
        args = parse(build_parser(), words)
        assert args.leaf.prog == leaf.prog
        quick = parse(__import__("contenthubd.ctl.commands", fromlist=["x"]).build_parser(frozenset(words)), words)
        assert {k: v for k, v in vars(quick).items() if k != "leaf"} == {
            k: v for k, v in vars(args).items() if k != "leaf"
        }


def section(leaf: Parser) -> str:
    found = re.search(rf"^### `{re.escape(leaf.prog)}`$(.*?)(?=^##)", DOCS + "\n##", re.MULTILINE | re.DOTALL)
    assert found, f"docs/cli.md has no section for {leaf.prog}"
    return found[1]


@pytest.mark.parametrize("leaf", LEAVES, ids=lambda leaf: leaf.prog)
def test_every_command_and_option_is_documented(leaf: Parser) -> None:
    common = {option for action in LEAVES[0]._actions for option in action.option_strings} & {
        option for one in LEAVES for option in one.options()
    }
    shared = common.intersection(*(one.options() for one in LEAVES))
    for option in set(leaf.options()) - shared:
        assert f"`{option}" in section(leaf), f"docs/cli.md does not tell about {leaf.prog} {option}"
    for option in shared - {"-h", "--help"}:
        assert f"`{option}" in DOCS


@pytest.mark.parametrize("leaf", LEAVES, ids=lambda leaf: leaf.prog)
def test_the_documentation_says_what_the_help_says(leaf: Parser) -> None:
    assert section(leaf).strip().startswith(leaf.description or "no description")
    shared = set(LEAVES[0].options()).intersection(*(one.options() for one in LEAVES))
    told = [action for action in leaf._actions if shared.isdisjoint(action.option_strings)]
    rows = {
        f"| {action.help}{' **required**' if action.required and action.option_strings else ''} |" for action in told
    }
    assert rows - {f"|{line.split('|')[-2]}|" for line in section(leaf).splitlines() if line.endswith("|")} == set()


def test_the_documentation_knows_every_alias_form_and_file() -> None:
    words = [*ALIASES.values(), *(f"-o {form}" for form in FORMATS), *(f".{form}" for form in (*BATCH_FORMATS, "tsv"))]
    assert [word for word in words if f"`{word}`" not in DOCS] == []


@pytest.mark.parametrize("leaf", LEAVES, ids=lambda leaf: leaf.prog)
def test_help_is_shown(leaf: Parser, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*leaf.prog.split()[1:], "--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert "examples:" in shown


def parsers(parser: Parser) -> Iterator[Parser]:
    """The program, every noun, every verb."""
    yield parser
    for child in dict.fromkeys(below(parser).values()):
        yield from parsers(child)


@pytest.mark.parametrize("columns", [80, 100])
def test_every_help_fits_the_terminal(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    every = list(parsers(build_parser()))
    assert len(every) > len(LEAVES) + 7
    assert [
        (parser.prog, line) for parser in every for line in parser.format_help().splitlines() if width(line) > columns
    ] == []


@pytest.mark.parametrize("columns", ["60", "80"])
def test_examples_can_be_pasted_from_the_help(columns: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    for leaf in LEAVES:
        shown = leaf.format_help().partition("\nexamples:\n")[2]
        pasted = [shlex.split(line) for line in shown.replace("\\\n", "").splitlines() if line.strip()]
        assert pasted == [["contenthubctl", *shlex.split(line)] for line in examples(leaf)]


@pytest.mark.parametrize(
    ("words", "fix"),
    [
        (["contnet"], "Did you mean 'content'?"),
        (["task", "lst"], "Did you mean 'list'?"),
        (["task", "list", "--staus", "failed"], "Did you mean '--status'?"),
        (["task", "list", "--status", "fialed"], "Did you mean 'failed'?"),
        (["--jsno", "task", "list"], "Did you mean '--json'?"),
        (["task", "status"], "See: contenthubctl task status --help"),
        ([], "contenthubctl needs a command."),
        (["task"], "Valid values: status, show, list"),
        (["task", "list", "--finished-since", "1h", "--sort", "created"], "--sort created cannot be combined with"),
        (["task", "list", "--finished-until", "1h", "--sort", "priority"], "combined with --finished-until."),
        (["help", "exit-code"], "Did you mean 'exit-codes'?"),
        (["task", "list", "--since", "yesterday"], "See: contenthubctl task list --help"),
        (
            ["content", "generate", "--account", "a", "--topic", "t", "--sync", "--async"],
            "--async cannot be combined with --sync.",
        ),
    ],
)
def test_a_wrong_word_is_answered_with_the_nearest(
    words: list[str], fix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == USAGE
    shown = capsys.readouterr()
    assert fix in shown.err
    assert shown.out == ""
    assert shown.err.startswith("Error: ")


VALUED = [
    (leaf, action.option_strings[-1])
    for leaf in LEAVES
    for action in leaf._actions
    if action.option_strings and action.nargs != 0
]
PLACED = [(leaf, action) for leaf in LEAVES for action in leaf._actions if not action.option_strings]


@pytest.mark.parametrize("empty", ["", " ", "\t"])
def test_no_option_takes_an_empty_value(empty: str) -> None:
    assert len(VALUED) > 100
    for leaf, option in VALUED:
        for words in ([option, empty], [f"{option}={empty}"]):
            with pytest.raises(Failure) as caught:
                leaf.parse_args(words)
            assert caught.value.what == f"The value of {option} is empty.", leaf.prog
            assert caught.value.exit_code == USAGE


@pytest.mark.parametrize("empty", ["", " "])
def test_no_argument_may_be_empty(empty: str) -> None:
    assert len(PLACED) > 20
    for leaf, action in PLACED:
        with pytest.raises(Failure) as caught:
            leaf.parse_args([empty])
        said = f"{empty!r} is not an id." if action.metavar == "ID" else f"The value of {action.metavar} is empty."
        assert (caught.value.what, caught.value.exit_code) == (said, USAGE), leaf.prog


@pytest.mark.parametrize("leaf", LEAVES, ids=lambda leaf: leaf.prog)
def test_a_misspelled_required_option_is_named(leaf: Parser) -> None:
    for action in leaf._actions:
        option = action.option_strings[-1] if action.option_strings else ""
        if action.required and option:
            wrong = option[:4] + option[5:]
            with pytest.raises(Failure, match=f"no option '{wrong}'") as caught:
                leaf.parse_args([wrong, "x"])
            assert caught.value.fix == f"Did you mean {option!r}?"


NUMBERS = [(leaf, action) for leaf in LEAVES for action in leaf._actions if isinstance(action.type, Whole)]


@pytest.mark.parametrize(("leaf", "action"), NUMBERS, ids=lambda one: getattr(one, "prog", getattr(one, "dest", "")))
def test_a_number_that_is_none_or_out_of_range_is_told_with_the_option_and_the_range(
    leaf: Parser, action: argparse.Action
) -> None:
    option, kind = action.option_strings[-1], action.type
    assert isinstance(kind, Whole)
    end = f", {kind.lowest} or more." if kind.highest is None else f" from {kind.lowest} to {kind.highest:,}."
    beyond = [] if kind.highest is None else [str(kind.highest + 1), "9" * 5000]
    for wrong in ("1h", "1.5", "it's", "\uff11", "0x1", "1_0", "nan", str(kind.lowest - 1), "-99999999999", *beyond):
        with pytest.raises(Failure) as caught:
            leaf.parse_args([f"{option}={wrong}"])
        assert caught.value.what.startswith(f"Invalid value {wrong[:39]!r}"[:-1]), leaf.prog
        assert caught.value.what.endswith(f" for {option}.")
        assert len(caught.value.what) < 80
        assert caught.value.why == f"It must be a whole number{end}"
        assert caught.value.fix == f"See: {leaf.prog} --help"
    assert kind(str(kind.lowest)) == kind.lowest
    assert kind.highest is None or kind(f" {kind.highest} ") == kind.highest


def test_every_option_that_takes_a_number_has_its_range() -> None:
    assert len(NUMBERS) > 15
    assert [leaf.prog for leaf in LEAVES for action in leaf._actions if action.type in (int, float)] == []


@pytest.mark.parametrize(
    ("field", "option", "kind"),
    [("priority", "--priority", "submit"), ("min_chars", "--min-chars", "submit"),
     ("max_chars", "--max-chars", "submit"), ("max_retries", "--max-retries", "submit")],
)  # fmt: skip
def test_the_ranges_are_those_of_the_daemon(field: str, option: str, kind: str) -> None:
    whole = next(
        action.type for leaf, action in NUMBERS if leaf.prog.endswith(kind) and option in action.option_strings
    )
    assert isinstance(whole, Whole)
    assert whole.highest is not None
    wide = {"topic": "Tea", "min_chars": 1, "max_chars": 100_000}
    for good in (whole.lowest, whole.highest):
        assert check(Request(**{**wide, field: good})) == [], (field, good)  # type: ignore[arg-type]  # fields of several types
    for bad in (whole.lowest - 1, whole.highest + 1):
        assert check(Request(**{**wide, field: bad})) != [], (field, bad)  # type: ignore[arg-type]  # fields of several types


def test_options_may_stand_before_and_after() -> None:
    for words in (["--json", "task", "list"], ["task", "--json", "list"], ["task", "list", "--json"]):
        assert parse(build_parser(), words).output == "json"


@pytest.mark.parametrize("command", ["task list", "task stats", "content list"])
@pytest.mark.parametrize("text", ["9999999d", "3000000d", "36501d", "9" * 400 + "d"])
def test_a_duration_beyond_the_calendar_is_refused(command: str, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command.split(), "--since", text]) == USAGE
    assert "is longer than the maximum, 36500d" in capsys.readouterr().err


@pytest.mark.parametrize("topic", HELP_TOPICS)
def test_help_topics_fit_a_terminal(topic: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["help", topic]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80
    assert set(TEXTS) == set(HELP_TOPICS)


def test_the_help_text_tells_every_exit_code() -> None:
    from contenthubd.ctl import failure

    codes = {value for name, value in vars(failure).items() if name.isupper() and isinstance(value, int)}
    assert codes == {int(code) for code in re.findall(r"^ +(\d+)  ", TEXTS["exit-codes"], re.MULTILINE)}


def test_every_noun_is_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    shown = capsys.readouterr().out
    for name in _COMMANDS:
        assert re.search(rf"^    {name}\b", shown, re.MULTILINE)


def test_a_failure_says_each_thing_once() -> None:
    failure = Failure("It broke.", why="It is old.", fix="Buy one.", faults=[(0, "It broke."), (1, "It rusts.")])
    assert failure.text() == "It broke.\n  - It rusts.\n  why: It is old.\n  fix: Buy one."


def test_the_version_needs_no_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"contenthubctl {__version__}\n"


def valued(leaf: Parser) -> list[argparse.Action]:
    """Its options that take a value."""
    return [action for action in leaf._actions if action.option_strings and action.nargs != 0]


LONG = [(leaf, action) for leaf in LEAVES for action in valued(leaf) if action.type in (seconds, period)]
COUNTED = {"limit", "count", "min_chars", "max_chars", "priority", "max_retries"}
"""Numbers that are no durations."""


def test_every_option_that_takes_a_duration_is_known_as_one() -> None:
    for leaf in LEAVES:
        for action in valued(leaf):
            number = action.type in (int, float)
            named = re.search(r"time$|timeout|since|until|wait|seconds|interval|delay|every|age$", action.dest)
            assert not number or action.dest in COUNTED, f"{leaf.prog} {action.dest}: a duration, or a count?"
            assert not named or (leaf, action) in LONG, f"{leaf.prog} {action.dest} is not read as a duration"
            assert (action.metavar == "TIME") == ((leaf, action) in LONG), f"{leaf.prog} {action.dest}"
    assert {action.dest for _, action in LONG} >= {"timeout", "reconnect", "wait", "since", "timeout_seconds"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("90s", ""), ("10m", ""), ("2h", ""), ("1d", ""), ("0.5h", ""),
        ("24", "It has no unit; write 24h, 24m, 24s or 24d."), ("5 min", "It is not a duration; write 5m."),
        ("1h30m", "It is not a duration; write 90m."), ("1w", "write 7d"), ("soon", "write 90s, 15m, 24h or 7d"),
        ("", "is empty"), ("0s", "must be longer than zero"), ("\u0663m", "is not a duration"),
        ("36501d", "is longer than the maximum, 36500d"), ("nan", "is not a duration"), ("1e3", "is not a duration"),
    ],
)  # fmt: skip
def test_every_duration_is_read_alike(text: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    for leaf, action in LONG:
        words = [*needed(leaf), f"{action.option_strings[-1]}={text}"]
        bare = action.type is seconds and text.isdecimal()
        if told and not bare:
            assert main(words) == USAGE
            said = capsys.readouterr().err
            assert told in said, words
            assert not text or f"Invalid value {text!r} for {action.option_strings[-1]}." in said, words
        else:
            assert isinstance(getattr(parse(build_parser(), words), action.dest), float), words


@pytest.mark.parametrize(("leaf", "action"), LONG, ids=lambda one: getattr(one, "prog", getattr(one, "dest", "")))
def test_help_shows_how_a_duration_is_written(leaf: Parser, action: argparse.Action) -> None:
    assert re.search(r"\b(90s|24h)\b", action.help or "")
    assert ("(seconds)" in (action.help or "")) == (action.type is seconds), (
        "where a number alone is seconds, help says so"
    )


@pytest.mark.parametrize(
    "words",
    [
        ("task", "status", "\udcff1234"), ("task", "list", "--account", "\udcff"),
        ("task", "cancel", "12345678", "\udcc3"),
        ("account", "create", "\udcff"), ("account", "create", "a", "--title", "\udcff"), ("account", "show", "\udcff"),
        ("content", "generate", "--account", "a", "--topic", "\udcff"), ("task", "list", "--batch", "\udcff"),
        ("content", "generate", "--account", "a", "--topic", "t", "--idempotency-key", "\udcff"),
        ("content", "reject", "12345678", "--reason", "\udcff"), ("schedule", "show", "\udcff"), ("help", "\udcff"),
        ("schedule", "create", "s", "--account", "a", "--topic", "t", "--cron", "\udcff"),
        ("\udcff",), ("task", "\udcff"),
        ("task", "list", "--since", "\udcff"), ("task", "list", "--\udcff"),
        ("schedule", "preview", "--cron", "* * * * *", "--time-zone", "\udcff"),
    ],
)  # fmt: skip
def test_arguments_that_are_not_utf8_are_refused(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == USAGE
    assert "Traceback" not in capsys.readouterr().err


WORDS = sorted({word for leaf in LEAVES for word in (*leaf.prog.split()[1:], *leaf.options())})
FREE = st.one_of(st.sampled_from(WORDS), st.text(alphabet=st.characters(exclude_characters="\0"), max_size=20))


@settings(max_examples=400, deadline=None)
@given(leaf=st.sampled_from(LEAVES), more=st.lists(FREE, max_size=5))
def test_no_arguments_end_with_a_traceback(leaf: Parser, more: list[str]) -> None:
    words = [*leaf.prog.split()[1:], *more]
    with redirect_stdout(io.StringIO()), suppress(Failure, SystemExit):
        _are_text(_arguments(words))
