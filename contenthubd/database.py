"""contenthubd db …: what is done to the whole database, with or without a daemon beside it.

Where ``database.url`` is empty and no daemon runs, the private PostgreSQL is started for the command and stopped after
it, under the lock of the state directory. While a daemon runs, its server is used; ``restore`` refuses then.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

import anyio

from contenthubd.adapters.postgres.admission import admit, faults_of
from contenthubd.adapters.postgres.archive import Manifest
from contenthubd.adapters.postgres.backup import backup
from contenthubd.adapters.postgres.binaries import find_postgres_bin
from contenthubd.adapters.postgres.embedded import EmbeddedPostgres, address_of_running
from contenthubd.adapters.postgres.engine import Database
from contenthubd.adapters.postgres.migrate import NEWEST, upgrade, version
from contenthubd.adapters.postgres.restore import restore
from contenthubd.adapters.postgres.validate import Check, Findings, validate
from contenthubd.config.model import Config
from contenthubd.domain.errors import InvalidInput, NotFound, StateDirectoryTaken
from contenthubd.ports.clock import Clock
from contenthubd.runtime import lifecycle

LONGEST_SECONDS: Final = 24 * 3600
"""How long one statement may take: a table is copied by one, however large it is."""
CONNECTIONS: Final = 2
STANDARD_OUTPUT: Final = "-"
OK: Final = 0
VIOLATED: Final = 1
Say = Callable[[str], object]


class Commands:
    """What can be done to the database; each answers an exit code. ``say`` is told what was done, a line at a time."""

    def __init__(self, config: Config, clock: Clock, say: Say) -> None:
        self._config = config
        self._clock = clock
        self._say = say
        self._images = config.state_dir / "images"
        self._state_id = ""

    async def backup(self, path: Path, *, force: bool) -> int:
        """All rows and images into one file. Conflict if it exists and not ``force``; NotFound without a database."""
        if str(path) == STANDARD_OUTPUT:
            raise InvalidInput(
                "A backup cannot be written to standard output.",
                why="It is verified and synced before it is renamed into place.",
                fix="Name a file: contenthubctl db backup backup.tar.gz",
            )
        async with self._opened(reads=True) as database:
            made = await backup(database, self._images, path, self._clock.now(), force=force)
        self._say(f"Backed up {_counted(made)} to {path}.")
        for missing in made.missing_images:
            self._say(f"The file of image {missing} does not exist.")
        return OK

    async def restore(self, path: Path, *, replace: bool) -> int:
        """A backup's rows and images. Conflict if rows are there and not ``replace``; no daemon may run."""
        async with self._opened(alone=True, create=True) as database:
            made = await restore(database, self._images, path, replace=replace, state_id=self._state_id)
        self._say(f"Restored {_counted(made)} from {path}, made at {made.created_at:%Y-%m-%d %H:%M:%S} UTC.")
        if made.schema_version != NEWEST:
            self._say(f"The tables were upgraded from version {made.schema_version} to {NEWEST}.")
        return OK

    async def validate(self) -> int:
        """Look over tables, rows and files; 1 if anything does not hold."""
        async with self._opened() as database:
            found = await validate(database, self._images)
        for line in _table(found):
            self._say(line)
        return VIOLATED if any(check.count for check in found.checks) else OK

    async def connect(self) -> int:
        """Say whether the database can be worked with, without starting or changing anything; 2 or 5 if it cannot."""
        data_dir = self._config.state_dir / "postgres"
        url = self._config.database.url or address_of_running(data_dir)
        if url is None:
            folder = find_postgres_bin(self._config.postgres_bin)
            self._say(f"database.url is not set: the daemon starts the private PostgreSQL of {folder}.")
            return OK
        database = Database(url, command_timeout=self._config.database.command_timeout_seconds, pool_size=1)
        try:
            faults = await faults_of(database)
        finally:
            with anyio.CancelScope(shield=True):
                await database.close()
        for fault in faults[1:]:
            self._say(str(fault))
        if faults:
            raise faults[0]
        pooled = " through a connection pooler" if database.pooled else ""
        self._say(f"PostgreSQL at {database.address.place} can be used{pooled}.")
        return OK

    async def upgrade(self) -> int:
        """Upgrade the tables to the newest version."""
        async with self._opened(create=True) as database:
            before = await version(database)
            needed = await upgrade(database)
        if not needed:
            self._say(f"The tables have version {NEWEST}, the newest. There was nothing to do.")
        elif before is None:
            self._say(f"The tables were created, at version {NEWEST}.")
        else:
            self._say(f"The tables were upgraded from version {before} to {NEWEST}.")
        return OK

    @asynccontextmanager
    async def _opened(
        self, *, alone: bool = False, create: bool = False, reads: bool = False
    ) -> AsyncIterator[Database]:
        """The database; ``alone``: no daemon may run on this state directory, ``create``: it may be made.

        ``reads``: nothing is written, so it may be a standby.
        """
        async with self._address(alone=alone, create=create) as url:
            database = Database(
                url,
                command_timeout=LONGEST_SECONDS,
                pool_size=CONNECTIONS,
            )
            try:
                await admit(database, replaced=alone, reads=reads)
                yield database
            finally:
                with anyio.CancelScope(shield=True):
                    await database.close()

    @asynccontextmanager
    async def _address(self, *, alone: bool, create: bool) -> AsyncIterator[str]:
        data_dir = self._config.state_dir / "postgres"
        named = self._config.database.url
        if not named and not create and not data_dir.exists():
            raise NotFound(
                f"There is no database in the state directory {self._config.state_dir}.",
                fix="Name the right one with --state-dir or --config.",
            )
        with ExitStack() as stack:
            running = None
            if alone or not named:
                running = self._own(stack, data_dir, alone=alone)
            if named or running:
                yield named or str(running)
                return
            private = EmbeddedPostgres(data_dir, bin_dir=self._config.postgres_bin)
            try:
                yield await private.start()
            finally:
                await private.stop()

    def _own(self, stack: ExitStack, data_dir: Path, *, alone: bool) -> str | None:
        """Own the state directory, or answer where the server of the daemon that owns it listens."""
        try:
            self._state_id = stack.enter_context(lifecycle.owned(self._config.state_dir, self._clock.new_id()))
        except StateDirectoryTaken:
            running = None if alone else address_of_running(data_dir)
            if running is None:
                raise
            return running
        return None


def _counted(made: Manifest) -> str:
    rows = sum(table.rows for table in made.tables)
    return f"{rows} rows of {len(made.tables)} tables and {made.images} images"


def _table(found: Findings) -> list[str]:
    newest = "the newest" if found.version == NEWEST else f"the newest is {NEWEST}: contenthubctl db upgrade"
    lines = [f"The tables have version {found.version} ({newest})."]
    for check in found.checks:
        lines.append(f"{_verdict(check):>8}  {check.sentence}")
        lines += [f"{'':10}{example}" for example in check.examples]
        if check.count > len(check.examples):
            lines.append(f"{'':10}and {check.count - len(check.examples)} more")
    return lines


def _verdict(check: Check) -> str:
    return f"{check.count} wrong" if check.count else "ok"
