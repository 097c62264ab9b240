"""Which bytes are an image: real pictures, cut, lying, glued to other files, and everything that is refused by name."""

import asyncio
import gzip
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import given
from hypothesis import strategies as st

from contenthubd.adapters.images.kinds import HEAD_BYTES, kind_of
from contenthubd.adapters.images.structure import MAX_PIXELS, end_of
from contenthubd.domain.errors import FetchFailed
from contenthubd.simulator.picture import chunk
from tests.contracts.image_site import CONTENT, files, opened
from tests.contracts.pictures import PICTURES, form_of

AVIF = PICTURES["avif"]
BRANDS_END = int.from_bytes(AVIF[:4])


def ftyp(major: bytes, *compatible: bytes) -> bytes:
    """The beginning of an ISO media file."""
    body = b"ftyp" + major + bytes(4) + b"".join(compatible)
    return (4 + len(body)).to_bytes(4) + body


def judged(content: bytes) -> str:
    """The extension it is stored under; FetchFailed."""
    kind = kind_of(content[:HEAD_BYTES])
    assert end_of(kind, content) == len(content)
    return kind.extension


def refusal(content: bytes) -> FetchFailed:
    with pytest.raises(FetchFailed) as failure:
        judged(content)
    return failure.value


@pytest.mark.parametrize("name", PICTURES)
def test_each_picture_is_whole_and_no_beginning_of_it_is(name: str) -> None:
    content = PICTURES[name]
    assert judged(content) == form_of(name)
    for length in range(len(content)):
        refusal(content[:length])
    assert not refusal(content[:-1]).final
    assert "incomplete" in str(refusal(content[:-1]))


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize(
    "more",
    [b"\0", bytes(1000), b"<script>alert(1)</script>", b"PK\x03\x04" + b"x" * 99, b"<?php ?>", b"A" * 1_000_000],
    ids=lambda more: f"{len(more)} bytes",
)
def test_what_lies_behind_an_image_does_not_belong_to_it(name: str, more: bytes) -> None:
    content = PICTURES[name]
    assert end_of(kind_of(content[:HEAD_BYTES]), content + more) == len(content)


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize("rest", [bytes(2000), b"<html>sold out</html>" * 50, b"\xff" * 100_000, b"\xff\xd8" * 9000])
def test_a_right_beginning_and_a_wrong_rest(name: str, rest: bytes) -> None:
    refusal(PICTURES[name][:16] + rest)


@pytest.mark.parametrize(
    "brands",
    [
        (b"avif", b"mif1", b"miaf"),
        (b"mif1", b"avif"),
        (b"mif1", b"mif1", b"miaf", b"avif"),
        (b"msf1", b"avis"),
        (b"heic", b"mif1", b"avif"),
        (b"miaf", *([b"mif1"] * 100), b"avif"),
    ],
    ids=len,
)
def test_the_compatible_brands_make_an_avif(brands: tuple[bytes, ...]) -> None:
    assert judged(ftyp(*brands) + AVIF[BRANDS_END:]) == "avif"


@pytest.mark.parametrize("brands", [(b"mif1", b"miaf"), (b"msf1", b"hevc"), (b"heic",), (b"heix", b"mif1"), (b"mif1",)])
def test_heif_without_avif_is_refused_by_name(brands: tuple[bytes, ...]) -> None:
    fault = refusal(ftyp(*brands) + AVIF[BRANDS_END:])
    assert "HEIC or HEIF" in str(fault)
    assert fault.final


def test_a_minor_version_is_no_brand() -> None:
    lying = ftyp(b"mif1", b"miaf")
    refusal(lying[:12] + b"avif" + lying[16:] + AVIF[BRANDS_END:])


def test_an_avif_brand_over_another_codec_is_damaged() -> None:
    assert "damaged" in str(refusal(AVIF.replace(b"av01", b"hvc1")))


SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><circle r="4"/></svg>'


@pytest.mark.parametrize(
    "content",
    [
        SVG,
        b"\xef\xbb\xbf" + SVG,
        b"\n\n  <?xml version='1.0'?>\n<!-- drawn -->" + SVG,
        b'<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "x">' + SVG,
        b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "b">]>' + SVG,
        SVG.replace(b"<circle", b"<script>alert(1)</script><circle"),
        SVG.replace(b"<circle", b'<image href="http://a.example/"/><circle'),
        b'<s:svg xmlns:s="http://www.w3.org/2000/svg"/>',
        SVG.upper(),
        SVG.decode().encode("utf-16"),
    ],
    ids=range(10),
)
def test_svg_is_refused_with_its_reason(content: bytes) -> None:
    fault = refusal(content)
    assert str(fault).startswith("The answer is an SVG image, which is refused because SVG can hold scripts; use a PNG")
    assert fault.final


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"<!DOCTYPE html><title>x</title>", "a web page"),
        (b"  <html><svg></svg>", "a web page"),
        (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "an XML or HTML document"),
        (b'{"error": "expired"}', "JSON text"),
        (b"II*\0" + bytes(99), "a TIFF image"),
        (b"MM\0*" + bytes(99), "a TIFF image"),
        (b"\0\0\x01\0" + bytes(99), "an icon"),
        (b"8BPS" + bytes(99), "a Photoshop file"),
        (b"%PDF-1.7", "a PDF file"),
        (b"\xff\x0a" + bytes(99), "a JPEG XL image"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "a JPEG XL image"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "a JPEG 2000 image"),
        (ftyp(b"isom", b"mp42"), "a video"),
        (b"RIFF\0\0\0\0AVI LIST", "a video"),
        (b"PK\x03\x04" + bytes(99), "a ZIP file"),
        (gzip.compress(SVG, mtime=0), "a gzip file"),
        (b"expired", "is not a PNG, JPEG, GIF, WebP, AVIF or BMP image"),
        (b"BM is how this text begins, and more of it", "is not a PNG"),
        (b"\0" * 600, "is not a PNG"),
    ],
    ids=range(20),
)
def test_what_is_no_image_is_named(content: bytes, words: str) -> None:
    fault = refusal(content)
    assert words in str(fault)
    assert fault.final


