"""The last few steps before a PostgreSQL program runs: drop root, tie its life to ours, exec.

A program of its own (``python -I -S launcher.py MODE UID GID SIGNAL OWNER DIRECTORY PROGRAM ARGUMENT…``), because these
steps must happen in the child after the fork, where a threaded Python may run nothing, and in this order:

1. Change who we are. PostgreSQL refuses effective user 0. ``mapped`` shows it another number for the very same user
   in a user namespace, so files keep their owner; ``other`` becomes another account, which keeps root's right to pass
   through every folder, if root has it; ``own`` changes nothing.
2. Ask for SIGNAL when the owner dies. The kernel forgets that request at every change of user, so it comes second.
   It belongs to the thread that forked: the owner starts its children from the thread of its event loop.
3. Look whether the owner died before the request was made.

It imports little because every start waits for it. Exit codes say which step failed.
"""

import ctypes
import os
import signal
import sys

NO_IDENTITY = 126  # the namespace or the account could not be had
NO_DIRECTORY = 125  # the working directory cannot be entered as that account
NO_PROGRAM = 124  # the program cannot be executed as that account
NO_OWNER = 123  # whoever started us is gone already

_CLONE_NEWUSER = 0x10000000
_PR_SET_PDEATHSIG = 1
_PR_SET_KEEPCAPS = 8
_PR_SET_SECUREBITS = 28
_SECBIT_NO_SETUID_FIXUP = 4
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_CAP_DAC_OVERRIDE = 1
_CAPABILITY_VERSION_3 = 0x20080522


def _check(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _enter_namespace(libc: ctypes.CDLL, uid: int, gid: int) -> None:
    """Show our own user and group as ``uid`` and ``gid`` from here on.

    Rights of the outside are gone after the first step, perhaps the one to read Python's library too: nothing may be
    imported any more, not even a codec.
    """
    outer_uid, outer_gid = os.geteuid(), os.getegid()
    _check(libc.unshare(_CLONE_NEWUSER))
    for name, text in (
        (b"setgroups", b"deny"),
        (b"uid_map", b"%d %d 1" % (uid, outer_uid)),
        (b"gid_map", b"%d %d 1" % (gid, outer_gid)),
    ):
        file = os.open(b"/proc/self/" + name, os.O_WRONLY)
        os.write(file, text)
        os.close(file)


def _become_other(libc: ctypes.CDLL, uid: int, gid: int) -> None:
    """Become another account that still passes through folders that only root may enter, such as /root.

    Inside a namespace the server is root to every file; so it is here. A container may have taken that right from its
    root: then the folders above the data must let the account through, which the next step finds out.
    """
    # Without the first, access(2) looks away from the right, and initdb asks it whether it may run the server. It needs
    # a right of its own, which a container may have taken too; then the second keeps the right for all other calls.
    libc.prctl(_PR_SET_SECUREBITS, _SECBIT_NO_SETUID_FIXUP, 0, 0, 0)
    _check(libc.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0))
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable; then the same for the higher numbers
    _check(libc.capget(header, sets))
    kept = sets[1] & 1 << _CAP_DAC_OVERRIDE
    _check(libc.capset(header, (ctypes.c_uint32 * 6)(kept, kept, kept)))
    if kept:
        _check(libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, _CAP_DAC_OVERRIDE, 0, 0))


def _become(libc: ctypes.CDLL, mode: str, uid: int, gid: int) -> None:
    if mode == "mapped":
        _enter_namespace(libc, uid, gid)
    elif mode == "other":
        _become_other(libc, uid, gid)


def main(argv: list[str]) -> int:
    """Replace this process by the program; return an exit code only when that failed."""
    mode, (uid, gid, death_signal, owner), directory, program = argv[0], map(int, argv[1:5]), argv[5], argv[6:]
    libc = ctypes.CDLL(None, use_errno=True)
    failed = NO_IDENTITY
    try:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a background shell may have had us ignore it
        _become(libc, mode, uid, gid)
        _check(libc.prctl(_PR_SET_PDEATHSIG, death_signal, 0, 0, 0))
        if os.getppid() != owner:
            return NO_OWNER
        os.umask(0o077)
        failed = NO_DIRECTORY
        os.chdir(directory)
        failed = NO_PROGRAM
        os.execv(program[0], program)  # noqa: S606 - to exec without a shell is what this program is for
    except OSError as error:
        print(f"{program[0]}: {error}", file=sys.stderr)
        return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
