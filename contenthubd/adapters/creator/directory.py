"""The creator's working directory: its database and its logs lie there by name, relative to where it is started.

The database is never touched here. Of the logs only those go that nobody writes or reads any more: the creator
turns over its own at 10 MB, but not the two it writes when it crashes.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from contenthubd.adapters.creator.output import CLAIM_NOISE, error_text
from contenthubd.domain import foreign
from contenthubd.domain.outcome import ErrorKind, Sick

_MEBIBYTE: Final = 1024 * 1024
_CRASH_LOG_LIMIT: Final = 5 * _MEBIBYTE
_READ_AT_MOST: Final = 8 * _MEBIBYTE
_QUOTED: Final = 300
_FULL_BELOW: Final = 1 * _MEBIBYTE
_CRASH: Final = b"uncaughtException: "
_CRASH_READ: Final = 65_536
_LONGEST_ENTRY: Final = 262_144
_JOB_FAILED: Final = "Job failed"


class Directory:
    """Paths and questions about one working directory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.data = path / "data"
        self.logs = path / "logs"
        self.workers = path / "workers"
        self.database = self.data / "content-creator.db"
        self.worker_log = self.logs / "worker.log"

    def prepare(self) -> Sick | None:
        """Make what is missing; Sick if that is impossible."""
        try:
            for folder in (self.path, self.data, self.logs, self.workers):
                folder.mkdir(mode=0o750, parents=True, exist_ok=True)
            for log in (self.logs / "app.exceptions.log", self.logs / "app.rejections.log"):
                if log.exists() and log.stat().st_size > _CRASH_LOG_LIMIT:
                    log.unlink()
        except OSError as error:
            return Sick(ErrorKind.CREATOR_DIRECTORY, f"{error.filename or self.path}: {error.strerror}.")
        return self.fault()

    def fault(self) -> Sick | None:
        """What keeps a creator from working here, as far as can be seen from outside."""
        for folder in (self.path, self.data, self.logs):
            if not folder.is_dir():
                return Sick(ErrorKind.CREATOR_DIRECTORY, f"{folder} is not a directory.")
            if not os.access(folder, os.W_OK | os.X_OK):
                return Sick(ErrorKind.CREATOR_DIRECTORY, f"{folder} is not writable.")
        if (self.path / ".env").exists():
            return Sick(ErrorKind.CREATOR_DIRECTORY, f"{self.path} contains a .env file, which the creator would read.")
        room = os.statvfs(self.data)
        if room.f_bavail * room.f_frsize < _FULL_BELOW:
            return Sick(ErrorKind.CREATOR_DIRECTORY, f"The disk of {self.data} is full.")
        return None

    def silent_exit(self) -> Sick:
        """Why a command ended without a word: the directory, or else the database."""
        return self.fault() or Sick(
            ErrorKind.DATABASE_MISSING,
            f"The creator ended without output; its crash log says: {self._last_crash() or 'nothing'}",
        )

    def _last_crash(self) -> str:
        """The crash log is for people: coloured text, one paragraph for each crash."""
        return last_crash(_tail(self.logs / "app.exceptions.log", _CRASH_READ))

    def fingerprint(self) -> object:
        """Size and time of the database and of its write-ahead log; a new object if they cannot be read."""
        try:
            found = self.database.stat()
        except OSError:
            return object()
        log = self.database.with_name(self.database.name + "-wal")
        try:
            wal = log.stat()
        except FileNotFoundError:
            return (found.st_mtime_ns, found.st_size)
        except OSError:
            return object()
        return (found.st_mtime_ns, found.st_size, wal.st_mtime_ns, wal.st_size)

    def cause(self, creator_task_id: str) -> str | None:
        """The first real error of a task in the error logs: what failed the job, else the earliest line about it."""
        first = None
        for path in self._error_logs():
            for entry in entries_about(_tail(path), creator_task_id.encode()):
                cause = error_text(entry) if entry.get("taskId") == creator_task_id else None
                if not cause or cause.startswith(CLAIM_NOISE):
                    continue
                if _JOB_FAILED in str(entry.get("message", "")):
                    return cause
                first = first or cause
        return first

    def _error_logs(self) -> list[Path]:
        """Oldest first. The creator numbers them upwards and keeps five."""
        dated = []
        for path in self.logs.glob("app.error*.log"):
            try:
                dated.append((path.stat().st_mtime_ns, path))
            except FileNotFoundError:
                continue
        return [path for _, path in sorted(dated)][-2:]


def _tail(path: Path, most: int = _READ_AT_MOST) -> bytes:
    """The last part of a log; nothing if there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - most))
            return file.read(most)
    except OSError:
        return b""


def last_crash(log: bytes) -> str:
    """The first line of the last crash that a crash log tells of; empty if there is none."""
    _, found, said = log.rpartition(_CRASH)
    return said[: 4 * _QUOTED].decode("utf-8", "replace").partition("\n")[0][:_QUOTED] if found else ""


def entries_about(log: bytes, needle: bytes) -> Iterator[dict[str, object]]:
    """The JSON lines of a log that hold ``needle``."""
    start = 0
    while (place := log.find(needle, start)) >= 0:
        begin = log.rfind(b"\n", start, place) + 1 or start
        start = log.find(b"\n", place) + 1 or len(log)
        entry = foreign.json_value(log[begin:start], most=_LONGEST_ENTRY)
        if isinstance(entry, dict):
            yield entry
