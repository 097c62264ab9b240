"""A real PostgreSQL for the tests: one server per run (or xdist worker), one database per test.

A template is filled once (migrations and so on); each test gets a copy of its files, which takes about ten
milliseconds. The server must be started and stopped on one event loop (a session-scoped fixture with
``loop_scope="session"``); the other methods open a connection of their own and work from any loop.
"""

import shutil
import tempfile
from collections.abc import Awaitable, Callable
from itertools import count
from pathlib import Path

from sqlalchemy.engine import make_url

from contenthubd.adapters.postgres.embedded import EmbeddedPostgres
from tests.plain_connection import connect_to


class TestServer:
    """A private server in a temporary folder that forgets everything when it stops."""

    __test__ = False  # not a test class, whatever its name says

    def __init__(self, bin_dir: Path | None = None) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="contenthubd-pg-"))
        self._folder.chmod(0o711)  # the server runs as another account where root may not use namespaces
        self._postgres = EmbeddedPostgres(self._folder / "data", bin_dir=bin_dir, durable=False)
        self._url = ""
        self._numbers = count(1)

    async def start(self) -> str:
        """Start the server; the URL of its (empty) default database."""
        try:
            self._url = await self._postgres.start()
        except BaseException:
            shutil.rmtree(self._folder)
            raise
        return self._url

    async def stop(self) -> None:
        """Stop the server and remove all it had."""
        await self._postgres.stop()
        shutil.rmtree(self._folder)

    async def create_template(self, name: str, make: Callable[[str], Awaitable[None]]) -> None:
        """Create the database ``name``, let ``make(url)`` fill it, then close it for good: it is only copied."""
        await self._execute(f'CREATE DATABASE "{name}" STRATEGY file_copy')
        await make(self._url_of(name))
        await self._execute(f'ALTER DATABASE "{name}" WITH ALLOW_CONNECTIONS false IS_TEMPLATE true')

    async def fresh_database(self, template: str) -> str:
        """The URL of a new copy of ``template``."""
        name = f"{template}_{next(self._numbers)}"
        await self._execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY file_copy')
        return self._url_of(name)

    async def drop(self, url: str) -> None:
        """Remove a database, whoever is still connected to it."""
        await self._execute(f'DROP DATABASE "{make_url(url).database}" WITH (FORCE)')

    def _url_of(self, name: str) -> str:
        return make_url(self._url).set(database=name).render_as_string(hide_password=False)

    async def _execute(self, sql: str) -> None:
        connection = await connect_to(self._url_of("postgres"))
        try:
            await connection.execute(sql)
        finally:
            await connection.close(timeout=10)
