"""Processes named so that they can be told apart later, and ended with everything they started.

Every command is the leader of a session of its own, so that one signal reaches its whole group. A grandchild that
calls setsid leaves the group; it is found by a variable in its environment, which nobody removes by accident. The
variable names the daemon too: what a killed daemon left behind is found by its successor.
"""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from contenthubd.domain.attempt import Child

_PROC: Final = Path("/proc")
TRACE: Final = "CONTENTHUBD_CHILD"
_STARTED_FIELD: Final = 19
"""Field 22 of /proc/PID/stat, counted after the command name in parentheses."""


def started_ticks(pid: int) -> int:
    """Clock ticks after boot at which a process started; 0 if there is no such process (any more)."""
    try:
        stat = (_PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return 0
    return int(stat.rpartition(")")[2].split()[_STARTED_FIELD])


def boot_id() -> str:
    """The kernel's name of this boot."""
    return (_PROC / "sys/kernel/random/boot_id").read_text().strip()


def child_of(pid: int) -> Child:
    """A process with what tells it from a later one of the same number."""
    return Child(pid=pid, started=started_ticks(pid), boot_id=boot_id())


def lives(child: Child) -> bool:
    """Whether this very process still runs (a zombie counts as gone)."""
    if child.boot_id != boot_id() or not child.started or started_ticks(child.pid) != child.started:
        return False
    try:
        stat = (_PROC / str(child.pid) / "stat").read_text(errors="replace")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in ("Z", "X")


def kill_group(leader: int) -> None:
    """SIGKILL to a process group; nothing happens if it is empty."""
    try:
        os.killpg(leader, signal.SIGKILL)
    except ProcessLookupError:
        return


def end_child(child: Child) -> bool:
    """Kill an earlier daemon's child with its group if it still lives; whether it did."""
    if not lives(child):
        return False
    kill_group(child.pid)
    return True


def trace_of_daemon(instance: str) -> str:
    """What this daemon writes into the environment of its commands, before a number of their own."""
    return f"{instance}:{os.getpid()}-{started_ticks(os.getpid())}:"


def kill_traced(trace: str) -> int:
    """SIGKILL to every process that carries exactly this trace; how many."""
    return _kill(pid for pid, found in _traces() if found == trace)


def kill_own(instance: str) -> int:
    """SIGKILL to everything this daemon's commands started and left running; how many."""
    ours = trace_of_daemon(instance)
    return _kill(pid for pid, found in _traces() if found.startswith(ours))


def kill_orphans(instance: str) -> int:
    """SIGKILL to every command of this instance whose daemon is no more; how many."""
    return _kill(pid for pid, found in _traces() if _orphaned(found, instance))


def _orphaned(trace: str, instance: str) -> bool:
    name, _, rest = trace.partition(":")
    pid, _, started = rest.partition(":")[0].partition("-")
    return name == instance and pid.isdigit() and started_ticks(int(pid)) != int(started or 0)


def _kill(pids: Iterator[int]) -> int:
    killed = 0
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
        killed += 1
    return killed


def _traces() -> Iterator[tuple[int, str]]:
    """Every readable process that carries a trace. Other people's processes are not readable and not ours."""
    start = f"{TRACE}=".encode()
    for entry in _PROC.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            variables = (entry / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        for variable in variables:
            if variable.startswith(start):
                yield int(entry.name), variable[len(start) :].decode(errors="replace")
