"""No disk, no file descriptors, no permission, no sense in the configuration: a clear word and an exit code, or work
that waits and goes on; never a stack trace for a person, and nothing lost.

Full and read-only disks are real: small file systems in a mount namespace that only the daemon sees.
"""

import os
import resource
import socket
from contextlib import ExitStack, suppress
from pathlib import Path

import aiohttp
import pytest

from tests.acceptance.hostile import daemon_on
from tests.postgres_probe import can, private_mounts
from tests.running import Refused, RunningDaemon

GOOD = 'good "$3"'
CAN_MOUNT = can(*private_mounts(), "sh", "-c", "mount -t tmpfs tmpfs /mnt")
needs_mounts = pytest.mark.skipif(not CAN_MOUNT, reason="private mounts are not allowed here")
OPEN_FILES = 48
KNOCKS = 64


def on_a_disk_of_its_own(daemon: RunningDaemon, options: str) -> None:
    """Put the state directory on a new tmpfs; the socket stays where others can reach it."""
    door = daemon.state_dir.parent / "door.sock"
    daemon.settings.setdefault("daemon", {})["socket"] = str(door)
    daemon.state_dir.mkdir()
    daemon.socket.symlink_to(door)
    mount = f'cp "$0/config.toml" "$0/../config.toml" && mount -t tmpfs -o {options} tmpfs "$0"'
    start = f'{mount} && exec "$1" -m contenthubd --config "$0/../config.toml"'
    daemon.wrapped_in = [*private_mounts(), "sh", "-c", start, str(daemon.state_dir)]


async def refused_to_start(daemon: RunningDaemon, exit_code: int) -> str:
    """What a daemon said that ended by itself."""
    await daemon.start(ready=False)
    assert daemon.process is not None
    assert await daemon.process.wait() == exit_code
    told = daemon.log_path.read_text(encoding="utf-8")
    assert "Traceback" not in told
    return told


async def has_fault(daemon: RunningDaemon, said: str) -> bool:
    """Whether health tells of this."""
    return any(said in fault["what"] for fault in (await daemon.get("/health"))["faults"])


async def completed(daemon: RunningDaemon, tasks: list[str]) -> None:
    """Wait until all of them are articles."""

    async def all_completed() -> bool:
        return [(await daemon.get(f"/tasks/{task}"))["state"] for task in tasks] == ["completed"] * len(tasks)

    await daemon.until(all_completed)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"[daemon\nstate_dir = ", "config.toml"),
        (b"\xff\xfe\x00garbage", "config.toml"),
        (b"[tasks]\nmax_concurent = 3\n", "max_concurrent"),
        (b"[tasks]\nmax_retries = 'many'\n", "max_retries"),
        (b"[tsks]\nmode = 'sync'\n", "tsks"),
    ],
    ids=["cut off", "no text", "unknown key", "wrong type", "unknown section"],
)
async def test_a_configuration_that_cannot_be_right(state_dir: Path, text: bytes, said: str) -> None:
    class Broken(RunningDaemon):
        def write_config(self) -> Path:
            path = super().write_config()
            path.write_bytes(text)
            return path

    told = await refused_to_start(Broken(state_dir, {}), 2)
    assert said in told
    assert "The configuration has" in told
    assert not (state_dir / "daemon.lock").exists(), "nothing was begun"


async def test_a_second_daemon_leaves_the_first_alone(state_dir: Path) -> None:
    async with daemon_on(state_dir, GOOD) as daemon:
        second = daemon_on(state_dir, GOOD)
        second.log_path = second.log_path.with_suffix(".second.log")
        told = await refused_to_start(second, 6)
        assert "already uses the state directory" in told
        assert str(daemon.pid) in told
        await daemon.account()
        await completed(daemon, await daemon.submit("one"))


@pytest.mark.skipif(os.geteuid() == 0, reason="permissions do not bind root; the read-only disk below proves it")
async def test_a_state_directory_without_permission(state_dir: Path) -> None:
    daemon = daemon_on(state_dir, GOOD)
    daemon.prepared = False  # nothing can be copied there
    daemon.write_config()
    state_dir.chmod(0o500)
    daemon.write_config = lambda: state_dir / "config.toml"  # type: ignore[method-assign] # it cannot be written any more
    try:
        told = await refused_to_start(daemon, 4)
    finally:
        state_dir.chmod(0o700)
    assert "Permission denied" in told


@needs_mounts
@pytest.mark.parametrize(
    ("options", "said"), [("ro", "Read-only file system"), ("size=4m,mode=711", "No space left on device")]
)
async def test_a_disk_that_takes_nothing_at_the_start(state_dir: Path, options: str, said: str) -> None:
    daemon = daemon_on(state_dir, GOOD)
    on_a_disk_of_its_own(daemon, options)
    told = await refused_to_start(daemon, 1)
    assert said in told


@needs_mounts
async def test_a_disk_that_fills_up_and_has_room_again(state_dir: Path) -> None:
    daemon = daemon_on(state_dir, GOOD)
    on_a_disk_of_its_own(daemon, "size=200m,mode=711")
    async with daemon:
        await daemon.account()
        accepted = await daemon.submit("before")
        await completed(daemon, accepted)
        filler = Path(f"/proc/{daemon.pid}/root{state_dir}/filler")
        fill(filler)
        refused = []
        for number in range(20):
            try:
                accepted += await daemon.submit(f"full {number}")
            except (Refused, aiohttp.ClientError) as problem:
                refused.append(problem)

        async def told() -> bool:
            fill(filler)
            return "No space left on device" in daemon.log_path.read_text()

        await daemon.until(told)
        filler.unlink()

        async def well() -> bool:
            return not await has_fault(daemon, "No space left")

        await daemon.until(well)
        accepted += await daemon.submit("after")
        await completed(daemon, accepted)
        topics = {task["topic"] for task in await daemon.tasks()}
        assert len(topics) == len(await daemon.tasks()) == len(accepted), (refused, topics)
    assert "Traceback" not in daemon.log_path.read_text()


def fill(path: Path) -> None:
    """Take what room there is."""
    with suppress(OSError), path.open("ab", buffering=0) as file:
        while True:
            file.write(b"\0" * 65536)


async def test_no_file_descriptor_left_for_a_while(state_dir: Path) -> None:
    daemon = daemon_on(state_dir, GOOD)
    async with daemon:
        await daemon.account()
        await completed(daemon, await daemon.submit("before"))
        usual = resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (OPEN_FILES, usual[1]))
        with ExitStack() as knocking:
            for _ in range(KNOCKS):
                door = knocking.enter_context(socket.socket(socket.AF_UNIX))
                door.setblocking(False)
                with suppress(BlockingIOError):
                    door.connect(str(daemon.socket))

            async def exhausted() -> bool:
                return len(os.listdir(f"/proc/{daemon.pid}/fd")) >= OPEN_FILES - 1

            await daemon.until(exhausted)
            tasks = await daemon.submit("one", "two", "three")

            async def told() -> bool:
                return await has_fault(daemon, "open files")

            await daemon.until(told)
        await completed(daemon, tasks)
        assert [(await daemon.get(f"/tasks/{task}"))["retry_count"] for task in tasks] == [0, 0, 0]
    assert "Traceback" not in daemon.log_path.read_text()
