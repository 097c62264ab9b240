"""What a server that does not serve us just now says, and what a person can do about it.

All of it passes without a restart of contenthubd: nothing is charged for it, and what could not be written is written
later. What only a person can end is told in ``refusals``.
"""

from dataclasses import dataclass
from typing import Final

import asyncpg
from sqlalchemy.exc import TimeoutError as PoolTimeout

from contenthubd.adapters.postgres.address import Address
from contenthubd.domain.errors import DatabaseUnavailable

AGAIN: Final = "Work resumes automatically when it is back."
_RESUMES: Final = "A running daemon resumes automatically."
PRIMARY: Final = (
    "Name the primary in database.url; of several hosts, target_session_attrs=read-write chooses it automatically."
)
AWAY: Final = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.CannotConnectNowError,
    asyncpg.TransactionRollbackError,  # a deadlock or a lost race inside PostgreSQL: the same again will do
    asyncpg.InvalidAuthorizationSpecificationError,  # what a server says that is being set up, or set up anew
    asyncpg.InvalidCatalogNameError,
    asyncpg.ReadOnlySQLTransactionError,  # a standby, or a server that guards the rest of its disk
    asyncpg.LockNotAvailableError,  # the server has a lock_timeout of its own
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.TransactionTimeoutError,
    asyncpg.PostgresSystemError,  # its own disk fails it
    asyncpg.UndefinedTableError,  # dropped and not yet restored; an outcome waits for that as for the server
    PoolTimeout,  # every connection waits for a server that does not answer
    OSError,
    TimeoutError,
)
"""What an absent server makes of a statement."""
SETTINGS_OF_SESSION: Final = (
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.QueryCanceledError,
    asyncpg.LockNotAvailableError,
)
"""What may come of a setting that a session got when it began: a new one may do where this one never will."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """What one kind of absence is called. ``{place}``, ``{user}`` and ``{setting}`` are filled in."""

    faults: tuple[type[BaseException], ...]
    what: str
    fix: str
    lasts: bool = True
    """Whether it is a condition that others will run into as well, and not the end of one call."""
    words: str = ""
    """Only with these words in what the server says."""


_KINDS: Final = (
    _Kind(
        (asyncpg.DiskFullError,),
        "The disk of PostgreSQL at {place} is full.",
        f"Free space on the file system that holds its data (SHOW data_directory). {_RESUMES}",
    ),
    _Kind(
        (asyncpg.TooManyConnectionsError,),
        "PostgreSQL at {place} accepts no more connections.",
        "Raise max_connections of the server, or the CONNECTION LIMIT of the user or database that it names, or "
        f"lower [database] pool_size. {_RESUMES}",
    ),
    _Kind(
        (asyncpg.OutOfMemoryError,),
        "PostgreSQL at {place} is out of memory.",
        f"Give the server more memory, or the setting that it names a higher value. {_RESUMES}",
    ),
    _Kind(
        (asyncpg.InsufficientResourcesError,),
        "PostgreSQL at {place} has reached a limit.",
        f"Raise the limit that it names. {_RESUMES}",
    ),
    _Kind(
        (asyncpg.ReadOnlySQLTransactionError,),
        "PostgreSQL at {place} accepts no writes.",
        f"If it is a standby: {PRIMARY} If its disk is nearly full: free space there. "
        f"If default_transaction_read_only is on: set it to off. {_RESUMES}",
    ),
    _Kind(
        (asyncpg.QueryCanceledError,),
        "PostgreSQL at {place} canceled a statement.",
        'Raise the limit: ALTER ROLE "{user}" SET statement_timeout = 0; ' + _RESUMES,
        words="statement timeout",
    ),
    _Kind(
        (asyncpg.LockNotAvailableError,),
        "PostgreSQL at {place} stopped waiting for a lock.",
        'Raise the limit: ALTER ROLE "{user}" SET lock_timeout = 0; ' + _RESUMES,
        words="lock timeout",
    ),
    _Kind(
        (asyncpg.QueryCanceledError, asyncpg.LockNotAvailableError),
        "PostgreSQL at {place} canceled a statement.",
        _RESUMES,
        lasts=False,
    ),
    _Kind(
        (asyncpg.PostgresSystemError,),
        "PostgreSQL at {place} cannot read or write its files.",
        f"Check the disk and the log of the server. {_RESUMES}",
    ),
    _Kind(
        (asyncpg.UndefinedTableError,),
        "The tables of contenthubd are not in the database.",
        "Restore a backup, or start contenthubd again to begin with empty tables.",
    ),
    _Kind(
        (asyncpg.CannotConnectNowError,),
        "PostgreSQL at {place} is starting up or shutting down.",
        AGAIN,
        lasts=False,
    ),
    _Kind(
        (asyncpg.OperatorInterventionError,),
        "PostgreSQL at {place} ended the connection.",
        AGAIN,
        lasts=False,
    ),
)
"""The most special first; what is none of them does not answer."""


def unavailable(fault: BaseException, address: Address) -> DatabaseUnavailable:
    """One sentence for what happened, the server's own words, and what to do."""
    kind = _kind_of(fault)
    if kind is None:
        return DatabaseUnavailable("PostgreSQL does not answer.", why=f"At {address.place}: {said(fault)}.", fix=AGAIN)
    user = address.user.replace('"', '""')
    return DatabaseUnavailable(
        kind.what.format(place=address.place), why=f"It said: {said(fault)}.", fix=kind.fix.format(user=user)
    )


def lasts(fault: BaseException | None) -> bool:
    """Whether a fault tells of a condition that others run into as well, until somebody ends it."""
    kind = _kind_of(fault) if fault is not None else None
    return kind is not None and kind.lasts


def said(fault: BaseException) -> str:
    """The first line of what was said, without a full stop."""
    text = (getattr(fault, "strerror", None) or str(fault)).strip()
    return text.splitlines()[0].rstrip(".") if text else "no answer in time"


def _kind_of(fault: BaseException) -> _Kind | None:
    text = str(fault)
    return next((kind for kind in _KINDS if isinstance(fault, kind.faults) and kind.words in text), None)
