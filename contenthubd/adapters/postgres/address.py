"""``database.url`` as PostgreSQL's own clients read it: hosts, parameters, percent-encoding; each fault is a sentence.

The parameters are those of libpq. What the driver can do is translated, what it cannot do is refused by name: a
parameter that is silently ignored may be the one that keeps a connection private. Nothing is taken from ``PG…``
variables here, and the driver is handed every value, so that none reaches it by another way either.
"""

import os
import pwd
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Final
from urllib.parse import unquote

from contenthubd.domain.errors import InvalidInput

SCHEMES: Final = ("postgresql", "postgresql+asyncpg", "postgres")
DEFAULT_PORT: Final = 5432
SOCKET_FOLDERS: Final = ("/run/postgresql", "/var/run/postgresql", "/tmp")  # noqa: S108 - where PostgreSQL listens
SSL_MODES: Final = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
TARGETS: Final = ("any", "read-write", "read-only", "primary", "standby", "prefer-standby")
TLS_VERSIONS: Final = ("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3")
_SOCKET_BYTES: Final = 107
_OPTION: Final = re.compile(r"(?:-c\s*|--)([A-Za-z_][A-Za-z0-9_.-]*)=((?:\\.|[^\s\\])*)(?:\s+|$)")
_UTF8: Final = ("utf8", "utf-8", "unicode", "auto")

_PLAIN: Final = (
    "host", "port", "user", "password", "dbname", "passfile", "connect_timeout", "application_name",
    "fallback_application_name", "options", "target_session_attrs", "load_balance_hosts", "client_encoding",
    "sslmode", "sslrootcert", "sslcert", "sslkey", "sslpassword", "sslcrl", "sslnegotiation", "sslsni",
    "ssl_min_protocol_version", "ssl_max_protocol_version", "keepalives", "keepalives_idle", "keepalives_interval",
    "keepalives_count", "tcp_user_timeout", "channel_binding", "gssencmode", "sslcompression",
)  # fmt: skip
_ALIASES: Final = {
    "database": "dbname",
    "ssl": "sslmode",  # of the driver's own addresses
    "timeout": "connect_timeout",
    "statement_cache_size": "prepared_statement_cache_size",
}
_REFUSED: Final = {
    "service": "write the values of the service file into the address",
    "servicefile": "write the values of the service file into the address",
    "hostaddr": "give the address as host",
    "requirepeer": "protect the socket directory by its permissions",
    "require_auth": "choose the method in the server's pg_hba.conf",
    "krbsrvname": "Kerberos is not supported; use a password or a client certificate",
    "gsslib": "Kerberos is not supported; use a password or a client certificate",
    "gssdelegation": "Kerberos is not supported; use a password or a client certificate",
    "replication": "contenthubd does not replicate",
    "sslcertmode": "leave sslcert out where no certificate is to be sent",
    "sslcrldir": "put the lists into one file and name it with sslcrl",
    "sslkeylogfile": "it would write the keys of every connection to a file",
    "requiressl": "write sslmode=require",
    "command_timeout": "set database.command_timeout_seconds",
    "server_settings": "write options=-c%20name%3Dvalue",
}
PARAMETERS: Final = tuple(sorted(_PLAIN))
"""What may stand behind the question mark."""


@dataclass(frozen=True, slots=True)
class Tls:
    """How the connection is encrypted, in libpq's words; paths are empty where none is named."""

    mode: str = "prefer"
    rootcert: str = ""
    cert: str = ""
    key: str = ""
    password: str = ""
    crl: str = ""
    minimum: str = "TLSv1.2"
    maximum: str = ""
    direct: bool = False


@dataclass(frozen=True, slots=True)
class Address:
    """Where a database is and how to connect to it. ``password`` is None where the url holds none."""

    hosts: tuple[tuple[str, int], ...]
    user: str
    database: str
    password: str | None = None
    passfile: str = ""
    timeout: float | None = None
    target: str = "any"
    random_host: bool = False
    application_name: str = "contenthubd"
    unnamed: bool = False
    """The url itself asks for statements without a name, as behind a pooler."""
    tls: Tls = field(default_factory=Tls)
    settings: Mapping[str, str] = field(default_factory=dict)
    keepalive: Mapping[str, int] = field(default_factory=dict)

    @property
    def place(self) -> str:
        """Where the server is, for a person: ``db.example:5432`` or a socket directory; never a password."""
        return ", ".join(
            f"{host}/.s.PGSQL.{port}" if host[:1] == "/" else _joined(host, port) for host, port in self.hosts
        )


