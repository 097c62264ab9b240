"""What is renamed or made stays so after a power cut: its folder is synced, after the fact and in every room."""

import ast
import os
from pathlib import Path

import pytest

from contenthubd import durable

ROOT = Path(__file__).resolve().parents[2] / "contenthubd"


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, list[str]]]:
    """Each thing that was synced, in order, with the names that a folder had at that moment."""
    found: list[tuple[str, list[str]]] = []
    fsync = os.fsync

    def noted(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").resolve()
        found.append((path.name, sorted(os.listdir(path)) if path.is_dir() else []))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    return found


def test_a_file_is_synced_before_its_name_is(tmp_path: Path, synced: list[tuple[str, list[str]]]) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    with (folder / "new").open("wb") as file:
        file.write(b"x")
        durable.finish(file)
    durable.rename(folder / "new", folder / "final")
    assert synced == [("new", []), ("folder", ["final"])]


def test_a_folder_is_synced_after_each_name_in_it(tmp_path: Path, synced: list[tuple[str, list[str]]]) -> None:
    base = tmp_path / "base"
    base.mkdir()
    durable.make_folder(base / "a" / "b")
    assert synced == [("base", ["a"]), ("a", ["b"])]
    durable.make_folder(base / "a" / "b")
    assert len(synced) == 2, "nothing was missing"


def test_nothing_is_renamed_in_another_way() -> None:
    found = []
    for path in sorted(ROOT.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            owner = ast.unparse(node.func.value)
            # Path.replace takes one argument; those of str and of dates take two, or names
            replaces = node.func.attr == "replace" and len(node.args) == 1 and not node.keywords
            renames = node.func.attr in {"rename", "renames"} and owner != "durable"
            others = owner in {"os", "shutil"} and node.func.attr in {"replace", "move", "link", "fsync"}
            if (renames or replaces or others) and path.name != "durable.py":
                found.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert found == []
