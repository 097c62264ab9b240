"""Whose fault it was when a command did not do what it was asked: the creator's, the task's, or unclear.

The creator's own words decide. What no task could have survived is a sickness (tasks keep their retries); what another
try cannot cure is a refusal; the rest is left to the caller, who knows whether the command may have had an effect.
"""

import errno
from typing import Final

from contenthubd.adapters.creator.command import Cut, Ended, Finished, NotStarted
from contenthubd.adapters.creator.directory import Directory
from contenthubd.adapters.creator.frame import text_of
from contenthubd.adapters.creator.output import missing_variables, only_banner, unknown_task
from contenthubd.adapters.creator.settings import MEBIBYTE
from contenthubd.adapters.creator.wordings import of_the_task, usage_fault
from contenthubd.domain.attempt import MARK_PREFIX
from contenthubd.domain.outcome import ErrorKind, Failed, Sick

_NO_PROGRAM: Final = frozenset({errno.ENOENT, errno.EACCES, errno.ENOTDIR, errno.ENOEXEC, errno.ELOOP, errno.EPERM})
_SHELL_FOUND_NOTHING: Final = frozenset({126, 127})
_BROKEN_INSTALL: Final = ("ERR_MODULE_NOT_FOUND", "Cannot find module", "ERR_DLOPEN_FAILED", "bindings file")
_NO_QUEUE: Final = ("TaskQueue is not available", "Redis is not configured", "REDIS_URL is not configured")
_REFUSED_BY: Final = ("❌ 错误: ", "❌ 参数验证失败: ")
_REFUSALS: Final = (
    "必须提供", "不支持", "Topic is required", "Requirements are required", "Mode must be", "minWords cannot",
)  # fmt: skip
_DATABASE: Final = (
    "SQLITE_", "database is locked", "database or disk is full", "unable to open database",
    "disk image is malformed", "file is not a database", "no such table", "readonly database", "disk I/O error",
    "no such column",
)  # fmt: skip
_COMPLAINT_READ: Final = 4096
_LINES_QUOTED: Final = 3
_QUOTED: Final = 300


def sickness(ended: Ended, directory: Directory) -> Sick | None:
    """Why the creator as a whole cannot work; None if this command does not say so."""
    if isinstance(ended, NotStarted):
        return _unstarted(ended.error, directory)
    said = ended.stderr_tail
    if not _has_failed(ended):
        return None
    variables = missing_variables(said)
    if variables is not None:
        names = ", ".join(variables) or "environment variables"
        cause = f"{names} is not set; content-creator needs it."
        if len(variables) != 1:
            cause = f"{names} are not set; content-creator needs them."
        return Sick(ErrorKind.API_KEYS_MISSING, cause)
    if ended.exit_code in _SHELL_FOUND_NOTHING or any(word in said for word in _BROKEN_INSTALL):
        return Sick(ErrorKind.CREATOR_MISSING, f"content-creator cannot be run: {quoted(said)}")
    if any(word in said for word in _NO_QUEUE):
        return Sick(ErrorKind.CREATOR_REDIS_DOWN, "creator.redis_url is not set; async mode needs it.")
    if ended.cut is None and ended.exit_code == 1 and not said and only_banner(ended.stdout):
        return directory.silent_exit()
    if (line := usage_fault(_complaint(ended))) and not of_the_task(line):
        return Sick(ErrorKind.CREATOR_CHANGED, f"content-creator rejected a command or option: {line}.")
    if word := next((word for word in _DATABASE if word in said), None):
        found = said[said.index(word) :].split()[0].rstrip(":,.;") if word == "SQLITE_" else word
        return Sick(ErrorKind.DATABASE_MISSING, f"content-creator's database cannot be used: {found}.")
    return None


def _has_failed(ended: Finished) -> bool:
    """Whether its complaints say why. Who printed an answer may warn of anything; who was killed said too little."""
    return ended.exit_code > 0 or (ended.exit_code == 0 and only_banner(ended.stdout))


def is_unknown_task(ended: Ended) -> bool:
    """Whether the creator said that it has no task of this id."""
    if not isinstance(ended, Finished) or not _has_failed(ended):
        return False
    return unknown_task(ended.stderr_tail) or unknown_task(text_of(ended.stdout[-_COMPLAINT_READ:]))


def _complaint(ended: Finished) -> str:
    """What a command that failed said; on stdout if it said nothing on stderr and did not begin to work on a task."""
    if ended.stderr_tail or MARK_PREFIX.encode() in ended.stdout:
        return ended.stderr_tail
    return text_of(ended.stdout[-_COMPLAINT_READ:])


def _system(error: OSError) -> str:
    """What the system said, with the file it said it of."""
    return ": ".join(str(part) for part in (error.strerror, error.filename) if part)


def _unstarted(error: OSError | ValueError, directory: Directory) -> Sick | None:
    if isinstance(error, ValueError) or error.errno == errno.E2BIG:
        return None
    if error.errno in _NO_PROGRAM:
        return directory.fault() or Sick(ErrorKind.CREATOR_MISSING, f"content-creator cannot be run: {_system(error)}.")
    return Sick(ErrorKind.NO_PROCESS, f"The system could not start a process: {error.strerror}.")


def refusal(ended: Ended) -> Failed | None:
    """What the creator (or the system) will never accept; None if this command does not say so."""
    if isinstance(ended, NotStarted):
        if isinstance(ended.error, ValueError) or ended.error.errno == errno.E2BIG:
            return Failed(ErrorKind.REFUSED, f"The texts cannot be passed to content-creator: {ended.error}.")
        return None
    said = ended.stderr_tail
    line = usage_fault(_complaint(ended)) or next((line for line in said.splitlines() if _refuses(line)), None)
    if ended.exit_code > 0 and line:
        return Failed(ErrorKind.REFUSED, f"content-creator rejected the request: {line}", ended.exit_code, said)
    return None


def _refuses(line: str) -> bool:
    return any(line.startswith(by) and line.removeprefix(by).startswith(_REFUSALS) for by in _REFUSED_BY)


def out_of_time(ended: Ended) -> bool:
    """Whether the deadline passed, before or after the start."""
    if isinstance(ended, NotStarted):
        return isinstance(ended.error, TimeoutError)
    return ended.cut is Cut.DEADLINE


def quoted(said: str) -> str:
    """The last lines of what a command wrote, as one line."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return " / ".join(lines[-_LINES_QUOTED:]) or "no error output"


def story(ended: Ended) -> str:
    """How a command ended, in one sentence."""
    if isinstance(ended, NotStarted):
        return f"It could not be started: {ended.error}."
    match ended.cut:
        case Cut.DEADLINE:
            return "It did not answer in time and was killed."
        case Cut.FLOOD:
            bound = f"{ended.limit / MEBIBYTE:g} MiB" if ended.limit else "the limit"
            return f"It printed more than {bound} and was stopped."
    if ended.exit_code < 0:
        return f"It was ended by signal {-ended.exit_code}."
    return f"It ended with exit code {ended.exit_code}: {quoted(ended.stderr_tail)}"


def answered(ended: Ended) -> bool:
    """Whether a command ended by itself, so that its words can be judged."""
    return isinstance(ended, Finished) and ended.cut is None and ended.exit_code >= 0
