"""One HTTP request over the daemon's Unix socket, written out by hand.

``http.client`` imports the email package and ``socket`` builds enums out of every constant: together they cost more
than the whole answer may, since a status command is to feel like ``systemctl``. What is left is small: HTTP/1.1, a
length, one request per connection. ``_socket`` is the C module that ``socket`` wraps; only connect, send and receive
are used.
"""

from __future__ import annotations

import json
import os
from _socket import AF_UNIX, SOCK_STREAM
from _socket import socket as Socket

from contenthubd.ctl.failure import PERMISSION, Failure, Unreachable, from_problem

TYPE_CHECKING = False  # typing itself takes two milliseconds to import, a tenth of a status answer
if TYPE_CHECKING:
    from typing import Any

SYSTEM_SOCKET = "/run/contenthubd/control.sock"
TIMEOUT_SECONDS = 30.0
MAX_ADDRESS_BYTES = 107
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


def socket_path(given: str | None) -> str:
    """Where the daemon's door is: --socket, then the environment, then the places where a daemon puts it."""
    env = os.environ
    if given or env.get("CONTENTHUBD_SOCKET"):
        return os.path.abspath(given or env["CONTENTHUBD_SOCKET"])
    if env.get("RUNTIME_DIRECTORY"):
        return os.path.join(env["RUNTIME_DIRECTORY"].split(":")[0], "control.sock")
    if not env.get("CONTENTHUBD_STATE_DIR") and os.path.exists(SYSTEM_SOCKET):
        return SYSTEM_SOCKET
    home = env.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return os.path.join(env.get("CONTENTHUBD_STATE_DIR") or os.path.join(home, "contenthubd"), "control.sock")


class Client:
    """Asks the daemon at one socket. Raises Failure as the daemon tells it, Unreachable when it does not."""

    def __init__(self, path: str) -> None:
        self.path = path

    def get(self, path: str, query: dict[str, Any] | None = None, timeout: float = TIMEOUT_SECONDS) -> Any:
        """GET; values of ``query`` that are None are left out, lists are repeated."""
        return self._ask("GET", path + _query_string(query or {}), b"", timeout)

    def post(self, path: str, payload: dict[str, Any] | None = None, timeout: float = TIMEOUT_SECONDS) -> Any:
        """POST with a JSON body."""
        body = json.dumps(payload, ensure_ascii=True).encode() if payload is not None else b""
        return self._ask("POST", path, body, timeout)

    def _ask(self, method: str, target: str, body: bytes, timeout: float) -> Any:
        head = f"{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {len(body)}\r\n"
        if body:
            head += "Content-Type: application/json\r\n"
        connection = self._connected(timeout)
        try:
            raw = _exchange(connection, head.encode() + b"\r\n" + body)
        except TimeoutError:
            raise Unreachable(
                f"The daemon at {self.path} did not answer within {round(timeout)} s.",
                why="It is suspended or overloaded.", fix="See its log, then try again.",
            ) from None  # fmt: skip
        except OSError as error:
            raise self._gone(error.strerror or str(error)) from None
        finally:
            connection.close()
        return self._answer(raw)

    def _answer(self, raw: bytes) -> Any:
        head, blank, body = raw.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        if not blank or len(body) < int(headers.get("content-length", "0")):
            raise self._gone("The answer ended in the middle")
        status = int(lines[0].split(" ", 2)[1])
        if not headers.get("content-type", "").partition(";")[0].endswith("json"):
            raise Failure(f"The daemon answered with status {status} and no details.", fix="See the daemon's log.")
        answer = json.loads(body)
        if status >= 400:
            raise from_problem(status, answer)
        return answer

    def _connected(self, timeout: float) -> Socket:
        connection = Socket(AF_UNIX, SOCK_STREAM)
        connection.settimeout(timeout)
        try:
            _connect(connection, self.path)
        except PermissionError:
            connection.close()
            raise _denied(self.path) from None
        except OSError as error:
            connection.close()
            from contenthubd.ctl.absent import unreachable  # looks at processes, which only this error needs

            raise unreachable(self.path, error) from None
        return connection

    def _gone(self, why: str) -> Unreachable:
        return Unreachable(
            f"The daemon at {self.path} went away while answering.", why=f"{why}.",
            fix="See whether it runs: contenthubctl health. Tasks that it accepted are kept.",
        )  # fmt: skip


def quote(text: str) -> str:
    """Percent-encoded UTF-8, fit for a path or a query."""
    return "".join(chr(byte) if byte in _UNRESERVED else f"%{byte:02X}" for byte in text.encode("utf-8", "replace"))


def _query_string(query: dict[str, Any]) -> str:
    pairs = [
        f"{name}={quote(str(value))}"
        for name, values in query.items()
        for value in (values if isinstance(values, (list, tuple)) else [values])
        if value is not None
    ]
    return "?" + "&".join(pairs) if pairs else ""


def _connect(connection: Socket, path: str) -> None:
    if len(os.fsencode(path)) <= MAX_ADDRESS_BYTES:
        connection.connect(path)
        return
    parent = os.open(os.path.dirname(path), os.O_PATH | os.O_DIRECTORY)
    try:
        connection.connect(f"/proc/self/fd/{parent}/{os.path.basename(path)}")
    finally:
        os.close(parent)


def _exchange(connection: Socket, request: bytes) -> bytes:
    """Send everything, then receive to the end; a refusal that comes before all was sent is received all the same."""
    refused: OSError | None = None
    try:
        connection.sendall(request)
    except (BrokenPipeError, ConnectionResetError) as error:
        refused = error
    received = b""
    while chunk := connection.recv(1 << 20):
        received += chunk
    if refused and not received:
        raise refused
    return received


def _denied(path: str) -> Failure:
    what = f"You may not open the control socket {path}."
    try:
        found = os.stat(path)
    except OSError:
        return Failure(
            what, why="You may not enter one of the folders above it.", exit_code=PERMISSION,
            fix="Run the command as the daemon's user.",
        )  # fmt: skip
    user, group = _names(found.st_uid, found.st_gid)
    me = os.environ.get("USER") or str(os.getuid())
    join = f"Join the group {group} (sudo usermod -aG {group} {me}, then log in again), or run as {user}."
    share = f"Run the command as {user}, or let a group use the socket: socket_group in [daemon]."
    return Failure(
        what, why=f"It belongs to the user {user} and the group {group}.", exit_code=PERMISSION,
        fix=join if found.st_gid else share,  # nobody should join root's group for this
    )  # fmt: skip


def _names(uid: int, gid: int) -> tuple[str, str]:
    import grp  # only this error needs the user database
    import pwd

    user = next((entry.pw_name for entry in pwd.getpwall() if entry.pw_uid == uid), str(uid))
    group = next((entry.gr_name for entry in grp.getgrall() if entry.gr_gid == gid), str(gid))
    return user, group
