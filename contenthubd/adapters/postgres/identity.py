"""Who runs the private PostgreSQL. It refuses root, and initdb refuses a user number without an account.

========================  ============================================================================================
we are                    the server runs
========================  ============================================================================================
an ordinary account       as ourselves
a number without account  as ourselves, shown as ``nobody`` inside a user namespace; plainly where that is not allowed
root                      as ourselves, shown as ``nobody`` inside a user namespace: the files stay root's
root, no namespaces       as ``nobody`` with root's right to pass through every folder. Where root itself has not got
                          that right (CAP_DAC_OVERRIDE), the folders above the data directory must let nobody through
========================  ============================================================================================

The owner of an existing data directory decides between the last two, so a cluster keeps the way it was made.
Accounts are never created and the permissions of other people's folders never changed.
"""

import os
import pwd
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from contenthubd.domain.errors import StateDirectoryError

_LAUNCHER = Path(__file__).with_name("launcher.py")
_OVERFLOW = 65534  # what the kernel itself shows for nobody


@dataclass(frozen=True, slots=True)
class Identity:
    """One way to run a PostgreSQL program; ``uid`` and ``gid`` are shown (mapped) or taken (other)."""

    mode: Literal["own", "mapped", "other"]
    uid: int
    gid: int

    @property
    def owner(self) -> tuple[int, int]:
        """The user and group that files of the cluster belong to, as seen from outside."""
        return (self.uid, self.gid) if self.mode == "other" else (os.geteuid(), os.getegid())

    def give(self, path: Path) -> None:
        """Hand a path that we just made to the server's account."""
        if self.mode == "other":
            os.chown(path, self.uid, self.gid)

    def command(self, program: Sequence[str], *, directory: Path, death_signal: int) -> list[str]:
        """The argument list that starts ``program`` in ``directory``; it gets ``death_signal`` when we die."""
        numbers = (self.uid, self.gid, int(death_signal), os.getpid())
        launch = [sys.executable, "-I", "-S", str(_LAUNCHER), self.mode, *map(str, numbers), str(directory)]
        return [*launch, *program]


def candidates(data_dir: Path) -> list[Identity]:
    """The identities that may run the server on ``data_dir``, best first; StateDirectoryError if it is not ours."""
    owner = _owner(data_dir)
    user = os.geteuid()
    uid, gid = _nobody()
    mapped, other = Identity("mapped", uid, gid), Identity("other", uid, gid)
    if user == 0 and owner == uid:
        return [other]
    if owner not in (None, user):
        raise _wrong_owner(data_dir, owner, user)
    if user == 0:
        return [mapped] if owner is not None and any(data_dir.iterdir()) else [mapped, other]
    own = Identity("own", user, os.getegid())
    return [own] if _has_account(user) else [mapped, own]


def _owner(path: Path) -> int | None:
    try:
        return path.stat().st_uid
    except FileNotFoundError:
        return None


def _named(uid: int | None) -> str:
    """The name of a user, or its number as sudo takes it."""
    try:
        return pwd.getpwuid(uid).pw_name if uid is not None else ""
    except KeyError:
        return f"#{uid}"


def _has_account(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def _nobody() -> tuple[int, int]:
    try:
        account = pwd.getpwnam("nobody")
    except KeyError:
        return _OVERFLOW, _OVERFLOW
    return account.pw_uid, account.pw_gid


def _wrong_owner(data_dir: Path, owner: int | None, user: int) -> StateDirectoryError:
    return StateDirectoryError(
        f"The data directory {data_dir} belongs to another user.",
        why=f"It belongs to {_named(owner)}; contenthubd runs as {_named(user)}.",
        fix=f"Run contenthubd as its owner: sudo -u {_named(owner)} contenthubd",
    )
