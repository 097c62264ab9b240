"""A door with a memory application behind it, and contenthubctl in front of it."""

import asyncio
import io
import os
import shutil
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from contenthubd.control import wire
from contenthubd.control.peer import Peer
from contenthubd.control.routes import Application
from contenthubd.control.server import ControlServer
from tests.control.memory_application import MemoryApplication
from tests.control.unreached import schedule_desk
from tests.running import CHECKOUT, PATIENCE_SECONDS, short_directory

PIPE = asyncio.subprocess.PIPE
US = Peer(uid=os.getuid(), gid=os.getgid(), pid=os.getpid())


@dataclass
class Result:
    """How a command ended."""

    code: int
    out: str
    err: str


@dataclass
class Door:
    """A served application; ``close`` and ``open`` play a daemon that goes away and comes back."""

    app: MemoryApplication
    socket: Path
    server: ControlServer

    async def close(self) -> None:
        """The daemon is gone."""
        await self.server.close()

    async def open(self) -> None:
        """It is there again, with all it knew."""
        self.server = ControlServer(served(self.app), self.socket)
        await self.server.start()

    async def start_ctl(
        self, *words: str, stderr: int = PIPE, env: Mapping[str, str] | None = None
    ) -> asyncio.subprocess.Process:
        """contenthubctl under way."""
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "contenthubd.ctl.main", *words, cwd=CHECKOUT, stdin=PIPE, stdout=PIPE, stderr=stderr,
            env={**plain_environment(), "CONTENTHUBD_SOCKET": str(self.socket), **(env or {})},
        )  # fmt: skip

    async def ctl(self, *words: str, stdin: str = "", env: Mapping[str, str] | None = None) -> Result:
        """contenthubctl from start to end."""
        return await ended(await self.start_ctl(*words, env=env), stdin)

    async def request(self, method: str, path: str, data: bytes | None = None) -> tuple[int, Any, Any]:
        """Status, headers and JSON of one request."""
        connector = aiohttp.UnixConnector(str(self.socket))
        stream = io.BytesIO(data) if data is not None else None
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.request(method, f"http://localhost{path}", data=stream) as response,
        ):
            return response.status, response.headers, await response.json(content_type=None)

    async def submitted(self, topic: str = "Autumn in Kyoto") -> str:
        """A task's id."""
        order = wire.SubmitRequest(account="studio", requests=[wire.TopicRequest(topic=topic)])
        return submitted_ids(await self.app.submit(order, peer=US))[0]


def submitted_ids(made: wire.Submitted) -> list[str]:
    """The ids of the tasks that a submit made; a dry run makes none."""
    return [one.id for one in made.tasks if one.id is not None]


def served(app: MemoryApplication) -> Application:
    """One memory application at every desk."""
    return Application(tasks=app, contents=app, accounts=app, schedules=schedule_desk(), condition=app)


def plain_environment() -> dict[str, str]:
    """Ours without anything that steers contenthubctl; coverage finds its way into child processes by variables."""
    return {
        name: value for name, value in os.environ.items() if name in ("PATH", "HOME") or name.startswith("COVERAGE_")
    }


async def ended(process: asyncio.subprocess.Process, stdin: str = "") -> Result:
    """What a command said, once it has ended."""
    out, err = await asyncio.wait_for(process.communicate(stdin.encode()), PATIENCE_SECONDS)
    assert process.returncode is not None
    return Result(process.returncode, out.decode(), (err or b"").decode())


async def until(fact: Callable[[], bool]) -> None:
    """Wait for a fact."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not fact():  # noqa: ASYNC110  # the fact lies in another process: there is no event
            await asyncio.sleep(0.01)


async def line_with(word: str, stream: asyncio.StreamReader | None) -> str:
    """The next line that holds the word."""
    assert stream is not None
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            line = (await stream.readline()).decode()
            assert line, f"the output ended before {word!r} came"
            if word in line:
                return line


@contextmanager
def zone(name: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The process's time zone for a while."""
    with monkeypatch.context() as patched:
        patched.setenv("TZ", name)
        time.tzset()
        yield
    time.tzset()


@pytest.fixture(autouse=True)
def _no_width(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands that run in this process write whole lines: pytest-xdist sets a width for its workers."""
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short path that everyone may enter."""
    made = short_directory()
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@pytest.fixture
async def door(folder: Path) -> AsyncIterator[Door]:
    """An open door with one account, ``studio``."""
    app = MemoryApplication()
    await app.create_account(wire.NewAccount(name="studio"), peer=US)
    made = Door(app, folder / "control.sock", ControlServer(served(app), folder / "control.sock"))
    await made.server.start()
    yield made
    await made.close()
