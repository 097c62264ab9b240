"""The files of a private PostgreSQL with every table and no row: made once for a test run, copied by whoever needs one.

A daemon that finds such files starts as on its second day: it saves initdb and all migrations, which cost more than
everything else such a test does. The first day has tests of its own.

``python -m tests.prepared_cluster FOLDER`` makes the files in ``FOLDER/cluster``.
"""

import asyncio
import fcntl
import os
import subprocess
import sys
from pathlib import Path

from contenthubd.adapters.postgres.embedded import EmbeddedPostgres
from contenthubd.adapters.postgres.engine import Database
from contenthubd.adapters.postgres.migrate import upgrade

VARIABLE = "CONTENTHUB_TESTS_SHARED"
"""Names the folder that all processes of one test run share; not set outside of pytest."""
CHECKOUT = Path(__file__).parent.parent
_CLUSTER = "cluster"


def copy_to(data_dir: Path) -> None:
    """Put a copy at ``data_dir``, which must not exist; does nothing outside of a test run."""
    shared = os.environ.get(VARIABLE)
    if shared is None:
        return
    data_dir.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["cp", "-a", "--reflink=auto", str(_prepared(Path(shared))), str(data_dir)], check=True)


def _prepared(shared: Path) -> Path:
    """The files, made by whoever asks first while the others wait."""
    cluster = shared / _CLUSTER
    with (shared / f"{_CLUSTER}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not cluster.exists():
            command = [sys.executable, "-m", "tests.prepared_cluster", str(shared)]
            subprocess.run(command, check=True, cwd=CHECKOUT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    return cluster


async def _make(shared: Path) -> None:
    making = shared / "making"
    making.mkdir(exist_ok=True)
    making.chmod(0o711)  # the server runs as another account where root may not use namespaces
    postgres = EmbeddedPostgres(making / _CLUSTER, durable=False)
    database = Database(await postgres.start())
    try:
        await upgrade(database)
    finally:
        await database.close()
        await postgres.stop()
    (making / _CLUSTER).rename(shared / _CLUSTER)


if __name__ == "__main__":
    asyncio.run(_make(Path(sys.argv[1])))
