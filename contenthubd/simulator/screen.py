"""Everything the original prints: the banner, separators, labels, and how output gets lost in a pipe."""

import os
import stat
import sys
from collections.abc import Mapping

PIPE_BYTES = 65536
NO_TRANSPORTS = (
    "[winston] Attempt to write logs with no transports, which can increase memory usage: "
    '{"message":"Logger closed","level":"info"}'
)
CANCEL_REFUSED = "- 处理中...\n✖ 操作失败\n❌ 错误: connect ECONNREFUSED 127.0.0.1:5432"
STATUS = {
    "pending": "⏳ 待处理",
    "running": "🔄 运行中",
    "waiting": "⏸️ 等待中",
    "completed": "✅ 已完成",
    "failed": "❌ 失败",
    "cancelled": "⏹️ 已取消",
}


class Screen:
    """stdout and stderr of one command. Output is kept until `flush`, since a pipe gets its first 64 KiB only."""

    def __init__(self) -> None:
        self._room = PIPE_BYTES if stat.S_ISFIFO(os.fstat(1).st_mode) else sys.maxsize
        self._waiting: list[str] = []

    def say(self, *lines: str) -> None:
        """Lines for stdout; an empty call prints nothing."""
        self._waiting += [f"{line}\n" for line in lines if line or len(lines) > 1]

    def blank(self) -> None:
        """An empty line."""
        self._waiting.append("\n")

    def rule(self, width: int = 40) -> None:
        """A separator."""
        self.say("─" * width)

    def complain(self, text: str) -> None:
        """Text for stderr, at once."""
        if text:
            write(2, f"{text}\n")

    def cut(self) -> None:
        """Lose all but the first 64 KiB, as if stdout were a pipe."""
        self._room = PIPE_BYTES

    def mute(self) -> None:
        """Lose everything."""
        self._room = 0

    def forget(self) -> None:
        """Drop what was not written yet."""
        self._waiting.clear()

    def flush(self) -> None:
        """Write what waits, as far as it is not to be lost."""
        data = "".join(self._waiting).encode("utf-8", "replace")[: self._room]
        self._waiting.clear()
        self._room -= len(data)
        write_bytes(1, data)

    def banner(self, environment: Mapping[str, str]) -> None:
        """What stands on stdout before any answer."""
        if environment.get("DOTENV_CONFIG_QUIET") != "true":
            self.say("◇ injected env (0) from .env // tip: ⌘ suppress logs { quiet: true }")
        model = environment.get("LLM_MODEL_NAME") or "deepseek-chat"
        redis = environment.get("REDIS_URL") or "Not configured (queue/cache/rate-limit will be disabled)"
        line = "=" * 40
        self.say(
            *(line, "Configuration Loaded Successfully", line),
            f"Environment: {environment.get('NODE_ENV') or 'development'}",
            f"Worker ID: {environment.get('WORKER_ID') or 'Not set (auto-generating UUID)'}",
            "Concurrency: 2",
            "Database Type: sqlite",
            "PostgreSQL: Not configured (using sqlite)",
            f"Redis: {redis}",
            f"LLM: {model} @ {environment.get('LLM_BASE_URL', 'simulated')}",
            "Storage: local",
            line,
        )


def write(descriptor: int, text: str) -> None:
    """Text to a descriptor, always in UTF-8."""
    write_bytes(descriptor, text.encode("utf-8", "replace"))


def write_bytes(descriptor: int, data: bytes) -> None:
    """All of the bytes, however many writes it takes."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def invalid_environment(names: list[str]) -> str:
    """The complaint about variables that are not set or not right."""
    items = ",\n".join(
        "  {\n    expected: 'string',\n    code: 'invalid_type',\n"
        f"    path: [ '{name}' ],\n    message: 'Invalid input: expected string, received undefined'\n  }}"
        for name in names
    )
    last = "Error: Configuration validation failed. Please check your environment variables."
    return f"Environment variable validation failed:\n[\n{items}\n]\n{last}"


def seconds(milliseconds: int) -> str:
    """A duration as the original words it."""
    whole = milliseconds // 1000
    return f"{whole}秒" if whole < 60 else f"{whole // 60}分{whole % 60}秒"
