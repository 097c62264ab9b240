"""Who is at the door: how many at once, and how long each may take.

A connection costs a descriptor, and a daemon without descriptors is deaf, so at most ``Limits.connections`` are open.
One more takes the place of the connection that has waited longest without a complete request; a request that is being
answered never loses its place. Only if all of them are being answered is the new one refused, with 503. What is sent
or read too slowly is ended, so that no connection holds its place without end.
"""

import asyncio
import resource
from dataclasses import dataclass
from typing import Any, Final

import structlog
from aiohttp import web
from aiohttp.http import HttpProcessingError

from contenthubd.control.peer import Peer, Users, has_bytes, hung_up, peer_of
from contenthubd.control.problems import (
    IncompleteRequest,
    RequestTimeout,
    TooManyConnections,
    as_problem,
    failed,
    protocol_problem,
    raw_problem,
)

log = structlog.get_logger(__name__)

MOST: Final = 512
LEAST: Final = 16
QUIET_SECONDS: Final = 10.0
"""A full door is told once in this time, however many knock."""
LOOKS: Final = 4
"""How often a time limit is looked at before it is over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one door bears; all times in seconds."""

    connections: int = MOST
    idle_seconds: float = 60.0
    """Without a byte of a request."""
    request_seconds: float = 10.0
    """From the first byte of a request to the end of its headers."""
    body_seconds: float = 60.0
    """From there to the end of the body."""
    send_seconds: float = 60.0
    """Until the client has read an answer."""


