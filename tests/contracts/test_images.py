"""Images from real servers on this machine: what is stored, what is refused, and what is worth another try."""

import asyncio
import base64
import socket
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from contenthubd.adapters.images.http import HttpImages
from contenthubd.domain.errors import FetchFailed, StateDirectoryError
from tests.contracts.image_site import CONTENT, IMAGES, MAX_BYTES, PNG, Site, files, opened, refusal
from tests.contracts.pictures import form_of


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    site = Site()
    await site.server.start_server()
    yield site
    site.never.set()
    await site.server.close()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "images"


@pytest.fixture
async def images(root: Path) -> AsyncIterator[HttpImages]:
    async with opened(root) as source:
        yield source


@pytest.fixture
async def guarded(root: Path) -> AsyncIterator[HttpImages]:
    async with opened(root, allow=False) as source:
        yield source


# ------------------------------------------------------------------------------------------------ what is stored


@pytest.mark.parametrize("kind", IMAGES)
async def test_an_image_is_known_by_its_first_bytes(images: HttpImages, site: Site, root: Path, kind: str) -> None:
    media_type, content = IMAGES[kind]
    stored = await images.fetch(site.url(f"/image/{kind}"), CONTENT, 3)
    assert stored == (f"{CONTENT}/3.{form_of(kind)}", media_type, len(content))
    assert (root / stored[0]).read_bytes() == content
    assert files(root) == [stored[0]]


async def test_an_image_that_is_here_is_answered_even_when_its_address_died(
    images: HttpImages, site: Site, root: Path
) -> None:
    first = await images.fetch(site.url("/image/png"), CONTENT, 1)
    await site.server.close()
    assert await images.fetch(site.url("/image/png"), CONTENT, 1) == first
    assert site.seen == ["/image/png"]


async def test_the_address_is_asked_for_byte_by_byte(images: HttpImages, site: Site) -> None:
    """Object stores sign their addresses: rewriting %2F to / could break the signature."""
    path = "/image/png?X-Signature=a%2Fb%2Bc%3D&x=%7E"
    await images.fetch(site.url(path), CONTENT, 1)
    assert site.seen == [path]


async def test_an_address_in_other_letters_is_quoted(images: HttpImages, site: Site) -> None:
    await images.fetch(site.url("/image/png?标题=a b"), CONTENT, 1)
    assert site.seen == ["/image/png?%E6%A0%87%E9%A2%98=a+b"]


async def test_exactly_the_largest_size_is_stored(images: HttpImages, site: Site) -> None:
    assert (await images.fetch(site.url(f"/bytes/{MAX_BYTES}"), CONTENT, 1))[2] == MAX_BYTES


async def test_five_redirects_are_followed(images: HttpImages, site: Site) -> None:
    assert (await images.fetch(site.url("/hops/5"), CONTENT, 1))[1] == "image/png"


@pytest.mark.parametrize(
    "url",
    [
        "data:image/png;base64," + base64.b64encode(PNG).decode(),
        "DATA:text/plain;Base64," + base64.encodebytes(PNG).decode(),
        "data:image/png;base64," + base64.b64encode(PNG).decode().replace("+", "%2B").replace("/", "%2F"),
        "data:," + "".join(f"%{byte:02x}" for byte in PNG),
    ],
    ids=["base64", "wrapped", "quoted base64", "quoted"],
)
async def test_data_addresses(guarded: HttpImages, root: Path, url: str) -> None:
    path, media_type, size = await guarded.fetch(url, CONTENT, 1)
    assert (media_type, size) == ("image/png", len(PNG))
    assert (root / path).read_bytes() == PNG


# ------------------------------------------------------------------------------------- what is refused for good


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/status/404", "answered 404"),
        ("/status/410", "answered 410"),
        ("/text", "is a web page; use a PNG"),
        ("/packed/bomb", "more than 4,096 bytes"),
        (f"/bytes/{MAX_BYTES + 1}", "more than 4,096 bytes"),
        ("/endless", "more than 4,096 bytes"),
        ("/hops/6", "redirects more than 5 times"),
        ("/to?where=ftp://127.0.0.1/x", "redirects to something else"),
        ("/to?where=file:///etc/passwd", "redirects to something else"),
        ("/to?where=data:,x", "redirects to something else"),
        ("/to?where=http://127.0.0.1:99999/", "redirects to something else"),
    ],
)
async def test_what_another_try_cannot_cure(images: HttpImages, site: Site, root: Path, path: str, words: str) -> None:
    failure = await refusal(images, site.url(path))
    assert words in str(failure)
    assert failure.final
    assert files(root) == []


