"""Which HTTP proxy an image is fetched through, and whether its address may be asked of that proxy.

A proxy connects in our place, so the check of the socket's address says nothing about the image's server. The name is
therefore resolved here too, before each request and each redirect, and a name that leads to a private address, or that
cannot be resolved here, is not asked of the proxy. The proxy resolves the name again: only its own rules can refuse a
name that answers differently the second time.
"""

import asyncio
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final
from urllib.request import proxy_bypass

import aiohttp
import structlog
from yarl import URL

from contenthubd.domain.errors import FetchFailed

_SCHEMES: Final = ("http", "https")
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Proxies:
    """The proxy of each scheme; ``exempt`` is what NO_PROXY holds, hosts that are reached directly."""

    by_scheme: Mapping[str, URL]
    exempt: str = ""

    def of(self, url: URL) -> URL | None:
        """The proxy for ``url``; None to connect directly."""
        proxy = self.by_scheme.get(url.scheme)
        if proxy is None or (self.exempt and proxy_bypass(f"{url.host}:{url.port}", {"no": self.exempt})):
            return None
        return proxy


DIRECT: Final = Proxies({})


def proxies_of(configured: str, environ: Mapping[str, str]) -> Proxies:
    """``configured`` for every address; if empty, the standard variables, lowercase first, as curl reads them."""
    if configured:
        return Proxies(dict.fromkeys(_SCHEMES, URL(configured)))
    found = {}
    for scheme in _SCHEMES:
        name, value = _variable(environ, f"{scheme}_proxy", "all_proxy")
        proxy = _read(value)
        if proxy:
            found[scheme] = proxy
        elif value:
            log.warning("image_proxy_ignored", variable=name, reason="it is not an http:// or https:// address")
    return Proxies(found, _variable(environ, "no_proxy")[1])


def shown(proxy: URL) -> str:
    """A proxy without its user and password."""
    return f"{proxy.host}:{proxy.port}"


async def check_target(url: URL, proxy: URL, is_public: Callable[[str], bool]) -> None:
    """FetchFailed unless every address of the name is a public one."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(url.raw_host, url.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise FetchFailed(
            f"The name {str(url.host)[:80]!r} could not be resolved, so the proxy {shown(proxy)} was not asked for it: "
            "check the name server of this machine. If only the proxy can resolve names, set "
            "images.allow_private_addresses = true and refuse private addresses at the proxy."
        ) from error
    if not all(is_public(str(address[0])) for *_, address in found):
        raise FetchFailed(
            f"The name {str(url.host)[:80]!r} leads to an address inside a private network, which "
            "[images] allow_private_addresses does not allow.",
            final=True,
        )


def failure(proxy: URL, error: aiohttp.ClientError) -> FetchFailed:
    """What went wrong on the way through the proxy; worth another try, for the proxy may be set right."""
    match error:
        case aiohttp.ClientProxyConnectionError():
            return FetchFailed(
                f"The proxy {shown(proxy)} could not be reached: {error.os_error.strerror or 'no connection'}. "
                "Check images.proxy, or HTTPS_PROXY and HTTP_PROXY in the daemon's environment."
            )
        case aiohttp.ClientHttpProxyError():
            return refused(proxy, error.status)
        case _:
            return FetchFailed(f"The image could not be read through the proxy {shown(proxy)}: {type(error).__name__}.")


def refused(proxy: URL, status: int) -> FetchFailed:
    """The proxy itself answered, instead of the image's server."""
    fix = ": set its user and password, as in http://USER:PASSWORD@HOST:PORT, in images.proxy"
    needs = fix if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED else ""
    return FetchFailed(f"The proxy {shown(proxy)} refused the connection with status {status}{needs}.")


def _variable(environ: Mapping[str, str], *names: str) -> tuple[str, str]:
    spellings = (spelling for name in names for spelling in (name, name.upper()))
    return next(((name, environ[name].strip()) for name in spellings if environ.get(name, "").strip()), ("", ""))


def _read(text: str) -> URL | None:
    """``host:port`` is a proxy too; curl takes it for http."""
    try:
        proxy = URL(text if "://" in text else f"http://{text}")
    except ValueError:
        return None
    return proxy if proxy.scheme in _SCHEMES and proxy.host and proxy.port else None
