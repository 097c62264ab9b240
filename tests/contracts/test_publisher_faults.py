"""Directories that articles cannot be published to: each has a fix, nothing half-written stays, the next try works."""

import errno
import os
import pwd
import shutil
from dataclasses import replace
from itertools import product
from pathlib import Path
from types import SimpleNamespace

import pytest
import structlog

from contenthubd.adapters.publishers import faults
from contenthubd.adapters.publishers.directory import DirectoryPublisher
from contenthubd.adapters.publishers.faults import failure as told
from contenthubd.adapters.publishers.faults import private_place, unwritable
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


CALLS = ["fsync", "rename", "mkdir", "fchmod"]
NO_MODES = ("fchmod", errno.EPERM)
"""No fault, but a file system without modes."""


@pytest.mark.parametrize(
    ("call", "number"), [one for one in product(CALLS, ERRORS) if one != NO_MODES], ids=lambda one: f"{one}"
)
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


@pytest.mark.parametrize("number", [errno.EPERM, errno.EOPNOTSUPP, 0], ids=str)
async def test_a_file_system_without_modes(root: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """FAT refuses to change modes, NTFS ignores it: articles are published with those of the mount, which is told."""

    def refuse(*_: object, **__: object) -> None:
        if number:
            raise OSError(number, os.strerror(number))

    for call in ("chmod", "fchmod"):
        monkeypatch.setattr(os, call, refuse)
    monkeypatch.setattr(Path, "chmod", refuse)
    earlier = os.umask(0o077)
    try:
        with structlog.testing.capture_logs() as logged:
            publisher = DirectoryPublisher(root)
            receipt = await publisher.publish(PUBLICATION)
            await publisher.publish(replace(PUBLICATION, attempt=2))
    finally:
        os.umask(earlier)
    assert Path(receipt.location).is_file()
    [told] = [one for one in logged if one["event"] == "publish_modes_not_kept"]
    assert (told["wanted"], told["kept"]) == ("0644", "0600")


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
    fault = told(OSError(errno.EROFS, "Read-only file system"), root)
    assert f"ReadWritePaths={root}" in fault.fix
    assert not fault.fix.startswith("If")


def test_a_directory_that_can_be_made_is_no_warning(root: Path) -> None:
    assert unwritable(root / "deep") is None


NUMBERS = sorted({
    errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EMFILE, errno.ENFILE, errno.EMLINK, errno.ESTALE, errno.EHOSTDOWN,
    errno.ETIMEDOUT, errno.ENOTCONN, errno.EIO, errno.ELOOP, errno.ENAMETOOLONG, errno.EXDEV, errno.ENOENT,
    errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENOTEMPTY, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENODEV,
    errno.EREMOTEIO,
})  # fmt: skip


@pytest.mark.parametrize("number", NUMBERS, ids=lambda number: errno.errorcode[number])
def test_every_error_has_its_reason_and_a_way_out(root: Path, number: int) -> None:
    fault = told(OSError(number, os.strerror(number), str(root)), root)
    assert os.strerror(number) in fault.why
    assert fault.fix.endswith(".")


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM])
@pytest.mark.parametrize("name", ["plain", "with blank", "100%"])
def test_a_missing_permission_names_the_user_and_a_command(tmp_path: Path, number: int, name: str) -> None:
    root = tmp_path / name
    fault = told(OSError(number, os.strerror(number), str(root)), root)
    assert f"setfacl -m u:{pwd.getpwuid(os.geteuid()).pw_name}:rwx" in fault.fix
    assert "ReadWritePaths" not in fault.fix


@pytest.mark.parametrize(
    ("name", "written"), [("plain", "plain"), ("with blank", 'with blank"'), ("100%", "100%%"), ('a"b', 'a\\"b"')]
)
def test_a_denied_write_on_a_read_only_mount_is_the_units(
    tmp_path: Path, name: str, written: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ProtectSystem=strict says either: that the file system is read-only, or that permission is denied."""
    monkeypatch.setenv("INVOCATION_ID", "0")
    read_only = SimpleNamespace(f_flag=os.ST_RDONLY)
    monkeypatch.setattr(os, "statvfs", lambda _: read_only)
    root = tmp_path / name
    fault = told(OSError(errno.EACCES, "Permission denied", str(root)), root)
    assert "systemctl edit contenthubd" in fault.fix
    assert f"{written} into it" in fault.fix


def test_an_image_that_cannot_be_read_is_named(root: Path) -> None:
    fault = told(OSError(errno.EACCES, "Permission denied", "/elsewhere/image.png"), root)
    assert "read /elsewhere/image.png" in fault.fix


def test_the_folder_of_one_account_is_the_one_that_is_named(root: Path) -> None:
    """The publishing directory may be ours, and the folder of an account below it somebody else's."""
    (root / "studio").mkdir(parents=True)
    fault = told(OSError(errno.EACCES, "Permission denied", str(root / "studio" / ".tmp-1")), root)
    assert f":rwx {root / 'studio'}`" in fault.fix


def test_a_share_that_does_not_answer_hides_no_missing_permission(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(_: object) -> None:
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    monkeypatch.setattr(os, "statvfs", gone)
    assert "setfacl" in told(OSError(errno.EACCES, "Permission denied", str(root)), root).fix


PRIVATE = "41 30 8:1 /tmp/systemd-private-0a1b-contenthubd.service-x/tmp /tmp rw shared:1 - ext4 /dev/sda1 rw\n"


@pytest.mark.parametrize(
    ("root", "mounts", "parent", "told"),
    [
        ("/tmp/out", PRIVATE, 1, True),
        ("/tmp", PRIVATE, 1, True),
        ("/tmp/out", PRIVATE.replace(" /tmp rw", " /var/tmp rw"), 1, False),
        ("/tmp/out", PRIVATE.replace("/systemd-private-", "/other-"), 1, False),
        ("/tmp/out", "\n41 30\n", 1, False),
        ("/tmp/out", PRIVATE, 77, False),
        ("/srv/out", PRIVATE, 1, False),
        ("/tmpfs/out", PRIVATE, 1, False),
    ],
)
async def test_a_place_that_only_the_service_sees_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root: str, mounts: str, parent: int, told: bool
) -> None:
    """A started unit's parent is process 1; the tests of somebody else's unit are no unit."""
    (tmp_path / "mountinfo").write_text(mounts)
    monkeypatch.setattr(faults, "_MOUNTS", tmp_path / "mountinfo")
    monkeypatch.setattr(os, "getppid", lambda: parent)
    monkeypatch.setenv("INVOCATION_ID", "0")
    fault = private_place(Path(root))
    assert (fault is not None) == told
    if fault:
        assert "PrivateTmp=yes" in fault.why
        assert "outside /tmp" in fault.fix
        assert str(unwritable(Path(root))) == str(fault)
        with pytest.raises(PublishFailed, match="PrivateTmp"):
            await DirectoryPublisher(Path(root)).publish(PUBLICATION)
