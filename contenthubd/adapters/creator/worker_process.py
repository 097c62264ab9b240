"""The process of the creator's worker: found, started so that it cannot outlive us by accident, and recognised later.

A lock file says whether a worker lives, without asking it: the worker's own process holds the lock from before its
program starts until it is gone, and the kernel lets go of it then, whatever happened. The launcher also asks for
SIGTERM when the daemon dies: a worker that nobody minds finishes what it has and leaves, so a task it took is not
lost. (That request belongs to the thread that forked and is cleared by a change of user, hence its place, last.)
"""

import fcntl
import os
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from uuid import uuid4

from contenthubd.adapters.creator.directory import Directory
from contenthubd.adapters.creator.settings import CreatorSettings

_CLI: Final = Path("dist/presentation/cli/index.js")
_WORKER: Final = Path("dist/presentation/worker-cli.js")
LAUNCHER: Final = """
import ctypes, fcntl, os, sys
parent, path, command = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
while True:
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o640)
    fcntl.flock(lock, fcntl.LOCK_EX)
    if os.path.exists(path) and os.path.samestat(os.stat(path), os.fstat(lock)):
        break
    os.close(lock)
os.set_inheritable(lock, True)
ctypes.CDLL(None).prctl(1, 15)
if os.getppid() != parent:
    os._exit(1)
os.execvp(command[0], command)
"""


def find_worker(settings: CreatorSettings, env: Mapping[str, str]) -> tuple[str, ...]:
    """The command that starts a worker, without its options; empty if it could not be determined from ``command``."""
    if settings.worker_command:
        return settings.worker_command
    if settings.simulated:
        return (*settings.command, "worker")
    for place, part in enumerate(settings.command):
        found = shutil.which(part, path=env.get("PATH")) or part
        script = Path(os.path.realpath(settings.workdir / found))
        package = script.parents[len(_CLI.parts) - 1] if len(script.parts) > len(_CLI.parts) else script
        worker = package / _WORKER
        if script == package / _CLI and worker.is_file():
            return (*(settings.command[:place] or ("node",)), str(worker))
    return ()


def launch_command(
    settings: CreatorSettings, directory: Directory, worker: tuple[str, ...], worker_id: str
) -> list[str]:
    """The whole argument list, from our launcher to the worker's options."""
    launcher = (sys.executable, "-I", "-S", "-c", LAUNCHER, str(os.getpid()), str(_lock_path(directory, worker_id)))
    return [*launcher, *worker, "start", "-c", str(settings.concurrency), "-w", worker_id]


def new_worker_id(instance: str) -> str:
    """A name that no other worker ever had."""
    return f"contenthubd-{instance}-{uuid4().hex}"


def worker_alive(directory: Directory, instance: str, worker_id: str) -> bool | None:
    """Whether the process that took this name still lives; None for a name that is not of this instance."""
    if not re.fullmatch(rf"contenthubd-{re.escape(instance)}-[0-9a-f]{{32}}", worker_id):
        return None
    return _locked(_lock_path(directory, worker_id))


def remove_old_locks(directory: Directory) -> None:
    """Forget workers that are gone."""
    for path in directory.workers.glob("*.lock"):
        if not _locked(path):
            path.unlink(missing_ok=True)


def _lock_path(directory: Directory, worker_id: str) -> Path:
    return directory.workers / f"{worker_id}.lock"


def _locked(path: Path) -> bool:
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False
