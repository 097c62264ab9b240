"""A local stand-in for everything the real content-creator calls: the language model, the image model, the search.

    async with Services(latency=0.2) as services:
        env = services.env()            # what the creator's command line and worker need in their environment

One threaded server on loopback answers POST …/chat/completions (whole or streamed), POST /api/v3/images/generations
with an address that GET serves a PNG from, and POST /search. The search address is fixed in the package
(https://api.tavily.com), so the server is also an HTTPS proxy: every CONNECT ends here, under a certificate made for
this run, and nothing leaves the machine. Being threads, it answers while the test's own event loop is busy.

Words in the topic choose what happens:

    FAIL       HTTP 400: the task fails at once
    FAIL5XX    HTTP 503: the creator tries three times more (2, 4, 8 s), then the task fails
    FLAKY<n>   HTTP 400 for the first n tasks with this topic, then all is well
    FAILQC     low marks: the creator's own check rejects every text
    HANG       no answer for `hang_seconds`
    SLOW<n>    the article itself takes n seconds more
    LONG       an article of over 70 KB (give --max-words 30000, or the creator rejects it)
    ECHO       the article repeats the last line of the requirements

`hold()` keeps every article back until `release()`: what a test does in between, it does in the middle of the work.
"""

import array
import fcntl
import json
import re
import socket
import ssl
import sys
import tempfile
import termios
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import trustme

from tests.real.replies import FOUND, completion, dumps, png, reply_to, topic_of

SEARCH_HOST = "api.tavily.com"
STEP_CHARACTERS = 1_500
READ_SECONDS = 10.0
STOP_SECONDS = 10.0


