"""One way to a connection: every argument explicit, the session's settings ours, a pooler noticed.

The driver fills in whatever it is not told from ``PG…`` variables of the environment; so it is told everything. Two of
them count, as documented: PGPASSWORD and PGPASSFILE (or ~/.pgpass), for an address that holds no password.

Whoever shares one server connection among several clients gives each of them a process number of his own invention.
The number that the server itself tells is another one then: such a pooler may hand every transaction to another
connection, so nothing may be kept in a session: neither prepared statements nor settings.
"""

import os
import random
import socket
import ssl
from dataclasses import dataclass, replace
from typing import Any, Final

import asyncpg

from contenthubd.adapters.postgres.address import Address, Tls
from contenthubd.adapters.postgres.refusals import CONNECT_FAULTS, NEXT_HOST, cannot_connect, no_host
from contenthubd.domain.errors import DatabaseRefused

STARTUP: Final = {
    "client_encoding": "UTF8",
    "datestyle": "ISO, YMD",
    "timezone": "UTC",
    "standard_conforming_strings": "on",
}
"""What every pooler lets through and keeps for each client; it stands above the defaults of roles and databases."""
_SESSION: Final = {
    "intervalstyle": "postgres",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "transform_null_equals": "off",
    "default_transaction_isolation": "read committed",
    "default_transaction_deferrable": "off",
}
_KEPT_IDLE: Final = "idle_session_timeout"
"""Would end connections of a pool, which rest by nature; a server that is too old to have it is told so later."""
_WHO: Final = (
    "SELECT pg_backend_pid() AS pid, CASE WHEN pg_backend_pid() = $1 THEN array["
    + ", ".join(f"set_config('{name}', '{value}', false)" for name, value in _SESSION.items())
    + f", CASE WHEN current_setting('{_KEPT_IDLE}', true) <> '0' THEN set_config('{_KEPT_IDLE}', '0', false) END"
    + "] END AS set"
)
_PASSFILE: Final = os.path.expanduser("~/.pgpass")
_VERSIONS: Final = {
    "TLSv1": ssl.TLSVersion.TLSv1,
    "TLSv1.1": ssl.TLSVersion.TLSv1_1,
    "TLSv1.2": ssl.TLSVersion.TLSv1_2,
    "TLSv1.3": ssl.TLSVersion.TLSv1_3,
}
_KEEPALIVE: Final = {
    "keepalives": (socket.SOL_SOCKET, socket.SO_KEEPALIVE),
    "keepalives_idle": (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE),
    "keepalives_interval": (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL),
    "keepalives_count": (socket.IPPROTO_TCP, socket.TCP_KEEPCNT),
    "tcp_user_timeout": (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT),
}


@dataclass(frozen=True, slots=True)
class Connected:
    """A connection; ``pooled`` when it may be to another server process in every transaction."""

    driver: "asyncpg.Connection[Any]"
    pooled: bool


async def connect(address: Address, *, timeout: float, command_timeout: float) -> Connected:
    """A new connection, its session set up. DatabaseUnavailable while the server is away, else DatabaseRefused.

    ``timeout`` (seconds) bounds the attempt where the address has no connect_timeout, ``command_timeout`` each call.
    """
    driver = await _first_fitting(address, timeout=timeout, command_timeout=command_timeout)
    try:
        _keep_alive(driver, address)
        who = await driver.fetchrow(_WHO, driver.get_server_pid())
        return Connected(driver, pooled=address.unnamed or who["pid"] != driver.get_server_pid())
    except BaseException as fault:
        driver.terminate()
        if isinstance(fault, CONNECT_FAULTS):
            raise cannot_connect(fault, address) from fault
        raise


