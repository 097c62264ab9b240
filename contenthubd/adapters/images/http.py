"""Images from the web into a directory of ours: ``<content id>/<position>.<ext>``, whole or not at all.

An article names whatever address its creator named, so an address is not trusted. Where it leads is checked when the
socket is made, on the very address that is then connected to: a name that answers differently the second time, an
odd spelling and a redirect all meet the same check. What comes back is an image only if its bytes say so, from the
first to the last, whatever its headers claim. An image that is already here is not fetched again: its address may have
died since.
"""

import asyncio
import base64
import binascii
import re
import secrets
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from http import HTTPStatus
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import IO, Final
from urllib.parse import unquote_to_bytes
from uuid import UUID

import aiohttp
from anyio import to_thread
from yarl import URL

from contenthubd import durable
from contenthubd.adapters.images.client import Client, ForbiddenAddress
from contenthubd.adapters.images.kinds import HEAD_BYTES, KINDS, Kind, kind_of, known
from contenthubd.adapters.images.proxies import DIRECT, Proxies
from contenthubd.adapters.images.proxy_faults import silent
from contenthubd.adapters.images.structure import end_of
from contenthubd.domain.errors import FetchFailed, StateDirectoryError

MAX_REDIRECTS: Final = 5
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_PACKED: Final = frozenset({"gzip", "x-gzip", "deflate"})
_UNPACKED: Final = frozenset({"", "identity", "none", "binary"})
_GZIP: Final = b"\x1f\x8b"
_ANY_HEADER: Final = zlib.MAX_WBITS | 32
_NO_HEADER: Final = -zlib.MAX_WBITS
CHUNK_BYTES: Final = 1 << 16
TEMPORARY: Final = ".tmp-"
_PLAIN: Final = re.compile(r"[!-~]+")


class HttpImages:
    """An ImageSource for http, https and data: addresses; ``timeout`` bounds one fetch, ``max_bytes`` one image."""

    def __init__(
        self,
        root: Path,
        *,
        max_bytes: int,
        timeout: timedelta,
        allow_private_addresses: bool,
        proxies: Proxies = DIRECT,
    ) -> None:
        self._root = root
        self._max_bytes = max_bytes
        self._timeout = timeout.total_seconds()
        self._client = Client(proxies, allow_private_addresses=allow_private_addresses)
        self.faults = proxies.faults
        """Proxies that are named and cannot be used: images they are named for are not fetched."""

    async def start(self) -> None:
        """Open the client and remove what a crash left; StateDirectoryError if that cannot be done."""
        await to_thread.run_sync(_sweep, self._root)
        self._client.start()

    async def close(self) -> None:
        """Close every connection."""
        await self._client.close()

    async def fetch(self, url: str, content_id: UUID, position: int) -> tuple[str, str, int]:
        """Store the image; answers (path relative to the root, media type, bytes). FetchFailed."""
        try:
            stored = await to_thread.run_sync(_stored, self._root, content_id, position)
            async with asyncio.timeout(self._timeout):
                return stored or await self._fetch_new(url, content_id, position)
        except TimeoutError as error:
            raise self._late(url) from error
        except (aiohttp.ClientError, ValueError, LookupError) as error:  # yarl: an IndexError for "http://[]"
            raise _failure(url, error) from error
        except OSError as error:
            raise FetchFailed(f"The image could not be stored: {error.strerror or error}.") from error

    async def _fetch_new(self, url: str, content_id: UUID, position: int) -> tuple[str, str, int]:
        with _temporary(self._root / str(content_id)) as file:
            async with self._opened(url) as chunks:
                kind = await self._copy(chunks, file)
            name = f"{content_id}/{position}.{kind.extension}"
            size = await to_thread.run_sync(_keep, file, kind, self._root / name)
        return name, kind.media_type, size

    @asynccontextmanager
    async def _opened(self, url: str) -> AsyncIterator[AsyncIterator[bytes]]:
        scheme = url[:5].lower()
        if scheme == "data:":
            yield _once(decode_data_url(url, self._max_bytes))
        else:
            async with self._followed(_parsed(url)) as response:
                self._check(response)
                encoding = response.headers.get("Content-Encoding", "").strip().lower()
                yield unpacked(response.content.iter_chunked(CHUNK_BYTES), encoding)

    @asynccontextmanager
    async def _followed(self, first: URL) -> AsyncIterator[aiohttp.ClientResponse]:
        """The answer at the end of the redirects; each of them is judged as a new address."""
        url = first
        for _ in range(MAX_REDIRECTS + 1):
            async with self._client.asked(url) as response:
                target = _redirected(url, response)
                if target is None:
                    yield response
                    return
            url = target
        raise FetchFailed(f"{_shown(str(first))} redirects more than {MAX_REDIRECTS} times.", final=True)

    def _late(self, url: str) -> FetchFailed:
        proxy = None if url[:5].lower() == "data:" else self._client.proxy_of(_parsed(url))
        return silent(proxy, self._timeout) if proxy else FetchFailed(f"{_shown(url)} did not answer in time.")

    def _check(self, response: aiohttp.ClientResponse) -> None:
        if response.status != HTTPStatus.OK:
            gone = response.status in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE)
            proxy = self._client.proxy_of(response.url) if response.url.scheme == "http" else None
            who = f"The image's server, or the proxy {proxy}," if proxy else "The image's server"
            raise FetchFailed(
                f"{who} answered {response.status} {(response.reason or '')[:80]}".rstrip() + ".", final=gone
            )
        if (response.content_length or 0) > self._max_bytes:
            raise _too_large(self._max_bytes)

    async def _copy(self, chunks: AsyncIterator[bytes], file: IO[bytes]) -> Kind:
        head, size = b"", 0
        async for chunk in chunks:
            size += len(chunk)
            if size > self._max_bytes:
                raise _too_large(self._max_bytes)
            if len(head) < HEAD_BYTES:
                head = (head + chunk)[:HEAD_BYTES]
                if len(head) == HEAD_BYTES:
                    kind_of(head)  # what is no image is not loaded to its end
            await to_thread.run_sync(file.write, chunk)
        return kind_of(head)