def limits_here() -> Limits:
    """Half of the descriptors this process may open are left to the database, children, images and the log."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return Limits(connections=MOST if soft == resource.RLIM_INFINITY else min(MOST, max(LEAST, soft // 2)))


class Connections:
    """All connections of one door, oldest first; a protocol factory for asyncio once ``serve`` was called."""

    def __init__(self, limits: Limits, **options: Any) -> None:
        self.limits = limits
        self.refused = 0
        """Connections answered with 503 since the start."""
        self.displaced = 0
        """Idle connections that gave up their place since the start."""
        self.ended = 0
        """Connections that were ended for being slow since the start."""
        self.full_at: float | None = None
        """When a connection was last refused, by the loop's clock."""
        self.users = Users()
        """The names of those who ask."""
        self._options = options
        self._inside: dict[Visitor, None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._quiet_until = 0.0

    def serve(self, requests: web.Server, loop: asyncio.AbstractEventLoop) -> None:
        """Have requests answered by aiohttp's own server, which runs the handlers."""
        self._requests, self._loop = requests, loop

    def __call__(self) -> "Visitor":
        """A protocol for the next connection."""
        return Visitor(self, self._requests, self._loop, **self._options)

    @property
    def now(self) -> float:
        """The loop's clock, in seconds."""
        return self._loop.time()

    @property
    def count(self) -> int:
        """Connections that are open."""
        return len(self._inside)

    @property
    def seconds_since_full(self) -> float | None:
        """How long ago a connection was last refused; None if none was."""
        return None if self.full_at is None else self._loop.time() - self.full_at

    def admit(self, visitor: "Visitor") -> bool:
        """Give it a place, if need be that of an idle one; False if there is none."""
        if len(self._inside) >= self.limits.connections:
            waiting = sorted((one for one in self._inside if not one.busy), key=lambda one: one.since)
            idle = next((one for one in waiting if not one.sent_more()), None)
            if idle is None:
                self.refused += 1
                self.full_at = self._loop.time()
                self._tell()
                return False
            self.displaced += 1
            idle.abort()
            self._tell()
        self._inside[visitor] = None
        if self._timer is None:
            self._look_later()
        return True

    def forget(self, visitor: "Visitor") -> None:
        """It is gone."""
        self._inside.pop(visitor, None)

    def close(self) -> None:
        """End every connection that is left, whatever is still to be sent."""
        if self._timer is not None:
            self._timer.cancel()
        for one in list(self._inside):
            one.abort()

    def _look_later(self) -> None:
        shortest = min(self.limits.request_seconds, self.limits.send_seconds)
        self._timer = self._loop.call_later(shortest / LOOKS, self._look)

    def _look(self) -> None:
        self._timer = None
        now = self._loop.time()
        for one in list(self._inside):
            slow = one.slow(now)
            if slow:
                self.ended += 1
                log.info("slow_connection_ended", why=slow, peer=one.peer.by if one.peer else "", ended=self.ended)
        if self._inside:
            self._look_later()

    def _tell(self) -> None:
        if self._loop.time() >= self._quiet_until:
            self._quiet_until = self._loop.time() + QUIET_SECONDS
            log.warning(
                "connections_full", limit=self.limits.connections, refused=self.refused, displaced=self.displaced
            )


class Visitor(web.RequestHandler):
    """One connection."""

    def __init__(
        self, door: Connections, requests: web.Server, loop: asyncio.AbstractEventLoop, **options: Any
    ) -> None:
        super().__init__(requests, loop=loop, keepalive_timeout=door.limits.idle_seconds, **options)
        self.busy = False
        """Whether a request of it is being answered."""
        self.since = loop.time()
        """Since when it has been idle or busy."""
        self.peer: Peer | None = None
        """Who is at the other end; None before the connection is made."""
        self._door = door
        self._wire: asyncio.Transport | None = None
        self._inside = False
        self._sent_all = False
        self._body: Any = None
        self._begun_at: float | None = None
        self._unread_since: float | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a place, or be refused."""
        if not isinstance(transport, asyncio.Transport):
            raise TypeError("A door needs stream sockets.")
        self._wire = transport
        self.peer = peer_of(transport.get_extra_info("socket"))
        self._inside = self._door.admit(self)
        if self._inside:
            super().connection_made(transport)
            return
        most = self._door.limits.connections
        transport.write(raw_problem(_full(most)))
        transport.close()

    def data_received(self, data: bytes) -> None:
        """Note when a request begins."""
        if not self._inside:
            return
        if data and self._begun_at is None and not self.busy and not self._lingers:
            self._begun_at = self._door.now
        super().data_received(data)
        if self._messages and not self.busy:  # its headers are complete: it keeps its place until it is answered
            self.begin()
        for _, body in list(self._messages):
            if self._lingers and body is not self._body:  # aiohttp found a fault in it and reads no more of it
                self._body.set_exception(HttpProcessingError(code=400, message="The body cannot be read."))
            self._body = body

    def eof_received(self) -> bool:  # type: ignore[override]  # aiohttp leaves every such connection to be closed
        """A client that only stopped sending gets its answers; True keeps the connection open for them."""
        if not self._inside or self._wire is None or self._parser is None or self._gone():
            return False
        self._sent_all = True
        try:
            self._parser.feed_eof()
        except HttpProcessingError as fault:  # the body of its last request is not complete
            if self._body is not None:  # none when what came never was a request
                self._body.set_exception(fault)
        if not self._idle:
            self._end_after_the_last()
            return True
        if self._begun_at is not None:
            self._wire.write(raw_problem(IncompleteRequest("The connection was closed in the middle of a request.")))
        return False

    @property
    def _idle(self) -> bool:
        """Whether aiohttp waits for the next request."""
        return self._waiter is not None and not self._messages

    @property
    def _lingers(self) -> bool:
        """Whether the rest of a body is still to come, which is read even when its request was answered already."""
        return self._body is not None and not self._body.is_eof()

    def _gone(self) -> bool:
        """Whether the client reads no answer any more."""
        return self._wire is None or hung_up(self._wire.get_extra_info("socket"))

    def sent_more(self) -> bool:
        """Whether something of it has come that nobody has read yet, as from one who has just been let in."""
        return self._wire is not None and has_bytes(self._wire.get_extra_info("socket"))

    def connection_lost(self, exc: BaseException | None) -> None:
        """Give the place back."""
        self._door.forget(self)
        super().connection_lost(exc)

    def begin(self) -> None:
        """A request is complete up to its headers and is being answered, or will be next."""
        self.busy, self.since, self._begun_at = True, self._door.now, None

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Every refusal leaves as a problem, whoever made it."""
        told = as_problem(request, resp)
        if self._sent_all and not self._messages and not told.prepared:
            told.force_close()
        try:
            return await super().finish_response(request, told, start_time)
        finally:
            self.busy, self.since, self._begun_at = bool(self._messages), self._door.now, None
            self._end_after_the_last()

    def _end_after_the_last(self) -> None:
        """Nothing comes any more and everything is answered: close as soon as aiohttp has read what nobody wants."""
        if self._sent_all and not self.busy and not self._messages:
            self.close()

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """What is no HTTP is refused without a line of log; a defect outside of every handler is told once."""
        if status < 500:
            return protocol_problem(status, message or "")
        told = failed(request, exc if exc is not None else RuntimeError(message))
        told.force_close()
        return told

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """A body that cannot be read to its end has been answered; everything else is a defect, told once."""
        fault = kw.get("exc_info")
        if not isinstance(fault, web.RequestPayloadError | HttpProcessingError | ConnectionError):
            log.error("connection_failed", peer=self.peer.by if self.peer else "", exc_info=fault)

    def slow(self, now: float) -> str:
        """End it if its time is over; why, or nothing."""
        wire, limits = self._wire, self._door.limits
        if wire is None:
            return ""
        if self._sent_all and (self._idle or self._gone()):
            self.abort()
            return ""
        if wire.get_write_buffer_size() or wire.is_closing():
            self._unread_since = now if self._unread_since is None else self._unread_since
            if now - self._unread_since < limits.send_seconds:
                return ""
            self.abort()
            return f"The answer was not read within {limits.send_seconds:g} seconds."
        self._unread_since = None
        if self.busy or self._begun_at is None or now - self._begun_at < limits.request_seconds:
            return ""
        late = RequestTimeout(f"The request was not complete within {limits.request_seconds:g} seconds.")
        wire.write(raw_problem(late))
        self.force_close()
        return late.what

    def abort(self) -> None:
        """Close it now, whatever is still to be sent."""
        self._door.forget(self)
        self.force_close()
        if self._wire is not None:
            self._wire.abort()


def _full(most: int) -> TooManyConnections:
    return TooManyConnections(
        f"contenthubd is answering {most} connections, the maximum.",
        why="Each connection takes a file descriptor; the limit keeps some for the database and for child processes.",
        fix="Try again later. `contenthubctl health` shows the number; raise LimitNOFILE in the unit if it is normal.",
    )
