"""Which kind of image some bytes are, by how they begin, whatever their headers or their address claim.

Taken is what browsers, Hugo and WordPress all show. An SVG image is a document that can hold scripts and fetch other
addresses; on the site's own address it would act for the site, so none is taken, harmless or not.
"""

import re
from dataclasses import dataclass
from typing import Final

from contenthubd.domain.errors import FetchFailed

HEAD_BYTES: Final = 512
"""As many bytes as decide; the brands of an AVIF image are the longest beginning."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of image, known by its first bytes."""

    media_type: str
    extension: str
    head: re.Pattern[bytes] | None


PNG: Final = Kind("image/png", "png", re.compile(rb"\x89PNG\r\n\x1a\n"))
JPEG: Final = Kind("image/jpeg", "jpg", re.compile(rb"\xff\xd8\xff"))
GIF: Final = Kind("image/gif", "gif", re.compile(rb"GIF8[79]a"))
WEBP: Final = Kind("image/webp", "webp", re.compile(rb"RIFF....WEBP", re.DOTALL))
AVIF: Final = Kind("image/avif", "avif", None)  # its brands decide
BMP: Final = Kind("image/bmp", "bmp", re.compile(rb"BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0", re.DOTALL))
KINDS: Final = (PNG, JPEG, GIF, WEBP, AVIF, BMP)

_WANTED: Final = "a PNG, JPEG, GIF, WebP, AVIF or BMP image"
_AVIF_BRANDS: Final = frozenset({b"avif", b"avis"})
_HEIF_BRANDS: Final = frozenset({b"mif1", b"msf1", b"mif2", b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"})
_SVG: Final = "an SVG image, which is refused because SVG can hold scripts"
_OTHERS: Final = (
    (re.compile(rb"\xff\x0a|\0\0\0\x0cJXL "), "a JPEG XL image, which most browsers do not show"),
    (re.compile(rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51"), "a JPEG 2000 image, which browsers do not show"),
    (re.compile(rb"II[*+]\0|MM\0[*+]"), "a TIFF image, which browsers do not show"),
    (re.compile(rb"8BPS"), "a Photoshop file"),
    (re.compile(rb"\0\0[\x01\x02]\0"), "an icon"),
    (re.compile(rb"%PDF-"), "a PDF file"),
    (re.compile(rb"PK\x03\x04"), "a ZIP file"),
    (re.compile(rb"\x1f\x8b"), "a gzip file"),
    (re.compile(rb"....ftyp", re.DOTALL), "a video"),
    (re.compile(rb"RIFF....(?:AVI |WAVE)", re.DOTALL), "a video or audio file"),
)
_HTML: Final = re.compile(rb"<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE)
_SVG_TAG: Final = re.compile(rb"<(?:\w{1,20}:)?svg\b|<!doctype\s+svg|<!entity|/2000/svg", re.IGNORECASE)


def known(head: bytes) -> Kind | None:
    """The kind of image that begins with ``head``; None if it is none that is taken."""
    if _AVIF_BRANDS & _brands(head):
        return AVIF
    return next((kind for kind in KINDS if kind.head and kind.head.match(head)), None)


def kind_of(head: bytes) -> Kind:
    """The kind of image that begins with ``head``; FetchFailed, which says what it is instead."""
    kind = known(head)
    if kind:
        return kind
    other = _other(head)
    raise FetchFailed(
        f"The answer is {other}; use {_WANTED}." if other else f"The answer is not {_WANTED}.", final=True
    )


def _brands(head: bytes) -> frozenset[bytes]:
    """The major and the compatible brands of an ISO media file; its minor version, between them, is none."""
    if head[4:8] != b"ftyp":
        return frozenset()
    box = head[: int.from_bytes(head[:4])]
    return frozenset(box[at : at + 4] for at in (8, *range(16, len(box) - 3, 4)))


def _other(head: bytes) -> str:
    if not head:
        return "empty"
    if _HEIF_BRANDS & _brands(head):
        return "a HEIC or HEIF image, which most browsers do not show"
    named = next((name for pattern, name in _OTHERS if pattern.match(head)), "")
    return named or _document(head)


def _document(head: bytes) -> str:
    """What a text is, in UTF-8 or UTF-16."""
    text = head.replace(b"\0", b"").lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n")
    if text[:1] in (b"{", b"["):
        return "JSON text"
    if text[:1] != b"<":
        return ""
    if _HTML.search(text):
        return "a web page"
    return _SVG if _SVG_TAG.search(text) else "an XML or HTML document"
