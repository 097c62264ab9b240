"""One configuration out of all sources: flag over environment over file over default, and every fault at once.

Each given value is judged, also one that a stronger source replaces: a file that holds nonsense stays nonsense. Rules
between keys come last and leave out keys already known to be wrong, and none is tried when a file could not be read.
"""

import json
import os
import pwd
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final

import msgspec

from contenthubd.config.keys import CONFIG_VARIABLE, KEYS, SECTIONS
from contenthubd.config.model import Config
from contenthubd.config.sources import Gathered, Given, from_environment, from_files, from_flags
from contenthubd.config.values import check, plain
from contenthubd.documents import document
from contenthubd.domain.errors import InvalidConfig, InvalidInput

SYSTEM_FILE = Path("/etc/contenthubd/config.toml")
SOCKET_BYTES = 107  # the kernel's limit for the path of a Unix socket, without the closing zero byte
NO_FLAGS: Mapping[str, object] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Loaded:
    """The configuration, where each key's value came from, and the files that were read, in order."""

    config: Config
    origins: Mapping[str, str]
    files: tuple[Path, ...]


@dataclass(slots=True)
class Judged:
    """The result of the sources so far: by key its value in force and its origin; which keys have invalid values."""

    values: dict[str, object] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=lambda: dict.fromkeys(KEYS, "default"))
    wrong: set[str] = field(default_factory=set)
    faults: list[str] = field(default_factory=list)

    def take(self, source: Gathered, home: Path | None) -> None:
        """Judge a source that is stronger than those before it."""
        for found in source.found:
            if isinstance(found, str):
                self.faults.append(found)
                continue
            path = found.key.path
            try:
                self.values[path] = check(found.key, found.value, home)
                self.origins[path] = found.origin
            except InvalidInput as error:
                self.wrong.add(path)
                self.faults.append(f"{_place_of(found)}: {error}")


@dataclass(frozen=True, slots=True)
class Rule:
    """Something that must hold between ``keys``; ``fault`` follows their values in the message."""

    keys: tuple[str, ...]
    broken: Callable[[Config], bool]
    fault: str


RULES = (
    Rule(
        ("tasks.poll_interval_seconds", "tasks.timeout_seconds"),
        lambda config: config.tasks.poll_interval_seconds > config.tasks.timeout_seconds,
        "the first must not be longer than the second, or tasks time out before they are polled",
    ),
    Rule(
        ("database.command_timeout_seconds", "tasks.lease_seconds"),
        lambda config: config.database.command_timeout_seconds >= config.tasks.lease_seconds,
        "the first must be shorter than the second, or leases expire while their renewal waits",
    ),
    Rule(
        ("queue.type", "queue.redis_enabled"),
        lambda config: config.queue.type == "redis" and not config.queue.redis_enabled,
        "the first requires Redis, the second disables it",
    ),
    Rule(
        ("queue.type", "queue.redis_url"),
        lambda config: config.queue.type == "redis" and not config.queue.redis_url,
        "the first requires Redis, but the second is empty",
    ),
    Rule(
        ("daemon.state_dir", "creator.workdir", "publish.directory"),
        lambda config: len({config.state_dir, config.creator_workdir, config.published_dir}) < 3,
        "these must be three different directories",
    ),
)


_DENIED: Final = "Run the command as the daemon's user (sudo -u USER …), or let this user read the file."
_NOT_READ: Final = f"Name a file that exists and is readable, with --config or {CONFIG_VARIABLE}."


def load(path: Path | None, *, environ: Mapping[str, str], flags: Mapping[str, object] = NO_FLAGS) -> Loaded:
    """The configuration out of ``path`` (None: no file), environment and flags; InvalidConfig tells all faults."""
    home = home_directory(environ)
    files = from_files(path.absolute()) if path is not None else Gathered()
    judged = Judged()
    for source in (files, from_environment(environ), from_flags(flags)):
        judged.take(source, home)
    judged.faults.extend(_derive(judged, environ))
    config = _build(judged.values)
    if not files.unread:
        judged.faults.extend(_contradictions(config, judged))
    if judged.faults:
        raise InvalidConfig(judged.faults, fix=_fix(files))
    return Loaded(config=config, origins=MappingProxyType(judged.origins), files=tuple(files.files))


def _fix(files: Gathered) -> str:
    if files.denied:
        return _DENIED
    return _NOT_READ if files.unreadable else f"Every key with its range and default: {document('configuration.md')}"


