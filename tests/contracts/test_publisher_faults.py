"""Directories that articles cannot be published to: each has a fix, nothing half-written stays, the next try works."""

import errno
import os
import shutil
from pathlib import Path

import pytest

from contenthubd.adapters.publishers.directory import DirectoryPublisher, _failure, unwritable
from contenthubd.domain.errors import PublishFailed
from tests.contracts.test_publishers import PUBLICATION, everything_below


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "published"


ERRORS = [
    errno.ESTALE,
    errno.EIO,
    errno.EDQUOT,
    errno.ENOSPC,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.ENAMETOOLONG,
]


@pytest.mark.parametrize("number", ERRORS, ids=errno.errorcode.get)
@pytest.mark.parametrize("call", ["fsync", "rename", "mkdir", "fchmod"])
async def test_each_error_of_the_disk_has_a_fix_and_leaves_nothing(
    root: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as broken:
        broken.setattr(os, call, refuse)
        with pytest.raises(PublishFailed) as failure:
            await DirectoryPublisher(root).publish(PUBLICATION)
    assert os.strerror(number) in failure.value.why
    assert failure.value.fix
    assert [path for path in everything_below(root) if path.name != "studio"] == []
    assert Path((await DirectoryPublisher(root).publish(PUBLICATION)).location).is_file()


@pytest.mark.parametrize("target", ["loop", "gone", "/dev/null", "x" * 255 + "/y"])
async def test_links_that_lead_nowhere(tmp_path: Path, target: str) -> None:
    (tmp_path / "loop").symlink_to(target)
    fault = unwritable(tmp_path / "loop" / "published")
    assert fault
    with pytest.raises(PublishFailed) as failure:
        await DirectoryPublisher(tmp_path / "loop" / "published").publish(PUBLICATION)
    assert failure.value.fix


async def test_a_link_to_another_place_is_followed(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to("disk")
    await DirectoryPublisher(tmp_path / "link").publish(PUBLICATION)
    assert list((tmp_path / "disk" / "studio").iterdir())


async def test_a_directory_that_vanished_is_made_anew(root: Path) -> None:
    publisher = DirectoryPublisher(root)
    await publisher.publish(PUBLICATION)
    shutil.rmtree(root)
    assert Path((await publisher.publish(PUBLICATION)).location).is_file()


async def test_a_path_that_is_too_long(tmp_path: Path) -> None:
    with pytest.raises(PublishFailed) as failure:
        await DirectoryPublisher(tmp_path / ("x" * 256)).publish(PUBLICATION)
    assert "shorter" in failure.value.fix


def test_under_systemd_a_read_only_directory_names_the_units_setting(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INVOCATION_ID", "0")
    fault = _failure(OSError(errno.EROFS, "Read-only file system"), root)
    assert f"ReadWritePaths={root}" in fault.fix
    assert not fault.fix.startswith("If")


def test_a_directory_that_can_be_made_is_no_warning(root: Path) -> None:
    assert unwritable(root / "deep") is None