async def _first_fitting(address: Address, *, timeout: float, command_timeout: float) -> "asyncpg.Connection[Any]":
    """Host after host, as libpq does: the next one is asked if one is away, or is not what the address asks for.

    The hosts share ``timeout``, so that one which swallows every packet leaves time for the others, and the whole stays
    bounded; a connect_timeout in the address is the time of each.
    """
    hosts = list(address.hosts)
    if address.random_host:
        random.shuffle(hosts)
    limit = address.timeout or timeout / len(hosts)
    failed: list[tuple[Address, BaseException]] = []
    for target in ("standby", "any") if address.target == "prefer-standby" else (address.target,):
        failed = []
        for host in hosts:
            one = replace(address, hosts=(host,), target=target)
            try:
                return await _attempts(one, timeout=limit, command_timeout=command_timeout)
            except NEXT_HOST as fault:
                failed.append((one, fault))
            except CONNECT_FAULTS as fault:
                raise cannot_connect(fault, one) from fault
    raise no_host(failed) from failed[-1][1]


async def _attempts(address: Address, **limits: float) -> "asyncpg.Connection[Any]":
    """Encrypted and plain in the order that sslmode asks for."""
    tls = address.tls
    if tls.mode == "disable" or address.hosts[0][0].startswith("/"):
        return await _once(address, None, **limits)
    context = _context(tls, address)
    if tls.mode not in ("allow", "prefer"):
        return await _once(address, context, **limits)
    first, second = (context, None) if tls.mode == "prefer" else (None, context)
    try:
        return await _once(address, first, **limits)
    except asyncpg.InvalidPasswordError:
        raise  # the other way will not make it right, and may be the less private one
    except (asyncpg.InvalidAuthorizationSpecificationError, ssl.SSLError):
        return await _once(address, second, **limits)
    except ConnectionError as fault:
        if first is None or "SSL" not in str(fault):
            raise
        return await _once(address, second, **limits)


async def _once(
    address: Address, context: ssl.SSLContext | None, *, timeout: float, command_timeout: float
) -> "asyncpg.Connection[Any]":
    [(host, port)] = address.hosts
    driver: asyncpg.Connection[Any] = await asyncpg.connect(
        host=[host],
        port=[port],
        user=address.user,
        password=address.password,
        passfile=address.passfile or os.environ.get("PGPASSFILE") or _PASSFILE,
        database=address.database,
        timeout=timeout,
        command_timeout=command_timeout,
        statement_cache_size=0,  # the engine keeps statements itself, where they can be kept
        ssl=context if context is not None else False,
        direct_tls=address.tls.direct and context is not None,
        target_session_attrs=address.target,
        krbsrvname="postgres",
        gsslib="gssapi",
        server_settings={**address.settings, **STARTUP, "application_name": address.application_name},
    )
    return driver


def _context(tls: Tls, address: Address) -> ssl.SSLContext:
    """What is asked of the server's certificate, and our own. DatabaseRefused for a file that cannot be used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = tls.mode == "verify-full"
    context.verify_mode = ssl.CERT_REQUIRED if tls.mode.startswith("verify") else ssl.CERT_NONE
    context.minimum_version = _VERSIONS[tls.minimum]
    if tls.maximum:
        context.maximum_version = _VERSIONS[tls.maximum]
    if tls.direct:
        context.set_alpn_protocols(["postgresql"])
    file = tls.rootcert
    try:
        if tls.rootcert:
            context.load_verify_locations(cafile=tls.rootcert)
        elif context.verify_mode is ssl.CERT_REQUIRED:
            context.load_default_certs()
        if tls.crl:
            file = tls.crl
            context.load_verify_locations(cafile=tls.crl)
            context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
        if tls.cert:
            file = tls.cert
            context.load_cert_chain(tls.cert, tls.key or None, password=lambda: tls.password)
    except (OSError, ValueError) as fault:
        named = getattr(fault, "filename", None) or file
        raise DatabaseRefused(
            f"The file {named} that database.url names cannot be used.",
            why=f"{getattr(fault, 'strerror', None) or fault}.",
            fix="Name a PEM file that the user of contenthubd may read.",
        ) from fault
    return context


def _keep_alive(driver: "asyncpg.Connection[Any]", address: Address) -> None:
    if not address.keepalive:
        return
    found = driver._transport.get_extra_info("socket")  # the driver has no other door to its socket
    if found is None or found.family == socket.AF_UNIX:
        return
    for name, value in address.keepalive.items():
        level, option = _KEEPALIVE[name]
        if value or name == "keepalives":  # zero means the system's default
            found.setsockopt(level, option, value)
