"""What every publisher must do (the same content again answers the same receipt), and what the directory adds."""

import errno
import fcntl
import os
import shutil
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest
import yaml
from anyio import create_task_group
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contenthubd.adapters.publishers.directory import INDEX, TEMPORARY, DirectoryPublisher
from contenthubd.adapters.publishers.markdown_file import MAX_SLUG_BYTES, slug_of
from contenthubd.domain.errors import PublishFailed
from contenthubd.domain.publication import Publication, PublicationState, PublishedImage, Receipt
from contenthubd.ports.contents import Publisher

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
PUBLICATION = Publication(
    publication_id=UUID("0190a000-0000-7000-8000-000000000001"),
    content_id=UUID("0190a000-0000-7000-8000-0123456789ab"),
    task_id=UUID("0190a000-0000-7000-8000-000000000003"),
    account="studio",
    target="directory",
    state=PublicationState.PUBLISHING,
    attempt=1,
    retry_count=0,
    title="今年的十种面包: 从酸种到贝果",
    topic="面包",
    body='# 今年的十种面包\r\n\n正文 — body: "quoted" 🍞\n---\nnot: front matter\n---\n\n末尾',
    keywords=("面包", "key: word", "yes"),
    created_at=datetime(2026, 3, 9, 23, 59, 30, tzinfo=UTC),
)

PUBLISHERS: dict[str, Callable[[Path], Publisher]] = {"directory": DirectoryPublisher}


@pytest.fixture(params=PUBLISHERS)
def publisher(request: pytest.FixtureRequest, tmp_path: Path) -> Publisher:
    return PUBLISHERS[request.param](tmp_path / "published")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "published"


def image(tmp_path: Path, position: int, prompt: str = "") -> PublishedImage:
    path = tmp_path / f"{position}.png"
    path.write_bytes(PNG)
    return PublishedImage(position=position, prompt=prompt, path=str(path), media_type="image/png")


def front_matter(text: str) -> tuple[dict[str, object], str]:
    empty, head, body = text.split("---\n", 2)
    assert empty == ""
    fields = yaml.safe_load(head)
    assert isinstance(fields, dict)
    return fields, body.removeprefix("\n")


def read(receipt: Receipt) -> str:
    return Path(receipt.location).read_bytes().decode()


def everything_below(root: Path) -> list[Path]:
    return sorted(root.rglob("*"))


# ---------------------------------------------------------------------------------------------- every publisher


async def test_publishing_again_answers_the_same_receipt(publisher: Publisher) -> None:
    first = await publisher.publish(PUBLICATION)
    assert first.remote_id
    assert first.location
    assert await publisher.publish(PUBLICATION) == first


async def test_a_later_attempt_under_a_new_title_answers_the_first_receipt(publisher: Publisher) -> None:
    first = await publisher.publish(PUBLICATION)
    assert await publisher.publish(replace(PUBLICATION, title="Another", attempt=2)) == first


async def test_two_contents_of_one_title_get_two_receipts(publisher: Publisher) -> None:
    other = replace(PUBLICATION, content_id=UUID("0190a000-0000-7000-8000-0123456789ac"))
    first, second = await publisher.publish(PUBLICATION), await publisher.publish(other)
    assert first.remote_id != second.remote_id
    assert first.location != second.location


async def test_publishing_side_by_side_answers_one_receipt(publisher: Publisher) -> None:
    receipts: list[Receipt] = []

    async def publish() -> None:
        receipts.append(await publisher.publish(PUBLICATION))

    async with create_task_group() as group:
        for _ in range(8):
            group.start_soon(publish)
    assert len(receipts) == 8
    assert len(set(receipts)) == 1


# ------------------------------------------------------------------------------------------------ the directory


async def test_the_folder_has_the_account_the_date_the_title_and_a_short_id(root: Path) -> None:
    receipt = await DirectoryPublisher(root).publish(PUBLICATION)
    name = "2026-03-09-今年的十种面包-从酸种到贝果-0123456789ab"
    assert receipt == Receipt(remote_id=name, location=str(root / "studio" / name / INDEX))
    assert everything_below(root) == [root / "studio", root / "studio" / name, root / "studio" / name / INDEX]


