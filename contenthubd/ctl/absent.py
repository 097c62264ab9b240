"""Why nobody answers at a socket, and what to do about it; imported only when that happens."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import subprocess

from contenthubd.ctl.failure import Unreachable

SYSTEMD_SECONDS = 3
_UNIT = "contenthubd"
_SYSTEM_FOLDER = "/run/contenthubd"
_WAIT = "Wait for it with: contenthubctl health --wait. Its log says what it waits for."
_START = (
    "Start it with `contenthubd` (or `systemctl start contenthubd`); if it listens elsewhere, give --socket or set "
    "CONTENTHUBD_SOCKET."
)
_FAILED = "See why: journalctl -u contenthubd -n 20. Then start it with: systemctl restart contenthubd"
_STATES = {
    "activating": ("systemd is starting it.", _WAIT),
    "deactivating": ("systemd is stopping it.", "Start it again afterwards with: systemctl start contenthubd"),
    "failed": ("The service contenthubd has failed.", _FAILED),
    "inactive": ("The service contenthubd is not running.", "Start it with: systemctl start contenthubd"),
}


def unreachable(path: str, fault: OSError) -> Unreachable:
    """What to tell a person: a daemon that is starting is not to be started again."""
    what = f"No daemon answers at {path}."
    if fault.errno == errno.EAGAIN:
        return Unreachable(what, why="Its connection backlog is full.", fix="Try again in a moment.")
    folder = os.path.dirname(path)
    owner = _owner(os.path.join(folder, "daemon.lock"))
    if owner:
        return Unreachable(what, why=f"Process {owner} is starting or stopping: it has no open socket.", fix=_WAIT)
    if folder == _SYSTEM_FOLDER:
        why, fix = _STATES.get(_unit_state(), ("", ""))
        if why:
            return Unreachable(what, why=why, fix=fix)
    if os.path.exists(path) and not stat.S_ISSOCK(os.stat(path).st_mode):
        return Unreachable(what, why="It is not a socket.", fix="Name the daemon's socket with --socket.")
    return Unreachable(what, why=_why(fault), fix=_START)


def _why(fault: OSError) -> str:
    if fault.errno == errno.ENOENT:
        return "The socket does not exist."
    if fault.errno == errno.ECONNREFUSED:
        return "The socket exists, but no process listens on it; a killed daemon left it behind."
    return f"{fault.strerror or fault}."


def _owner(lock: str) -> str:
    """The process that holds a state directory; empty if nobody does, or it is not ours to see."""
    try:
        descriptor = os.open(lock, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        lines = os.pread(descriptor, 200, 0).decode("ascii", "replace").split()
        return lines[1] if len(lines) > 1 and lines[1].isdigit() else "of another user"
    finally:
        os.close(descriptor)
    return ""


def _unit_state() -> str:
    try:
        told = subprocess.run(
            ["systemctl", "show", "--property=ActiveState", "--value", _UNIT],  # noqa: S607 - as a person would call it
            capture_output=True, timeout=SYSTEMD_SECONDS, stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return told.stdout.decode("ascii", "replace").strip()
