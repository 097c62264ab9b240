"""Images through proxies that speak SOCKS or TLS, and through those that hang, lie or refuse."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest
import trustme

from contenthubd.adapters.images.http import HttpImages
from contenthubd.adapters.images.proxies import proxies_of
from tests.contracts.image_site import CONTENT, MAX_BYTES, PNG, files, refusal
from tests.listening import listening

OUTSIDE = "93.184.216.34"
"""A public address: nobody asks it, for the proxy answers."""
IMAGE = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(PNG) + PNG
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def fetching(root: Path, proxy: str, seconds: float = 300, *, allow: bool = False) -> AsyncIterator[HttpImages]:
    source = HttpImages(
        root,
        max_bytes=MAX_BYTES,
        timeout=timedelta(seconds=seconds),
        allow_private_addresses=allow,
        proxies=proxies_of("", {"ALL_PROXY": proxy}),
    )
    await source.start()
    try:
        yield source
    finally:
        await source.close()


async def site(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One image for one request."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(IMAGE)
    await writer.drain()


class Socks:
    """A SOCKS proxy (RFC 1928, 1929; version 4a) that leads every connection to one place of ours."""

    def __init__(self, lead: int, login: bytes = b"", reply: int = 0) -> None:
        self.lead = lead
        self.login = login
        self.reply = reply
        self.asked: list[str] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        version = (await reader.readexactly(1))[0]
        await (self._five if version == 5 else self._four)(reader, writer)
        if not self.reply:
            await self._relay(reader, writer)

    async def _five(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        methods = await reader.readexactly((await reader.readexactly(1))[0])
        wanted = 2 if self.login else 0
        writer.write(bytes([5, wanted if wanted in methods else 0xFF]))
        if wanted not in methods:
            return
        if self.login:
            user = await reader.readexactly((await reader.readexactly(2))[1])
            password = await reader.readexactly((await reader.readexactly(1))[0])
            writer.write(bytes([1, int(user + b":" + password != self.login)]))
        kind = (await reader.readexactly(4))[3]
        size = {1: 4, 4: 16}.get(kind) or (await reader.readexactly(1))[0]
        host = await reader.readexactly(size)
        port = int.from_bytes(await reader.readexactly(2))
        self.asked.append(f"{host.decode() if kind == 3 else '.'.join(map(str, host))}:{port}")
        writer.write(bytes([5, self.reply, 0, 1, 0, 0, 0, 0, 0, 0]))

    async def _four(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readexactly(7)
        await reader.readuntil(b"\0")
        host = ".".join(map(str, head[3:]))
        if host.startswith("0.0.0."):
            host = (await reader.readuntil(b"\0"))[:-1].decode()
        self.asked.append(f"{host}:{int.from_bytes(head[1:3])}")
        writer.write(bytes([0, self.reply or 90, 0, 0, 0, 0, 0, 0]))

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner = await asyncio.open_connection("127.0.0.1", self.lead)
        await relayed((reader, writer), inner)


async def relayed(left: Streams, right: Streams) -> None:
    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()

    try:
        await asyncio.gather(pump(left[0], right[1]), pump(right[0], left[1]))
    except asyncio.CancelledError:
        right[1].close()
        raise


@asynccontextmanager
async def socks(login: bytes = b"", reply: int = 0) -> AsyncIterator[tuple[Socks, int]]:
    async with listening(site) as lead:
        proxy = Socks(lead, login, reply)
        async with listening(proxy.serve) as port:
            yield proxy, port


@pytest.mark.parametrize("scheme", ["socks5", "socks5h", "socks", "socks4", "socks4a"])
async def test_an_image_comes_through_socks(tmp_path: Path, scheme: str) -> None:
    async with socks() as (proxy, port), fetching(tmp_path, f"{scheme}://127.0.0.1:{port}") as images:
        assert (await images.fetch(f"http://{OUTSIDE}/a.png", CONTENT, 1))[1] == "image/png"
    assert proxy.asked == [f"{OUTSIDE}:80"]


async def test_the_socks_proxy_is_told_a_name_its_user_and_its_password(tmp_path: Path) -> None:
    async with (
        socks(login=b"me:p@ss") as (proxy, port),
        fetching(tmp_path, f"socks5://me:p%40ss@127.0.0.1:{port}", allow=True) as images,
    ):
        await images.fetch("http://unknown.invalid:8080/a.png", CONTENT, 1)
    assert proxy.asked == ["unknown.invalid:8080"]


@pytest.mark.parametrize("url", ["http://127.0.0.1/", "https://localhost/", "http://[::1]/", "http://10.0.0.1/"])
async def test_the_socks_proxy_is_not_asked_for_private_addresses(tmp_path: Path, url: str) -> None:
    async with socks() as (proxy, port), fetching(tmp_path, f"socks5://127.0.0.1:{port}") as images:
        fault = await refusal(images, url)
    assert "allow_private_addresses" in str(fault)
    assert fault.final
    assert proxy.asked == []


@pytest.mark.parametrize(
    ("login", "reply", "words"),
    [
        (b"", 1, "General SOCKS server failure"),
        (b"", 2, "not allowed"),
        (b"me:other", 0, "user"),
        (b"", 99, "reply code"),
    ],
)
async def test_a_socks_proxy_that_refuses(tmp_path: Path, login: bytes, reply: int, words: str) -> None:
    async with socks(login, reply) as (_, port), fetching(tmp_path, f"socks5://me:secret@127.0.0.1:{port}") as images:
        fault = await refusal(images, f"http://{OUTSIDE}/a.png")
    told = str(fault)
    assert f"The proxy 127.0.0.1:{port} did not connect" in told
    assert words.lower() in told.lower()
    assert "ALL_PROXY" in told
    assert "secret" not in told
    assert not fault.final
    assert files(tmp_path) == []


# ------------------------------------------------------------------------------------------------- hangs, closes, lies


async def closes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Says nothing and closes."""


