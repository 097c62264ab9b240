"""A small web site with everything that can happen to an image, for the tests of image sources."""

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from contenthubd.adapters.images.http import HttpImages
from contenthubd.domain.errors import FetchFailed
from tests.contracts.pictures import PICTURES, form_of, padded

CONTENT = UUID("0190a000-0000-7000-8000-0123456789ab")
MAX_BYTES = 4096
PNG = padded(1008)
TYPES = {"jpg": "jpeg"}
IMAGES = {name: (f"image/{TYPES.get(form_of(name), form_of(name))}", content) for name, content in PICTURES.items()}
PACKED = {
    "gzip": ("gzip", gzip.compress(PNG)),
    "x-gzip": ("X-GZip", gzip.compress(PNG)),
    "deflate": ("deflate", zlib.compress(PNG)),
    "headless": ("deflate", zlib.compress(PNG, wbits=-zlib.MAX_WBITS)),
    "identity": ("identity", PNG),
    "bomb": ("gzip", gzip.compress(PNG + bytes(50_000_000))),
    "broken": ("gzip", gzip.compress(PNG)[:20] + bytes(30)),
    "cut": ("gzip", gzip.compress(PNG)[:-12]),
    "lies": ("gzip", PNG),
    "br": ("br", b"\x8b\x01\x80" + PNG),
}


class Site:
    """Counts who asks; ``asked`` is set once someone waits for an answer that never comes."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.asked = asyncio.Event()
        self.never = asyncio.Event()
        app = web.Application()
        app.add_routes(
            [
                web.get("/image/{kind}", self.image),
                web.get("/status/{status}", self.status),
                web.get("/bytes/{size}", self.sized),
                web.get("/endless", self.endless),
                web.get("/hops/{left}", self.hops),
                web.get("/to", self.to),
                web.get("/silent", self.silent),
                web.get("/cut", self.cut),
                web.get("/text", self.text),
                web.get("/packed/{how}", self.packed),
            ]
        )
        self.server = TestServer(app)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server.port}{path}"

    async def image(self, request: web.Request) -> web.Response:
        self.seen.append(request.raw_path)
        return web.Response(body=IMAGES[request.match_info["kind"]][1], content_type="text/plain")

    async def status(self, request: web.Request) -> web.Response:
        return web.Response(status=int(request.match_info["status"]), body=PNG)

    async def sized(self, request: web.Request) -> web.Response:
        return web.Response(body=padded(int(request.match_info["size"])))

    async def endless(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(PNG)
        while not self.never.is_set():
            await response.write(bytes(65536))
        return response

    async def hops(self, request: web.Request) -> web.Response:
        left = int(request.match_info["left"])
        raise web.HTTPFound(f"/hops/{left - 1}" if left > 1 else "/image/png")

    async def to(self, request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": request.query["where"]})

    async def silent(self, request: web.Request) -> web.Response:
        self.asked.set()
        await self.never.wait()
        return web.Response()

    async def cut(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "2000"})
        await response.prepare(request)
        await response.write(PNG)
        assert request.transport
        request.transport.close()
        return response

    async def text(self, request: web.Request) -> web.Response:
        return web.Response(text="<html>expired</html>", content_type="image/png")

    async def packed(self, request: web.Request) -> web.Response:
        encoding, body = PACKED[request.match_info["how"]]
        return web.Response(body=body, headers={"Content-Encoding": encoding})


@asynccontextmanager
async def opened(
    root: Path, *, allow: bool = True, patience: timedelta = timedelta(minutes=5)
) -> AsyncIterator[HttpImages]:
    source = HttpImages(root, max_bytes=MAX_BYTES, timeout=patience, allow_private_addresses=allow)
    await source.start()
    try:
        yield source
    finally:
        await source.close()


def files(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


async def refusal(source: HttpImages, url: str) -> FetchFailed:
    with pytest.raises(FetchFailed) as failure:
        await source.fetch(url, CONTENT, 1)
    return failure.value
