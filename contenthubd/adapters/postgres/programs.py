"""What the PostgreSQL programs are told: command lines, settings, environment."""

import asyncio
import os
import signal
from contextlib import suppress
from pathlib import Path

import anyio

from contenthubd.adapters.postgres.cluster import MARKER
from contenthubd.adapters.postgres.identity import Identity
from contenthubd.domain.errors import Unavailable

USER = "contenthub"

_RUN_SECONDS = 300.0  # initdb on a slow disk
_PASSED_ON = ("PATH", "LD_LIBRARY_PATH", "TMPDIR")

_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "shared_buffers": "16MB",
    "max_connections": "40",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "min_wal_size": "32MB",
    "max_wal_size": "256MB",
    "max_worker_processes": "2",
    "max_parallel_workers": "0",
    "max_logical_replication_workers": "0",
    "autovacuum_max_workers": "1",
    "huge_pages": "off",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    # The keeper starts a server that ended from nothing. One that starts itself again after a crash may hang in that
    # for good, alive and useless, where its disk is full (seen with 18.6).
    "restart_after_crash": "off",
    "log_min_messages": "log",  # a refused statement is the client's to tell; it must not fill the disk
}
_SINCE_18 = {"io_method": "sync"}  # no I/O worker processes
# A killed server keeps what it committed even so: that is in the kernel's hands by then. A power cut loses it.
_NOT_DURABLE = {"fsync": "off", "full_page_writes": "off", "autovacuum": "off"}


def version(bin_dir: Path) -> list[str]:
    """The command that prints the version; it works for every user, root too."""
    return [str(bin_dir / "postgres"), "--version"]


def initdb(bin_dir: Path, folder: Path, major: int, *, durable: bool) -> list[str]:
    """The command that makes a cluster in ``folder``: the same sort order everywhere, checksums, no network."""
    builtin = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"] if major >= 17 else []
    options = ["--locale=C.UTF-8", *builtin, "--encoding=UTF8", "--data-checksums"]
    options += ["--auth-local=trust", "--auth-host=reject", f"--username={USER}"]
    options += [] if durable else ["--no-sync"]
    return [str(bin_dir / "initdb"), "-D", str(folder), *options]


def server(bin_dir: Path, data_dir: Path, socket_dir: Path, major: int, *, durable: bool) -> list[str]:
    """The command that runs the server: small, on a private socket only, marked as ours."""
    settings = _SETTINGS | {"unix_socket_directories": str(socket_dir)}
    settings |= _SINCE_18 if major >= 18 else {}
    settings |= {} if durable else _NOT_DURABLE
    options = [MARKER, *(f"{name}={value}" for name, value in settings.items())]
    return [str(bin_dir / "postgres"), "-D", str(data_dir), *(word for option in options for word in ("-c", option))]


def environment() -> dict[str, str]:
    """What the programs see of our environment: no keys of other services, no PG… settings, English messages."""
    return {name: os.environ[name] for name in _PASSED_ON if name in os.environ} | {"LC_ALL": "C"}


async def run(identity: Identity, program: list[str], directory: Path) -> tuple[int, str]:
    """Run a program to its end: exit code and output. It never outlives us; Unavailable if it does not end."""
    process = await asyncio.create_subprocess_exec(
        *identity.command(program, directory=directory, death_signal=signal.SIGKILL),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
        env=environment(),
    )
    try:
        async with asyncio.timeout(_RUN_SECONDS):
            output, _ = await process.communicate()
    except TimeoutError as error:
        raise Unavailable(
            f"{program[0]} did not end within {_RUN_SECONDS:.0f} seconds.",
            why="The disk may be very slow or not answer.",
            fix="Check the disk of the state directory, then start again.",
        ) from error
    finally:
        if process.returncode is None:
            await _kill_group(process)
    return await process.wait(), output.decode("utf-8", "replace")


async def _kill_group(process: asyncio.subprocess.Process) -> None:
    with anyio.CancelScope(shield=True):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