def parse(url: str) -> Address:
    """The address in ``url``. InvalidInput: one sentence that names the part at fault, and quotes no password."""
    scheme, mark, rest = url.partition("://")
    if scheme not in SCHEMES or not mark:
        raise InvalidInput("It must begin with postgresql://.")
    if "#" in rest:
        raise InvalidInput("It contains the character '#'; write it as %23.")
    before, _, query = rest.partition("?")
    authority, _, path = before.partition("/")
    credentials, _, hostlist = authority.rpartition("@")
    user, colon, password = credentials.partition(":")
    given = _parameters(query)
    hosts = _hosts(_host_words(hostlist) or given.many("host"), given.take("port"))
    name = _decoded(user, "the user name") or given.take("user") or _own_name()
    secret = _decoded(password, "the password") if colon else (given.take("password") or None)
    return Address(
        hosts=hosts,
        user=name,
        password=secret,
        database=_decoded(path, "the database name") or given.take("dbname") or name,
        passfile=_file(given, "passfile"),
        timeout=_timeout(given),
        target=given.choice("target_session_attrs", TARGETS, "any"),
        random_host=given.choice("load_balance_hosts", ("disable", "random"), "disable") == "random",
        application_name=given.take("application_name") or given.take("fallback_application_name") or "contenthubd",
        unnamed=given.take("prepared_statement_cache_size") == "0",
        tls=_tls(given, local=all(host.startswith("/") for host, _ in hosts)),
        settings=_settings(given),
        keepalive=_keepalive(given),
    )


# ---------------------------------------------------------------------------------------------------------- parameters


class _Given:
    """The parameters of one address, by their libpq names."""

    def __init__(self, values: Mapping[str, list[str]]) -> None:
        self._values = values

    def many(self, name: str) -> list[str]:
        """Every value, those between commas one by one."""
        return [part for value in self._values.get(name, []) for part in value.split(",")]

    def take(self, name: str) -> str:
        """The value, empty where none was given."""
        return self._values.get(name, [""])[-1]

    def choice(self, name: str, valid: tuple[str, ...], default: str) -> str:
        """One of a few words. InvalidInput."""
        found = self.take(name) or default
        if found not in valid:
            raise InvalidInput(f"invalid value {found!r} for the parameter {name}; valid values: {', '.join(valid)}.")
        return found

    def number(self, name: str, lowest: int, highest: int) -> int | None:
        """A whole number. InvalidInput."""
        text = self.take(name)
        if not text:
            return None
        if not re.fullmatch(r"-?[0-9]{1,9}", text) or not lowest <= int(text) <= highest:
            valid = f"whole numbers from {lowest} to {highest}"
            raise InvalidInput(f"invalid value {text!r} for the parameter {name}; valid values: {valid}.")
        return int(text)


def _parameters(query: str) -> _Given:
    found: dict[str, list[str]] = {}
    for pair in filter(None, query.split("&")):
        word, equals, raw = pair.partition("=")
        name = _ALIASES.get(_decoded(word, "a parameter"), _decoded(word, "a parameter"))
        _check_name(name)
        if not equals:
            raise InvalidInput(f"the parameter {name} has no value; write {name}=value.")
        if name in found and name != "host":
            raise InvalidInput(f"the parameter {name} is given twice.")
        if value := _decoded(raw, f"the parameter {name}"):
            found.setdefault(name, []).append(value)
    return _Given(found)


def _check_name(name: str) -> None:
    if name in _PLAIN or name in ("prepared_statement_cache_size", "prepared_statement_name_func"):
        return
    valid = f"valid parameters: {', '.join(PARAMETERS)}."
    if name in _REFUSED:
        raise InvalidInput(f"the parameter {name} is not supported: {_REFUSED[name]}; {valid}")
    near = get_close_matches(name, _PLAIN, 1)
    hint = f"did you mean {near[0]}? " if near else ""
    raise InvalidInput(f"there is no parameter {name[:40]!r}; {hint}{valid}")


def _decoded(text: str, what: str) -> str:
    try:
        decoded = unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise InvalidInput(f"{what} is not UTF-8 once its %-codes are decoded.") from None
    if "\0" in decoded:
        raise InvalidInput(f"{what} contains a zero byte.")
    return decoded


