"""A real daemon in a process of its own, for tests that look at contenthubd from outside.

``RunningDaemon`` writes a configuration, starts ``contenthubd``, talks to its socket, and surely ends it.
Nothing here knows how the daemon works inside.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import aiohttp
import tomli_w

from tests import preloaded, prepared_cluster

CHECKOUT = Path(__file__).parent.parent
PATIENCE_SECONDS = 120.0
"""How long a fact may take on the slowest machine; nothing waits that long when all is well."""
LOOK_SECONDS = 0.05
"""How often a fact is looked at, at first; the test does not depend on it."""
SELDOM_SECONDS = 0.25
"""How often, once it takes long: each look costs all processes together 6 ms, which other tests could use."""
SIMULATOR = [sys.executable, "-m", "contenthubd.simulator"]
KEYS = {
    "LLM_API_KEY": "test",
    "LLM_BASE_URL": "http://127.0.0.1:9/v1",
    "TAVILY_API_KEY": "test",
    "ARK_API_KEY": "test",
}


class Refused(Exception):
    """The door answered with a problem."""

    def __init__(self, problem: dict[str, Any]) -> None:
        super().__init__(json.dumps(problem, ensure_ascii=False))
        self.problem = problem


class RunningDaemon:
    """One daemon on ``state_dir``; ``settings`` are the sections of its config.toml."""

    def __init__(
        self, state_dir: Path, settings: Mapping[str, Mapping[str, Any]], *, environ: Mapping[str, str] | None = None
    ) -> None:
        self.state_dir = state_dir
        self.settings = {section: dict(values) for section, values in settings.items()}
        self.environ = dict(environ or {})
        self.wrapped_in: list[str] = []
        """A command that sets limits or mounts and then executes what follows it."""
        self.prepared = False
        """Whether the private PostgreSQL is a copy of one with all tables; if not, the daemon makes it at its start."""
        self.process: asyncio.subprocess.Process | preloaded.Forked | None = None
        self.log_path = state_dir.with_name(state_dir.name + ".log")
        self._session: aiohttp.ClientSession | None = None

    @classmethod
    def simulated(
        cls, state_dir: Path, settings: Mapping[str, Mapping[str, Any]] | None = None, **behaviour: object
    ) -> Self:
        """A daemon with the bundled simulator; ``behaviour`` are its CREATOR_SIMULATOR_* variables."""
        merged: dict[str, dict[str, Any]] = {
            "creator": {"command": SIMULATOR, "worker_command": [*SIMULATOR, "worker"]},
            "tasks": {"poll_interval_seconds": 1},
            "daemon": {"stop_grace_seconds": 1},
            "queue": {"type": "memory"},
        }
        for section, values in (settings or {}).items():
            merged.setdefault(section, {}).update(values)
        environ = {f"CREATOR_SIMULATOR_{name.upper()}": str(value) for name, value in behaviour.items()}
        return cls(state_dir, merged, environ={"CREATOR_SIMULATOR_KEYS": "off", **environ})

    @property
    def socket(self) -> Path:
        """The private door."""
        return self.state_dir / "control.sock"

    @property
    def pid(self) -> int:
        """The daemon's process."""
        assert self.process is not None
        return self.process.pid

    def write_config(self) -> Path:
        """config.toml from the settings; the path."""
        self.state_dir.mkdir(parents=True, exist_ok=True)
        self.state_dir.chmod(0o711)  # as `short_directory`
        path = self.state_dir / "config.toml"
        merged = {**self.settings, "daemon": {"state_dir": str(self.state_dir), **self.settings.get("daemon", {})}}
        path.write_text(tomli_w.dumps(merged), encoding="utf-8")
        return path

    async def start(self, *, ready: bool = True) -> Self:
        """Start the process; wait until its door answers."""
        environ = inherited_environment()
        path = self.write_config()
        data_dir = self.state_dir / "postgres"
        if self.prepared and not data_dir.exists() and not self._url:
            await asyncio.to_thread(prepared_cluster.copy_to, data_dir)
        with self.log_path.open("ab") as log:
            self.process = await self._started(["--config", str(path)], {**environ, **self.environ}, log)
        if ready:
            await self.until(self._answers)
        return self

    async def _started(
        self, arguments: list[str], environ: Mapping[str, str], log: BinaryIO
    ) -> asyncio.subprocess.Process | preloaded.Forked:
        """The process: a fork where nothing about the start of the program itself is new."""
        begun = self.prepared or bool(self._url) or (self.state_dir / "postgres").exists()
        if begun and not self.wrapped_in and preloaded.possible(self.environ):
            return await preloaded.start(arguments, environ, log)
        return await asyncio.create_subprocess_exec(
            *self.wrapped_in, sys.executable, "-m", "contenthubd", *arguments,
            cwd=CHECKOUT, env=environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip

    @property
    def _url(self) -> str:
        return str(self.settings.get("database", {}).get("url", ""))

    async def stop(self) -> int:
        """SIGTERM; the exit code."""
        return await self.end(signal.SIGTERM)

    async def end(self, number: signal.Signals) -> int:
        """Send a signal and wait for the end; the exit code."""
        await self.close_client()
        if self.process is None:
            return 0
        if self.process.returncode is None:
            self.process.send_signal(number)
        return await asyncio.wait_for(self.process.wait(), PATIENCE_SECONDS)

    async def died(self) -> int:
        """Wait until it has ended without our doing; the exit code."""
        await self.close_client()
        assert self.process is not None
        return await asyncio.wait_for(self.process.wait(), PATIENCE_SECONDS)

    async def close_client(self) -> None:
        """Forget the connections to a process that is about to go."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(ProcessLookupError):
            await self.end(signal.SIGTERM)

    @property
    def log(self) -> list[dict[str, Any]]:
        """Every event the daemon logged as JSON so far."""
        lines = self.log_path.read_text(encoding="utf-8", errors="replace").splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def events(self, name: str) -> list[dict[str, Any]]:
        """The logged events of one name."""
        return [event for event in self.log if event.get("event") == name]

    async def get(self, path: str, **query: object) -> Any:
        """GET /v1/path; Refused for a problem."""
        return await self._request("GET", path, params={name: str(value) for name, value in query.items()})

    async def post(self, path: str, body: object = None) -> Any:
        """POST /v1/path; Refused for a problem."""
        return await self._request("POST", path, json=body)

    async def account(self, name: str = "demo", **values: object) -> str:
        """Create an account; its name."""
        await self.post("/accounts", {"name": name, **values})
        return name

    async def submit(self, *topics: str, account: str = "demo", batch: bool = True, **values: object) -> list[str]:
        """Submit topics; the ids."""
        requests = [{"topic": topic, **values} for topic in topics]
        answer = await self.post("/tasks", {"account": account, "batch": batch, "requests": requests})
        return [task["id"] for task in answer["tasks"]]

    async def tasks(self, **query: object) -> list[dict[str, Any]]:
        """The listed tasks."""
        answer: dict[str, Any] = await self.get("/tasks", limit=1000, **query)
        tasks: list[dict[str, Any]] = answer["tasks"]
        return tasks

    async def settled(self, patience: float = PATIENCE_SECONDS) -> list[dict[str, Any]]:
        """Wait until every task of the last batch is final and published; the batch's tasks."""

        async def all_settled() -> bool:
            return bool((await self.get("/wait", batch="last", timeout=5))["settled"])

        await self.until(all_settled, patience)
        return await self.tasks(batch="last")

    async def until(self, fact: Callable[[], Any], patience: float = PATIENCE_SECONDS) -> Any:
        """Wait for a fact: the first true answer of ``fact``; fails with the daemon's last words."""
        time = asyncio.get_running_loop().time
        begun = time()
        while True:
            answer = await fact()
            if answer:
                return answer
            if self.process is not None and self.process.returncode is not None:
                raise AssertionError(f"the daemon ended with {self.process.returncode}:\n{self._last_words()}")
            if (waited := time() - begun) > patience:
                raise AssertionError(f"not true within {patience:g} s; the daemon said:\n{self._last_words()}")
            await asyncio.sleep(min(max(LOOK_SECONDS, waited / 10), SELDOM_SECONDS))

    def _last_words(self) -> str:
        return "\n".join(self.log_path.read_text(encoding="utf-8", errors="replace").splitlines()[-25:])

    async def _answers(self) -> bool:
        try:
            await self.get("/version")
        except (aiohttp.ClientError, OSError):
            return False
        return True

    async def _request(self, method: str, path: str, **options: Any) -> Any:
        if self._session is None:
            self._session = aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(self.socket)))
        async with self._session.request(method, f"http://contenthubd/v1{path}", **options) as answer:
            told = await answer.json(content_type=None)
            if answer.status >= 400:
                raise Refused(told)
            return told


def inherited_environment() -> dict[str, str]:
    """Our environment without what configures a daemon on purpose; everything else must not matter to it."""
    meant = ("CONTENTHUBD_", "CREATOR_", "ASYNC_", "REDIS_", "TASK_QUEUE")
    places = ("NOTIFY_SOCKET", "STATE_DIRECTORY", "RUNTIME_DIRECTORY", "CREDENTIALS_DIRECTORY", "DATABASE_URL")
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(meant) and name not in places and not name.lower().endswith("_proxy")
    }


def short_directory() -> Path:
    """A new directory that others may only pass through, its path short enough for sockets; the caller removes it.

    Where root may not use namespaces, PostgreSQL runs as another account and must get to its files.
    """
    folder = Path(tempfile.mkdtemp(prefix="chd-"))
    folder.chmod(0o711)
    return folder
