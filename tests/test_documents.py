"""A document that a message names can be opened, in a checkout and after an installation."""

import re
import shutil
import sys
import tomllib
from pathlib import Path

import pytest

from contenthubd import documents
from tests.running import CHECKOUT

SOURCES = {path: path.read_text(encoding="utf-8") for path in (CHECKOUT / "contenthubd").rglob("*.py")}
NAMED = sorted({name for text in SOURCES.values() for name in re.findall(r"document\(['\"]([\w./-]+)['\"]\)", text)})


def test_messages_name_documents_by_their_path_only() -> None:
    assert NAMED == ["configuration.md", "http-api.md"]
    bare = [
        (path.name, line.strip())
        for path, text in SOURCES.items()
        for line in re.sub(r'"""(?:(?!""").)*"""', "", text, flags=re.DOTALL).splitlines()
        if re.search(r"\bdocs/[\w-]+\.md|README(\.zh-CN)?\.md", line.partition("#")[0])
    ]
    assert bare == []


@pytest.mark.parametrize("name", NAMED)
def test_a_checkout_has_them(name: str) -> None:
    assert Path(documents.document(name)) == CHECKOUT / "docs" / name
    assert (CHECKOUT / "docs" / name).is_file()


@pytest.mark.parametrize("name", NAMED)
def test_an_installation_has_them(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shared = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    for source, target in shared["shared-data"].items():  # as the installer of a wheel does
        there = tmp_path / target
        there.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if (CHECKOUT / source).is_dir() else shutil.copyfile)(CHECKOUT / source, there)
    package = tmp_path / "lib" / "site-packages" / "contenthubd"
    (package.parent / "docs").mkdir(parents=True)
    (package.parent / "docs" / name).write_text("of another package")
    monkeypatch.setattr(documents, "__file__", str(package / "documents.py"))
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    assert documents.document(name) == str(tmp_path / "share" / "contenthubd" / "docs" / name)
    assert Path(documents.document(name)).read_text() == (CHECKOUT / "docs" / name).read_text()


def test_the_unit_names_documents_of_an_installation() -> None:
    unit = (CHECKOUT / "systemd" / "contenthubd.service").read_text()
    named = re.findall(r"^Documentation=file:///opt/contenthubd/share/contenthubd/(\S+)$", unit, re.MULTILINE)
    assert len(named) == 2
    assert [name for name in named if not (CHECKOUT / name).is_file()] == []
