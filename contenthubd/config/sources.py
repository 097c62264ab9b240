"""Where values come from: files, environment variables, flags. What was written is only collected here, not yet judged.

A key that is absent leaves no trace, so "not given" never looks like a value. Lines in files are found by a scan beside
the TOML parser, which does not tell them; where the scan is not sure (an inline table, say) only the file is named.
"""

import json
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from contenthubd.config.keys import (
    ALIASES,
    CONFIG_VARIABLE,
    ENV_PREFIX,
    FAULT_POINT_VARIABLE,
    KEYS,
    SECTIONS,
    VARIABLES,
    Key,
    suggest,
)
from contenthubd.config.values import boolean, from_text, quoted
from contenthubd.encodings import refusal

SIZE_LIMIT = 1_000_000  # bytes; far more than any real configuration, and an end to /dev/zero

_HEADER = re.compile(r"\s*\[\s*([\w.\"'-]+)\s*\]")
_ASSIGNMENT = re.compile(r"\s*([\w.\"'-]+)\s*=")
_TOML_PLACE = re.compile(r" \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)$")


@dataclass(frozen=True, slots=True)
class Given:
    """One value as somebody wrote it, with the place it was written in."""

    key: Key
    value: object
    origin: str


@dataclass(slots=True)
class Gathered:
    """What one source holds, in its own order: values, and faults in between; ``unread`` when a file gave nothing.

    ``denied``: one of them may not be read by this user; ``unreadable``: one is not there, or is no file.
    """

    found: list[Given | str] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    unread: bool = False
    denied: bool = False
    unreadable: bool = False

    def refuse(self, fault: str, cause: OSError | None = None) -> None:
        """A file that cannot be used at all: what it would have set is not known."""
        self.found.append(fault)
        self.unread = True
        self.denied |= isinstance(cause, PermissionError)
        self.unreadable |= cause is not None


def from_files(path: Path) -> Gathered:
    """``path`` and then ``config.d/*.toml`` beside it in name order; hidden files there are left out."""
    gathered = Gathered()
    _add_file(path, gathered)
    folder = path.parent / "config.d"
    try:
        names = sorted(os.listdir(folder))
    except FileNotFoundError:
        return gathered
    except OSError as error:
        gathered.refuse(f"{folder}: cannot be listed ({_reason(error)}).", error)
        return gathered
    for name in names:
        if name.endswith(".toml") and not name.startswith("."):
            _add_file(folder / name, gathered)
    return gathered


def from_environment(environ: Mapping[str, str]) -> Gathered:
    """Every variable that names a key. Another name's value counts only while the key's own variable is absent."""
    gathered = Gathered()
    for name in ALIASES:
        # An environment file often lists a variable without a value to say "not set".
        if environ.get(name, "").strip() and KEYS[ALIASES[name]].variable not in environ:
            _add_alias(name, environ[name], gathered)
    for name, path in VARIABLES.items():
        if name in environ:
            key = KEYS[path]
            gathered.found.append(Given(key, from_text(key.shape, environ[name]), f"environment {name}"))
    gathered.found.extend(_unknown_variables(environ))
    return gathered


def from_flags(flags: Mapping[str, object]) -> Gathered:
    """Values from the command line by key; None means that a flag was not given. Relative paths start where we are."""
    gathered = Gathered()
    for path, value in flags.items():
        key = KEYS.get(path)
        if key is None:
            gathered.found.append(f"flag {printable(path)}: unknown key.{suggest(path, KEYS)}")
        elif value is not None:
            gathered.found.append(Given(key, _flag_value(key, value), "flag"))
    return gathered


def _flag_value(key: Key, value: object) -> object:
    text = str(value) if isinstance(value, Path) else value
    if not isinstance(text, str):
        return text
    if key.check == "path" and text and not text.startswith(("/", "~")):
        return str(Path(text).absolute())
    return from_text(key.shape, text)


def _add_file(path: Path, gathered: Gathered) -> None:
    text = _read(path, gathered)
    if text is None:
        return
    gathered.files.append(path)
    try:
        content = tomllib.loads(text)
    except ValueError as error:
        gathered.refuse(_broken_toml(path, text, str(error)))
        return
    except RecursionError:
        gathered.refuse(f"{path}: is not valid TOML: lists or tables are nested too deeply.")
        return
    lines = _lines(text)
    for name, value in content.items():
        _add_section(name, value, path, lines, gathered)


def _read(path: Path, gathered: Gathered) -> str | None:
    try:
        with path.open("rb") as file:
            data = file.read(SIZE_LIMIT + 1)
    except OSError as error:
        gathered.refuse(f"{path}: cannot be read ({_reason(error)}).", error)
        return None
    if len(data) > SIZE_LIMIT:
        gathered.refuse(f"{path}: is larger than {SIZE_LIMIT} bytes, too large for a configuration file.")
        return None
    try:
        # TOML knows both line ends; a byte order mark is left by some Windows editors.
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        looks = refusal(data)
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - (data.rfind(b"\n", 0, error.start) + 1) + 1
        gathered.refuse(
            f"{path}:{line}:{column}: is not valid TOML: the file must be UTF-8 text. {looks[:1].upper()}{looks[1:]}."
        )
        return None


