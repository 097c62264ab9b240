"""Images with a Content-Encoding that nobody asked for: unpacked, or taken as they are when they are not packed."""

import gzip
import zlib
from collections.abc import AsyncIterator

import pytest

from contenthubd.adapters.images.http import CHUNK_BYTES, unpacked
from contenthubd.domain.errors import FetchFailed
from tests.contracts.image_site import PNG


def packed(content: bytes) -> bytes:
    """Without the time, which would give the tests other names in each process."""
    return gzip.compress(content, 1, mtime=0)


def named(value: object) -> str | None:
    """Short names of contents."""
    return f"{len(value)} bytes" if isinstance(value, bytes) else None


PACKED = packed(PNG)
RAW = zlib.compressobj(wbits=-zlib.MAX_WBITS)
HEADERLESS = RAW.compress(PNG) + RAW.flush()


async def pieces(content: bytes, size: int) -> AsyncIterator[bytes]:
    for at in range(0, len(content), size):
        yield content[at : at + size]


async def read(content: bytes, encoding: str, size: int) -> bytes:
    return b"".join([piece async for piece in unpacked(pieces(content, size), encoding)])


@pytest.mark.parametrize("size", [1, 2, 11, 12, 13, 500, CHUNK_BYTES])
@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        (PNG, ""),
        (PNG, "identity"),
        (PNG, "none"),
        (PNG, "binary"),
        (PNG, "gzip"),
        (PNG, "br"),
        (PNG, "gzip, gzip"),
        (PACKED, "gzip"),
        (PACKED, "x-gzip"),
        (PACKED, "gzip, identity"),
        (PACKED, "deflate"),
        (zlib.compress(PNG), "deflate"),
        (HEADERLESS, "deflate"),
        (packed(PNG[:500]) + packed(PNG[500:]), "gzip"),
        (PACKED + packed(b""), "gzip"),
        (PACKED + b"behind", "gzip"),
        (PACKED + b"\x1f", "gzip"),
    ],
    ids=named,
)
async def test_the_image_comes_out(content: bytes, encoding: str, size: int) -> None:
    assert await read(content, encoding, size) == PNG


@pytest.mark.parametrize("size", [1, 12, CHUNK_BYTES])
@pytest.mark.parametrize(
    ("content", "encoding", "words"),
    [
        (PACKED[:-9], "gzip", "end is missing"),
        (b"", "gzip", "end is missing"),
        (PACKED + PACKED[:12], "gzip", "end is missing"),
        (b"no image at all", "gzip", "damaged"),
        (b"\xff" * 99, "deflate", "damaged"),
        (PACKED, "gzip, gzip", "not asked for"),
        (PACKED, "br", "not asked for"),
        (b"\x28\xb5\x2f\xfd" + bytes(99), "zstd", "not asked for"),
    ],
    ids=named,
)
async def test_what_cannot_be_unpacked(content: bytes, encoding: str, words: str, size: int) -> None:
    with pytest.raises(FetchFailed, match=words):
        await read(content, encoding, size)


async def test_no_piece_of_a_bomb_is_large() -> None:
    bomb = gzip.compress(bytes(50_000_000), 1)
    sizes = [len(piece) async for piece in unpacked(pieces(bomb, CHUNK_BYTES), "gzip")]
    assert (max(sizes), sum(sizes)) == (CHUNK_BYTES, 50_000_000)


async def test_bytes_behind_the_end_are_not_read_on_and_on() -> None:
    taken = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal taken
        yield PACKED
        while True:
            taken += 1
            assert taken < 10
            yield bytes(CHUNK_BYTES)

    assert b"".join([piece async for piece in unpacked(endless(), "gzip")]) == PNG
