"""One engine for every store: each statement has a deadline, and an absent server is one error of ours.

Hot writes are single statements (common table expressions) in autocommit: one round trip is one transaction.
asyncpg ignores cancellation while a server is frozen, so ``command_timeout`` bounds every call.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, Final

import asyncpg
from sqlalchemy import Row, TextClause, event
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.util import await_only

from contenthubd.adapters.postgres.absence import AWAY, SETTINGS_OF_SESSION, lasts, unavailable
from contenthubd.adapters.postgres.address import parse
from contenthubd.adapters.postgres.connect import connect
from contenthubd.adapters.postgres.refusals import denied
from contenthubd.domain.errors import DatabaseRefused, DatabaseUnavailable

TOLD_FOR: Final = timedelta(seconds=35)
"""How long a condition is told after it was last met: a stage that it stops tries again within 30 seconds."""


class Database:
    """A pool of connections to one PostgreSQL database; ``command_timeout`` in seconds bounds each statement.

    Behind a pooler that shares connections, statements have no names: what a session would keep is not there again.
    ``uptime`` tells how long ago a condition of the server was met; without it ``condition`` tells nothing.
    """

    def __init__(
        self,
        url: str,
        *,
        command_timeout: float = 10,
        pool_size: int = 6,
        uptime: Callable[[], timedelta] | None = None,
    ) -> None:
        self.url = url
        self.address = parse(url)
        self.pooled = False
        """Whether the last connection was made through such a pooler."""
        self._uptime = uptime
        self._condition: tuple[timedelta, DatabaseUnavailable] | None = None
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

    def condition(self) -> DatabaseUnavailable | None:
        """Why a server that answers did not do what it was asked just now: a full disk, a standby and so on."""
        if self._condition is None or self._uptime is None:
            return None
        met, fault = self._condition
        return fault if self._uptime() - met <= TOLD_FOR else None

    async def rows(self, statement: TextClause, **values: Any) -> Sequence[Row[Any]]:
        """Run one statement as its own transaction; all rows."""
        async with self._translated(), self._engine.connect() as connection, _renewed(connection):
            return (await connection.execute(statement, values)).all()

    async def first(self, statement: TextClause, **values: Any) -> Row[Any] | None:
        """The first row, or None."""
        rows = await self.rows(statement, **values)
        return rows[0] if rows else None

    async def changed(self, statement: TextClause, **values: Any) -> int:
        """Run one write; how many rows it changed."""
        async with self._translated(), self._engine.connect() as connection, _renewed(connection):
            return (await connection.execute(statement, values)).rowcount

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """Several statements that hold together."""
        async with self._translated(), self._together.begin() as connection, _renewed(connection):
            yield connection

    async def close(self) -> None:
        """Give every connection back."""
        await self._engine.dispose()

    @asynccontextmanager
    async def _translated(self) -> AsyncIterator[None]:
        """Turn the many ways of an absent server into DatabaseUnavailable; every other error stays what it is."""
        try:
            yield
        except DatabaseUnavailable as fault:  # no connection could be made
            self._note(fault, fault.__cause__)
            raise
        except DBAPIError as fault:
            cause = _cause(fault)
            away = isinstance(cause, AWAY) or isinstance(fault, InterfaceError | OperationalError)
            if away or fault.connection_invalidated:
                raise self._away(cause or fault) from fault
            if isinstance(cause, asyncpg.InsufficientPrivilegeError):
                raise self._note(denied(cause), cause) from fault
            raise
        except AWAY as fault:
            raise self._away(fault) from fault

    def _away(self, cause: BaseException) -> DatabaseUnavailable:
        return self._note(unavailable(cause, self.address), cause)

    def _note(self, fault: DatabaseUnavailable, cause: BaseException | None) -> DatabaseUnavailable:
        if self._uptime is not None and (lasts(cause) or isinstance(fault, DatabaseRefused)):
            self._condition = (self._uptime(), fault)
        return fault


@asynccontextmanager
async def _renewed(connection: AsyncConnection) -> AsyncIterator[None]:
    """Give up a connection whose own settings may be what stopped it: they are read anew by the next one only."""
    try:
        yield
    except DBAPIError as fault:
        if isinstance(_cause(fault), SETTINGS_OF_SESSION):
            await connection.invalidate()
        raise


def _cause(fault: DBAPIError) -> BaseException | None:
    """What the driver raised, below what SQLAlchemy makes of it."""
    return fault.orig.__cause__ if fault.orig is not None else None
