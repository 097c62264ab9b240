"""The shape of the house: which way imports run, and how long things may get.

Every rule is a function from source text to violations, so that each can be shown a violation too.
"""

import ast
import re
import statistics
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from importlinter.cli import lint_imports

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "contenthubd"
MODULES = sorted(PACKAGE.rglob("*.py"))
SOURCES = MODULES + sorted((ROOT / "tests").rglob("*.py"))

LONGEST_FILE = 400
LONGEST_FUNCTION = 40
MEDIAN_FUNCTION = 8
NINETIETH_PERCENTILE = 25
WIDEST_PORT = 8
VAGUE_NAMES = {"utils", "helpers", "common", "services", "managers", "misc"}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(tree: ast.AST) -> Iterator[Function]:
    """Every function and method of a module, nested ones included."""
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def length(function: Function) -> int:
    """Lines from ``def`` to the last, without decorators."""
    return (function.end_lineno or function.lineno) - function.lineno + 1


def too_long_file(text: str) -> list[str]:
    """The file itself, if it is over the budget."""
    lines = text.count("\n")
    return [f"{lines} lines"] if lines > LONGEST_FILE else []


def too_long_functions(text: str) -> list[str]:
    """Functions over the budget."""
    return [f"{f.name}: {length(f)} lines" for f in functions(ast.parse(text)) if length(f) > LONGEST_FUNCTION]


def wide_ports(text: str) -> list[str]:
    """Protocols with more methods than a fake can keep small."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ClassDef) and any(ast.unparse(base).startswith("Protocol") for base in node.bases):
            methods = sum(isinstance(item, Function) for item in node.body)
            if methods > WIDEST_PORT:
                found.append(f"{node.name}: {methods} methods")
    return found


def unexplained_ignores(text: str) -> list[str]:
    """Linter and type exceptions without a reason after them."""
    pattern = re.compile(r"#\s*(?:noqa(?::\s*[A-Z]+\d+(?:,\s*[A-Z]+\d+)*)?|type:\s*ignore(?:\[[\w, -]+\])?)(.*)$")
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        ignore = pattern.search(line)
        if ignore and len(re.findall(r"\w+", ignore[1])) < 2:
            found.append(f"line {number} gives no reason")
    return found


def package_contents(text: str) -> list[str]:
    """What an ``__init__.py`` holds beside a docstring and the version."""
    return [
        ast.unparse(node)
        for node in ast.parse(text).body
        if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
        and not (isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__version__")
    ]


_POSSESSIVE_GROUP = re.compile(r"\)(?:[*+?]|\{\{?\d*,? ?\d*\}?\})\+")


def possessive_groups(text: str) -> list[str]:
    """Groups with a possessive quantifier, which Python before 3.11.5 matches wrongly; ``(?>(?:…)*)`` is right."""
    return [found[0] for found in _POSSESSIVE_GROUP.finditer(text)]


RULES: dict[str, tuple[Callable[[str], list[str]], str]] = {
    "files are short": (too_long_file, "x = 1\n" * (LONGEST_FILE + 1)),
    "functions are short": (too_long_functions, "def long():\n" + "    x = 1\n" * LONGEST_FUNCTION),
    "ports are narrow": (
        wide_ports,
        "class Port(Protocol):\n" + "".join(f"    def m{i}(self): ...\n" for i in range(WIDEST_PORT + 1)),
    ),
    "every ignore has a reason": (unexplained_ignores, "x = 1  # no" + "qa: E501\n"),
    "no group is possessive": (possessive_groups, "(?:ab|a)*" + "+"),
    "packages hold nothing themselves": (package_contents, "from contenthubd.domain import task\n"),
}


def applies(rule: str, path: Path) -> bool:
    """Which files a rule is about."""
    return path.name == "__init__.py" or rule != "packages hold nothing themselves"


@pytest.mark.parametrize("rule", RULES)
def test_rule_notices_a_violation(rule: str) -> None:
    check, violation = RULES[rule]
    assert check(violation)


@pytest.mark.parametrize("rule", RULES)
def test_rule_holds(rule: str) -> None:
    check, _ = RULES[rule]
    broken = [
        f"{path.relative_to(ROOT)}: {fault}"
        for path in SOURCES
        if applies(rule, path)
        for fault in check(path.read_text(encoding="utf-8"))
    ]
    assert broken == []


def test_functions_are_small_as_a_rule() -> None:
    lengths = [length(f) for path in MODULES for f in functions(ast.parse(path.read_text(encoding="utf-8")))]
    assert statistics.median(lengths) <= MEDIAN_FUNCTION
    assert statistics.quantiles(lengths, n=10)[-1] <= NINETIETH_PERCENTILE


def test_modules_have_telling_names() -> None:
    assert [str(path.relative_to(ROOT)) for path in MODULES if path.stem in VAGUE_NAMES] == []
    assert [str(path.relative_to(ROOT)) for path in MODULES if path.parent.name in VAGUE_NAMES] == []


def test_imports_run_one_way(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    code = lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True)
    assert code == 0, capsys.readouterr().out
