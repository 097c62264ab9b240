"""How the project speaks: plain technical English, in standard words. Each refused phrase names the better one."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted(
    path
    for path in (ROOT / "contenthubd").rglob("*.py")
    if "simulator" not in path.parts  # plays another program, with that program's words
)
PATTERNS = {"refusals.py", "remarks.py"}
"""They hold what language models say, to find it; nobody is told it."""
DOCUMENTS = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *(ROOT / name for name in ("config.toml", "schema.sql", "Makefile", "pyproject.toml")),
    *sorted((ROOT / "systemd").iterdir()),
]

PHRASES = {
    r"misses": "is not set; is missing; does not have",
    r"(?:cannot|could not) be told": "could not be determined",
    r"what must hold": "consistency; the rules",
    r"over this request": "while answering this request",
    r"belongs? into": "put … into",
    r"small letters": "lowercase letters",
    r"say --": "use --",
    r"mend(?:s|ed|ing)?": "fix",
    r"is no whole|a whole backup": "is not a complete backup",
    r"is not possible for": "invalid value … for",
    r"known are": "valid values:",
    r"such day ever": "never matches a date",
    r"dashes aside": "dashes are optional",
    r"what its times came to": "past runs",
    r"their times pass": "due runs are skipped",
    r"by a command of our own": "in a child process of the daemon",
    r"nothing is made twice": "repeating the command … creates nothing new",
    r"at most so many": "maximum number of; maximum number to show",
    r"(?:look|looks) after": "check; monitor",
    r"tried all the time": "reconnection is automatic",
    r"(?:come|comes|came) to (?:its|their) end": "finish; end",
    r"costs? (?:no task|tasks no|a task no|nobody) (?:a )?tr(?:y|ies)": "tasks keep their retries",
    r"gives tasks no tries": "does not count as a retry",
    r"a fault of its own": "an internal error",
    r"wish(?:es)?": "instruction; option; field of a request",
    r"lower-case|upper-case": "lowercase; uppercase",
    r"for ever": "forever",
    r"half a character|lone surrogate": "an unpaired surrogate",
    r"made up for|makes? up for": "done later; retried",
    r"nobody listens": "no process listens",
    r"where it lies": "its path",
    r"(?:is|are|lies|stands|stood) in the way": "exists and is not …; prevents",
    r"by the clock": "on a schedule; at its due time",
    r"taken back": "rolled back; removed again",
    r"put on the disk": "synced",
    r"(?:work|tasks?|daemon|generation|watch|schedule|rest) go(?:es)? on": "continue",
    r"(?:fell|falls) sick": "unavailable",
    r"holds? (?:a|an|the|no|only|half) (?:line break|comma|character|control|invisible|zero byte|NUL)": "contains",
    r"(?:the )?places? (?:you|we|the studio) writes? for": "where articles are published",
    r"steers? the work": "cancel and retry tasks",
    r"without (?:their|its) first line": "without the header line",
    r"no certain meaning": "ambiguous",
    r"(?:is|are) not certainly": "is ambiguous; may not be",
}
"""Refused everywhere: in messages, help, comments and documents, whatever the case of their letters."""

ADDRESSES = {
    r"please": "say what to do",
    r"sorry": "say what happened",
    r"oops": "say what happened",
}
"""Refused where the program speaks to a person."""


def phrases(text: str, refused: dict[str, str]) -> list[str]:
    """``line: phrase (better: …)`` for each refused phrase, also where a line break divides it."""
    found = []
    for phrase, better in refused.items():
        spaced = phrase.replace(" ", r"\s+(?:#\s*)?")
        end = "" if phrase.endswith("-") else r"(?!\w)"
        for match in re.finditer(rf"(?<![\w-])(?:{spaced}){end}", text, re.IGNORECASE):
            line = text.count("\n", 0, match.start()) + 1
            found.append(f"{line}: {' '.join(match.group().split())!r} (better: {better})")
    return found


def messages(path: Path) -> Iterator[tuple[int, str]]:
    """The string literals of a module that are no docstrings, with their lines."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    said = {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in said:
            yield node.lineno, node.value


def name(path: Path) -> str:
    """A path as the reader of a test report wants it."""
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", [*SOURCES, *DOCUMENTS], ids=name)
def test_standard_words_are_used(path: Path) -> None:
    assert phrases(path.read_text(encoding="utf-8"), PHRASES) == []


@pytest.mark.parametrize("path", [path for path in SOURCES if path.name not in PATTERNS], ids=name)
def test_messages_state_facts(path: Path) -> None:
    spoken = [(line, text) for line, text in messages(path) if re.search(r"[A-Za-z]+ [a-z]+", text)]
    assert [(line, phrases(text, ADDRESSES)) for line, text in spoken if phrases(text, ADDRESSES)] == []
    assert [(line, text) for line, text in spoken if re.search(r"[A-Za-z)\"']!(?=\s|$)", text)] == []


def test_a_refused_phrase_is_found_wherever_it_stands() -> None:
    text = "Fine.\n# Every value is checked, and\n# known\n# are only these. Say --force."
    assert [found.split(":")[0] for found in phrases(text, PHRASES)] == ["4", "3"]
    assert phrases("An amendment; recommended; dismisses; essay --force", PHRASES) == []
