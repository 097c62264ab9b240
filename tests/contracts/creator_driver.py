"""Drives a content-creator, the simulator or the real one, from tests."""

import os
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.contracts.creator_facts import BANNER_LINES

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 120.0
BASE_ENV = {"DATABASE_TYPE": "sqlite", "LOG_LEVEL": "error", "NO_COLOR": "1", "DOTENV_CONFIG_QUIET": "true"}
KEYS = ("LLM_API_KEY", "LLM_BASE_URL", "TAVILY_API_KEY", "ARK_API_KEY")


@dataclass(frozen=True)
class Answer:
    """What one command came to."""

    code: int
    out: str
    err: str

    @property
    def body(self) -> str:
        """stdout after the banner."""
        return "".join(self.out.splitlines(keepends=True)[BANNER_LINES:])


@dataclass
class Creator:
    """One of the two, ready to be driven in any folder."""

    command: list[str]
    worker_command: list[str]
    env: dict[str, str] = field(default_factory=dict)
    installed: list[str] = field(default_factory=list)
    """The command line as npm installs it, where ``command`` is the same joined into one file, which starts sooner."""

    def run(self, folder: Path, *arguments: str, without: tuple[str, ...] = ()) -> Answer:
        """Run a command to its end, with stdout in a file."""
        env = {name: value for name, value in self.env.items() if name not in without}
        with tempfile.TemporaryFile() as out:
            done = subprocess.run(
                [*self.command, *arguments], cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=out,
                stderr=subprocess.PIPE, timeout=SECONDS,
            )  # fmt: skip
            out.seek(0)
            return Answer(done.returncode, out.read().decode(), done.stderr.decode())

    @contextmanager
    def started(self, folder: Path, *arguments: str, worker: bool = False) -> Iterator[subprocess.Popen[bytes]]:
        """Run a command, or the worker, beside the test; it is gone afterwards."""
        child = subprocess.Popen(
            [*(self.worker_command if worker else self.command), *arguments], cwd=folder, env=self.env,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        try:
            yield child
        finally:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
            child.wait(SECONDS)

    def create(self, folder: Path, topic: str, *arguments: str, mode: str = "async") -> str:
        """Create a task and return its id."""
        answer = self.run(
            folder, "create", f"--topic={topic}", "--requirements=要求\nref-1", f"--mode={mode}", *arguments
        )
        assert answer.code == 0, answer
        ids: list[str] = re.findall(r"^任务ID: ([0-9a-f-]{36})$", answer.out, re.MULTILINE)
        return ids[-1]


def simulator(**settings: object) -> Creator:
    """The simulator, quick, with these settings."""
    base = [sys.executable, "-m", "contenthubd.simulator"]
    passed = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE")}
    env = BASE_ENV | passed | {name: "http://127.0.0.1/" for name in KEYS}
    env |= {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "CREATOR_SIMULATOR_JITTER": "0"}
    env |= {"CREATOR_SIMULATOR_LATENCY_SECONDS": "0.3", "CREATOR_SIMULATOR_RETRY_SECONDS": "0.5"}
    env |= {f"CREATOR_SIMULATOR_{name.upper()}": str(value) for name, value in settings.items()}
    return Creator(base, [*base, "worker"], env)


def make_folder(path: Path) -> Path:
    (path / "data").mkdir(parents=True)
    return path


def rows(folder: Path, sql: str, *values: str) -> list[tuple[object, ...]]:
    """What the creator's own database says."""
    database = sqlite3.connect(f"file:{folder / 'data' / 'content-creator.db'}?mode=ro", uri=True, timeout=SECONDS)
    try:
        return database.execute(sql, values).fetchall()
    finally:
        database.close()


def state(folder: Path, task_id: str) -> str:
    return str(rows(folder, "SELECT status FROM tasks WHERE id = ?", task_id)[0][0])


def wait_until(fact: Callable[[], bool], what: str) -> None:
    """Wait for something to become true, for a bounded time."""
    deadline = time.monotonic() + SECONDS
    while not fact():
        assert time.monotonic() < deadline, f"not within {SECONDS} s: {what}"
        time.sleep(0.02)