@pytest.mark.parametrize(
    "url",
    [
        "",
        "image.png",
        "//host/x.png",
        "file:///etc/passwd",
        "ftp://host/x.png",
        "javascript:alert(1)",
        "http://",
        "http:///x.png",
        "http://[::1",
        "http://host:99999/",
        "http://" + "a" * 64 + ".example/",
        "\x00",
        "https:",
        "data:image/png;base64",
        "data:image/png;base64,!!!!",
        "data:image/png;base64,QUJ",
        "data:,",
        "data:,text",
        "data:;base64," + base64.b64encode(PNG[:8] + bytes(MAX_BYTES)).decode(),
        "data:," + "a" * (4 * MAX_BYTES + 1),
    ],
    ids=lambda url: repr(url[:30]),
)
async def test_an_address_of_no_image(images: HttpImages, root: Path, url: str) -> None:
    assert (await refusal(images, url)).final
    assert files(root) == []


# ---------------------------------------------------------------------------------------- what is worth another try


@pytest.mark.parametrize("status", [204, 304, 400, 401, 403, 408, 429, 500, 502, 503, 504])
async def test_other_answers_may_change(images: HttpImages, site: Site, root: Path, status: int) -> None:
    failure = await refusal(images, site.url(f"/status/{status}"))
    assert str(status) in str(failure)
    assert not failure.final
    assert files(root) == []


async def test_an_image_cut_in_the_middle(images: HttpImages, site: Site, root: Path) -> None:
    assert not (await refusal(images, site.url("/cut"))).final
    assert files(root) == []


async def test_nobody_listens(images: HttpImages) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    failure = await refusal(images, f"http://127.0.0.1:{port}/x.png")
    assert not failure.final
    assert "could not be read" in str(failure)


async def test_a_server_that_never_answers(root: Path, site: Site) -> None:
    async with opened(root, patience=timedelta(milliseconds=200)) as images:
        failure = await refusal(images, site.url("/silent"))
    assert not failure.final
    assert "in time" in str(failure)
    assert files(root) == []


async def test_our_own_disk_is_to_blame(images: HttpImages, site: Site, root: Path) -> None:
    root.mkdir()
    (root / str(CONTENT)).write_text("in the way")
    failure = await refusal(images, site.url("/image/png"))
    assert not failure.final
    assert "could not be stored" in str(failure)


async def test_a_cancelled_fetch_leaves_nothing(images: HttpImages, site: Site, root: Path) -> None:
    fetching = asyncio.create_task(images.fetch(site.url("/silent"), CONTENT, 1))
    async with asyncio.timeout(60):
        await site.asked.wait()
    fetching.cancel()
    await asyncio.wait([fetching])
    assert fetching.cancelled()
    assert files(root) == []


async def test_messages_tell_no_signature_password_or_data(images: HttpImages, site: Site) -> None:
    for url in (
        f"http://user:secret@127.0.0.1:{site.server.port}/hops/9?sig=secret#secret",
        site.url("/to?where=http://x:99999/secret&sig=secret"),
        "nothing:" + "x" * 200 + "secret",
    ):
        assert "secret" not in str(await refusal(images, url))


# -------------------------------------------------------------------------------------------------- start and end


async def test_leftovers_of_a_crash_are_removed_at_start(root: Path) -> None:
    folder = root / str(CONTENT)
    folder.mkdir(parents=True)
    (folder / ".tmp-0123").write_bytes(b"half")
    (folder / "1.png").write_bytes(PNG)
    async with opened(root):
        assert files(root) == [f"{CONTENT}/1.png"]


async def test_a_directory_that_cannot_be_cleaned(root: Path) -> None:
    (root / str(CONTENT) / ".tmp-folder").mkdir(parents=True)
    with pytest.raises(StateDirectoryError, match="cannot be cleaned"):
        async with opened(root):
            pass


async def test_fetching_before_the_start_is_a_mistake_of_the_caller(root: Path, site: Site) -> None:
    source = HttpImages(root, max_bytes=1, timeout=timedelta(seconds=1), allow_private_addresses=True)
    await source.close()
    with pytest.raises(RuntimeError, match="start"):
        await source.fetch(site.url("/image/png"), CONTENT, 1)


@pytest.mark.parametrize("how", ["gzip", "x-gzip", "deflate", "headless", "identity", "lies"])
async def test_an_image_that_was_packed_unasked_is_unpacked(
    images: HttpImages, site: Site, root: Path, how: str
) -> None:
    path, media_type, size = await images.fetch(site.url(f"/packed/{how}"), CONTENT, 1)
    assert (media_type, size) == ("image/png", len(PNG))
    assert (root / path).read_bytes() == PNG


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("broken", "it is damaged"),
        ("cut", "its end is missing"),
        ("br", "was not asked for"),
    ],
)
async def test_what_cannot_be_unpacked_is_told_and_tried_again(
    images: HttpImages, site: Site, root: Path, how: str, words: str
) -> None:
    with pytest.raises(FetchFailed, match=words) as failed:
        await images.fetch(site.url(f"/packed/{how}"), CONTENT, 1)
    assert not failed.value.final
    assert [path for path in root.rglob("*") if path.is_file()] == []
