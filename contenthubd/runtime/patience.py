"""Waiting for the database at the start: a daemon that ends because its server is not there yet only ends again."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final, Generic, TypeVar

import anyio
import structlog
from anyio.abc import TaskStatus

from contenthubd.domain.errors import ContentHubError, DatabaseRefused, DatabaseUnavailable
from contenthubd.runtime import lifecycle

FIRST_PAUSE: Final = timedelta(seconds=0.5)
LONGEST_PAUSE: Final = timedelta(seconds=30)
GRACE_SECONDS: Final = 120
"""How long systemd is asked to wait for us at every try; longer than a pause and a try together."""
T = TypeVar("T")
Waits = Callable[[DatabaseUnavailable], Awaitable[None]]
log = structlog.get_logger(__name__)


class StopAsked(Exception):
    """SIGTERM or SIGINT came while the database was awaited: no fault, but the end of the start."""


async def patiently(call: Callable[[], Awaitable[T]], waits: Waits) -> T:
    """The answer of ``call``, however long PostgreSQL is away. StopAsked if we are told to stop meanwhile.

    Logged once when the waiting begins and once when it is over; ``waits`` is told of every failure. Every other error
    is the caller's, and so is a server that answers but refuses us: waiting does not help against that.
    """
    try:
        return await call()
    except DatabaseRefused:
        raise
    except DatabaseUnavailable as fault:
        cause = str(fault)
        await waits(fault)
    waiting = _Waiting(call, waits)
    async with anyio.create_task_group() as group:
        await group.start(waiting.listen, group.cancel_scope)  # whoever reads the line may stop us
        log.warning("waiting_for_database", error=cause)
        group.start_soon(waiting.try_again, group.cancel_scope)
    if waiting.fault is not None:
        raise waiting.fault
    if not waiting.answers:
        raise StopAsked
    log.info("database_answered")
    return waiting.answers[0]


class _Waiting(Generic[T]):
    """Tries on one side, signals on the other; whoever is first ends both."""

    def __init__(self, call: Callable[[], Awaitable[T]], waits: Waits) -> None:
        self._call = call
        self._waits = waits
        self.answers: list[T] = []
        self.fault: ContentHubError | None = None

    async def try_again(self, both: anyio.CancelScope) -> None:
        pause = FIRST_PAUSE
        while not self.answers and self.fault is None:
            lifecycle.notify(f"STATUS=Waiting for PostgreSQL.\nEXTEND_TIMEOUT_USEC={GRACE_SECONDS * 1_000_000}")
            await anyio.sleep(pause.total_seconds())
            pause = min(pause * 2, LONGEST_PAUSE)
            try:
                self.answers.append(await self._call())
            except DatabaseRefused as fault:
                self.fault = fault
            except DatabaseUnavailable as fault:
                await self._waits(fault)
            except ContentHubError as fault:
                self.fault = fault
        both.cancel()

    async def listen(self, both: anyio.CancelScope, *, task_status: TaskStatus[None]) -> None:
        async for number in lifecycle.signals(task_status.started):
            if lifecycle.stops(number):
                both.cancel()