def default_path(environ: Mapping[str, str]) -> Path | None:
    """The file to read when no flag names one: $CONTENTHUBD_CONFIG, the user's, the system's; None when there is none.

    A file we may not look at is returned all the same: it then fails with a clear fault and is not passed over.
    """
    if named := environ.get(CONFIG_VARIABLE):
        return Path(named)
    own = _user_directory(environ, "XDG_CONFIG_HOME", ".config")
    candidates = ([own / "contenthubd" / "config.toml"] if own else []) + [SYSTEM_FILE]
    return next((path for path in candidates if _is_there(path)), None)


def home_directory(environ: Mapping[str, str]) -> Path | None:
    """$HOME, else what the user database says; None for a user without either."""
    if (home := environ.get("HOME", "")).startswith("/"):
        return Path(home)
    try:
        return Path(pwd.getpwuid(os.getuid()).pw_dir)
    except KeyError:
        return None


def value_of(config: Config, path: str) -> object:
    """The value of the key ``path``, such as ``tasks.mode``."""
    section, name = path.split(".")
    value: object = getattr(getattr(config, section), name)
    return value


def _place_of(given: Given) -> str:
    """Where a value was written, as the beginning of a fault."""
    return given.origin.removeprefix("file ") if given.origin != "flag" else f"flag {given.key.path}"


def _user_directory(environ: Mapping[str, str], variable: str, below_home: str) -> Path | None:
    # The XDG rules say that a relative path in these variables is to be ignored.
    if (named := environ.get(variable, "")).startswith("/"):
        return Path(named)
    home = home_directory(environ)
    return home / below_home if home else None


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        return True


def _derive(judged: Judged, environ: Mapping[str, str]) -> Iterator[str]:
    """Fill in the state directory and the socket where nobody named them; yields what is wrong with the outcome."""
    values, origins, wrong = judged.values, judged.origins, judged.wrong
    if not values.get("daemon.state_dir") and "daemon.state_dir" not in wrong:
        found, origins["daemon.state_dir"] = _state_directory(environ)
        values["daemon.state_dir"] = str(found or "")
        if found is None:
            wrong.add("daemon.state_dir")
            yield "daemon.state_dir is not set, and this user has no home directory; set it to an absolute path."
    if not values.get("daemon.socket") and wrong.isdisjoint(("daemon.socket", "daemon.state_dir")):
        runtime = _service_directory(environ, "RUNTIME_DIRECTORY")
        values["daemon.socket"] = str((runtime or Path(str(values["daemon.state_dir"]))) / "control.sock")
        origins["daemon.socket"] = "environment RUNTIME_DIRECTORY" if runtime else "default"
    socket = str(values.get("daemon.socket", ""))
    if (length := len(os.fsencode(socket))) > SOCKET_BYTES:
        yield (
            f"daemon.socket = {json.dumps(plain(socket), ensure_ascii=False)} is {length} bytes long; the path of "
            f"a Unix socket is limited to {SOCKET_BYTES} bytes. Set a shorter one."
        )


def _state_directory(environ: Mapping[str, str]) -> tuple[Path | None, str]:
    if service := _service_directory(environ, "STATE_DIRECTORY"):
        return service, "environment STATE_DIRECTORY"
    parent = _user_directory(environ, "XDG_STATE_HOME", ".local/state")
    return (parent / "contenthubd" if parent else None), "default"


def _service_directory(environ: Mapping[str, str], variable: str) -> Path | None:
    """What systemd made for the service; of several directories, joined by colons, the first."""
    first = environ.get(variable, "").split(":")[0]
    return Path(first) if first.startswith("/") else None


def _build(values: Mapping[str, object]) -> Config:
    sections: dict[str, dict[str, object]] = {section: {} for section in SECTIONS}
    for path, value in values.items():
        section, name = path.split(".")
        sections[section][name] = value
    return msgspec.convert(sections, Config)


def _contradictions(config: Config, judged: Judged) -> Iterator[str]:
    for rule in RULES:
        if judged.wrong.isdisjoint(rule.keys) and rule.broken(config):
            told = ", ".join(f"{path} = {_told(config, path)} ({judged.origins[path]})" for path in rule.keys)
            yield f"{told}: {rule.fault}."


def _told(config: Config, path: str) -> str:
    derived = {"creator.workdir": config.creator_workdir, "publish.directory": config.published_dir}
    return json.dumps(plain(str(derived[path]) if path in derived else value_of(config, path)), ensure_ascii=False)