def _own_name() -> str:
    """Whom PostgreSQL's clients connect as where no user is named: the account that runs them."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        raise InvalidInput("it names no user, and this account has no name; write postgresql://user@….") from None


# --------------------------------------------------------------------------------------------------------------- hosts


def _host_words(hostlist: str) -> list[str]:
    return hostlist.split(",") if hostlist else []


def _hosts(words: list[str], ports: str) -> tuple[tuple[str, int], ...]:
    """Each host with its port; without any the places where a server on this machine listens."""
    split = [_host_and_port(word) for word in words]
    listed = [_port(one) for one in ports.split(",")] if ports else []
    if len(listed) > 1 and len(listed) != len(split):
        raise InvalidInput(
            f"it names {len(split)} hosts, but {len(listed)} ports; give one port for each host, or one for all."
        )
    standard = listed[0] if listed else DEFAULT_PORT
    found: list[tuple[str, int]] = []
    for number, (host, port) in enumerate(split):
        own = port or (listed[number] if len(listed) > 1 else standard)
        found += [(host, own)] if host else [(folder, own) for folder in (*SOCKET_FOLDERS, "localhost")]
    if not found:
        found = [(folder, standard) for folder in (*SOCKET_FOLDERS, "localhost")]
    for host, port in found:
        _check_host(host, port)
    return tuple(found)


def _host_and_port(word: str) -> tuple[str, int | None]:
    if word.startswith("["):
        host, bracket, rest = word[1:].partition("]")
        if not bracket or rest[:1] not in ("", ":"):
            raise InvalidInput(f"the host {word[:40]!r} has no closing bracket; write [::1]:5432.")
        return host, _port(rest[1:]) if rest[1:] else None
    decoded = _decoded(word, "the host")
    if decoded.startswith("/"):
        folder, colon, port = decoded.rpartition(":")
        return (folder, _port(port)) if colon and port.isdecimal() else (decoded, None)
    if decoded.count(":") > 1:
        return decoded, None  # an IPv6 address as the parameter host gives it
    host, _, port = decoded.partition(":")
    return host, _port(port) if port else None


def _port(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= 65535:
        # What looks like a port may be the rest of a password with an @ or a / in it, so it is not quoted.
        raise InvalidInput(
            "a port is not a number from 1 to 65535; in a password write / @ : and # as %2F %40 %3A and %23."
        )
    return int(text)


def _check_host(host: str, port: int) -> None:
    if host.startswith("@"):
        raise InvalidInput("abstract sockets are not supported; name a socket directory.")
    if host.startswith("/") and len(os.fsencode(f"{host}/.s.PGSQL.{port}")) > _SOCKET_BYTES:
        raise InvalidInput(f"the socket path below {host!r} is longer than {_SOCKET_BYTES} bytes.")
    if not host.startswith("/") and not re.fullmatch(r"[\w.:%-]+", host):
        raise InvalidInput(f"{host[:40]!r} is not a host name, an address or a socket directory.")


def _joined(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


# -------------------------------------------------------------------------------------------------------- what is told


def _timeout(given: _Given) -> float | None:
    """Seconds for one connection; zero and below mean libpq's "forever", which is bounded by our own limit."""
    seconds = given.number("connect_timeout", -1, 86_400)
    return float(max(seconds, 2)) if seconds and seconds > 0 else None


def _tls(given: _Given, *, local: bool) -> Tls:
    given.choice("channel_binding", ("disable", "prefer"), "prefer")
    given.choice("gssencmode", ("disable", "prefer"), "disable")
    given.choice("sslcompression", ("0",), "0")
    given.choice("sslsni", ("1",), "1")
    direct = given.choice("sslnegotiation", ("postgres", "direct"), "postgres") == "direct"
    mode = given.choice("sslmode", SSL_MODES, "prefer")
    if direct and mode not in SSL_MODES[3:]:
        raise InvalidInput("sslnegotiation=direct needs sslmode=require, verify-ca or verify-full.")
    root = given.take("sslrootcert")
    if root == "system":
        if given.take("sslmode") not in ("", "verify-full"):
            raise InvalidInput("sslrootcert=system needs sslmode=verify-full.")
        mode, root = "verify-full", ""
    elif root:
        root = _file(given, "sslrootcert")
        mode = "verify-ca" if mode == "require" else mode  # as libpq does: a root that is named is used
    if given.take("sslkey") and not given.take("sslcert"):
        raise InvalidInput("sslkey needs sslcert.")
    return Tls(
        mode="disable" if local else mode,
        rootcert=root,
        cert=_file(given, "sslcert"),
        key=_file(given, "sslkey"),
        password=given.take("sslpassword"),
        crl=_file(given, "sslcrl"),
        minimum=given.choice("ssl_min_protocol_version", TLS_VERSIONS, "TLSv1.2"),
        maximum=given.choice("ssl_max_protocol_version", ("", *TLS_VERSIONS), ""),
        direct=direct,
    )


def _file(given: _Given, name: str) -> str:
    path = given.take(name)
    if path and not path.startswith("/"):
        raise InvalidInput(f"invalid value {path!r} for the parameter {name}; give an absolute path.")
    return path


def _settings(given: _Given) -> dict[str, str]:
    encoding = given.take("client_encoding")
    if encoding and encoding.lower() not in _UTF8:
        raise InvalidInput(f"invalid value {encoding!r} for the parameter client_encoding; valid values: UTF8, auto.")
    options, found, at = given.take("options").strip(), {}, 0
    while at < len(options):
        match = _OPTION.match(options, at)
        if match is None:
            raise InvalidInput(
                f"invalid value {options[at : at + 40]!r} in the parameter options; write -c name=value, "
                "encoded as -c%20name%3Dvalue."
            )
        found[match[1].replace("-", "_")] = re.sub(r"\\(.)", r"\1", match[2])
        at = match.end()
    return found


def _keepalive(given: _Given) -> dict[str, int]:
    wanted: Mapping[str, Callable[[], int | None]] = {
        "keepalives": lambda: given.number("keepalives", 0, 1),
        "keepalives_idle": lambda: given.number("keepalives_idle", 0, 32_767),
        "keepalives_interval": lambda: given.number("keepalives_interval", 0, 32_767),
        "keepalives_count": lambda: given.number("keepalives_count", 0, 127),
        "tcp_user_timeout": lambda: given.number("tcp_user_timeout", 0, 86_400_000),
    }
    return {name: value for name, read in wanted.items() if (value := read()) is not None}
