"""What survives a power cut: content is synced before its name is given, and the folder after; at every place."""

import base64
import hashlib
import os
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest

from contenthubd import durable
from contenthubd.adapters.postgres import archive, cluster
from contenthubd.adapters.postgres.restore import ImageShelf
from contenthubd.adapters.publishers.directory import DirectoryPublisher
from tests.contracts.image_site import CONTENT, PNG, opened
from tests.contracts.test_publishers import PUBLICATION, image


class Disk:
    """Writes down, through the standard library's own functions, what was synced and renamed, in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.done: list[tuple[str, str, str]] = []
        fsync, rename = os.fsync, os.rename

        def synced(descriptor: int) -> None:
            fsync(descriptor)
            self.done.append(("sync", os.readlink(f"/proc/self/fd/{descriptor}"), ""))

        def renamed(source: os.PathLike[str], target: os.PathLike[str]) -> None:
            rename(source, target)
            self.done.append(("rename", os.fspath(source), os.fspath(target)))

        monkeypatch.setattr(os, "fsync", synced)
        monkeypatch.setattr(os, "rename", renamed)

    def synced(self, path: Path) -> bool:
        return ("sync", str(path), "") in self.done

    def proves(self, target: Path) -> None:
        """``target`` came by one rename: everything in it was synced before, its folder afterwards."""
        (at,) = [index for index, entry in enumerate(self.done) if entry[0] == "rename" and entry[2] == str(target)]
        source = self.done[at][1]
        before = {path for what, path, _ in self.done[:at] if what == "sync"}
        after = {path for what, path, _ in self.done[at:] if what == "sync"}
        inside = [str(path.relative_to(target)) for path in target.rglob("*")]
        assert {source, *(f"{source}/{name}" for name in inside)} <= before
        assert str(target.parent) in after


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


async def test_an_image(tmp_path: Path, disk: Disk) -> None:
    root = tmp_path / "images"
    async with opened(root) as source:
        path, _, _ = await source.fetch("data:;base64," + base64.b64encode(PNG).decode(), CONTENT, 1)
    disk.proves(root / path)
    assert disk.synced(tmp_path)
    assert disk.synced(root), "the name of the content's folder"


async def test_an_article_with_images(tmp_path: Path, disk: Disk) -> None:
    root = tmp_path / "new" / "deep"
    publication = replace(PUBLICATION, images=(image(tmp_path, 1),))
    receipt = await DirectoryPublisher(root).publish(publication)
    disk.proves(Path(receipt.location).parent)
    assert all(disk.synced(folder) for folder in (tmp_path, tmp_path / "new", root))


def test_a_backup(tmp_path: Path, disk: Disk) -> None:
    with archive.created(tmp_path / "b.tar.gz", force=False):
        pass
    disk.proves(tmp_path / "b.tar.gz")


def test_a_restored_image(tmp_path: Path, disk: Disk) -> None:
    ImageShelf(tmp_path / "images").put("a/1.png", BytesIO(PNG), hashlib.sha256(PNG).hexdigest())
    disk.proves(tmp_path / "images" / "a" / "1.png")
    assert disk.synced(tmp_path / "images")


def test_a_new_database(tmp_path: Path, disk: Disk) -> None:
    """What is inside, initdb has synced itself."""
    (tmp_path / "half").mkdir()
    cluster.adopt(tmp_path / "half", tmp_path / "data")
    assert disk.done[-2:] == [("rename", f"{tmp_path}/half", f"{tmp_path}/data"), ("sync", str(tmp_path), "")]


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o027, 0o077])
def test_new_folders_have_their_mode_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    """A web server has to get through every folder on the way."""
    before = os.umask(umask)
    try:
        durable.make_folder(tmp_path / "a" / "b", 0o755)
    finally:
        os.umask(before)
    assert [(tmp_path / name).stat().st_mode & 0o7777 for name in ("a", "a/b")] == [0o755, 0o755]
