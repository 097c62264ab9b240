"""What the machine says during a test run: whatever may differ elsewhere is set to what breaks who relies on it.

A variable that somebody's shell happens to set, a home folder, a time zone, a locale, a umask: a test (or the program)
that takes one of them without being asked to fails on every machine then, not only on that one.
"""

import json
import os
import signal
import stat
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

NOWHERE: Final = "/nonexistent"
CACHE: Final = "XDG_CACHE_HOME"
"""Keeps its meaning, written out: installed packages of the real creator are kept there between runs."""
HOSTILE: Final = {
    "HOME": NOWHERE,
    "XDG_CONFIG_HOME": f"{NOWHERE}/config",
    "XDG_STATE_HOME": f"{NOWHERE}/state",
    "XDG_DATA_HOME": f"{NOWHERE}/data",
    "XDG_RUNTIME_DIR": f"{NOWHERE}/run",
    "LANG": "xx_XX.KOI8-R",
    "LANGUAGE": "tlh",
    "TZ": "Asia/Kathmandu",  # 5:45 from UTC, so a mistake by whole or half hours shows too
    "PGHOST": f"{NOWHERE}/postgres",
    "PGPORT": "1",
    "PGUSER": "somebody",
    "PGPASSWORD": "wrong",
    "PGPASSFILE": f"{NOWHERE}/pgpass",
    "PGDATABASE": "elsewhere",
    "PGSERVICE": "elsewhere",
    "PGSSLMODE": "verify-full",
    "PGSSLROOTCERT": f"{NOWHERE}/root.crt",
    "PGTARGETSESSIONATTRS": "standby",
    "PGOPTIONS": "-c search_path=elsewhere",
    "PGTZ": "Asia/Kathmandu",
    "PGDATESTYLE": "German",
    "PGDATA": f"{NOWHERE}/data",
    "REDIS_URL": "redis://127.0.0.1:1/7",
    "REDIS_HOST": "redis.invalid",
    "DATABASE_URL": "postgresql://elsewhere.invalid/db",
    "CREATOR_MODE": "sync",
    "CONTENTHUBD_CONFIG": f"{NOWHERE}/config.toml",
    "CONTENTHUBD_SOCKET": f"{NOWHERE}/control.sock",
    "CONTENTHUBD_STATE_DIR": f"{NOWHERE}/contenthubd",
    "NOTIFY_SOCKET": f"{NOWHERE}/notify",
    "STATE_DIRECTORY": f"{NOWHERE}/lib",
    "RUNTIME_DIRECTORY": f"{NOWHERE}/runtime",
    "CREDENTIALS_DIRECTORY": f"{NOWHERE}/credentials",
    "http_proxy": "http://127.0.0.1:1",
    "https_proxy": "http://127.0.0.1:1",
    "all_proxy": "http://127.0.0.1:1",
    "HTTP_PROXY": "http://127.0.0.1:1",
    "HTTPS_PROXY": "http://127.0.0.1:1",
    "ALL_PROXY": "http://127.0.0.1:1",
    "NO_PROXY": "",
    "no_proxy": "",
    "NODE_OPTIONS": "--no-such-option",
    "EDITOR": "false",
    "PAGER": "false",
}
PROXIES: Final = tuple(name for name in HOSTILE if name.lower().endswith("_proxy"))
NETWORK: Final = "TESTS_NETWORK"
"""Keeps how this machine reaches package registries, as JSON, for what has to be installed during a run."""
GONE: Final = (
    "LC_ALL",
    "LC_CTYPE",
    "LC_TIME",
    "LC_NUMERIC",
    "LC_MESSAGES",
    "PYTHONPATH",
    "PYTHONIOENCODING",
    "PYTHONDONTWRITEBYTECODE",  # a fifth of every start would go into compiling what was compiled before
)
MEMORY: Final = Path("/dev/shm")
ROOM_BYTES: Final = 4 << 30
"""A run needs a quarter of it."""
LIMITS: Final = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""Where a container tells how much memory it may have; files in memory count."""
KEPT_IGNORED: Final = frozenset({signal.SIGPIPE, signal.SIGXFSZ})
"""Python itself ignores these."""


def hear_signals() -> None:
    """Have each signal do what it usually does, here and in every child.

    A shell without job control starts what runs in the background with Ctrl-C ignored, nohup with SIGHUP ignored;
    children inherit that, and a test that sends them such a signal would wait in vain.
    """
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for number in signal.valid_signals() - KEPT_IGNORED:
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if number is signal.SIGINT else signal.SIG_DFL)


def roomy(place: Path, room: int = ROOM_BYTES) -> bool:
    """Whether every account may put files and programs there, and there is room for all of a run's."""
    try:
        found, disk = place.stat(), os.statvfs(place)
    except OSError:
        return False
    usable = stat.S_ISDIR(found.st_mode) and found.st_mode & 0o1777 == 0o1777
    return usable and not disk.f_flag & (os.ST_NOEXEC | os.ST_RDONLY) and disk.f_bavail * disk.f_frsize >= room


def spare_memory() -> int:
    """How many bytes of memory this machine or container may still use, roughly."""
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    limits = [path.read_text(encoding="ascii").strip() for path in LIMITS if path.exists()]
    return min([free, *(int(limit) for limit in limits if limit.isdecimal())])


def keep_files_in_memory() -> None:
    """Put temporary files into memory if there is plenty: on some disks it takes longer to make files than all else.

    Who names a folder in TMPDIR gets that one. No test may rely on either.
    """
    if "TMPDIR" not in os.environ and roomy(MEMORY) and spare_memory() >= ROOM_BYTES:
        os.environ["TMPDIR"] = str(MEMORY)
        tempfile.tempdir = None  # look again


def make_hostile() -> None:
    """Change the environment, time zone and umask of this process, and with it of its children; may be done twice."""
    hear_signals()
    keep_files_in_memory()
    cache = os.environ.get(CACHE) or str(Path.home() / ".cache")
    os.environ.setdefault(NETWORK, json.dumps({name: os.environ[name] for name in PROXIES if name in os.environ}))
    for name in GONE:
        os.environ.pop(name, None)
    os.environ.update(HOSTILE | {CACHE: cache})
    time.tzset()
    os.umask(0o077)


def with_network(environ: Mapping[str, str]) -> dict[str, str]:
    """An environment with the proxies of this machine in place of the hostile ones."""
    saved = environ.get(NETWORK)
    if saved is None:
        return dict(environ)
    before: dict[str, str] = json.loads(saved)
    return {name: value for name, value in environ.items() if name not in PROXIES} | before