async def test_the_location_is_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    receipt = await DirectoryPublisher(Path("out")).publish(PUBLICATION)
    assert Path(receipt.location).is_absolute()
    assert Path(receipt.location).is_relative_to(tmp_path)


async def test_front_matter_and_body_are_what_they_were(root: Path) -> None:
    fields, body = front_matter(read(await DirectoryPublisher(root).publish(PUBLICATION)))
    assert fields == {
        "title": PUBLICATION.title,
        "date": PUBLICATION.created_at,
        "account": "studio",
        "topic": "面包",
        "keywords": ["面包", "key: word", "yes"],
        "images": [],
        "task_id": str(PUBLICATION.task_id),
        "content_id": str(PUBLICATION.content_id),
    }
    assert body == PUBLICATION.body


async def test_front_matter_is_readable_by_a_person(root: Path) -> None:
    text = read(await DirectoryPublisher(root).publish(PUBLICATION))
    assert "今年的十种面包" in text.split("---\n")[1]


@settings(
    max_examples=50,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(text=st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
async def test_any_title_topic_and_body_survive(tmp_path: Path, text: str) -> None:
    shutil.rmtree(tmp_path / "out", ignore_errors=True)
    hostile = replace(PUBLICATION, title=text, topic=text, body=text)
    publisher = DirectoryPublisher(tmp_path / "out")
    receipt = await publisher.publish(hostile)
    fields, body = front_matter(read(receipt))
    assert (fields["title"], fields["topic"], body) == (text, text, text)
    assert await publisher.publish(hostile) == receipt


async def test_images_lie_beside_the_article_and_take_their_places_in_it(root: Path, tmp_path: Path) -> None:
    body = "![一](image-placeholder-1)\n\n![ten](image-placeholder-10)\n![lost](image-placeholder-2)"
    images = (image(tmp_path, 1), image(tmp_path, 10))
    receipt = await DirectoryPublisher(root).publish(replace(PUBLICATION, body=body, images=images))
    fields, placed = front_matter(read(receipt))
    assert placed == "![一](image-1.png)\n\n![ten](image-10.png)"
    assert fields["images"] == ["image-1.png", "image-10.png"]
    folder = Path(receipt.location).parent
    assert sorted(path.name for path in folder.iterdir()) == ["image-1.png", "image-10.png", INDEX]
    assert (folder / "image-10.png").read_bytes() == PNG


@pytest.mark.parametrize("end", ["", "\n"])
async def test_images_without_a_place_come_at_the_end(root: Path, tmp_path: Path, end: str) -> None:
    images = (image(tmp_path, 1, "a [red]\nbarn"), image(tmp_path, 2))
    publication = replace(PUBLICATION, body=f"text{end}", images=images)
    _, body = front_matter(read(await DirectoryPublisher(root).publish(publication)))
    assert body == "text\n\n![a \\[red\\] barn](image-1.png)\n\n![](image-2.png)\n"


@pytest.mark.parametrize("umask", [0o000, 0o027, 0o077])
@pytest.mark.parametrize(
    ("mode", "file", "folder"), [(None, 0o644, 0o755), (0o640, 0o640, 0o750), (0o666, 0o666, 0o777)]
)
async def test_folders_and_files_have_their_modes_whatever_the_umask(
    root: Path, tmp_path: Path, umask: int, mode: int | None, file: int, folder: int
) -> None:
    before = os.umask(umask)
    try:
        publisher = DirectoryPublisher(root) if mode is None else DirectoryPublisher(root, file_mode=mode)
        receipt = await publisher.publish(replace(PUBLICATION, images=(image(tmp_path, 1),)))
    finally:
        os.umask(before)
    index = Path(receipt.location)
    assert {stat.S_IMODE(path.stat().st_mode) for path in (index, index.parent / "image-1.png")} == {file}
    assert {stat.S_IMODE(path.stat().st_mode) for path in (root, index.parent.parent, index.parent)} == {folder}


# --------------------------------------------------------------------------------------------------------- names


@pytest.mark.parametrize(
    ("title", "slug"),
    [
        ("Ten Breads", "ten-breads"),
        ("面包：做法（上）", "面包-做法-上"),
        ("../../etc/passwd", "etc-passwd"),
        ('a\\b:c*d?e"f<g>h|i', "a-b-c-d-e-f-g-h-i"),
        ("  ..  ", "article"),
        ("", "article"),
        ("🍞🥖", "article"),
        ("nul\x00byte\nline", "nul-byte-line"),
        ("\u202eevil", "evil"),
        ("Cafe\u0301", "café"),
        ("İstanbul", "i̇stanbul"),
        ("-rf --all", "rf-all"),
    ],
)
def test_slugs(title: str, slug: str) -> None:
    assert slug_of(title) == slug


@settings(deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text())
def test_any_slug_is_safe_for_every_file_system(title: str) -> None:
    slug = slug_of(title)
    assert 1 <= len(slug.encode()) <= MAX_SLUG_BYTES
    assert not set(slug) & set('/\\:*?"<>| .\x00')
    assert slug.isprintable()
    assert slug == slug.strip("-")


async def test_reserved_names_never_stand_alone(root: Path) -> None:
    receipt = await DirectoryPublisher(root).publish(replace(PUBLICATION, title="CON"))
    assert receipt.remote_id == "2026-03-09-con-0123456789ab"


@pytest.mark.parametrize("account", ["..", ".", "", "a/b", "/etc", ".tmp-x"])
async def test_an_account_that_is_a_path_is_refused(root: Path, account: str) -> None:
    with pytest.raises(PublishFailed, match="cannot be the name of a folder"):
        await DirectoryPublisher(root).publish(replace(PUBLICATION, account=account))
    assert not root.exists()


# ------------------------------------------------------------------------------------------------ what goes wrong


async def test_a_file_where_the_account_should_be(root: Path) -> None:
    root.mkdir()
    (root / "studio").write_text("in the way")
    with pytest.raises(PublishFailed) as failure:
        await DirectoryPublisher(root).publish(PUBLICATION)
    assert str(root / "studio") in failure.value.why
    assert "has this name" in failure.value.fix


async def test_a_file_where_the_root_should_be(root: Path) -> None:
    root.write_text("in the way")
    with pytest.raises(PublishFailed) as failure:
        await DirectoryPublisher(root).publish(PUBLICATION)
    assert "has this name" in failure.value.fix


@pytest.mark.parametrize("what", ["file", "folder"])
async def test_something_else_under_the_articles_name_is_left_alone(root: Path, what: str) -> None:
    taken = root / "studio" / "2026-03-09-bread-0123456789ab"
    mine = taken if what == "file" else taken / INDEX
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    with pytest.raises(PublishFailed) as failure:
        await DirectoryPublisher(root).publish(replace(PUBLICATION, title="bread"))
    assert "has this name" in failure.value.fix
    assert mine.read_text() == "mine"
    assert list((root / "studio").iterdir()) == [taken]


async def test_a_missing_image_leaves_no_half_folder(root: Path, tmp_path: Path) -> None:
    gone = replace(image(tmp_path, 1), path=str(tmp_path / "gone.png"))
    with pytest.raises(PublishFailed) as failure:
        await DirectoryPublisher(root).publish(replace(PUBLICATION, images=(gone,)))
    assert "gone.png" in failure.value.why
    assert everything_below(root) == [root / "studio"]
    receipt = await DirectoryPublisher(root).publish(replace(PUBLICATION, images=(image(tmp_path, 1),)))
    assert Path(receipt.location).is_file()


def test_leftovers_of_a_crash_are_removed_when_a_publisher_starts(root: Path) -> None:
    kept = root / "studio" / "2026-03-09-old-0123456789ab"
    for folder in (kept, root / "studio" / f"{TEMPORARY}one", root / "studio" / f"{TEMPORARY}two"):
        folder.mkdir(parents=True)
    (root / "studio" / f"{TEMPORARY}two" / INDEX).write_text("half")
    DirectoryPublisher(root)
    assert everything_below(root) == [root / "studio", kept]


def test_a_folder_that_is_being_written_is_no_leftover(root: Path) -> None:
    folder = root / "studio" / f"{TEMPORARY}living"
    folder.mkdir(parents=True)
    with (folder / INDEX).open("w") as writer:
        fcntl.flock(writer, fcntl.LOCK_EX)
        DirectoryPublisher(root)
        assert (folder / INDEX).exists()
    DirectoryPublisher(root)
    assert not folder.exists()


async def test_a_starting_publisher_disturbs_no_other(root: Path, tmp_path: Path) -> None:
    """One writer is held in the middle, by an image that is a pipe, while another publisher starts."""
    pipe = tmp_path / "1.png"
    os.mkfifo(pipe)
    slow = PublishedImage(position=1, prompt="", path=str(pipe), media_type="image/png")
    receipts: list[Receipt] = []

    async def publish() -> None:
        receipts.append(await DirectoryPublisher(root).publish(replace(PUBLICATION, images=(slow,))))

    def feed() -> None:
        with pipe.open("wb") as writer:  # opens only when the publisher has come to its image
            DirectoryPublisher(root)
            writer.write(PNG)

    feeder = threading.Thread(target=feed, daemon=True)
    feeder.start()
    async with create_task_group() as group:
        group.start_soon(publish)
    feeder.join()
    assert (Path(receipts[0].location).parent / "image-1.png").read_bytes() == PNG


def test_a_leftover_that_cannot_be_removed_does_not_stop_the_start(root: Path) -> None:
    root.joinpath("studio").mkdir(parents=True)
    stray = root / "studio" / f"{TEMPORARY}file"
    stray.write_text("no folder")
    DirectoryPublisher(root)
    assert stray.exists()


# ------------------------------------------------------------ disks that are full or read-only, in a mount namespace

PROBE = """
import asyncio, sys
from dataclasses import replace
from pathlib import Path
sys.path[:0] = sys.argv[2:]
from test_publishers import PUBLICATION, DirectoryPublisher, PublishFailed
root = Path(sys.argv[1])
try:
    asyncio.run(DirectoryPublisher(root).publish(replace(PUBLICATION, body="x" * 300_000)))
except PublishFailed as failure:
    print(failure.what, failure.why, failure.fix, sep="|")
print([path.name for path in root.rglob("*")])
"""
FULL = 'mount -t tmpfs -o size=64k tmpfs "$1"'
READ_ONLY = 'mkdir "$1/studio" && mount --bind "$1" "$1" && mount -o remount,bind,ro "$1"'


def in_a_mount_namespace(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-ec", script, "sh", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def mounting_is_refused() -> bool:
    return shutil.which("unshare") is None or in_a_mount_namespace("mount -t tmpfs tmpfs /mnt").returncode != 0


@pytest.mark.skipif(mounting_is_refused(), reason="this machine lets no one mount, not even in a namespace of its own")
@pytest.mark.parametrize(
    ("mount", "number", "fix"),
    [(FULL, errno.ENOSPC, "Free space"), (READ_ONLY, errno.EROFS, "If contenthubd runs as a systemd service")],
    ids=["full", "read-only"],
)
def test_a_disk_that_takes_nothing(tmp_path: Path, mount: str, number: int, fix: str) -> None:
    here = Path(__file__).resolve()
    run = in_a_mount_namespace(
        f'{mount}; exec "$2" -c "$3" "$1" "$4" "$5"',
        str(tmp_path),
        sys.executable,
        PROBE,
        str(here.parent),
        str(here.parents[2]),
    )
    assert run.returncode == 0, run.stderr
    failure, names = run.stdout.splitlines()[-2:]
    what, why, suggested = failure.split("|")
    assert str(tmp_path) in what
    assert os.strerror(number) in why
    assert suggested.startswith(fix)
    assert names == "['studio']"