class Services:
    """The server, its certificate, its counters and its switches; used with `with` or `async with`."""

    def __init__(self, *, latency: float = 0.0, hang_seconds: float = 600.0) -> None:
        self.latency = latency  # seconds before each answer; may be changed at any time
        self.hang_seconds = hang_seconds
        self.failing_downloads = 0  # how many of the next image downloads are answered with 503
        self.counts: Counter[str] = Counter()  # organize, write, check_text, image, search, download, fail, …
        self.articles: list[str] = []  # every article sent, in order
        self.faults: list[Exception] = []  # what went wrong in here; raised at the end
        self.closing = threading.Event()
        self._writing = threading.Event()  # not set: articles are held back
        self._writing.set()
        self._lock = threading.Lock()
        self._flaky: Counter[str] = Counter()
        self._folder = tempfile.TemporaryDirectory(prefix="creator-services-")
        self.tls = self._make_certificate()
        self._server = Server(("127.0.0.1", 0), Handler, self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        """Where the server listens."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def env(self) -> dict[str, str]:
        """Everything the creator must be told to talk to this server and to nothing else."""
        return {
            "LLM_API_KEY": "llm-key-for-tests",
            "LLM_BASE_URL": f"{self.url}/v1",
            "ARK_API_KEY": "ark-key-for-tests",
            "ARK_API_URL": self.url,
            "TAVILY_API_KEY": "tavily-key-for-tests",
            "HTTPS_PROXY": self.url,
            "NO_PROXY": "127.0.0.1",
            "NODE_EXTRA_CA_CERTS": str(Path(self._folder.name) / "ca.pem"),
        }

    def _make_certificate(self) -> ssl.SSLContext:
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(Path(self._folder.name) / "ca.pem"))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(SEARCH_HOST).configure_cert(context)
        return context

    def note(self, kind: str) -> int:
        """Count one request; tells the new count."""
        with self._lock:
            self.counts[kind] += 1
            return self.counts[kind]

    def flaky(self, topic: str) -> bool:
        """Whether this task, the next with its topic, is one of the first n that FLAKY<n> makes fail."""
        asked = re.search(r"FLAKY(\d+)", topic)
        if asked is None:
            return False
        with self._lock:
            self._flaky[topic] += 1
            return self._flaky[topic] <= int(asked.group(1))

    def download_fails(self) -> bool:
        """Use up one of the failing downloads, if any is left."""
        with self._lock:
            self.failing_downloads = max(self.failing_downloads - 1, -1)
            return self.failing_downloads >= 0

    def hold(self) -> None:
        """Answer everything but articles from now on."""
        self._writing.clear()

    def release(self) -> None:
        """Send the articles that were held back, and all later ones at once."""
        self._writing.set()

    def wait_for_release(self) -> None:
        """Let the time of a hold pass."""
        self._writing.wait()

    def pause(self, seconds: float) -> None:
        """Let time pass, but no longer than the server lives."""
        self.closing.wait(seconds)

    def close(self) -> None:
        """End every conversation and every thread, whatever they are doing; raise what went wrong in them."""
        self.closing.set()
        self.release()
        self._server.shutdown()
        self._server.hang_up()
        self._server.server_close()
        self._thread.join(STOP_SECONDS)
        self._folder.cleanup()
        if self.faults:
            raise ExceptionGroup("the stand-in for the services failed", self.faults)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Server(ThreadingHTTPServer):
    """One thread per connection; a client that was killed is no error here."""

    daemon_threads = False
    block_on_close = True  # server_close waits for every thread
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler], services: Services) -> None:
        super().__init__(address, handler)
        self.services = services
        self._open: set[socket.socket] = set()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Remember the connection, so that hang_up can end it."""
        self.remember(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Forget the connection when its thread is done with it."""
        self._open.discard(request)
        super().shutdown_request(request)

    def remember(self, connection: socket.socket) -> None:
        """Count this socket among those to cut at the end."""
        self._open.add(connection)

    def forget(self, connection: socket.socket) -> None:
        """The opposite."""
        self._open.discard(connection)

    def hang_up(self) -> None:
        """Cut every connection, so that the threads reading from them end."""
        for connection in list(self._open):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                self.services.note("gone")  # the client had hung up already

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Count broken connections, since killed creators are part of the tests; keep our own faults for close()."""
        error = sys.exception()
        if isinstance(error, OSError):
            self.services.note("broken")
        elif isinstance(error, Exception):
            self.services.faults.append(error)


class Handler(BaseHTTPRequestHandler):
    """The three services and the pictures, on keep-alive connections."""

    protocol_version = "HTTP/1.1"
    server: Server

    @property
    def services(self) -> Services:
        return self.server.services

    def finish(self) -> None:
        """Close the TLS socket too, which the server does not know."""
        super().finish()
        if isinstance(self.connection, ssl.SSLSocket):
            self.server.forget(self.connection)
            self.connection.close()

    def log_message(self, format: str, *args: object) -> None:
        """No access log: `Services.counts` tells what was asked."""

    def do_CONNECT(self) -> None:
        """End the tunnel here: speak TLS on this connection and go on serving HTTP inside it."""
        self.services.note("connect")
        self.send_response(200, "Connection established")
        self.end_headers()
        self.connection = self.services.tls.wrap_socket(self.connection, server_side=True)
        self.server.remember(self.connection)
        self.rfile = self.connection.makefile("rb", -1)
        self.wfile = self.connection.makefile("wb", 0)
        self.close_connection = False

    def do_GET(self) -> None:
        """The pictures."""
        if not urlsplit(self.path).path.startswith("/images/"):
            self.send(404, b"not found", "text/plain")
        elif self.services.download_fails():
            self.send(503, b"try again", "text/plain")
        else:
            self.send(200, png(shade=self.services.note("download") % 256), "image/png")

    def do_POST(self) -> None:
        """One question to one of the services."""
        path = urlsplit(self.path).path
        question = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
        self.services.pause(self.services.latency)
        if path.endswith("/chat/completions"):
            self.chat(question)
        elif path.endswith("/images/generations"):
            address = f"{self.services.url}/images/{self.services.note('image')}.png"
            self.answer(200, {"data": [{"url": address}]})
        elif path.endswith("/search"):
            self.services.note("search")
            self.answer(200, {"answer": "概述", "results": FOUND, "images": []})
        else:
            self.answer(404, {"error": {"message": "no such path"}})

    def chat(self, question: dict[str, Any]) -> None:
        """Answer as the language model, or fail as the topic asks."""
        prompt = "\n".join(str(message["content"]) for message in question["messages"])
        topic = topic_of(prompt)
        if "HANG" in topic:
            self.services.note("hang")
            self.services.pause(self.services.hang_seconds)
        kind, reply = reply_to(prompt)
        status = self.refusal(topic, kind)
        if status:
            self.services.note("fail")
            self.answer(status, {"error": {"message": "refused by the stand-in", "type": "invalid_request_error"}})
            return
        self.services.note(kind)
        slow = re.search(r"SLOW(\d+)", topic)
        if kind == "write":
            self.services.articles.append(reply)
            self.services.wait_for_release()
            self.services.pause(float(slow.group(1)) if slow else 0.0)
        if question.get("stream"):
            self.stream(reply)
        else:
            self.answer(200, completion(reply))

    def refusal(self, topic: str, kind: str) -> int:
        """The HTTP status a topic asks to be refused with, or 0."""
        if "FAIL5XX" in topic:
            return 503
        if re.search(r"FAIL(?!QC|5XX)", topic) or (kind == "organize" and self.services.flaky(topic)):
            return 400
        return 0

    def stream(self, reply: str) -> None:
        """Send the reply as server-sent events, one at a time.

        The creator's reader loses an event that arrives in two reads, so the next one is written only when the client
        has taken the one before out of its socket, whole.
        """
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        pieces = [reply[at : at + STEP_CHARACTERS] for at in range(0, len(reply), STEP_CHARACTERS)]
        for piece in pieces:
            self.event(dumps({"choices": [{"index": 0, "delta": {"content": piece}, "finish_reason": None}]}))
        usage = {"prompt_tokens": 1, "completion_tokens": len(reply), "total_tokens": len(reply) + 1}
        self.event(dumps({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": usage}))
        self.event("[DONE]")
        self.close_connection = True

    def event(self, data: str) -> None:
        """Write one event and wait, for a bounded time, until the client has read it."""
        self.wait_until_read()
        self.wfile.write(f"data: {data}\n\n".encode())

    def wait_until_read(self) -> None:
        deadline = time.monotonic() + READ_SECONDS
        while unread(self.connection) and time.monotonic() < deadline and not self.services.closing.is_set():
            time.sleep(0.001)

    def answer(self, status: int, body: object) -> None:
        """A whole JSON answer."""
        self.send(status, dumps(body).encode(), "application/json")

    def send(self, status: int, data: bytes, kind: str) -> None:
        """A whole answer."""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def unread(connection: socket.socket) -> bool:
    """Whether bytes sent on a loopback connection still wait here or in the client's socket (from /proc/net/tcp)."""
    waiting = array.array("i", [0])
    fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, waiting)
    if waiting[0]:
        return True
    client, ours = (f"{name[1]:04X}" for name in (connection.getpeername(), connection.getsockname()))
    for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]:
        fields = line.split()
        if fields[1].endswith(":" + client) and fields[2].endswith(":" + ours):
            return int(fields[4].partition(":")[2], 16) > 0
    return False
