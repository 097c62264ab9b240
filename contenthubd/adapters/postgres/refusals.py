"""What a server that cannot be used says, and what that means: away, which passes, or refused, which a person ends."""

import asyncio
import ssl
from collections.abc import Callable, Sequence
from typing import Final

import asyncpg

from contenthubd.adapters.postgres.absence import AGAIN, said, unavailable
from contenthubd.adapters.postgres.address import Address
from contenthubd.domain.errors import DatabaseRefused, DatabaseUnavailable

_POOLER_PARAMETER: Final = "unsupported startup parameter"
_CHECK: Final = f"Check that the server runs and that database.url names its host and port. {AGAIN}"
_UNFIT: Final = asyncpg.exceptions.TargetServerAttributeNotMatched
_UNFIT_SAID: Final = {
    "read-write": "it is a standby, or permits only reading",
    "primary": "it is a standby",
    "read-only": "it permits writing",
    "standby": "it is a primary",
}
_PROMOTE: Final = f"Start the primary, or promote a standby: SELECT pg_promote(); {AGAIN}"
_WRITES: Final = "contenthubd writes to the database: set target_session_attrs=read-write in database.url."
_UNFIT_FIX: Final = {"read-write": _PROMOTE, "primary": _PROMOTE, "read-only": _WRITES, "standby": _WRITES}
_POOLER_NO_DATABASE: Final = ("no such database", "no such user", "auth failed", "authentication failed")


def cannot_connect(fault: BaseException, address: Address) -> DatabaseUnavailable:
    """Why no connection could be made. DatabaseRefused where only a person can change that."""
    refused = next((told for kind, told in _TOLD if isinstance(fault, kind)), None)
    parts = refused(fault, address) if refused is not None else None
    if parts is not None:
        what, fix = parts
        return DatabaseRefused(what, why=f"It said: {said(fault)}.", fix=fix)
    if isinstance(fault, OSError | TimeoutError | asyncpg.PostgresConnectionError):
        return DatabaseUnavailable(
            "PostgreSQL does not answer.",
            why=f"At {address.place}: {said(fault)}.",
            fix=_CHECK,
        )
    return unavailable(fault, address)


def no_host(failed: Sequence[tuple[Address, BaseException]]) -> DatabaseUnavailable:
    """Why none of the hosts of an address could be used: each with what it said."""
    told = [cannot_connect(fault, one) for one, fault in failed]
    unfit = [one for one, fault in failed if isinstance(fault, _UNFIT)]
    if len(failed) == 1 and not unfit:
        return told[0]
    if all(isinstance(one, DatabaseRefused) for one in told):
        return told[0]
    words: dict[str, list[str]] = {}
    for one, fault in failed:
        words.setdefault(_UNFIT_SAID[one.target] if isinstance(fault, _UNFIT) else said(fault), []).append(one.place)
    why = " ".join(f"At {', '.join(places)}: {sentence}." for sentence, places in words.items())
    if not unfit:
        return DatabaseUnavailable("PostgreSQL does not answer.", why=why, fix=_CHECK)
    target = unfit[0].target
    return DatabaseUnavailable(
        f"No server in database.url fits target_session_attrs={target}.", why=why, fix=_UNFIT_FIX[target]
    )


def denied(fault: BaseException) -> DatabaseRefused:
    """A right that the user of database.url does not have, or no longer."""
    return DatabaseRefused(
        "The user of database.url lacks a right in the database.",
        why=f"PostgreSQL said: {said(fault)}.",
        fix="contenthubctl config check --connect names the GRANT.",
    )


Told = Callable[[BaseException, Address], tuple[str, str] | None]


def _password(_fault: BaseException, address: Address) -> tuple[str, str]:
    if not address.password:
        return (
            f"PostgreSQL at {address.place} asks for a password of the user {address.user!r}; database.url has none.",
            "Add it to database.url (postgresql://USER:PASSWORD@…), or set PGPASSWORD or PGPASSFILE for contenthubd; a "
            "password that is set there is wrong.",
        )
    return (
        f"PostgreSQL at {address.place} refuses the password of the user {address.user!r}.",
        "Correct the password in database.url, or set another one: "
        f"psql -c '\\password {address.user}' as an administrator of the server.",
    )


def _authorization(fault: BaseException, address: Address) -> tuple[str, str] | None:
    text = str(fault)
    if "does not exist" in text:
        return (
            f"PostgreSQL at {address.place} has no user {address.user!r}.",
            f"Create it: CREATE ROLE {quoted(address.user)} LOGIN PASSWORD '…'; or correct database.url.",
        )
    if "not permitted to log in" in text:
        return (
            f"The user {address.user!r} may not log in to PostgreSQL at {address.place}.",
            f"Allow it: ALTER ROLE {quoted(address.user)} LOGIN;",
        )
    if "Peer authentication failed" in text or "Ident authentication failed" in text:
        return (
            f"PostgreSQL at {address.place} permits the user {address.user!r} only to the account of that name.",
            f"Run contenthubd as the account {address.user!r}, map its account to that user in pg_ident.conf, or name "
            "a host and a password in database.url.",
        )
    return (
        f"PostgreSQL at {address.place} refuses a connection of the user {address.user!r} from this machine.",
        "Add a line for this user, database and address to the server's pg_hba.conf and reload it: "
        "SELECT pg_reload_conf();",
    )


