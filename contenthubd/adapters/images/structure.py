"""Where an image ends, by its own structure, and whether it is whole and of a size that a browser can show.

What a beginning promises, the rest may not hold: a cut download, an error page behind eight right bytes, another file
behind the image. Each reader walks from block to block without unpacking a pixel, in linear time.
"""

import re
import struct
import zlib
from collections.abc import Callable, Mapping
from mmap import mmap
from typing import Final

from contenthubd.adapters.images.kinds import AVIF, BMP, GIF, JPEG, PNG, WEBP, Kind
from contenthubd.domain.errors import FetchFailed

MAX_PIXELS: Final = 100_000_000
"""Unpacked, four bytes each: more is not shown by phones, and is how a few kilobytes exhaust a reader's memory."""

Content = bytes | mmap
_JPEG_MARKER: Final = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_JPEG_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_BOX_NAME: Final = re.compile(rb"[ -~]{4}")
_BOX_BYTES: Final = 8
_IMAGE_SIZE: Final = re.compile(rb"ispe\0{4}(.{8})", re.DOTALL)
_TEM, _SOI, _EOI, _SOS = 0x01, 0xD8, 0xD9, 0xDA


def end_of(kind: Kind, content: Content) -> int:
    """How many bytes belong to the image; what lies behind them does not. FetchFailed, final unless it is cut."""
    try:
        end = _READERS[kind.extension](content)
    except struct.error as error:
        raise _cut() from error
    if end > len(content):
        raise _cut()
    return end


def _png(content: Content) -> int:
    at, drawn = 8, False
    length: int
    while True:
        length, name = struct.unpack_from(">I4s", content, at)
        _need(name.isalpha() and (name == b"IHDR") == (at == 8))
        end = at + 12 + length
        if end > len(content):
            raise _cut()
        if name[:1].isupper():
            _need(zlib.crc32(content[at + 4 : end - 4]) == int.from_bytes(content[end - 4 : end]))
        if name == b"IHDR":
            _pixels(*struct.unpack_from(">II", content, at + 8))
        drawn = drawn or name == b"IDAT"
        if name == b"IEND":
            _need(drawn)
            return end
        at = end


def _jpeg(content: Content) -> int:
    at, framed, scanned = 2, False, False
    while True:
        found = _JPEG_MARKER.search(content, at)
        if found is None:
            raise _cut()
        at, marker = found.end(), content[found.end() - 1]
        _need(scanned or not content[found.pos : found.start()].strip(b"\xff"))
        if marker == _EOI:
            _need(scanned)
            return at
        _need(marker != _SOI)
        if marker == _TEM:
            continue
        (length,) = struct.unpack_from(">H", content, at)
        _need(length > 1)
        if marker in _JPEG_FRAMES:
            height, width = struct.unpack_from(">HH", content, at + 3)
            _pixels(width, height)
            framed = True
        if marker == _SOS:
            _need(framed)
            scanned = True
        at += length


def _gif(content: Content) -> int:
    width, height, flags = struct.unpack_from("<HHB", content, 6)
    _pixels(width, height)
    at, drawn = 13 + _gif_table(flags), False
    while True:
        (block,) = struct.unpack_from("B", content, at)
        if block == ord(";"):
            _need(drawn)
            return at + 1
        _need(block in b",!")
        if block == ord(","):
            width, height, flags = struct.unpack_from("<HHB", content, at + 5)
            _pixels(width, height)
            at, drawn = at + 11 + _gif_table(flags), True
        else:
            at += 2
        while length := struct.unpack_from("B", content, at)[0]:
            at += 1 + length
        at += 1


