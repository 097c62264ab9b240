"""A standby is told from a primary: it is waited for, and it can be backed up."""

from pathlib import Path

import pytest
from sqlalchemy import text

from contenthubd.adapters.postgres.admission import admit
from contenthubd.adapters.postgres.embedded import EmbeddedPostgres, find_postgres_bin
from contenthubd.adapters.postgres.engine import Database
from contenthubd.adapters.postgres.migrate import upgrade
from contenthubd.domain.errors import DatabaseUnavailable
from tests.contracts.test_postgres_entrance import UNAVAILABLE, backed_up, checked
from tests.postgres_probe import public_folder, script


def replicating_programs(folder: Path) -> Path:
    """The programs of PostgreSQL, the server with a journal that a standby can use."""
    found = find_postgres_bin()
    script(folder / "postgres", f'exec "{found}/postgres" "$@" -c wal_level=replica')
    script(folder / "initdb", f'exec "{found}/initdb" "$@"')
    return folder


async def test_a_standby_is_waited_for_until_it_is_promoted(state_dir: Path) -> None:
    with public_folder() as folder:
        postgres = EmbeddedPostgres(folder / "data", bin_dir=replicating_programs(folder / "bin"), durable=False)
        database = Database(await postgres.start())
        await upgrade(database)
        await database.close()
        await postgres.stop()
        (folder / "data" / "standby.signal").touch()
        url = await postgres.start()
        replica = Database(url)
        try:
            code, said = await checked(url, state_dir)
            assert code == UNAVAILABLE
            assert "accepts no writes. It is a standby." in said
            assert "Name the primary in database.url" in said
            with pytest.raises(DatabaseUnavailable, match="accepts no writes") as caught:
                await replica.changed(text("DELETE FROM account"))
            assert "If it is a standby: Name the primary" in caught.value.fix
            code, said = await backed_up(url, state_dir)
            assert code == 0, "a backup only reads"
            assert said.startswith("Backed up ")
            assert await replica.first(text("SELECT pg_promote(true, 60)")) == (True,)
            assert await replica.changed(text("DELETE FROM account")) == 0
            await admit(replica)
        finally:
            await replica.close()
            await postgres.stop()
