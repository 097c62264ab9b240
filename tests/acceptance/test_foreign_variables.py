"""The variables of PostgreSQL's own clients, set for another server, change nothing for contenthubd."""

import asyncio
import sys
from pathlib import Path
from typing import Final

from tests.control.conftest import PIPE, ended, plain_environment
from tests.running import CHECKOUT, RunningDaemon

HOSTILE: Final = {
    "PGHOST": "/nowhere", "PGHOSTADDR": "127.0.0.1", "PGPORT": "1", "PGUSER": "nobody_at_all",
    "PGDATABASE": "not_there",
    "PGSSLMODE": "verify-full", "PGSSLROOTCERT": "/nowhere/root.crt", "PGTARGETSESSIONATTRS": "standby",
    "PGOPTIONS": "-c search_path=nowhere -c default_transaction_read_only=on", "PGSERVICE": "other",
    "PGSERVICEFILE": "/nowhere/service", "PGPASSFILE": "/nowhere/passfile", "PGPASSWORD": "wrong",
    "PGCLIENTENCODING": "LATIN1", "PGDATESTYLE": "SQL, DMY", "PGTZ": "Asia/Tokyo", "PGDATA": "/nowhere",
    "PGAPPNAME": "other", "PGCONNECT_TIMEOUT": "0", "PGREQUIREAUTH": "scram-sha-256", "PGCHANNELBINDING": "require",
    "PGGSSENCMODE": "require", "PGSSLCERT": "/nowhere/c", "PGSSLKEY": "/nowhere/k", "PGKRBSRVNAME": "other",
}  # fmt: skip


async def test_the_private_postgresql_and_every_db_command_work_beside_them(state_dir: Path) -> None:
    daemon = RunningDaemon.simulated(state_dir, {"tasks": {"mode": "sync"}}, latency_seconds=0.05)
    daemon.environ.update(HOSTILE)
    await daemon.start()
    file = state_dir.with_name("backup.tar.gz")
    try:
        await daemon.account()
        await daemon.submit("京都", "two")
        tasks = await daemon.settled()
        assert [task["state"] for task in tasks] == ["completed"] * 2
        await _works(state_dir, "db", "backup", str(file))
        await _works(state_dir, "config-check", "--connect")
        assert await daemon.stop() == 0
    finally:
        await daemon.stop()
    await _works(state_dir, "db", "restore", "--replace", str(file))
    await _works(state_dir, "db", "upgrade")
    await _works(state_dir, "db", "validate")


async def _works(state_dir: Path, *words: str) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "contenthubd", *words, cwd=CHECKOUT, stdin=PIPE, stdout=PIPE, stderr=PIPE,
        env={**plain_environment(), "CONTENTHUBD_STATE_DIR": str(state_dir), **HOSTILE},
    )  # fmt: skip
    result = await ended(process)
    assert result.code == 0, result.err
