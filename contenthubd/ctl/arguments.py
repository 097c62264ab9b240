"""The command line as data: nouns, verbs, options, and two examples for each command.

Only the nouns that occur on the command line are filled in, since building every parser takes longer than answering.
A wrong word is answered with the nearest right one.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable, Iterable, Sequence

from contenthubd import durations
from contenthubd.ctl.failure import USAGE, Failure
from contenthubd.ctl.layout import cut, hang, width, wrap
from contenthubd.ctl.output import FORMATS

TYPE_CHECKING = False  # typing itself takes two milliseconds to import, a tenth of a status answer
if TYPE_CHECKING:
    from typing import Any, NoReturn

_EXAMPLE = "  contenthubctl "
_CHOICE = r"argument (?P<name>.+?): invalid choice: '?(?P<word>.*?)'? \(choose from (?P<choices>.*)\)$"
_NUMBER = (
    r"argument (?:-\w, ?|--[\w-]+/)?(?P<name>[^:]+): (?P<quote>['\"])(?P<word>.*)(?P=quote) "
    r"is not (?P<must>a whole number.*)$"
)
_REFUSED = (
    r"argument (?:-\w, ?|--[\w-]+/)?(?P<name>[^:]+): (?P<quote>['\"])(?P<word>.*)(?P=quote) "
    r"(?P<why>(?:is|has|must) .*)$"
)
MOST_SHOWN = 40
"""Columns of a wrong value in a message."""

MAX_SECONDS = 36_500 * 86_400
"""The longest duration; the daemon accepts no longer one either."""


# argparse looks for a translation of each of its words on disk, a millisecond in all; ours are English only.
vars(argparse)["_"] = str


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Knows its width, which argparse would import a whole module to find out."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30, width=_columns())

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        """Descriptions and examples as wide as the rest; argparse would leave them as they are."""
        lines = text.split("\n")
        return "\n".join(_continued(line, width) if line.startswith(_EXAMPLE) else hang(line, width) for line in lines)

    def _split_lines(self, text: str, width: int) -> list[str]:
        """Lines of a help text; argparse would break options at their hyphens."""
        return wrap(" ".join(text.split()), width)


class Parser(argparse.ArgumentParser):
    """Raises Failure instead of exiting, with a suggestion for what was probably meant."""

    def __init__(self, **given: Any) -> None:
        super().__init__(formatter_class=_Formatter, allow_abbrev=False, **given)

    def parse_known_args(  # type: ignore[override]  # argparse overloads it for namespaces of other kinds
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """As argparse does; the words are kept for ``error``, which argparse does not tell them."""
        self._words = list(args or ())
        return super().parse_known_args(args, namespace)

    def _get_value(self, action: argparse.Action, arg_string: str) -> Any:
        """The one place that sees every value given by hand: none may be empty, as unset shell variables are."""
        if action.metavar == "ID" and not action.option_strings and not _is_id(arg_string):
            raise Failure(
                f"{arg_string[:60]!r} is not an id.",
                why="Give 4–32 hex digits from the start or the end of the id; dashes are optional.",
                fix=f"List ids with: contenthubctl {'content' if ' content ' in self.prog else 'task'} list",
                exit_code=USAGE,
            )
        if not arg_string.strip() and not isinstance(action, argparse._SubParsersAction):
            name = action.option_strings[-1] if action.option_strings else str(action.metavar or action.dest)
            spare = action.option_strings and not action.required
            fix = f"Give a value, or leave {name} out." if spare else f"See: {self.prog} --help"
            raise Failure(f"The value of {name} is empty.", fix=fix, exit_code=USAGE)
        return super()._get_value(action, arg_string)

    def _misspelled(self) -> None:
        """A required option that is not there may have been typed wrongly: argparse would tell only that it is not."""
        for word in (one.partition("=")[0] for one in self._words if one.startswith("--") and one != "--"):
            if word not in self.options() and (near := nearest(word, self.options())):
                raise Failure(f"{self.prog} has no option {word!r}.", fix=near, exit_code=USAGE)

    def error(self, message: str) -> NoReturn:
        """argparse calls this for every fault."""
        help_fix = f"See: {self.prog} --help"
        if message.startswith("the following arguments are required"):
            self._misspelled()
            if choices := list(below(self)):
                sort = message.rpartition(" ")[2].lower().replace("noun", "command")
                raise Failure(f"{self.prog} needs a {sort}.", why=f"Valid values: {', '.join(choices)}.", fix=help_fix,
                              exit_code=USAGE)  # fmt: skip
        if both := re.match(r"argument (?P<one>.+?): not allowed with argument (?P<other>.+)$", message):
            raise Failure(f"{both['one']} cannot be combined with {both['other']}.", fix="Leave one of them out.",
                          exit_code=USAGE)  # fmt: skip
        if number := re.match(_NUMBER, message):
            raise Failure(f"Invalid value {cut(number['word'], MOST_SHOWN)!r} for {number['name']}.",
                          why=f"It must be {number['must']}.", fix=help_fix, exit_code=USAGE)  # fmt: skip
        if wrong := re.match(_REFUSED, message):
            raise Failure(f"Invalid value {cut(wrong['word'], MOST_SHOWN)!r} for {wrong['name']}.",
                          why=f"It {wrong['why']}.", fix=help_fix, exit_code=USAGE)  # fmt: skip
        if lacking := re.match(r"argument (?:-\w[,/] ?)?(--[\w-]+).*: expected one argument", message):
            option = lacking[1]
            raise Failure(f"{option} needs a value.", fix=f"Give one that begins with - as {option}=-VALUE. {help_fix}",
                          exit_code=USAGE)  # fmt: skip
        wrong = re.match(_CHOICE, message)
        if wrong is None:
            raise Failure(f"{message[:1].upper()}{message[1:]}.", fix=help_fix, exit_code=USAGE)
        choices = re.findall(r"[\w./:-]+", wrong["choices"])
        what = f"Invalid value {wrong['word']!r} for {wrong['name']}."
        if wrong["name"] in ("NOUN", "VERB", "TOPIC"):
            what = f"{self.prog} has no {wrong['name'].lower()} {wrong['word']!r}."
        why = f"Valid values: {', '.join(choices)}."
        raise Failure(what, why=why, fix=nearest(wrong["word"], choices) or help_fix, exit_code=USAGE)

    def options(self) -> list[str]:
        """Every option this parser knows."""
        return [option for action in self._actions for option in action.option_strings]


class Group:
    """The verbs of one noun."""

    def __init__(self, verbs: Any, common: Parser, prefix: str) -> None:
        self._verbs = verbs
        self._common = common
        self.prefix = prefix

    def command(self, name: str, run: str, text: str, examples: tuple[str, str]) -> Parser:
        """Add one; ``run`` is module:function below contenthubd.ctl."""
        parser: Parser = self._verbs.add_parser(
            name, help=text, parents=[self._common], prog=f"{self.prefix} {name}", description=text,
            epilog=_examples(examples),
        )  # fmt: skip
        parser.set_defaults(run=run, leaf=parser)
        return parser


def common_options() -> Parser:
    """What every command takes, before the noun and after the verb."""
    common = Parser(add_help=False, argument_default=argparse.SUPPRESS)
    options = common.add_argument_group("output and connection")
    told = f"how data is printed: {', '.join(FORMATS)} (default: table)"
    options.add_argument("-o", "--output", metavar="FORM", choices=FORMATS, help=told)
    options.add_argument("--json", action="store_const", const="json", dest="output", help="the same as -o json")
    options.add_argument("-q", "--quiet", action="store_true", help="no progress and no remarks, only data and errors")
    options.add_argument("--no-headers", action="store_false", dest="headers", help="omit the header line")
    options.add_argument("--color", choices=("auto", "always", "never"), help="colours (default: auto)")
    options.add_argument("--socket", metavar="PATH", help="the daemon's control socket (else CONTENTHUBD_SOCKET)")
    return common


def noun(nouns: Any, name: str, text: str, common: Parser, aliases: Sequence[str] = ()) -> Group:
    """Add a noun, still without verbs."""
    prog = f"contenthubctl {name}"
    parser = nouns.add_parser(name, help=text, aliases=list(aliases), parents=[common], prog=prog, description=text)
    return Group(
        parser.add_subparsers(
            metavar="VERB",
            dest="verb",
            required=True,
            prog=prog,
            title="verbs",
            description="Each has a --help of its own, with examples.",
        ),
        common,
        prog,
    )


def parse(parser: Parser, argv: Sequence[str]) -> argparse.Namespace:
    """The arguments; Failure for what is not known."""
    args, unknown = parser.parse_known_args(argv)
    if unknown:
        leaf = getattr(args, "leaf", parser)
        word = unknown[0].partition("=")[0]
        fix = nearest(word, leaf.options()) or f"See: {leaf.prog} --help"
        raise Failure(
            f"{leaf.prog} has no option {word!r}."
            if word.startswith("-")
            else f"{leaf.prog} does not accept {word!r}.",
            fix=fix,
            exit_code=USAGE,
        )
    return args


def below(parser: Parser) -> dict[str, Parser]:
    """The commands right below a parser, by their words."""
    found: dict[str, Parser] = {}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            found.update(action.choices)
    return found


def leaves(parser: Parser) -> Iterable[Parser]:
    """Every command below a parser, each once."""
    below = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not below:
        yield parser
    for action in below:
        for child in dict.fromkeys(action.choices.values()):
            yield from leaves(child)


def seconds(text: str) -> float:
    """``90s``, ``15m``, ``24h`` or ``7d`` as seconds, which a number without a unit is, too."""
    return _duration(text)[0]


def period(text: str) -> float:
    """A duration of the past, which needs its unit: hours are meant as often as seconds."""
    value, with_unit = _duration(text)
    if not with_unit:
        raise argparse.ArgumentTypeError(f"{text!r} has no unit; write {text}h, {text}m, {text}s or {text}d")
    return value


def _duration(text: str) -> tuple[float, bool]:
    try:
        value, with_unit = durations.seconds(text)
    except ValueError as fault:
        raise argparse.ArgumentTypeError(str(fault)) from None
    if not value:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} must be longer than zero")
    if value > MAX_SECONDS:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is longer than the maximum, {MAX_SECONDS // 86_400}d")
    return value, with_unit


class Whole:
    """A type for a whole number in a range; without ``highest`` there is no other end."""

    def __init__(self, lowest: int, highest: int | None = None) -> None:
        self.lowest = lowest
        self.highest = highest

    def __call__(self, text: str) -> int:
        """The number; ArgumentTypeError says the range."""
        number = int(text) if re.fullmatch(r"\s*[+-]?[0-9]{1,18}\s*", text) else None
        if number is None or number < self.lowest or (self.highest is not None and number > self.highest):
            end = f", {self.lowest} or more" if self.highest is None else f" from {self.lowest} to {self.highest:,}"
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number{end}")
        return number


def several(choices: Sequence[str]) -> Callable[[str], list[str]]:
    """A type for one or several of these words, separated by commas."""

    def read(text: str) -> list[str]:
        words = [word.strip() for word in text.split(",") if word.strip()]
        wrong = next((word for word in words if word not in choices), None if words else text)
        if wrong is not None:
            raise argparse.ArgumentTypeError(f"invalid choice: {wrong!r} (choose from {', '.join(choices)})")
        return words

    return read


def keywords(text: str) -> list[str]:
    """Keywords out of one text: commas, semicolons (full-width ones too) and line breaks separate them."""
    return [word.strip() for word in re.split(r"[,，、;；\n]", text) if word.strip()]


def switch(parser: Any, name: str, text: str) -> None:
    """``--NAME`` and ``--no-NAME``; None when neither is given."""
    parser.add_argument(f"--{name}", action=argparse.BooleanOptionalAction, default=None, help=text)


def _is_id(text: str) -> bool:
    digits = text.strip().lower().replace("-", "")
    return 4 <= len(digits) <= 32 and all(char in "0123456789abcdef" for char in digits)


def _examples(lines: tuple[str, str]) -> str:
    return "examples:\n" + "\n".join(f"{_EXAMPLE}{line}" for line in lines)


def _continued(line: str, room: int) -> str:
    """A command on as many lines as it needs, to be pasted as it is: a backslash ends each but the last."""
    lines = [""]
    for number, part in enumerate(re.split(r" (?=--|> )", line)):
        longer = f"{lines[-1]} {part}" if number else part
        if number and width(longer) + len(" \\") > room:
            lines[-1] += " \\"
            longer = f"{' ' * 6}{part}"
            lines.append("")
        lines[-1] = longer
    return "\n".join(lines)


def nearest(word: str, choices: Sequence[str]) -> str:
    """A question that names the word that was probably meant, empty if none is near."""
    import difflib  # only for mistakes

    near = difflib.get_close_matches(word, choices, n=1)
    return f"Did you mean {near[0]!r}?" if near else ""


def _columns() -> int:
    try:
        return min(max(int(os.environ.get("COLUMNS") or os.get_terminal_size(sys.stdout.fileno()).columns), 60), 100)
    except (OSError, ValueError):
        return 80
