"""One engine for every store: each statement has a deadline, and an absent server is one error of ours.

Hot writes are single statements (common table expressions) in autocommit: one round trip is one transaction.
asyncpg ignores cancellation while a server is frozen, so ``command_timeout`` bounds every call.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import asyncpg
from sqlalchemy import Row, TextClause, event
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.util import await_only

from contenthubd.adapters.postgres.address import parse
from contenthubd.adapters.postgres.connect import connect
from contenthubd.adapters.postgres.refusals import AGAIN, denied, said
from contenthubd.domain.errors import DatabaseUnavailable

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
    asyncpg.PostgresSystemError,  # its own disk fails it
    asyncpg.UndefinedTableError,  # dropped and not yet restored; an outcome waits for that as for the server
    PoolTimeout,  # every connection waits for a server that does not answer
    OSError,
    TimeoutError,
)


class Database:
    """A pool of connections to one PostgreSQL database; ``command_timeout`` in seconds bounds each statement.

    Behind a pooler that shares connections, statements have no names: what a session would keep is not there again.
    """

    def __init__(self, url: str, *, command_timeout: float = 10, pool_size: int = 6) -> None:
        self.url = url
        self.address = parse(url)
        self.pooled = False
        """Whether the last connection was made through such a pooler."""
        self._limits = {"timeout": command_timeout, "command_timeout": command_timeout}
        self._engine = create_async_engine(
            "postgresql+asyncpg://",  # where to, and how, is told to every connection by the event below
            isolation_level="AUTOCOMMIT",  # as a setting of the pool: set for each statement it costs a third more
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=command_timeout,
        )
        event.listen(self._engine.sync_engine, "do_connect", self._connected)
        self._together = self._engine.execution_options(isolation_level="READ COMMITTED")

    def _connected(self, dialect: Any, *_: object) -> Any:
        """A connection as SQLAlchemy wants it."""
        made = await_only(connect(self.address, **self._limits))
        self.pooled = made.pooled

        async def driver() -> object:
            return made.driver

        kept = {"prepared_statement_cache_size": 0, "prepared_statement_name_func": str} if made.pooled else {}
        return dialect.loaded_dbapi.connect(async_creator_fn=driver, **kept)

    async def rows(self, statement: TextClause, **values: Any) -> Sequence[Row[Any]]:
        """Run one statement as its own transaction; all rows."""
        async with _translated(), self._engine.connect() as connection:
            return (await connection.execute(statement, values)).all()

    async def first(self, statement: TextClause, **values: Any) -> Row[Any] | None:
        """The first row, or None."""
        rows = await self.rows(statement, **values)
        return rows[0] if rows else None

    async def changed(self, statement: TextClause, **values: Any) -> int:
        """Run one write; how many rows it changed."""
        async with _translated(), self._engine.connect() as connection:
            return (await connection.execute(statement, values)).rowcount

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """Several statements that hold together."""
        async with _translated(), self._together.begin() as connection:
            yield connection

    async def close(self) -> None:
        """Give every connection back."""
        await self._engine.dispose()


@asynccontextmanager
async def _translated() -> AsyncIterator[None]:
    """Turn the many ways of an absent server into DatabaseUnavailable; every other error stays what it is."""
    try:
        yield
    except DBAPIError as fault:
        cause = fault.orig.__cause__ if fault.orig is not None else None
        away = isinstance(cause, AWAY) or isinstance(fault, InterfaceError | OperationalError)
        if away or fault.connection_invalidated:
            raise _unavailable(cause or fault) from fault
        if isinstance(cause, asyncpg.InsufficientPrivilegeError):
            raise denied(cause) from fault
        raise
    except AWAY as fault:
        raise _unavailable(fault) from fault


def _unavailable(fault: BaseException) -> DatabaseUnavailable:
    what, fix = "PostgreSQL does not answer.", AGAIN
    if isinstance(fault, asyncpg.UndefinedTableError):
        what = "The tables of contenthubd are not in the database."
        fix = "Restore a backup, or start contenthubd again to begin with empty tables."
    return DatabaseUnavailable(what, why=said(fault), fix=fix)
