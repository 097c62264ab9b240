"""Which proxy an image is fetched through: a key of the configuration, or the standard variables of the environment.

A proxy that is named and cannot be used is never a reason to connect directly: whoever named it may have reasons for
which the image's server must not see this machine. Such images are refused with what is wrong, except those of hosts
that NO_PROXY exempts. No text here quotes an address, for it may hold a password.
"""

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from yarl import URL

from contenthubd.adapters.images.exempt import Exempt
from contenthubd.domain.errors import InvalidInput

KEY: Final = "images.proxy"
SCHEMES: Final = ("http", "https", "socks5", "socks5h", "socks4", "socks4a")
_IMAGE_SCHEMES: Final = ("http", "https")
_ALIASES: Final = {"socks": "socks5"}
"""What desktops write into ALL_PROXY; their proxies speak version 5."""
_SOCKS_PORT: Final = 1080
_SOCKS_CHARS: Final = 255
_NAME: Final = re.compile(r"[a-z][a-z0-9+.-]{0,20}")
_NOT_IN_HOST: Final = re.compile(r"[\s\x00-\x1f\x7f\"'<>\\^`{|}*,;=&$!()]")


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy that can be used, and the key or variable that names it."""

    address: URL = field(repr=False)
    origin: str

    @property
    def is_socks(self) -> bool:
        """Whether it speaks SOCKS instead of HTTP."""
        return self.address.scheme.startswith("socks")

    @property
    def host(self) -> str:
        """Its name or address."""
        return self.address.host or ""

    @property
    def port(self) -> int:
        """Its port, always known."""
        return self.address.port or _SOCKS_PORT

    @property
    def authorization(self) -> str:
        """The value of Proxy-Authorization; empty if it has no user."""
        if self.address.user is None and self.address.password is None:
            return ""
        login = f"{self.address.user or ''}:{self.address.password or ''}"
        return f"Basic {base64.b64encode(login.encode()).decode()}"

    def __str__(self) -> str:
        """Without user and password."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Unusable:
    """A proxy that is named, and why nothing is fetched through it."""

    origin: str
    why: str

    @property
    def what(self) -> str:
        """The fault in one sentence."""
        return f"The proxy in {self.origin} cannot be used: {self.why}"

    @property
    def fix(self) -> str:
        """What a person does."""
        return (
            f"Set {self.origin} in the daemon's environment to an address such as http://HOST:PORT or "
            f"socks5://HOST:PORT, or name the proxy in {KEY}, then restart contenthubd."
        )


@dataclass(frozen=True, slots=True)
class Proxies:
    """The proxy for images of each scheme, and the hosts that are reached directly."""

    by_scheme: Mapping[str, Proxy | Unusable]
    exempt: Exempt = field(default_factory=Exempt)

    def of(self, url: URL) -> Proxy | Unusable | None:
        """The proxy for ``url``; None to connect directly."""
        proxy = self.by_scheme.get(url.scheme)
        return None if proxy is None or self.exempt.holds(url) else proxy

    @property
    def faults(self) -> tuple[Unusable, ...]:
        """The proxies that cannot be used, once each."""
        found = (proxy for proxy in self.by_scheme.values() if isinstance(proxy, Unusable))
        return () if self.exempt.everything else tuple(dict.fromkeys(found))


DIRECT: Final = Proxies({})


def proxies_of(configured: str, environ: Mapping[str, str]) -> Proxies:
    """``configured``, a checked value, for every address; if empty, the standard variables, as curl reads them."""
    if configured:
        return Proxies(dict.fromkeys(_IMAGE_SCHEMES, Proxy(read(configured), KEY)))
    named = {scheme: _variable(environ, f"{scheme}_proxy", "all_proxy") for scheme in _IMAGE_SCHEMES}
    found = {scheme: _named(*variable) for scheme, variable in named.items() if variable}
    exempt = _variable(environ, "no_proxy")
    return Proxies(found, Exempt.read(exempt[1] if exempt else ""))


def read(text: str) -> URL:
    """The address of a proxy; InvalidInput says what is wrong with it. ``host:port`` alone is one for HTTP."""
    scheme, mark, rest = text.partition("://")
    if not mark:
        scheme, rest = "http", text
    scheme = _ALIASES.get(scheme.lower(), scheme.lower())
    if scheme not in SCHEMES:
        told = f"{scheme}://" if _NAME.fullmatch(scheme) else "its scheme"
        raise InvalidInput(f"{told} is not supported; valid schemes: {', '.join(SCHEMES)}.")
    authority, *path = re.split(r"[/?#\\]", rest, maxsplit=1)
    if path and "@" in path[0]:
        raise InvalidInput("write / ? # and @ in its user and password as %2F %3F %23 and %40.")
    return _checked(_parsed(scheme, authority))


def _parsed(scheme: str, authority: str) -> URL:
    try:
        address = URL(f"{scheme}://{authority}")
        port = address.port or _SOCKS_PORT
    except (ValueError, LookupError):  # yarl: an IndexError for "[]"
        # yarl's message may quote a piece of the password, so neither it nor its chain is told.
        raise InvalidInput("its host or port is invalid.") from None
    if not address.host:
        raise InvalidInput("it has no host.")
    if address.port == 0 or authority.endswith(":") or _NOT_IN_HOST.search(address.host):
        raise InvalidInput("its host or port is invalid.")
    return address.with_port(port)


def _checked(address: URL) -> URL:
    login = (address.user or "", address.password or "")
    if any(re.search(r"[\x00-\x1f\x7f]", part) for part in login):
        raise InvalidInput("its user and password must not contain control characters.")
    if address.scheme.startswith("socks") and not all(part.isascii() and len(part) <= _SOCKS_CHARS for part in login):
        raise InvalidInput(f"user and password of a SOCKS proxy must be at most {_SOCKS_CHARS} ASCII characters each.")
    return address


def _named(name: str, value: str) -> Proxy | Unusable:
    try:
        return Proxy(read(value), name)
    except InvalidInput as fault:
        return Unusable(name, fault.what)


def _variable(environ: Mapping[str, str], *names: str) -> tuple[str, str] | None:
    """Name and value of the first that is set, lowercase before uppercase; an empty value counts as not set."""
    spellings = [spelling for name in names for spelling in (name, name.upper())]
    return next(((one, value) for one in spellings if (value := environ.get(one, "").strip())), None)
