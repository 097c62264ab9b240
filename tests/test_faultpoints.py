"""The table of fault points is what the code reaches, no more and no less; unarmed they cost nothing to speak of."""

import ast
import dis
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from contenthubd import faultpoints
from contenthubd.domain.errors import InvalidConfig

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "contenthubd"
POINT = "publish.sent"


@pytest.fixture(autouse=True)
def disarmed() -> Iterator[None]:
    """Nothing stays armed."""
    yield
    faultpoints.arm(None)


def reached_in(tree: ast.AST) -> Iterator[str]:
    """The names that calls of ``faultpoints.reached`` in a module can give it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "faultpoints.reached":
            texts = [
                part.value for argument in node.args for part in ast.walk(argument) if isinstance(part, ast.Constant)
            ]
            yield from (text for text in texts if isinstance(text, str))


def test_every_point_of_the_table_is_reached_at_one_place_and_every_place_is_in_the_table() -> None:
    found = Counter(
        name for path in PACKAGE.rglob("*.py") for name in reached_in(ast.parse(path.read_text(encoding="utf-8")))
    )
    assert found == Counter(faultpoints.POINTS.keys())


def test_the_search_for_places_sees_both_sides_of_a_choice() -> None:
    assert list(reached_in(ast.parse("faultpoints.reached('a' if won else 'b')"))) == ["a", "b"]


def test_every_point_says_in_a_sentence_what_has_happened() -> None:
    for name, sentence in faultpoints.POINTS.items():
        assert name.count(".") == 1
        assert sentence[0].isupper()
        assert sentence.endswith(".")


def test_the_table_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        faultpoints.POINTS["x.y"] = "New."  # type: ignore[index] # the type forbids it too


def test_an_unarmed_point_costs_one_comparison() -> None:
    steps = [step.opname for step in dis.get_instructions(faultpoints.reached)]
    unarmed = steps[: next(place for place, step in enumerate(steps) if "JUMP" in step)]
    assert [step for step in unarmed if step in ("COMPARE_OP", "IS_OP", "CONTAINS_OP")] == ["COMPARE_OP"]
    assert not [step for step in unarmed if "CALL" in step]


def test_nothing_happens_at_an_unarmed_point_nor_at_another_one() -> None:
    faultpoints.reached(POINT)
    faultpoints.arm(POINT)
    faultpoints.reached("publish.claimed")


@pytest.mark.parametrize("wanted", [None, ""])
def test_without_a_name_nothing_is_armed(wanted: str | None) -> None:
    faultpoints.arm(POINT)
    faultpoints.arm(wanted)
    faultpoints.reached(POINT)


@pytest.mark.parametrize(
    "wanted", ["publish", "publish.sent ", "publish.sent:", "publish.sent:0", "publish.sent:x", "publish.sent:-1", ":1"]
)
def test_an_unknown_name_is_refused(wanted: str) -> None:
    with pytest.raises(InvalidConfig) as caught:
        faultpoints.arm(wanted)
    assert repr(wanted) in str(caught.value)
    assert POINT in caught.value.fix


@pytest.mark.parametrize(("wanted", "times"), [(POINT, 1), (f"{POINT}:1", 1), (f"{POINT}:3", 3)])
def test_an_armed_point_kills_at_the_wanted_time(wanted: str, times: int) -> None:
    program = (
        "import sys\nfrom contenthubd import faultpoints\nfaultpoints.arm(sys.argv[1])\n"
        f"for time in range(1, 5):\n    print(time, file=sys.stderr, flush=True)\n    faultpoints.reached({POINT!r})\n"
    )
    ended = subprocess.run([sys.executable, "-c", program, wanted], cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == -9
    assert ended.stderr.splitlines() == [str(time) for time in range(1, times + 1)]
    assert "fault_point_armed" in ended.stdout


def test_the_daemon_refuses_to_start_with_an_unknown_name(tmp_path: Path) -> None:
    environ = {"PATH": os.environ["PATH"], faultpoints.VARIABLE: "publish.send"}
    command = [sys.executable, "-m", "contenthubd", "--state-dir", str(tmp_path / "state")]
    ended = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True)
    assert ended.returncode == 2
    assert "publish.send" in ended.stderr
    assert not (tmp_path / "state").exists()
