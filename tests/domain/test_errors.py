"""The tree in the docstring is the tree in the code, with its exit codes and HTTP statuses."""

import inspect
import re

import pytest

from contenthubd.domain import errors
from contenthubd.domain.errors import ContentHubError, FetchFailed, InvalidConfig

LINE = re.compile(r"^(?P<indent>[│ ]*)[├└]── (?P<name>\w+)(?P<rest>.*)$")
CLASSES = {
    name: found
    for name, found in inspect.getmembers(errors, inspect.isclass)
    if issubclass(found, ContentHubError) and found is not ContentHubError
}


def drawn() -> dict[str, tuple[str, str]]:
    """Each name in the drawing with its parent and with what stands behind it."""
    parents, tree = ["ContentHubError"], {}
    for line in (errors.__doc__ or "").splitlines():
        if found := LINE.match(line):
            depth = len(found["indent"]) // 4 + 1
            parents[depth:] = [found["name"]]
            tree[found["name"]] = (parents[depth - 1], found["rest"])
    return tree


def test_every_class_is_drawn_below_its_parent() -> None:
    bases = {name: error.__bases__[0].__name__ for name, error in CLASSES.items()}
    assert {name: parent for name, (parent, _) in drawn().items()} == bases


@pytest.mark.parametrize("name", CLASSES)
def test_the_drawing_tells_exit_code_and_status(name: str) -> None:
    told = drawn()[name][1]
    for words, number in (("exit", CLASSES[name].exit_code), ("HTTP", CLASSES[name].http_status)):
        if found := re.search(rf"{words} (\d+)", told):
            assert int(found[1]) == number


def test_every_error_has_a_code_of_its_own() -> None:
    assert len({error.code for error in CLASSES.values()}) == len(CLASSES)


def test_an_error_has_three_parts_and_says_them_in_order() -> None:
    error = ContentHubError("It broke.", why="It was old.", fix="Buy a new one.")
    assert str(error) == "It broke. It was old. Buy a new one."
    assert str(ContentHubError("It broke.", fix="Buy a new one.")) == "It broke. Buy a new one."
    assert error.args == ("It broke.",)


@pytest.mark.parametrize(("faults", "what"), [(["a"], "1 fault."), (["a", "b"], "2 faults.")])
def test_faults_of_the_configuration_are_told_all_at_once(faults: list[str], what: str) -> None:
    error = InvalidConfig(faults, fix="Run: contenthubctl config check")
    assert error.what == f"The configuration has {what}"
    assert error.why.splitlines() == error.faults == faults


def test_an_image_may_be_worth_another_try_unless_said_otherwise() -> None:
    assert not FetchFailed("It did not answer.").final
    assert FetchFailed("It is gone.", final=True).final
