"""Run a command where new user namespaces are forbidden, as in many containers: ``... PROGRAM ARGUMENT…``.

Inside a user namespace that shows every user as itself, the number of further namespaces is set to zero. Needs root,
because only root may map all users. Where they are forbidden already, the command simply runs.
"""

import ctypes
import errno
import os
import sys
from pathlib import Path

_CLONE_NEWUSER = 0x10000000
_EVERY_USER = "0 0 4294967295"


def main(command: list[str]) -> int:
    """Enter the namespace, let a helper outside map the users, forbid the next one, exec."""
    mapped, ready = os.pipe()
    entered, tell = os.pipe()
    inside = os.getpid()
    helper = os.fork()
    if helper == 0:
        if os.read(entered, 1) != b".":
            os._exit(0)
        for name in ("uid_map", "gid_map"):
            Path(f"/proc/{inside}/{name}").write_text(_EVERY_USER, encoding="ascii")
        os.write(ready, b".")
        os._exit(0)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWUSER) != 0:
        forbidden_already = ctypes.get_errno() in (errno.EPERM, errno.ENOSPC)
        os.write(tell, b"x")
        os.waitpid(helper, 0)
        if not forbidden_already:
            print("user namespaces: " + os.strerror(ctypes.get_errno()), file=sys.stderr)
            return 1
        os.execvp(command[0], command)  # noqa: S606 - to exec without a shell is what this program is for
    os.write(tell, b".")
    os.read(mapped, 1)
    os.waitpid(helper, 0)
    Path("/proc/sys/user/max_user_namespaces").write_text("0", encoding="ascii")
    os.execvp(command[0], command)  # noqa: S606 - to exec without a shell is what this program is for


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
