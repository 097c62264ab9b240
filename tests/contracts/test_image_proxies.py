"""Images through a real HTTP proxy on this machine: which one, what it may be asked, and what it can answer."""

import asyncio
import base64
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from contenthubd.adapters.images.http import HttpImages
from contenthubd.adapters.images.proxies import Proxies, proxies_of
from tests.contracts.image_site import CONTENT, MAX_BYTES, PNG, Site, files, refusal
from tests.listening import listening

OUTSIDE = "http://93.184.216.34"
"""A public address: nobody asks it, for the proxy answers."""
IMAGE = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(PNG) + PNG


class Proxy:
    """Answers every request with ``answer``, and remembers what it was asked."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.asked: list[list[str]] = []
        self.port = 0

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["Proxy"]:
        async with listening(self._serve) as self.port:
            yield self

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def lines(self) -> list[str]:
        return [head[0] for head in self.asked]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()
        self.asked.append(head)
        writer.write(self.answer)
        await writer.drain()


@asynccontextmanager
async def through(root: Path, proxies: Proxies, *, allow: bool = False) -> AsyncIterator[HttpImages]:
    source = HttpImages(
        root, max_bytes=MAX_BYTES, timeout=timedelta(minutes=5), allow_private_addresses=allow, proxies=proxies
    )
    await source.start()
    try:
        yield source
    finally:
        await source.close()


@pytest.mark.parametrize("names", [("http_proxy",), ("HTTP_PROXY",), ("all_proxy",), ("ALL_PROXY",), ()])
async def test_an_image_comes_through_the_proxy(tmp_path: Path, names: tuple[str, ...]) -> None:
    async with Proxy(IMAGE).serving() as proxy:
        found = proxies_of("" if names else proxy.url, dict.fromkeys(names, proxy.url))
        async with through(tmp_path, found) as images:
            assert (await images.fetch(f"{OUTSIDE}/a.png?sig=%2F", CONTENT, 1))[1] == "image/png"
    assert proxy.lines == [f"GET {OUTSIDE}/a.png?sig=%2F HTTP/1.1"]


@pytest.mark.parametrize(
    ("login", "told"),
    [("me:p%40ss", "me:p@ss"), ("me:p@ss", "me:p@ss"), ("me", "me:"), ("me:%E5%AF%86", "me:密"), ("me:密", "me:密")],
)
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_the_proxy_is_told_its_user_and_password(tmp_path: Path, login: str, told: str, scheme: str) -> None:
    async with (
        Proxy(IMAGE).serving() as proxy,
        through(tmp_path, proxies_of(proxy.url.replace("//", f"//{login}@"), {})) as images,
    ):
        if scheme == "http":
            await images.fetch(f"{OUTSIDE}/a.png", CONTENT, 1)
        else:  # this proxy leads nowhere; what it was asked is the point
            await refusal(images, OUTSIDE.replace("http", "https") + "/a.png")
    assert f"Proxy-Authorization: Basic {base64.b64encode(told.encode()).decode()}" in proxy.asked[0]


@pytest.mark.parametrize(
    ("status", "words"), [(407, "user and password"), (403, "status 403"), (502, "status 502"), (503, "status 503")]
)
async def test_a_proxy_that_refuses_a_tunnel(tmp_path: Path, status: int, words: str) -> None:
    async with Proxy(f"HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n".encode()).serving() as proxy:
        found = proxies_of(proxy.url.replace("//", "//me:secret@"), {})
        async with through(tmp_path, found) as images:
            fault = await refusal(images, "https://93.184.216.34/a.png")
    assert f"The proxy 127.0.0.1:{proxy.port} refused" in str(fault)
    assert words in str(fault)
    assert "secret" not in str(fault)
    assert not fault.final
    assert proxy.lines == ["CONNECT 93.184.216.34:443 HTTP/1.1"]
    assert files(tmp_path) == []


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(
    "answer",
    [b"", b"garbage\r\n\r\n", b"HTTP/1.1 ", b"\x00" * 5000, b"HTTP/1.1 407 x\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n"],
)
async def test_a_proxy_that_answers_nonsense(tmp_path: Path, scheme: str, answer: bytes) -> None:
    async with Proxy(answer).serving() as proxy, through(tmp_path, proxies_of(proxy.url, {})) as images:
        fault = await refusal(images, f"{scheme}://93.184.216.34/a.png?sig=secret")
    assert "proxy" in str(fault) or answer.endswith(b"OK\r\n\r\n")
    assert "secret" not in str(fault)
    assert files(tmp_path) == []


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxy_that_is_away(tmp_path: Path, scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    async with through(tmp_path, proxies_of(f"http://me:secret@127.0.0.1:{port}", {})) as images:
        fault = await refusal(images, f"{scheme}://93.184.216.34/a.png")
    assert f"The proxy 127.0.0.1:{port} could not be reached" in str(fault)
    assert "secret" not in str(fault)
    assert not fault.final


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "127.1", "2130706433", "[::1]", "10.0.0.1", "169.254.169.254"]
)
async def test_the_proxy_is_not_asked_for_private_addresses(tmp_path: Path, scheme: str, host: str) -> None:
    async with Proxy(IMAGE).serving() as proxy, through(tmp_path, proxies_of(proxy.url, {})) as images:
        fault = await refusal(images, f"{scheme}://{host}/a.png")
    assert "allow_private_addresses" in str(fault)
    assert fault.final
    assert proxy.asked == []


async def test_a_name_that_only_the_proxy_may_know(tmp_path: Path) -> None:
    async with Proxy(IMAGE).serving() as proxy:
        async with through(tmp_path / "a", proxies_of(proxy.url, {})) as images:
            fault = await refusal(images, "http://unknown.invalid/a.png")
        assert "could not be resolved" in str(fault)
        assert not fault.final
        assert proxy.asked == []
        async with through(tmp_path / "b", proxies_of(proxy.url, {}), allow=True) as images:
            await images.fetch("http://unknown.invalid/a.png", CONTENT, 1)
    assert proxy.lines == ["GET http://unknown.invalid/a.png HTTP/1.1"]


async def test_a_redirect_does_not_lead_inside(tmp_path: Path) -> None:
    answer = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/x\r\nContent-Length: 0\r\n\r\n"
    async with Proxy(answer).serving() as proxy, through(tmp_path, proxies_of(proxy.url, {})) as images:
        fault = await refusal(images, f"{OUTSIDE}/a.png")
    assert "allow_private_addresses" in str(fault)
    assert len(proxy.asked) == 1


async def test_exempt_hosts_are_reached_directly_and_still_checked(tmp_path: Path) -> None:
    site = Site()
    async with Proxy(IMAGE).serving() as proxy, site.server:
        found = proxies_of("", {"HTTP_PROXY": proxy.url, "NO_PROXY": "127.0.0.1"})
        async with through(tmp_path, found, allow=True) as images:
            await images.fetch(site.url("/image/png"), CONTENT, 1)
        async with through(tmp_path / "checked", found) as images:
            assert "allow_private_addresses" in str(await refusal(images, site.url("/image/png")))
    assert proxy.asked == []
    assert site.seen == ["/image/png"]