def _gif_table(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _webp(content: Content) -> int:
    size: int = struct.unpack_from("<I", content, 4)[0]
    end, at, drawn = 8 + size, 12, False
    if end > len(content):
        raise _cut()
    while at < end - 7:
        name, length = struct.unpack_from("<4sI", content, at)
        _need(at + 8 + length <= end)
        size_of = _WEBP_SIZES.get(name)
        if size_of:
            _pixels(*size_of(content, at + 8))
        drawn = drawn or name in (b"VP8 ", b"VP8L", b"ANMF")
        at += 8 + length + (length & 1)
    _need(drawn)
    return end


def _webp_lossy(content: Content, at: int) -> tuple[int, int]:
    code, width, height = struct.unpack_from("<3sHH", content, at + 3)
    _need(code == b"\x9d\x01\x2a")
    return width & 0x3FFF, height & 0x3FFF


def _webp_lossless(content: Content, at: int) -> tuple[int, int]:
    sign, bits = struct.unpack_from("<BI", content, at)
    _need(sign == ord("/"))
    return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1


def _webp_canvas(content: Content, at: int) -> tuple[int, int]:
    return int.from_bytes(content[at + 4 : at + 7], "little") + 1, int.from_bytes(
        content[at + 7 : at + 10], "little"
    ) + 1


def _bmp(content: Content) -> int:
    start, header = struct.unpack_from("<II", content, 10)
    if header == 12:
        width, height, _, depth = struct.unpack_from("<HHHH", content, 18)
        packing = length = 0
    else:
        width, height, _, depth, packing, length = struct.unpack_from("<iiHHII", content, 18)
    _pixels(width, abs(height))
    _need(depth in (1, 2, 4, 8, 16, 24, 32) and packing in (0, 1, 2, 3, 6) and start >= 14 + header)
    run_length = packing in (1, 2)
    _need(not run_length or length > 0)
    return int(start + (length if run_length else (width * depth + 31) // 32 * 4 * abs(height)))


def _avif(content: Content) -> int:
    at, data, described = 0, False, list[bytes]()
    while box := _box(content, at):
        name, end = box
        if end > len(content):
            if data and described:
                break  # bytes behind the image that look like a box
            raise _cut()
        data = data or name == b"mdat"
        if name in (b"meta", b"moov"):
            described.append(content[at:end])
        at = end
    text = b"".join(described)
    if at == len(content) and not (text and (data or b"idat" in text)):
        raise _cut()
    _need(b"av01" in text and (data or b"idat" in text))
    for found in _IMAGE_SIZE.finditer(text):
        _pixels(*struct.unpack(">II", found[1]))
    return at


def _box(content: Content, at: int) -> tuple[bytes, int] | None:
    """Name and end of the box at ``at``; None if there is none. A size of 0 reaches to the end of the file."""
    if len(content) - at < _BOX_BYTES:
        return None
    size, name = struct.unpack_from(">I4s", content, at)
    if size == 1:
        (size,) = struct.unpack_from(">Q", content, at + _BOX_BYTES)
    if 0 < size < _BOX_BYTES or not _BOX_NAME.fullmatch(name):
        return None
    return name, at + size if size else len(content)


def _pixels(width: int, height: int) -> None:
    _need(width > 0 and height > 0)
    if width * height > MAX_PIXELS:
        raise FetchFailed(
            f"The image has {width:,} × {height:,} pixels; the maximum is {MAX_PIXELS:,} pixels.", final=True
        )


def _need(right: bool) -> None:
    if not right:
        raise _damaged()


def _damaged() -> FetchFailed:
    return FetchFailed("The image is damaged: it begins as an image, but the rest is not one.", final=True)


def _cut() -> FetchFailed:
    return FetchFailed("The image is incomplete: its end is missing.")


_WEBP_SIZES: Final[Mapping[bytes, Callable[[Content, int], tuple[int, int]]]] = {
    b"VP8 ": _webp_lossy,
    b"VP8L": _webp_lossless,
    b"VP8X": _webp_canvas,
}
_READERS: Final[Mapping[str, Callable[[Content], int]]] = {
    PNG.extension: _png,
    JPEG.extension: _jpeg,
    GIF.extension: _gif,
    WEBP.extension: _webp,
    AVIF.extension: _avif,
    BMP.extension: _bmp,
}
