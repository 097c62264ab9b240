"""Processes named so that they can be told apart later, and ended with everything they started.

Every command is the leader of a session of its own, so that one signal reaches its whole group. What leaves the group
is found by a mark that every descendant inherits, whatever it does: through setsid, through a second fork whose parent
ends at once, through exec with an empty environment. The mark is the soft limit on file locks (RLIMIT_LOCKS), which the
kernel has not looked at since Linux 2.4 and hands on at every fork: half of the number names the state directory, half
the command. Where that limit is not ours to set, a variable in the environment says the same.

A daemon owns its state directory alone, so whatever carries its mark when it starts was left behind by a killed
predecessor. Two daemons with different directories never touch each other's processes.
"""

import os
import resource
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

import anyio

from contenthubd.domain.attempt import Child

_PROC: Final = Path("/proc")
TRACE: Final = "CONTENTHUBD_CHILD"
LIMIT: Final = 10
"""RLIMIT_LOCKS; the resource module has no name for it."""
_NUMBER_BITS: Final = 32
_NUMBERS: Final = (1 << _NUMBER_BITS) - 1
_TAG_BIT: Final = 1 << 30
"""Set in every tag: no mark is a limit that a person would choose."""
_STARTED_FIELD: Final = 19
"""Field 22 of /proc/PID/stat, counted after the command name in parentheses."""
_THREADS_FIELD: Final = 17
"""Field 20: of a killed process the first thread may be gone while another one still writes a file."""


def started_ticks(pid: int) -> int:
    """Clock ticks after boot at which a process started; 0 if there is no such process (any more).

    OSError if that cannot be found out, as everywhere here: no file descriptor left is not "no such process".
    """
    fields = _stat(pid)
    return int(fields[_STARTED_FIELD]) if fields else 0


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
    return _runs(child.pid)


def kill_group(leader: int) -> None:
    """SIGKILL to a process group; nothing happens if it is empty, or another user's (a command that runs under sudo).

    Even a group of which only a dead leader is left refuses the signal of another user.
    """
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def end_child(child: Child) -> bool:
    """Kill an earlier daemon's child with its group if it still lives; whether it did."""
    if not lives(child):
        return False
    kill_group(child.pid)
    return True


class Spawned:
    """A command that was started. Its number is not free for others before ``reap``.

    Raises OSError, the command killed again, where nothing can be known of it (no file descriptor is left).
    """

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self.pid = process.pid
        self._process = process
        try:
            self.child = child_of(process.pid)
            self._handle = os.pidfd_open(process.pid)
        except OSError:
            kill_group(process.pid)
            process.wait()
            raise

    @property
    def over(self) -> bool:
        """Whether it ended."""
        return os.waitid(os.P_PIDFD, self._handle, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    async def ended(self) -> None:
        """Wait for the end."""
        await anyio.wait_readable(self._handle)

    def reap(self) -> int:
        """The exit code (negative: the signal) of a command that ended, or the end of a hopeless wait for it."""
        os.close(self._handle)
        exit_code = self._process.poll()
        return -signal.SIGKILL if exit_code is None else exit_code


class Family:
    """All processes that the commands of one state directory have started, by the command's number."""

    def __init__(self, owner: str) -> None:
        tag = int.from_bytes(blake2b(owner.encode(), digest_size=4).digest(), "big")
        self._tag = tag % _TAG_BIT | _TAG_BIT

    def spawn(self, number: int, command: Sequence[str], env: Mapping[str, str], **options: Any) -> Spawned:
        """Start a command, marked; OSError or ValueError if that is impossible.

        The limit is ours for as long as the fork takes, and nothing else can be forked meanwhile: this does not await.
        """
        mark = self._tag << _NUMBER_BITS | number & _NUMBERS
        usual = resource.getrlimit(LIMIT)
        possible = usual[1] == resource.RLIM_INFINITY
        if possible:
            resource.setrlimit(LIMIT, (mark, usual[1]))
        try:
            process = subprocess.Popen(command, env={**env, TRACE: f"{mark:x}"}, start_new_session=True, **options)
        finally:
            if possible:
                resource.setrlimit(LIMIT, usual)
        return Spawned(process)

    def kill(self, number: int) -> int:
        """SIGKILL to everything that one command started; how many processes."""
        return self._kill(lambda found: found == number & _NUMBERS)

    def kill_others(self, running: Sequence[int]) -> int:
        """SIGKILL to everything but what belongs to the commands of these numbers; how many processes."""
        numbers = {number & _NUMBERS for number in running}
        return self._kill(lambda found: found not in numbers)

    def _kill(self, wanted: Callable[[int], bool]) -> int:
        """Look until nothing new is found: a killed process cannot fork, but one not yet seen could."""
        killed: set[tuple[int, int]] = set()
        while True:
            found = {(pid, started_ticks(pid)) for pid, number in self._members() if wanted(number) and _runs(pid)}
            if found <= killed:
                return len(killed)
            for pid, _ in found - killed:
                _kill(pid)
            killed |= found

    def _members(self) -> Iterator[tuple[int, int]]:
        """Every process of ours with the number of its command. Other people's processes show no mark."""
        for entry in os.listdir(_PROC):
            mark = _mark(int(entry)) if entry.isdigit() else 0
            if mark >> _NUMBER_BITS == self._tag:
                yield int(entry), mark & _NUMBERS


def _mark(pid: int) -> int:
    """The mark of a process; 0 if it has none, or is not ours to look at."""
    try:
        limit, _ = resource.prlimit(pid, LIMIT)
    except (PermissionError, ProcessLookupError):
        return 0
    return limit if limit > _NUMBERS else _written_mark(pid)


def _written_mark(pid: int) -> int:
    start = f"{TRACE}=".encode()
    try:
        variables = (_PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return 0
    written = next((variable[len(start) :] for variable in variables if variable.startswith(start)), b"")
    try:
        return int(written, 16)
    except ValueError:
        return 0


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the third on; nothing if there is no such process (any more)."""
    try:
        stat = (_PROC / str(pid) / "stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return []
    return stat.rpartition(")")[2].split()


def _runs(pid: int) -> bool:
    fields = _stat(pid)
    return bool(fields) and (fields[0] not in ("Z", "X") or int(fields[_THREADS_FIELD]) > 1)


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)
