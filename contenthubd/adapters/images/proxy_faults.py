"""What goes wrong on the way through a proxy, in one sentence with the proxy, never its password, and the fix.

None of it is final: a proxy comes back, and a person sets it right while the image waits.
"""

import ssl
from collections.abc import Iterator
from http import HTTPStatus
from typing import Final

import aiohttp
import aiohttp_socks

from contenthubd.adapters.images.proxies import Proxy
from contenthubd.domain.errors import FetchFailed

SOCKS_ERRORS: Final = (aiohttp_socks.ProxyError, aiohttp_socks.ProxyConnectionError, aiohttp_socks.ProxyTimeoutError)
_MOST_CHARS: Final = 120


def refused(proxy: Proxy, status: int) -> FetchFailed:
    """An HTTP proxy answered instead of the image's server."""
    match status:
        case HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
            fix = f": set its user and password, as in http://USER:PASSWORD@HOST:PORT, in {proxy.origin}"
        case HTTPStatus.FORBIDDEN:
            fix = f": allow this machine and the image's server there, or name another proxy in {proxy.origin}"
        case _:
            fix = f": check its log, or name another proxy in {proxy.origin}"
    return FetchFailed(f"The proxy {proxy} refused the connection with status {status}{fix}.")


def failure(proxy: Proxy, error: Exception) -> FetchFailed:
    """What an error of the client says about the proxy."""
    of_tls = [one for one in _chain(error) if isinstance(one, ssl.SSLError | ssl.CertificateError)]
    if of_tls:
        return _tls(proxy, error, of_tls[-1])
    match error:
        case FetchFailed():
            return error
        case aiohttp.ClientHttpProxyError():
            return refused(proxy, error.status)
        case (
            aiohttp.ClientProxyConnectionError()
            | aiohttp_socks.ProxyConnectionError()
            | aiohttp.ClientConnectorDNSError()
        ):
            return FetchFailed(
                f"The proxy {proxy} could not be reached: {_reason(error)}. Start it, or correct {proxy.origin}."
            )
        case aiohttp_socks.ProxyError():
            return FetchFailed(
                f"The proxy {proxy} did not connect: {str(error)[:_MOST_CHARS].rstrip('.')}. Check the scheme, the "
                f"user and the password in {proxy.origin}."
            )
        case aiohttp_socks.ProxyTimeoutError() | TimeoutError():
            return silent(proxy)
        case _:
            return FetchFailed(
                f"The image could not be read through the proxy {proxy}: {_words(error)}. Check that {proxy.origin} "
                "names a proxy, with the right scheme and port."
            )


def silent(proxy: Proxy, seconds: float = 0) -> FetchFailed:
    """Nothing came in time; whether the proxy or the server behind it is slow does not show."""
    within = f" within {seconds:g} s" if seconds else ""
    return FetchFailed(
        f"The image did not come through the proxy {proxy}{within}. Check that the proxy answers and reaches the "
        f"image's server, or correct {proxy.origin}."
    )


def _tls(proxy: Proxy, error: Exception, cause: BaseException) -> FetchFailed:
    own = isinstance(error, aiohttp.ClientConnectorError) and (error.host, error.port) == (proxy.host, proxy.port)
    if own and proxy.address.scheme == "https":
        return FetchFailed(
            f"TLS to the proxy {proxy} failed: {_reason(cause)}. If it does not speak TLS, write http:// instead "
            f"of https:// in {proxy.origin}; if it has a certificate of your own authority, name that in SSL_CERT_FILE."
        )
    return FetchFailed(f"TLS to the image's server, through the proxy {proxy}, failed: {_reason(cause)}.")


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error, what it was made from, and what was being handled then."""
    at: BaseException | None = error
    while at is not None:
        yield at
        at = at.__cause__ or (None if at.__suppress_context__ else at.__context__)


def _reason(error: BaseException) -> str:
    """The system's word for what happened, from wherever in the chain it stands."""
    for one in _chain(error):
        word = getattr(one, "verify_message", "") or getattr(one, "reason", "") or getattr(one, "strerror", "")
        if word:
            return str(word)[:_MOST_CHARS].rstrip(".")
    return _words(error)


def _words(error: BaseException) -> str:
    match error:
        case aiohttp.ServerDisconnectedError() | ConnectionError() | EOFError():
            return "the connection was closed before the answer was complete"
        case aiohttp.ClientPayloadError():
            return "the answer was cut"
        case aiohttp.ClientResponseError() | aiohttp.InvalidURL():
            return "the answer is not HTTP"
        case aiohttp.ClientConnectionError() | OSError():
            return "the connection failed"
        case _:
            return type(error).__name__