async def resets(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def hangs(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while await reader.read(65536):
        pass


async def floods(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"\x05\xffGarbage without end" * 100)
        await writer.drain()


def says(answer: bytes) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(answer)
        await writer.drain()

    return serve


STRANGERS = {
    "closes": closes, "resets": resets, "floods": floods, "web": says(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
    "zeros": says(bytes(5000)), "half": says(b"\x05"), "html": says(b"<html>"), "ssh": says(b"SSH-2.0-x\r\n"),
    "long": says(b"HTTP/1.1 200 " + b"x" * 100_000), "headers": says(b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 40_000),
    "binary": says(b"HTTP/1.1 \xff\xfe\r\n\r\n"),
}  # fmt: skip


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("speaks", ["http", "https", "socks5", "socks4"])
@pytest.mark.parametrize("stranger", STRANGERS)
async def test_a_proxy_that_is_none_is_named(tmp_path: Path, stranger: str, speaks: str, scheme: str) -> None:
    async with (
        listening(STRANGERS[stranger]) as port,
        fetching(tmp_path, f"{speaks}://me:secret@127.0.0.1:{port}") as images,
    ):
        fault = await refusal(images, f"{scheme}://{OUTSIDE}/a.png?sig=secret")
    assert f"roxy 127.0.0.1:{port}" in str(fault)
    assert "secret" not in str(fault)
    assert not fault.final
    assert files(tmp_path) == []


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("speaks", ["http", "https", "socks5", "socks4"])
async def test_a_proxy_that_hangs_ends_with_the_time_limit(tmp_path: Path, speaks: str, scheme: str) -> None:
    async with (
        listening(hangs) as port,
        fetching(tmp_path, f"{speaks}://me:secret@127.0.0.1:{port}", seconds=0.05) as images,
    ):
        fault = await refusal(images, f"{scheme}://{OUTSIDE}/a.png")
    assert f"through the proxy 127.0.0.1:{port} within 0.05 s" in str(fault)
    assert "ALL_PROXY" in str(fault)
    assert "secret" not in str(fault)
    assert not fault.final


@pytest.mark.parametrize("speaks", ["http", "https", "socks5", "socks4"])
async def test_a_proxy_that_is_away(tmp_path: Path, speaks: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody else gets the port, and nobody listens there
        port = taken.getsockname()[1]
        async with fetching(tmp_path, f"{speaks}://me:secret@127.0.0.1:{port}") as images:
            fault = await refusal(images, f"http://{OUTSIDE}/a.png")
    assert f"The proxy 127.0.0.1:{port} could not be reached" in str(fault)
    assert "secret" not in str(fault)


@pytest.mark.parametrize("speaks", ["http", "socks5"])
async def test_a_proxy_whose_name_is_unknown(tmp_path: Path, speaks: str) -> None:
    async with fetching(tmp_path, f"{speaks}://proxy.invalid:3128") as images:
        assert "The proxy proxy.invalid:3128 could not be reached" in str(
            await refusal(images, f"http://{OUTSIDE}/a.png")
        )


async def test_what_a_proxy_answers_instead_of_the_site_names_it(tmp_path: Path) -> None:
    answer = says(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
    async with listening(answer) as port, fetching(tmp_path, f"http://127.0.0.1:{port}") as images:
        fault = await refusal(images, f"http://{OUTSIDE}/a.png")
    assert f"or the proxy 127.0.0.1:{port}, answered 403" in str(fault)
    assert not fault.final


@pytest.mark.parametrize("value", ["quic://me:secret@127.0.0.1:1", "http://me:secret@127.0.0.1:x", "http://"])
async def test_nothing_is_fetched_around_a_proxy_that_cannot_be_used(tmp_path: Path, value: str) -> None:
    async with listening(site) as port, fetching(tmp_path, value, allow=True) as images:
        fault = await refusal(images, f"http://127.0.0.1:{port}/a.png")
        assert images.faults
        await images.fetch("data:image/png," + "".join(f"%{byte:02x}" for byte in PNG), CONTENT, 2)
    assert str(fault).startswith("The proxy in ALL_PROXY cannot be used:")
    assert "secret" not in str(fault)
    assert fault.final


# --------------------------------------------------------------------------------------------------------------- TLS


@pytest.fixture
def authority(monkeypatch: pytest.MonkeyPatch) -> trustme.CA:
    """Trusted by the client, as one of SSL_CERT_FILE would be."""
    authority = trustme.CA()
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    monkeypatch.setattr(aiohttp.connector, "_SSL_CONTEXT_VERIFIED", trusting)
    return authority


@asynccontextmanager
async def tls_listening(
    authority: trustme.CA, serve: Callable[..., Awaitable[None]], *names: str
) -> AsyncIterator[int]:
    """As ``listening``, behind TLS: what comes is unwrapped and led there."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(*names).configure_cert(context)

    async def unwrapping(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await writer.start_tls(context)
        await serve(reader, writer)

    async with listening(unwrapping) as port:
        yield port


def tunnel(lead: int) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    """An HTTP proxy that answers CONNECT and leads to a place of ours."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        inner = await asyncio.open_connection("127.0.0.1", lead)
        if head.startswith(b"CONNECT "):
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            inner[1].write(head)
        await relayed((reader, writer), inner)

    return serve


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("speaks", ["http", "https", "socks5"])
async def test_tls_to_the_site_and_to_the_proxy(
    tmp_path: Path, authority: trustme.CA, speaks: str, scheme: str
) -> None:
    async with AsyncExitStack() as stack:
        plain = listening(site) if scheme == "http" else tls_listening(authority, site, OUTSIDE)
        lead = await stack.enter_async_context(plain)
        serve = Socks(lead).serve if speaks == "socks5" else tunnel(lead)
        served = tls_listening(authority, serve, "127.0.0.1") if speaks == "https" else listening(serve)
        port = await stack.enter_async_context(served)
        images = await stack.enter_async_context(fetching(tmp_path, f"{speaks}://127.0.0.1:{port}"))
        assert (await images.fetch(f"{scheme}://{OUTSIDE}/a.png", CONTENT, 1))[1] == "image/png"


@pytest.mark.parametrize("speaks", ["http", "https", "socks5"])
async def test_a_site_that_is_not_trusted_is_told_as_such(tmp_path: Path, authority: trustme.CA, speaks: str) -> None:
    async with AsyncExitStack() as stack:
        lead = await stack.enter_async_context(tls_listening(trustme.CA(), site, OUTSIDE))
        serve = Socks(lead).serve if speaks == "socks5" else tunnel(lead)
        served = tls_listening(authority, serve, "127.0.0.1") if speaks == "https" else listening(serve)
        port = await stack.enter_async_context(served)
        images = await stack.enter_async_context(fetching(tmp_path, f"{speaks}://127.0.0.1:{port}"))
        fault = await refusal(images, f"https://{OUTSIDE}/a.png")
    assert f"the proxy 127.0.0.1:{port}" in str(fault)
    if speaks != "https":  # a handshake inside TLS that fails ends without its reason in Python 3.11
        assert f"TLS to the image's server, through the proxy 127.0.0.1:{port}, failed: unable to get" in str(fault)


async def test_a_proxy_that_is_not_trusted_is_told_as_such(tmp_path: Path, authority: trustme.CA) -> None:
    async with (
        tls_listening(trustme.CA(), closes, "127.0.0.1") as port,
        fetching(tmp_path, f"https://127.0.0.1:{port}") as images,
    ):
        fault = await refusal(images, f"http://{OUTSIDE}/a.png")
    assert f"TLS to the proxy 127.0.0.1:{port} failed" in str(fault)
    assert "SSL_CERT_FILE" in str(fault)
