"""One request for an image: directly to an address that was checked, or through a proxy.

A proxy connects in our place, so the check of the socket's address says nothing about the image's server. The name is
therefore resolved here too, before each request and each redirect, and a name that leads to a private address, or that
cannot be resolved here, is not asked of the proxy. The proxy resolves the name again: only its own rules can refuse a
name that answers differently the second time.
"""

import asyncio
import ipaddress
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any, Final

import aiohttp
import structlog
from aiohttp_socks import ProxyConnector, ProxyType
from yarl import URL

from contenthubd.adapters.images.proxies import Proxies, Proxy, Unusable
from contenthubd.adapters.images.proxy_faults import SOCKS_ERRORS, failure, refused
from contenthubd.domain.errors import FetchFailed

_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
_METADATA: Final = frozenset({ipaddress.ip_address("168.63.129.16"), ipaddress.ip_address("192.0.0.192")})
"""Cloud metadata services that lie among public addresses; the others are link-local, private or shared ones."""
log = structlog.get_logger(__name__)


class ForbiddenAddress(OSError):
    """Refuses a connection; an OSError, for that is what the client expects of a socket that cannot be made."""


class Client:
    """Asks for addresses; ``start`` comes first, ``close`` last."""

    def __init__(self, proxies: Proxies, *, allow_private_addresses: bool) -> None:
        self._proxies = proxies
        self._allow_private = allow_private_addresses
        self._direct: aiohttp.ClientSession | None = None
        self._by_http: aiohttp.ClientSession | None = None
        self._by_socks: dict[Proxy, aiohttp.ClientSession] = {}

    def start(self) -> None:
        """Open the sessions, inside an event loop."""
        for fault in self._proxies.faults:
            log.warning("image_proxy_refused", cause=fault.what, fix=fault.fix)
        self._direct = _session(aiohttp.TCPConnector(socket_factory=self._make_socket))
        self._by_http = _session(aiohttp.TCPConnector())  # the proxy's own address may be a private one
        named = {one for one in self._proxies.by_scheme.values() if isinstance(one, Proxy) and one.is_socks}
        self._by_socks = {proxy: _session(_socks(proxy)) for proxy in named}

    async def close(self) -> None:
        """Close every connection."""
        for session in (self._direct, self._by_http, *self._by_socks.values()):
            if session:
                await session.close()
        self._direct = self._by_http = None
        self._by_socks = {}

    def proxy_of(self, url: URL) -> Proxy | None:
        """The proxy that ``url`` is asked through; None for a direct connection. FetchFailed if it cannot be used."""
        proxy = self._proxies.of(url)
        if isinstance(proxy, Unusable):
            raise FetchFailed(f"{proxy.what} {proxy.fix}", final=True)
        return proxy

    @asynccontextmanager
    async def asked(self, url: URL) -> AsyncIterator[aiohttp.ClientResponse]:
        """The answer; redirects are not followed. FetchFailed, or ClientError where no proxy is between."""
        if self._direct is None:
            raise RuntimeError("Client.start() comes before asked()")
        proxy = self.proxy_of(url)
        if proxy is None:
            async with self._direct.get(url, allow_redirects=False) as response:
                yield response
            return
        if not self._allow_private:
            await check_target(url, proxy)
        response = await self._answer(url, proxy)
        async with response:
            if response.status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
                raise refused(proxy, response.status)
            try:
                yield response
            except aiohttp.ClientError as error:
                raise failure(proxy, error) from error

    async def _answer(self, url: URL, proxy: Proxy) -> aiohttp.ClientResponse:
        """Everything that can go wrong here is on the way, not on our disk: an OSError, too."""
        try:
            if proxy.is_socks:
                return await self._by_socks[proxy].get(url, allow_redirects=False)
            login = {"Proxy-Authorization": proxy.authorization} if proxy.authorization else {}
            tunnel = url.scheme == "https"
            session, bare = self._by_http, proxy.address.with_user(None)
            if session is None:
                raise RuntimeError("Client.start() comes before asked()")
            return await session.get(
                url,
                allow_redirects=False,
                proxy=bare,
                headers={} if tunnel else login,
                proxy_headers=login if tunnel else None,
            )
        except (aiohttp.ClientError, *SOCKS_ERRORS, EOFError, OSError, ValueError) as error:
            raise failure(proxy, error) from error
        except AttributeError as error:
            if not (url.scheme == proxy.address.scheme == "https"):
                raise
            # This is how asyncio in Python 3.11.2 ends a handshake inside TLS that failed.
            raise failure(proxy, error) from error

    def _make_socket(self, info: tuple[Any, Any, int, str, tuple[Any, ...]]) -> socket.socket:
        family, kind, protocol, _, address = info
        if not (self._allow_private or is_public(address[0])):
            raise ForbiddenAddress
        return socket.socket(family, kind, protocol)


async def check_target(url: URL, proxy: Proxy) -> None:
    """FetchFailed unless every address of the name is a public one."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(url.raw_host, url.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise FetchFailed(
            f"The name {str(url.host)[:80]!r} could not be resolved, so the proxy {proxy} was not asked for it: "
            "check the name server of this machine. If only the proxy can resolve names, set "
            "images.allow_private_addresses = true and refuse private addresses at the proxy."
        ) from error
    if not all(is_public(str(address[0])) for *_, address in found):
        raise FetchFailed(
            f"The name {str(url.host)[:80]!r} leads to an address inside a private network, which "
            "[images] allow_private_addresses does not allow.",
            final=True,
        )


def is_public(host: str) -> bool:
    """Whether a numeric address belongs to the public internet, an IPv4 address inside it considered too."""
    address = ipaddress.ip_address(host)
    if isinstance(address, ipaddress.IPv6Address):
        if address.is_site_local:
            return False
        address = _embedded(address) or address
    local = address.is_multicast or address.is_reserved or address.is_link_local or address.is_unspecified
    return address.is_global and not local and address not in _METADATA


def _embedded(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour


def _socks(proxy: Proxy) -> ProxyConnector:
    """The proxy resolves names (as socks5h and socks4a ask); they were checked here before."""
    version = ProxyType.SOCKS4 if proxy.address.scheme.startswith("socks4") else ProxyType.SOCKS5
    user, password = proxy.address.user, proxy.address.password
    return ProxyConnector(proxy.host, proxy.port, proxy_type=version, username=user, password=password, rdns=True)


def _session(connector: aiohttp.TCPConnector) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": "contenthubd", "Accept": "image/*", "Accept-Encoding": "identity"},
        timeout=aiohttp.ClientTimeout(total=None),  # one fetch as a whole has a time limit
        auto_decompress=False,
    )