def decode_data_url(url: str, max_bytes: int) -> bytes:
    """The bytes inside a data: address; FetchFailed if it is malformed or too large."""
    head, comma, data = url.partition(",")
    if len(data) > 4 * max_bytes:
        raise _too_large(max_bytes)
    if not comma:
        raise FetchFailed("The data: address has no data.", final=True)
    content = unquote_to_bytes(data)
    if not head.lower().endswith(";base64"):
        return content
    try:
        return base64.b64decode(b"".join(content.split()), validate=True)
    except binascii.Error as error:
        raise FetchFailed(f"The data: address is not base64: {error}.", final=True) from error


async def unpacked(chunks: AsyncIterator[bytes], encoding: str) -> AsyncIterator[bytes]:
    """The chunks without their Content-Encoding, which some servers apply unasked. FetchFailed.

    What begins as an image is not packed, whatever the header says. Each piece is at most ``CHUNK_BYTES`` long, so that
    a small answer that unpacks to gigabytes is stopped by its size.
    """
    head = b""
    async for chunk in chunks:
        head += chunk
        if len(head) >= HEAD_BYTES:
            break
    names = [name for part in encoding.split(",") if (name := part.strip()) not in _UNPACKED]
    whole = _joined(head, chunks)
    if not names or known(head):
        async for chunk in whole:
            yield chunk
        return
    if names[1:] or names[0] not in _PACKED:
        raise FetchFailed(f"The image's server answered in the encoding {encoding[:40]!r}, which was not asked for.")
    async for chunk in _inflated(whole, raw_allowed=names[0] == "deflate"):
        yield chunk