def _broken_toml(path: Path, text: str, message: str) -> str:
    place = _TOML_PLACE.search(message)
    if place is None:
        return f"{path}: is not valid TOML: {message}."
    last = text.split("\n")
    line = place["line"] or str(len(last))
    column = place["column"] or str(len(last[-1]) + 1)
    return f"{path}:{line}:{column}: is not valid TOML: {message[: place.start()]}."


def _add_section(name: str, content: object, path: Path, lines: Mapping[str, int], gathered: Gathered) -> None:
    place = _place(path, lines, name)
    if name not in SECTIONS:
        gathered.found.append(f"{place}: {_unknown_section(name, content)}")
        return
    if not isinstance(content, dict):
        gathered.found.append(f"{place}: {name} must be a section, written [{name}], found {quoted(content)}.")
        return
    for key_name, value in content.items():
        key = KEYS.get(f"{name}.{key_name}")
        place = _place(path, lines, f"{name}.{key_name}")
        if key is None:
            shown = printable(key_name)
            gathered.found.append(f"{place}: unknown key {name}.{shown}.{_suggest_key(name, key_name)}")
        else:
            gathered.found.append(Given(key, value, f"file {place}"))


def _unknown_section(name: str, content: object) -> str:
    if isinstance(content, dict):
        return f"unknown section [{printable(name)}].{suggest(f'[{name}]', [f'[{known}]' for known in SECTIONS])}"
    return f"{printable(name)} is not in a section.{_suggest_key('', name)}"


def _suggest_key(section: str, name: str) -> str:
    """What was perhaps meant: an alias's key, the same name in another section, or a name that is written alike."""
    if name.upper() in ALIASES:
        return f" Did you mean {ALIASES[name.upper()]}?"
    if owners := [key.path for key in KEYS.values() if key.name == name]:
        return f" Did you mean {' or '.join(owners)}?"
    neighbours = [key.name for key in KEYS.values() if key.section == section]
    return suggest(name, neighbours) or suggest(name, [key.path for key in KEYS.values()])


def printable(name: str) -> str:
    """A name as it stands, or quoted when it could forge a line of output."""
    return name if name.isprintable() else json.dumps(name)


def _place(path: Path, lines: Mapping[str, int], name: str) -> str:
    return f"{path}:{lines[name]}" if name in lines else str(path)


def _lines(text: str) -> dict[str, int]:
    """The line of each section and key that is written exactly once."""
    found: dict[str, int] = {}
    doubled: set[str] = set()
    for number, name in _names(text):
        if name in found:
            doubled.add(name)
        found[name] = number
    return {name: number for name, number in found.items() if name not in doubled}


def _names(text: str) -> Iterator[tuple[int, str]]:
    section = ""
    for number, line in enumerate(text.split("\n"), start=1):
        if header := _HEADER.match(line):
            section = header[1] + "."
            yield number, header[1]
        elif assignment := _ASSIGNMENT.match(line):
            yield number, section + assignment[1].strip("\"'")


def _add_alias(name: str, text: str, gathered: Gathered) -> None:
    key = KEYS[ALIASES[name]]
    value = _alias_value(name, key, text.strip())
    if value is None:
        gathered.found.append(f"environment {name}: must be true or false, found {quoted(text)}.")
        return
    for other in gathered.found:
        if isinstance(other, Given) and other.key is key and other.value != value:
            gathered.found.append(
                f"{other.origin} and environment {name} contradict each other: both set {key.path}, "
                f'to "{other.value}" and to "{value}". Remove one of them or set {key.variable}.'
            )
            return
    gathered.found.append(Given(key, value, f"environment {name}"))


def _alias_value(name: str, key: Key, text: str) -> object:
    """Most mean what the key means; these two were written differently."""
    if name == "ASYNC_ENABLED":
        on = boolean(text)
        return None if on is None else "async" if on else "sync"
    if name == "CREATOR_CLI_PATH":
        return [text]
    return from_text(key.shape, text)


def _unknown_variables(environ: Mapping[str, str]) -> Iterator[str]:
    known = {*VARIABLES, *ALIASES, CONFIG_VARIABLE, FAULT_POINT_VARIABLE}
    for name in sorted(environ):
        if name.startswith(ENV_PREFIX) and name not in known:
            bare = name.removeprefix(ENV_PREFIX)
            hint = f" Did you mean {bare}?" if bare in ALIASES else suggest(name.upper(), known)
            yield f"environment {printable(name)}: there is no such setting.{hint}"


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