def _no_database(_fault: BaseException, address: Address) -> tuple[str, str]:
    return (
        f"PostgreSQL at {address.place} has no database {address.database!r}.",
        f"Create it: {create_database(address)}",
    )


def _closed(fault: BaseException, address: Address) -> tuple[str, str] | None:
    if "not currently accepting connections" not in str(fault):
        return None
    return (
        f"The database {address.database!r} accepts no connections.",
        f"Allow them: ALTER DATABASE {quoted(address.database)} ALLOW_CONNECTIONS true;",
    )


def _privilege(fault: BaseException, address: Address) -> tuple[str, str]:
    if "permission denied to set" in str(fault):
        return _setting(fault, address)
    return (
        f"The user {address.user!r} may not connect to the database {address.database!r}.",
        f"Allow it: GRANT CONNECT ON DATABASE {quoted(address.database)} TO {quoted(address.user)};",
    )


def _protocol(fault: BaseException, address: Address) -> tuple[str, str] | None:
    """What poolers say, who have no codes of their own."""
    text = str(fault)
    if _POOLER_PARAMETER in text:
        name = text.rpartition(":")[2].strip()
        return (
            f"The connection pooler at {address.place} refuses the setting {name!r}.",
            "Remove it from the parameter options in database.url and set it for the user instead: "
            f"ALTER ROLE {quoted(address.user)} SET {name} = …;",
        )
    if any(words in text for words in _POOLER_NO_DATABASE):
        return (
            f"The connection pooler at {address.place} refuses the user {address.user!r} or the database "
            f"{address.database!r}.",
            "Correct database.url, or add them to the configuration of the pooler: [databases] and auth_file "
            "in pgbouncer.ini.",
        )
    return None


def _setting(_fault: BaseException, address: Address) -> tuple[str, str]:
    return (
        f"PostgreSQL at {address.place} refuses a setting of the connection.",
        "Correct the parameter options in database.url.",
    )


def _certificate(fault: BaseException, address: Address) -> tuple[str, str]:
    if isinstance(fault, ssl.SSLCertVerificationError):
        root = address.tls.rootcert or "the certificate authorities of this system"
        return (
            f"The certificate of PostgreSQL at {address.place} is not trusted.",
            f"It was checked against {root} (sslmode={address.tls.mode}); name the right file with sslrootcert, "
            "and the server as in its certificate.",
        )
    return (
        f"No encrypted connection to PostgreSQL at {address.place} could be made.",
        "Check sslmode, sslcert, sslkey and the TLS versions in database.url against the server's settings.",
    )


def _no_tls(fault: BaseException, address: Address) -> tuple[str, str] | None:
    if "rejected SSL upgrade" not in str(fault):
        return None
    return (
        f"PostgreSQL at {address.place} offers no encrypted connections; sslmode={address.tls.mode} needs one.",
        "Set ssl = on in postgresql.conf of the server, or write sslmode=prefer in database.url.",
    )


def quoted(name: str) -> str:
    """A name as SQL wants it."""
    return '"' + name.replace('"', '""') + '"'


def create_database(address: Address) -> str:
    """The line that makes the database as it must be; it works on a server of any locale."""
    return (
        f"CREATE DATABASE {quoted(address.database)} OWNER {quoted(address.user)} ENCODING 'UTF8' "
        "LOCALE 'C' TEMPLATE template0;"
    )


_TOLD: Final[tuple[tuple[type[BaseException], Told], ...]] = (
    (asyncpg.InvalidPasswordError, _password),
    (asyncpg.InvalidAuthorizationSpecificationError, _authorization),
    (asyncpg.InvalidCatalogNameError, _no_database),
    (asyncpg.ObjectNotInPrerequisiteStateError, _closed),
    (asyncpg.InsufficientPrivilegeError, _privilege),
    (asyncpg.ProtocolViolationError, _protocol),
    (asyncpg.CantChangeRuntimeParamError, _setting),
    (asyncpg.InvalidParameterValueError, _setting),
    (asyncpg.UndefinedObjectError, _setting),
    (ssl.SSLError, _certificate),
    (ConnectionError, _no_tls),
)
"""By kind, the most special first; a kind may find that its case is an ordinary absence."""

NEXT_HOST: Final = (
    OSError,
    TimeoutError,
    asyncio.TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.InternalClientError,  # it hung up, is no PostgreSQL, or is not of the wanted kind
)
"""After what the next host of an address is asked; what the server decided about user or database ends the search."""

CONNECT_FAULTS: Final = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # the server ended the connection while the driver was setting it up
    OSError,
    TimeoutError,
    asyncio.TimeoutError,
)
"""All that an attempt to connect may raise."""
