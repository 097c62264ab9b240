"""Whose fault it was when a command did not do what it was asked: the creator's, the task's, or unclear.

The creator's own words decide. What no task could have survived is a sickness (tasks keep their retries); what another
try cannot cure is a refusal; the rest is left to the caller, who knows whether the command may have had an effect.
"""

import errno
import re
from typing import Final

from contenthubd.adapters.creator.command import Cut, Ended, Finished, NotStarted
from contenthubd.adapters.creator.directory import Directory
from contenthubd.adapters.creator.output import missing_variables, only_banner
from contenthubd.domain.outcome import ErrorKind, Failed, Sick

_NO_PROGRAM: Final = frozenset({errno.ENOENT, errno.EACCES, errno.ENOTDIR, errno.ENOEXEC, errno.ELOOP, errno.EPERM})
_SHELL_FOUND_NOTHING: Final = frozenset({126, 127})
_BROKEN_INSTALL: Final = ("ERR_MODULE_NOT_FOUND", "Cannot find module", "ERR_DLOPEN_FAILED", "bindings file")
_NO_QUEUE: Final = ("TaskQueue is not available", "Redis is not configured", "REDIS_URL is not configured")
_USAGE: Final = re.compile(r"^error: (?:unknown option|unknown command|option|required option|too many|missing)", re.M)
_REFUSED: Final = re.compile(
    r"^❌ (?:错误|参数验证失败): "
    r"(?:必须提供|不支持|Topic is required|Requirements are required|Mode must be|minWords cannot)",
    re.M,
)
_DATABASE: Final = re.compile(
    r"SQLITE_\w+|database is locked|database or disk is full|unable to open database|disk image is malformed"
    r"|file is not a database|no such table|readonly database|disk I/O error|no such column"
)
_LINES_QUOTED: Final = 3


def sickness(ended: Ended, directory: Directory) -> Sick | None:
    """Why the creator as a whole cannot work; None if this command does not say so."""
    if isinstance(ended, NotStarted):
        return _unstarted(ended.error, directory)
    said = ended.stderr_tail
    variables = missing_variables(said)
    if variables is not None:
        names = ", ".join(variables) or "environment variables"
        return Sick(ErrorKind.API_KEYS_MISSING, f"{names} is not set; content-creator needs it.")
    if ended.exit_code in _SHELL_FOUND_NOTHING or any(word in said for word in _BROKEN_INSTALL):
        return Sick(ErrorKind.CREATOR_MISSING, f"The creator cannot be run: {quoted(said)}")
    if any(word in said for word in _NO_QUEUE):
        return Sick(ErrorKind.CREATOR_REDIS_DOWN, "The creator was given no Redis.")
    if ended.cut is None and ended.exit_code == 1 and not said and only_banner(ended.stdout):
        return directory.silent_exit()
    if ended.exit_code == 1 and (found := _DATABASE.search(said)):
        return Sick(ErrorKind.DATABASE_MISSING, f"The creator's database does not work: {found.group()}.")
    return None


def _unstarted(error: OSError | ValueError, directory: Directory) -> Sick | None:
    if isinstance(error, ValueError) or error.errno == errno.E2BIG:
        return None
    if error.errno in _NO_PROGRAM:
        return directory.fault() or Sick(ErrorKind.CREATOR_MISSING, f"The creator cannot be run: {error}.")
    return Sick(ErrorKind.NO_PROCESS, f"No process can be started just now: {error.strerror}.")


def refusal(ended: Ended) -> Failed | None:
    """What the creator (or the system) will never accept; None if this command does not say so."""
    if isinstance(ended, NotStarted):
        if isinstance(ended.error, ValueError) or ended.error.errno == errno.E2BIG:
            return Failed(ErrorKind.REFUSED, f"The texts cannot be passed to the creator: {ended.error}.")
        return None
    said = ended.stderr_tail
    if ended.exit_code == 1 and (found := _USAGE.search(said) or _REFUSED.search(said)):
        line = said[found.start() :].partition("\n")[0]
        return Failed(ErrorKind.REFUSED, f"The creator refused: {line}", ended.exit_code, said)
    return None


def out_of_time(ended: Ended) -> bool:
    """Whether the deadline passed, before or after the start."""
    if isinstance(ended, NotStarted):
        return isinstance(ended.error, TimeoutError)
    return ended.cut is Cut.DEADLINE


def quoted(said: str) -> str:
    """The last lines of what a command wrote, as one line."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return " / ".join(lines[-_LINES_QUOTED:]) or "it said nothing"


def story(ended: Ended) -> str:
    """How a command ended, in one sentence."""
    if isinstance(ended, NotStarted):
        return f"It could not be started: {ended.error}."
    match ended.cut:
        case Cut.DEADLINE:
            return "It did not answer in time and was killed."
        case Cut.FLOOD:
            return "It wrote without end and was killed."
    if ended.exit_code < 0:
        return f"It was ended by signal {-ended.exit_code}."
    return f"It ended with exit code {ended.exit_code}: {quoted(ended.stderr_tail)}"


def answered(ended: Ended) -> bool:
    """Whether a command ended by itself, so that its words can be judged."""
    return isinstance(ended, Finished) and ended.cut is None and ended.exit_code >= 0