def put(name: str, at: int, form: str, *values: int) -> bytes:
    """A picture with other numbers at one place."""
    content = bytearray(PICTURES[name])
    struct.pack_into(form, content, at, *values)
    return bytes(content)


def huge_png(width: int, height: int) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(9))) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    "make",
    [
        lambda side: huge_png(side, side),
        lambda side: put("gif", 6, "<HH", side, side),
        lambda side: put("bmp", 18, "<ii", side, side),
        lambda side: put("bmp", 18, "<ii", side, -side),
        lambda side: put("jpg", PICTURES["jpg"].index(b"\xff\xc0") + 5, ">HH", side, side),
        lambda side: put("progressive.jpg", PICTURES["progressive.jpg"].index(b"\xff\xc2") + 5, ">HH", side, side),
        lambda side: put("avif", AVIF.index(b"ispe") + 8, ">II", side, side),
    ],
    ids=["png", "gif", "bmp", "bmp from above", "jpeg", "progressive", "avif"],
)
def test_huge_and_empty_pictures(make: Callable[[int], bytes]) -> None:
    fault = refusal(make(65_000))
    assert "65,000 × 65,000 pixels; the maximum is 100,000,000" in str(fault)
    assert fault.final
    assert "damaged" in str(refusal(make(0)))


def test_the_largest_picture_is_taken() -> None:
    assert judged(huge_png(MAX_PIXELS // 100, 100)) == "png"
    assert "pixels" in str(refusal(huge_png(MAX_PIXELS // 100 + 1, 100)))
    assert "pixels" in str(refusal(huge_png(0xFFFF_FFFF, 0xFFFF_FFFF)))


@given(name=st.sampled_from(sorted(PICTURES)), data=st.data())
def test_changed_bytes_are_judged_without_any_other_error(name: str, data: st.DataObject) -> None:
    content = bytearray(PICTURES[name])
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.sampled_from([0, 1, 0x7F, 0x80, 0xFF]))
    try:
        assert 0 < end_of(kind_of(bytes(content[:HEAD_BYTES])), bytes(content)) <= len(content)
    except FetchFailed as fault:
        assert str(fault).count(".") == 1


@pytest.mark.parametrize(
    "content",
    [
        PICTURES["png"][:33] + chunk(b"aaaa", b"") * 90_000,
        PICTURES["jpg"][:2] + b"\xff\xfe\0\2" * 250_000,
        PICTURES["jpg"][:-2] + b"\xff" * 1_000_000,
        PICTURES["gif"][:-1] + b"!\xfe\1a\0" * 200_000,
        AVIF + b"\0\0\0\x08free" * 130_000,
    ],
    ids=["png", "jpeg", "jpeg filler", "gif", "avif"],
)
def test_a_million_bytes_of_blocks_are_walked_in_linear_time(content: bytes) -> None:
    try:
        end_of(kind_of(content[:HEAD_BYTES]), content)
    except FetchFailed as fault:
        assert "incomplete" in str(fault)


async def test_only_the_image_is_stored_and_nothing_of_a_broken_one(tmp_path: Path) -> None:
    """Over HTTP: a polyglot loses its second half, a body without Content-Length that was cut leaves no file."""
    png = PICTURES["png"]
    bodies = {"glued": png + b"<script>alert(1)</script>", "cut": png[:-3]}

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Connection": "close", "Content-Type": "text/html"})
        await response.prepare(request)
        for byte in bodies[request.match_info["name"]]:
            await response.write(bytes([byte]))
            await asyncio.sleep(0)
        return response

    app = web.Application()
    app.add_routes([web.get("/{name}", answer)])
    async with TestServer(app) as server, opened(tmp_path) as images:
        path, _, size = await images.fetch(str(server.make_url("/glued")), CONTENT, 1)
        assert (tmp_path / path).read_bytes() == png
        assert size == len(png)
        with pytest.raises(FetchFailed, match="incomplete") as failure:
            await images.fetch(str(server.make_url("/cut")), CONTENT, 2)
    assert not failure.value.final
    assert files(tmp_path) == [path]
