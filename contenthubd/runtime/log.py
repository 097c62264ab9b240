"""Logs: events in the past tense with their facts beside them; for people on a terminal, as JSON lines otherwise.

A log that cannot be written, because its disk is full or its reader is gone, must not end the work it tells of, and
an error raised by a line of log would look like a failure of what was just done. A reader that only stopped reading
must not stop the event loop either. Lines that find no room are lost and counted, and the number is told with the
first line that can be written again.
"""

import logging
import os
import select
import sys
import threading
from collections import deque
from typing import Final

import structlog

from contenthubd import streams

MAX_WAITING_BYTES: Final = 1_000_000
"""Lines that wait for a reader; later ones are lost."""
AT_ONCE_BYTES: Final = 4096
"""A pipe that is ready to be written takes this much without waiting (PIPE_BUF of Linux)."""
FLUSH_SECONDS: Final = 2.0


class Lines:
    """A logger for structlog that writes whole lines to a file descriptor; never waits, never raises for an OSError.

    A line is written at once where that cannot block. Otherwise a thread of its own writes it and every later one
    until all are written, so their order stays.
    """

    def __init__(self, descriptor: int) -> None:
        self.lost = 0
        """Lines that could not be written since the last one that could."""
        self._descriptor = descriptor
        self._slow = os.isatty(descriptor)  # a stopped terminal says it is ready, and then is not
        self._ready = select.poll()
        self._ready.register(descriptor, select.POLLOUT)
        self._torn = False
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._changed = threading.Condition()
        self._writer: threading.Thread | None = None

    def msg(self, line: str) -> None:
        """Write one line, hand it to the thread, or count it."""
        data = f"{line}\n".encode("utf-8", "backslashreplace")
        with self._changed:
            if self._waiting or not self._takes(len(data)):
                self._hand_over(data)
            else:
                self._put(data)

    def flush(self, seconds: float = FLUSH_SECONDS) -> bool:
        """Wait until every line is written, at most that long; whether they are."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting, seconds)

    def _takes(self, size: int) -> bool:
        return not self._slow and size <= AT_ONCE_BYTES and bool(self._ready.poll(0))

    def _hand_over(self, data: bytes) -> None:
        if self._waiting_bytes + len(data) > MAX_WAITING_BYTES:
            self.lost += 1
            return
        self._waiting.append(data)
        self._waiting_bytes += len(data)
        if self._writer is None:
            self._writer = threading.Thread(target=self._write_on, name="log", daemon=True)
            self._writer.start()
        self._changed.notify_all()

    def _write_on(self) -> None:
        """The thread: the first waiting line stays in place while it is written, so that none overtakes it."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._waiting))
                data = self._waiting[0]
            self._put(data)
            with self._changed:
                self._waiting.popleft()
                self._waiting_bytes -= len(data)
                self._changed.notify_all()

    def _put(self, data: bytes) -> None:
        lost = self.lost
        told = f'{{"event": "log_lines_lost", "level": "error", "lines": {lost}}}\n'.encode() if lost else b""
        try:
            self._write((b"\n" if self._torn else b"") + told)
            with self._changed:
                self.lost -= lost
            self._write(data)
        except OSError:  # there is no other place to tell it; it is counted, and told when there is one again
            with self._changed:
                self.lost += 1

    def _write(self, data: bytes) -> None:
        while data:
            written = os.write(self._descriptor, data)
            self._torn = not data[:written].endswith(b"\n")
            data = data[written:]

    debug = info = warning = error = critical = exception = msg


def _harmless(_logger: object, _name: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Foreign text in a log must not steer the terminal it is shown on."""
    return {name: streams.visible(value) if isinstance(value, str) else value for name, value in event.items()}


def configure(level: str, style: str) -> Lines:
    """Set up structlog; ``style`` is auto (console on a terminal, else json), console or json. Logs go to stderr."""
    console = style == "console" or (style == "auto" and sys.stderr.isatty())
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer() if console else structlog.processors.JSONRenderer(ensure_ascii=False)
    )
    lines = Lines(sys.stderr.fileno())
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.StackInfoRenderer(),
            *([_harmless] if console else [structlog.processors.format_exc_info]),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=lambda *_: lines,
        cache_logger_on_first_use=True,
    )
    return lines