async def _joined(head: bytes, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield head
    async for chunk in chunks:
        yield chunk


async def _inflated(chunks: AsyncIterator[bytes], *, raw_allowed: bool) -> AsyncIterator[bytes]:
    """All members of a gzip stream, or one of zlib; ``raw_allowed`` where some servers leave the header out."""
    unpacker, rest = zlib.decompressobj(_ANY_HEADER), b""
    async for chunk in chunks:
        rest += chunk
        while rest:
            if unpacker.eof:
                if len(rest) < len(_GZIP):
                    break  # the next chunk tells
                if not rest.startswith(_GZIP):
                    return  # bytes behind the end are nobody's
                unpacker = zlib.decompressobj(_ANY_HEADER)
            try:
                piece = unpacker.decompress(rest, CHUNK_BYTES)
            except zlib.error as fault:
                if not raw_allowed:
                    raise FetchFailed("The image could not be unpacked: it is damaged.") from fault
                unpacker, raw_allowed = zlib.decompressobj(_NO_HEADER), False
                continue
            raw_allowed, rest = False, unpacker.unused_data if unpacker.eof else unpacker.unconsumed_tail
            yield piece
    if not unpacker.eof:
        raise FetchFailed("The image could not be unpacked: its end is missing.")


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content


def _parsed(url: str) -> URL:
    """The address, byte for byte where it is plain: signatures in it must stay what they are."""
    parsed = URL(url, encoded=bool(_PLAIN.fullmatch(url)))
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise FetchFailed(f"{_shown(url)} is not the address of an image: it must be http, https or data.", final=True)
    return parsed


def _redirected(url: URL, response: aiohttp.ClientResponse) -> URL | None:
    """Where an answer sends us; None if it is an answer of its own. ValueError for what is not an address."""
    location = response.headers.get("Location", "")
    if response.status not in _REDIRECTS or not location:
        return None
    target = url.join(URL(location))
    if target.scheme not in ("http", "https") or not target.host:
        raise ValueError(target.scheme)
    return target


def _failure(url: str, error: Exception) -> FetchFailed:
    match error:
        case aiohttp.ClientConnectorError(os_error=ForbiddenAddress()):
            return FetchFailed(
                f"{_shown(url)} leads to an address inside a private network, which "
                "[images] allow_private_addresses does not allow.",
                final=True,
            )
        case ValueError() | LookupError():
            return FetchFailed(f"{_shown(url)} is not an address, or redirects to something else.", final=True)
        case _:
            return FetchFailed(f"{_shown(url)} could not be read: {_cause(error)}.")


def _cause(error: Exception) -> str:
    """What went wrong, without the address, which may carry a signature."""
    return (isinstance(error, OSError) and error.strerror) or type(error).__name__


def _shown(url: str) -> str:
    """Enough of an address to know it by: no query, no user, no endless data."""
    bare = re.sub(r"//[^/@]*@", "//", re.split(r"[?#]", url, maxsplit=1)[0])
    return repr(bare[:120])


def _too_large(max_bytes: int) -> FetchFailed:
    return FetchFailed(f"The image has more than {max_bytes:,} bytes ([images] max_bytes).", final=True)


def _stored(root: Path, content_id: UUID, position: int) -> tuple[str, str, int] | None:
    for kind in KINDS:
        name = f"{content_id}/{position}.{kind.extension}"
        path = root / name
        if path.is_file():
            return name, kind.media_type, path.stat().st_size
    return None


@contextmanager
def _temporary(folder: Path) -> Iterator[IO[bytes]]:
    """A new file in ``folder`` that is gone afterwards unless it was renamed."""
    durable.make_folder(folder)
    path = folder / f"{TEMPORARY}{secrets.token_hex(8)}"
    try:
        with path.open("x+b") as file:
            yield file
    finally:
        path.unlink(missing_ok=True)


def _keep(file: IO[bytes], kind: Kind, target: Path) -> int:
    """Give a whole image its name, without the bytes behind its end; answers its size. FetchFailed."""
    file.flush()
    with mmap(file.fileno(), 0, access=ACCESS_READ) as content:
        end = end_of(kind, content)
    file.truncate(end)
    durable.finish(file)
    durable.rename(Path(file.name), target)
    return end


def _sweep(root: Path) -> None:
    try:
        for leftover in root.glob(f"*/{TEMPORARY}*"):
            leftover.unlink()
    except OSError as error:
        raise StateDirectoryError(
            f"The image directory {root} cannot be cleaned.",
            why=f"{error.strerror} ({error.filename}).",
            fix="Let the daemon's user write there.",
        ) from error
