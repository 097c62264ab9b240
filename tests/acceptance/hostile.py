"""A creator of a few lines of shell, for what no simulator should do; and looks at the processes it leaves."""

import os
from pathlib import Path
from typing import Any

import psutil

from tests.running import RunningDaemon

ANSWER = """
good() {
  printf '%s\\n\\n✅ 执行成功\\n────────────────────────────────────────\\n' "${1#--requirements=}"
  read -r id </proc/sys/kernel/random/uuid
  printf '任务ID: %s\\n状态: 已完成\\n' "$id"
  echo "$id" >"$0.newest"
}
"""
ARTICLE = """
  rule=────────────────────────────────────────
  printf '\\n📄 任务结果\\n%s\\n任务ID: %s\\n状态: ✅ 已完成\\n' $rule "${2#--task-id=}"
  printf '%s\\n\\n📋 生成结果\\n%s\\n1. ARTICLE\\n%s\\n内容:\\n# An article\\n\\nShort.\\n\\n字数: 21\\n%s\\n' \\
    $rule $rule $rule $rule
"""


def creator(folder: Path, create: str, *, listing: str = 'echo "[]"', result: str = ARTICLE) -> Path:
    """A program whose commands run these lines of shell; in ``create`` ``$2`` is the topic, ``good "$3"`` a success."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "hostile-creator"
    made = folder / "hostile-creator.new"
    made.write_text(
        f"#!/bin/sh\n{ANSWER}\n"
        f'case "$1" in\nlist) {listing};;\nresult){result};;\ncreate)\n{create}\n;;\nesac\n'
    )  # fmt: skip
    made.chmod(0o755)
    made.rename(path)
    return path


def daemon_on(state_dir: Path, create: str, **tasks: Any) -> RunningDaemon:
    """A daemon in sync mode with such a creator; ``tasks`` are keys of that section."""
    settings: dict[str, dict[str, Any]] = {
        "creator": {"command": [str(creator(state_dir.parent, create))], "manage_worker": False},
        "tasks": {"mode": "sync", "max_retries": 0} | tasks,
        "daemon": {"stop_grace_seconds": 1},
    }
    daemon = RunningDaemon(state_dir, settings)
    daemon.prepared = True
    return daemon


def pids_in(folder: Path) -> list[int]:
    """The pids that processes wrote into files named pid-…; none while one is being written."""
    texts = [path.read_text() for path in sorted(folder.glob("pid-*")) if path.suffix != ".new"]  # that gets its name
    return [int(text) for text in texts] if all(text.endswith("\n") for text in texts) else []


def alive(pids: list[int]) -> list[int]:
    """Those that still run; a zombie does not."""
    found = []
    for pid in pids:
        try:
            if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                found.append(pid)
        except psutil.NoSuchProcess:
            continue
    return found


def peak_mb(pid: int) -> float:
    """The most memory (RSS) a process ever had since ``forget_peak``."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024


def forget_peak(pid: int) -> None:
    """Let the kernel count the most memory from now on."""
    descriptor = os.open(f"/proc/{pid}/clear_refs", os.O_WRONLY)
    try:
        os.write(descriptor, b"5")
    finally:
        os.close(descriptor)
