"""Whose fault it was when a command did not do what it was asked: the creator's, the task's, or unclear.

The creator's own words decide. What no task could have survived is a sickness (tasks keep their retries); what another
try cannot cure is a refusal; the rest is left to the caller, who knows whether the command may have had an effect.
"""

import errno
from typing import Final

from contenthubd.adapters.creator.command import Cut, Ended, Finished, NotStarted
from contenthubd.adapters.creator.directory import Directory
from contenthubd.adapters.creator.output import missing_variables, only_banner
from contenthubd.adapters.creator.settings import MEBIBYTE
from contenthubd.domain.outcome import ErrorKind, Failed, Sick

_NO_PROGRAM: Final = frozenset({errno.ENOENT, errno.EACCES, errno.ENOTDIR, errno.ENOEXEC, errno.ELOOP, errno.EPERM})
_SHELL_FOUND_NOTHING: Final = frozenset({126, 127})
_BROKEN_INSTALL: Final = ("ERR_MODULE_NOT_FOUND", "Cannot find module", "ERR_DLOPEN_FAILED", "bindings file")
_NO_QUEUE: Final = ("TaskQueue is not available", "Redis is not configured", "REDIS_URL is not configured")
_USAGE: Final = ("unknown option", "unknown command", "option", "required option", "too many", "missing")
_OF_THE_TASK: Final = ("--topic", "--requirements", "--keywords", "--min-words", "--max-words")
_REFUSED_BY: Final = ("❌ 错误: ", "❌ 参数验证失败: ")
_REFUSALS: Final = (
    "必须提供", "不支持", "Topic is required", "Requirements are required", "Mode must be", "minWords cannot",
)  # fmt: skip
_DATABASE: Final = (
    "SQLITE_", "database is locked", "database or disk is full", "unable to open database",
    "disk image is malformed", "file is not a database", "no such table", "readonly database", "disk I/O error",
    "no such column",
)  # fmt: skip
_LINES_QUOTED: Final = 3
_QUOTED: Final = 300


def sickness(ended: Ended, directory: Directory) -> Sick | None:
    """Why the creator as a whole cannot work; None if this command does not say so."""
    if isinstance(ended, NotStarted):
        return _unstarted(ended.error, directory)
    said = ended.stderr_tail
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
    if ended.exit_code > 0 and (line := _usage_fault(said)) and not _of_the_task(line):
        return Sick(ErrorKind.CREATOR_CHANGED, f"content-creator rejected a command or option: {line}.")
    if ended.exit_code == 1 and (word := next((word for word in _DATABASE if word in said), None)):
        found = said[said.index(word) :].split()[0].rstrip(":,.;") if word == "SQLITE_" else word
        return Sick(ErrorKind.DATABASE_MISSING, f"content-creator's database cannot be used: {found}.")
    return None


def _usage_fault(said: str) -> str | None:
    """The first line in which the command line parser refuses; what follows may be a text of the task's."""
    line = next((line for line in said.splitlines() if line.startswith("error: ")), "")
    return line.removeprefix("error: ").rstrip(".")[:_QUOTED] if line[7:].startswith(_USAGE) else None


def _of_the_task(line: str) -> bool:
    """Whether it is a value that was refused, and one that differs from task to task."""
    option, found, _ = line.partition(" argument '")
    return bool(found) and any(name in option for name in _OF_THE_TASK)


def _unstarted(error: OSError | ValueError, directory: Directory) -> Sick | None:
    if isinstance(error, ValueError) or error.errno == errno.E2BIG:
        return None
    if error.errno in _NO_PROGRAM:
        return directory.fault() or Sick(ErrorKind.CREATOR_MISSING, f"content-creator cannot be run: {error}.")
    return Sick(ErrorKind.NO_PROCESS, f"The system could not start a process: {error.strerror}.")


def refusal(ended: Ended) -> Failed | None:
    """What the creator (or the system) will never accept; None if this command does not say so."""
    if isinstance(ended, NotStarted):
        if isinstance(ended.error, ValueError) or ended.error.errno == errno.E2BIG:
            return Failed(ErrorKind.REFUSED, f"The texts cannot be passed to content-creator: {ended.error}.")
        return None
    said = ended.stderr_tail
    line = _usage_fault(said) or next((line for line in said.splitlines() if _refuses(line)), None)
    if ended.exit_code == 1 and line:
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
