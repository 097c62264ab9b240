"""What the simulator is told to do, and to do wrong.

Every setting is a variable CREATOR_SIMULATOR_<NAME> or a key of `simulator.json` in the working directory. The file
wins and is read again for every command and all the time by the worker, so it can be changed while things run.

    latency_seconds 1.0        how long an article takes          jitter 0.2              ± this share of it
    failure_rate 0.0           share of tasks that fail           seed                    makes chance repeatable
    images 2                   pictures per article               image_base_url          instead of data: addresses
    retry_seconds 2.0          until a failed task's cause is overwritten
    abandoned_seconds 30.0     until a dead worker's tasks are given up
    node_timeout_seconds 60.0  after which a HANG task fails      hang_seconds 3600       bound of every endless wait
    redis_hang_seconds 3600    bound of waiting for Redis         start_seconds 0.0       slow start of every command
    deaf false                 the worker lives but takes no work
    echo_mark false            articles repeat the last line of the requirements
    long_article false         articles of more than 64 KiB
    misbehaviour               one of MISBEHAVIOURS               misbehaviour_on         commands it is limited to

Words in a topic do the same for one task: FAIL, FAIL5XX, FLAKY<n> (the first n tasks of this topic fail), HANG, SLOW<n>
(n seconds more), LONG, ECHO, CRASH (the process that generates it dies).
"""

import os
import signal
import time

from contenthubd.simulator.screen import Screen, write_bytes

PREFIX = "CREATOR_SIMULATOR_"
FILE = "simulator.json"
READ_SECONDS = 1.0
DEFAULTS: dict[str, float | str] = {
    "latency_seconds": 1.0,
    "jitter": 0.2,
    "failure_rate": 0.0,
    "seed": "",
    "images": 2,
    "image_base_url": "",
    "retry_seconds": 2.0,
    "abandoned_seconds": 30.0,
    "node_timeout_seconds": 60.0,
    "hang_seconds": 3600.0,
    "redis_hang_seconds": 3600.0,
    "start_seconds": 0.0,
    "deaf": "",
    "echo_mark": "",
    "long_article": "",
    "misbehaviour": "",
    "misbehaviour_on": "",
}
MISBEHAVIOURS = {
    "hang": "never ends and ignores SIGTERM, before doing anything",
    "hang_after": "does its work, then never ends and says nothing",
    "crash": "dies by SIGKILL before doing anything",
    "crash_after": "does its work, then dies by SIGKILL and says nothing",
    "flood": "prints forever",
    "garbage": "does its work and prints bytes that mean nothing instead of the answer",
    "empty": "does its work and prints nothing, exit code 0",
    "cut_output": "prints its first 64 KiB only, exit code 0, to a file too",
    "exit0_on_failure": "exits 0 whatever happened",
    "fork": "leaves a child in a session of its own that holds stdout open",
}
GARBAGE = bytes(range(256)) * 16


class BadSettings(Exception):
    """The simulator was told something it does not know."""


class Behaviour:
    """The settings in force at one moment."""

    def __init__(self, values: dict[str, float | str]) -> None:
        self._values = values

    def number(self, name: str) -> float:
        """A setting that is a number."""
        return float(self._values[name])

    def text(self, name: str) -> str:
        """A setting that is text."""
        return str(self._values[name])

    def flag(self, name: str) -> bool:
        """A setting that is on or off."""
        return self.text(name).lower() not in ("", "0", "no", "off", "false", "none")

    @property
    def misbehaviour(self) -> str:
        """What to do wrong; empty for nothing."""
        return self.text("misbehaviour")

    def applies_to(self, command: str) -> bool:
        """Whether this command is one of those that misbehave."""
        chosen = self.text("misbehaviour_on").replace(",", " ").split()
        return bool(self.misbehaviour) and (not chosen or command in chosen)


def load() -> Behaviour:
    """The settings from the environment and the file. Raises BadSettings for what is not known."""
    given: dict[str, float | str] = {
        name: os.environ[PREFIX + name.upper()] for name in DEFAULTS if PREFIX + name.upper() in os.environ
    }
    given |= read_file() if os.path.exists(FILE) else {}
    settings = Behaviour(DEFAULTS | given)
    unknown = set(given) - set(DEFAULTS)
    if unknown or settings.misbehaviour not in {"", *MISBEHAVIOURS}:
        raise BadSettings(f"simulator: unknown setting {', '.join(sorted(unknown)) or settings.misbehaviour}")
    return settings


def read_file() -> dict[str, float | str]:
    """The settings in the file; one that is being written at this moment is read again. Raises BadSettings."""
    import json

    deadline = time.monotonic() + READ_SECONDS
    while True:
        try:
            with open(FILE, encoding="utf-8") as file:
                values = json.load(file)
            return {name: " ".join(value) if isinstance(value, list) else value for name, value in values.items()}
        except json.JSONDecodeError as error:
            if time.monotonic() > deadline:
                raise BadSettings(f"simulator: {FILE} is no JSON: {error}") from error
            sleep(0.01)


def sleep(seconds: float) -> None:
    """Let time pass."""
    if seconds > 0:
        time.sleep(seconds)


def hang(seconds: float) -> None:
    """Wait, deaf to everything but SIGKILL."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sleep(seconds)


def misbehave_before(settings: Behaviour, page: Screen) -> None:
    """What goes wrong before the command has done anything."""
    kind = settings.misbehaviour
    if kind == "cut_output":
        page.cut()
    elif kind in ("empty", "garbage"):
        page.mute()
    elif kind == "hang":
        page.flush()
        hang(settings.number("hang_seconds"))
    elif kind == "crash":
        page.flush()
        os.kill(os.getpid(), signal.SIGKILL)
    elif kind == "flood":
        flood(settings.number("hang_seconds"))
    elif kind == "fork":
        page.flush()
        leave_child(settings.number("hang_seconds"))


def misbehave_after(settings: Behaviour, page: Screen) -> None:
    """What goes wrong when the work is done and nothing of the answer was written."""
    kind = settings.misbehaviour
    if kind in ("hang_after", "crash_after"):
        page.forget()
    if kind == "hang_after":
        hang(settings.number("hang_seconds"))
    elif kind == "crash_after":
        os.kill(os.getpid(), signal.SIGKILL)
    elif kind == "garbage":
        write_bytes(1, GARBAGE)


def flood(seconds: float) -> None:
    """Print as fast as the reader takes it, for a bounded time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        write_bytes(1, "没有尽头的输出\n".encode() * 512)


def leave_child(seconds: float) -> None:
    """Leave a process behind that has left our process group and keeps our stdout open."""
    if os.fork() == 0:
        os.setsid()
        sleep(seconds)
        os._exit(0)
