"""The hosts that NO_PROXY exempts from the proxy, in every form that curl, Go and Python understand between them."""

import ipaddress
import re
from dataclasses import dataclass
from typing import Final

from yarl import URL

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_ENTRY: Final = re.compile(r"(?:\[([^\[\]]*)\]|([^:]*))(?::(\d{1,5}))?")
"""A host, perhaps with a port; an IPv6 address needs brackets where a port follows."""


@dataclass(frozen=True, slots=True)
class Exempt:
    """Names (with all that end with them) and networks; each with a port, or 0 for all ports."""

    names: tuple[tuple[str, int], ...] = ()
    networks: tuple[tuple[Network, int], ...] = ()
    everything: bool = False

    @classmethod
    def read(cls, text: str) -> "Exempt":
        """The entries between commas or white space: ``*``, ``example.com``, ``.example.com``, ``*.example.com``,
        ``example.com:443``, ``192.0.2.1``, ``10.0.0.0/8``, ``::1``, ``[::1]:443``. What is none exempts nothing."""
        names, networks, everything = [], [], False
        for entry in re.split(r"[,;\s]+", text):
            everything = everything or entry == "*"
            bare, port = _parted(entry)
            network = _network(bare)
            if network is not None:
                networks.append((network, port))
            elif name := _plain(bare.removeprefix("*").removeprefix(".")):
                names.append((name, port))
        return cls(tuple(names), tuple(networks), everything)

    def holds(self, url: URL) -> bool:
        """Whether ``url`` is reached without a proxy. A name is not resolved for that."""
        if self.everything:
            return True
        address = _address(url.host or "")
        if address is not None:
            return any(
                address.version == network.version and address in network and port in (0, url.port)
                for network, port in self.networks
            )
        hosts = {_plain(url.host or ""), _plain(url.raw_host or "")}
        return any(
            port in (0, url.port) and any(host == name or host.endswith(f".{name}") for host in hosts)
            for name, port in self.names
        )


def _parted(entry: str) -> tuple[str, int]:
    found = _ENTRY.fullmatch(entry)
    if not found:
        return entry, 0
    return found[1] if found[1] is not None else found[2], int(found[3] or 0)


def _network(text: str) -> Network | None:
    try:
        found = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None
    mapped = found.network_address.ipv4_mapped if isinstance(found, ipaddress.IPv6Network) else None
    return ipaddress.ip_network(mapped) if mapped and found.prefixlen == found.max_prefixlen else found


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        found = ipaddress.ip_address(host)
    except ValueError:
        return None
    return (isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped) or found


def _plain(name: str) -> str:
    return name.lower().rstrip(".")
