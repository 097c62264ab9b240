"""How the tests of the private PostgreSQL look at it from outside: processes, owners in another process, SQL."""

import asyncio
import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from tests.plain_connection import connect_to

CHECKOUT = Path(__file__).parent.parent
_PATIENCE_SECONDS = 120  # only ever spent when the fact never comes


async def until(fact: Callable[[], bool], what: str) -> None:
    """Wait until ``fact()`` holds."""
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while not fact():  # noqa: ASYNC110 - facts about other processes come without an event
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"never came true: {what}") from None


def alive(pid: int) -> bool:
    """Whether the process runs; a zombie does not."""
    return _stat(pid)[:1] not in ([], ["Z"])


def children(pid: int) -> list[int]:
    """The process numbers of the direct children."""
    numbers = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]
    return [number for number in numbers if _stat(number)[1:2] == [str(pid)]]


def running_on(folder: Path) -> list[int]:
    """The living processes that name ``folder`` or something below it on their command line."""
    numbers = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]
    return [number for number in numbers if os.fsencode(folder) in _command_line(number) and number != os.getpid()]


def names_in(folder: Path) -> list[str]:
    """The sorted names of what lies in ``folder``."""
    return sorted(path.name for path in folder.iterdir())


def environment_of(pid: int) -> set[str]:
    """The names of the environment variables a process was started with."""
    return {line.split(b"=")[0].decode() for line in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0") if line}


@contextmanager
def public_folder() -> Iterator[Path]:
    """A temporary folder that every account may pass through; at the end nothing may run on it any more."""
    folder = Path(tempfile.mkdtemp(prefix="contenthubd-test-"))
    folder.chmod(0o711)
    yield folder
    left = running_on(folder)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    shutil.rmtree(folder)
    assert left == []


def user_of(pid: int) -> int:
    """The user number a process runs as."""
    return Path(f"/proc/{pid}").stat().st_uid


async def sql(url: str, statement: str) -> Any:
    """The first value that ``statement`` gives."""
    connection = await connect_to(url)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close(timeout=10)


@asynccontextmanager
async def owner(
    data_dir: Path, bin_dir: Path | None = None, *, wrapped_in: Sequence[str] = ()
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Another process that owns a private PostgreSQL; at the end it is told to stop and waited for."""
    paths = [str(data_dir), *([str(bin_dir)] if bin_dir else [])]
    process = await asyncio.create_subprocess_exec(
        *wrapped_in,
        *(sys.executable, "-m", "tests.embedded_owner", *paths),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=CHECKOUT,
    )
    try:
        yield process
    finally:
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await process.communicate(b"")
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


async def told_by(process: asyncio.subprocess.Process) -> dict[str, Any]:
    """What an `owner` tells about its start."""
    assert process.stdout is not None
    told: dict[str, Any] = json.loads(await process.stdout.readline())
    return told


def plain_environment() -> dict[str, str]:
    """Our environment without what measures or steers this test run."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("COVERAGE_", "COV_", "PYTEST_"))}


def script(path: Path, text: str) -> Path:
    """An executable shell script."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.parent.chmod(0o755)
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def private_mounts() -> list[str]:
    """The command prefix that gives a child mounts of its own; run it through `can` first."""
    as_root = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    return ["unshare", *as_root, "--mount"]


@functools.cache
def can(*command: str) -> bool:
    """Whether ``command`` works on this machine."""
    try:
        return subprocess.run(command, capture_output=True, check=False, timeout=_PATIENCE_SECONDS).returncode == 0
    except FileNotFoundError:
        return False


async def put_to_sleep(pid: int) -> None:
    """Freeze a process, and wait until it is frozen."""
    os.kill(pid, signal.SIGSTOP)
    await until(lambda: _stat(pid)[:1] in (["T"], ["Z"]), f"process {pid} is stopped")


def _stat(pid: int) -> list[str]:
    """The state letter, the parent and so on; nothing for a process that is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return []
    return text.rpartition(")")[2].split()


def _command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""
