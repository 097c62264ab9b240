"""The environment of the creator's processes: written down here, not inherited.

Four things come together, later ones win: a few names of the daemon's own environment, the keys from systemd's
credentials, the keys from the configured file, and what this adapter depends on (where the database is, that the
output has no colour, which Redis). REDIS_URL is given only to what needs it: with it set and Redis away, a task in
sync mode fails after 30 seconds.
"""

import errno
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from contenthubd.adapters.creator.settings import CreatorSettings
from contenthubd.domain.invisible import BOM, key_fault
from contenthubd.encodings import refusal

CREDENTIAL: Final = "creator.env"
_INHERITED: Final = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "USER", "LOGNAME")
_SIMULATOR: Final = "CREATOR_SIMULATOR_"
_FIXED: Final = {
    "DATABASE_TYPE": "sqlite",
    "NODE_ENV": "development",
    "LOG_LEVEL": "error",
    "LOG_FILE": "./logs/app.log",
    "NO_COLOR": "1",
    "DOTENV_CONFIG_QUIET": "true",
}
_OURS: Final = frozenset({*_FIXED, "REDIS_URL", "REDIS_DB", "FORCE_COLOR"})
_LINE: Final = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)", re.DOTALL)
_COMMENT: Final = re.compile(r"(?<!\s)\s+#.*\Z", re.DOTALL)
_LINE_END: Final = re.compile(r"\r\n|\r|\n")
_AFTER_QUOTE: Final = re.compile(r"\s*+(?:#.*)?")
_CURLY: Final = "“”„‘’「」"
MAX_BYTES: Final = 1_000_000
MAX_VALUE_BYTES: Final = 32_000
"""The kernel takes variables of up to 128 KiB; no key is as long as this."""
MOST_FAULTS: Final = 20


@dataclass(frozen=True, slots=True)
class Keys:
    """What the files of keys hold, and what is wrong with them (one sentence each, never a value)."""

    values: Mapping[str, str]
    faults: tuple[str, ...] = ()


def parse_env_file(text: str, name: str) -> Keys:
    """KEY=VALUE lines; comments, blank lines, ``export`` and quotes are understood."""
    values: dict[str, str] = {}
    faults = []
    for number, raw in enumerate(_LINE_END.split(text.removeprefix(BOM)), 1):
        line = raw.strip().strip(BOM)
        if not line or line.startswith("#"):
            continue
        found = _LINE.fullmatch(line)
        if not found:
            faults.append(f"Line {number} of {name} is not KEY=VALUE.")
        elif found.group(1) in _OURS:
            faults.append(f"Line {number} of {name} sets {found.group(1)}, which the daemon sets itself.")
        elif fault := _value_fault(found.group(2)):
            faults.append(f"Line {number} of {name}: the value of {found.group(1)} {fault}")
        else:
            value = _unquoted(found.group(2)) or ""
            if values.get(found.group(1), value) != value:
                faults.append(f"Line {number} of {name} sets {found.group(1)} again; this value is used.")
            values[found.group(1)] = value
    if len(faults) > MOST_FAULTS:
        faults[MOST_FAULTS:] = [f"{name} has {len(faults) - MOST_FAULTS:,} more faults."]
    return Keys(values, tuple(faults))


def _value_fault(written: str) -> str:
    """What is wrong with a value, without telling it; empty if nothing is."""
    value = _unquoted(written)
    if value is None:
        return f"begins with {written[0]} but does not end with it; add the closing quote."
    if written[:1] in _CURLY and written:
        return f'is in typographic quotes ({written[0]}); use " or none.'
    if len(value.encode("utf-8", "surrogatepass")) > MAX_VALUE_BYTES:
        return f"is longer than {MAX_VALUE_BYTES:,} bytes."
    return key_fault(value)


def _unquoted(value: str) -> str | None:
    """The value without its quotes and the comment behind it; None if a quote is never closed."""
    quote = value[:1]
    if quote not in ('"', "'") or not quote:
        return _COMMENT.sub("", value) if not value.startswith("#") else ""
    end = value.find(quote, 1)
    while end > 0 and not _AFTER_QUOTE.fullmatch(value, end + 1):
        end = value.find(quote, end + 1)
    return value[1:end] if end > 0 else None


def read_keys(settings: CreatorSettings) -> Keys:
    """Credentials and key file together; read anew each time, so that a new key needs no restart."""
    values: dict[str, str] = {}
    faults: list[str] = []
    folder = settings.environ.get("CREDENTIALS_DIRECTORY")
    credential = Path(folder) / CREDENTIAL if folder else None
    # os.path, not Path.exists, which raises where a folder on the way may not be entered
    for path in (credential if credential and os.path.exists(credential) else None, settings.env_file):
        if path is None:
            continue
        try:
            raw = _content(path)
        except OSError as error:
            faults.append(f"The file {path} cannot be read: {error.strerror}.")
            continue
        fault = refusal(raw) if len(raw) <= MAX_BYTES else f"it has more than {MAX_BYTES:,} bytes"
        if fault:
            faults.append(f"The file {path} cannot be read: {fault}.")
            continue
        keys = parse_env_file(raw.decode("utf-8-sig"), str(path))
        values.update(keys.values)
        faults.extend(keys.faults)
    return Keys(values, tuple(faults))


def _content(path: Path) -> bytes:
    """The first bytes of a file. OSError; a pipe is one, since it gives its content once and may never end."""
    if stat.S_ISFIFO(path.stat().st_mode):
        raise OSError(errno.EINVAL, "it is a pipe; name a regular file")
    with path.open("rb") as file:
        return file.read(MAX_BYTES + 1)


def environment(settings: CreatorSettings, *, redis: bool) -> dict[str, str]:
    """The whole environment of one process; ``redis`` for what works through the creator's queue."""
    given = settings.environ
    env = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(settings.workdir), "LANG": "C.UTF-8"}
    env |= {name: value for name, value in given.items() if name in _INHERITED or name.startswith(_SIMULATOR)}
    if settings.proxy:
        env["HTTPS_PROXY"] = settings.proxy
    env |= read_keys(settings).values
    env |= _FIXED
    if redis and settings.redis_url:
        env["REDIS_URL"] = settings.redis_url
        env["REDIS_DB"] = redis_database(settings.redis_url)
    return env


def redis_database(url: str) -> str:
    """The database number of a Redis address; the creator reads it from REDIS_DB and not from the address."""
    number = urlsplit(url).path.strip("/")
    return number if number.isdigit() else "0"
