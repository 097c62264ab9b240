"""Logs: events in the past tense with their facts beside them; for people on a terminal, as JSON lines otherwise.

A log that cannot be written, because its disk is full or its reader is gone, must not end the work it tells of, and
an error raised by a line of log would look like a failure of what was just done. Such lines are lost and counted, and
the number is told with the first line that can be written again.
"""

import logging
import os
import sys
import threading

import structlog


class Lines:
    """A logger for structlog that writes whole lines to a file descriptor; never raises for an OSError."""

    def __init__(self, descriptor: int) -> None:
        self.lost = 0
        """Lines that could not be written since the last one that could."""
        self._descriptor = descriptor
        self._torn = False
        self._lock = threading.Lock()

    def msg(self, line: str) -> None:
        """Write one line, or count it."""
        with self._lock:
            data = f"{line}\n".encode("utf-8", "backslashreplace")
            lost = f'{{"event": "log_lines_lost", "level": "error", "lines": {self.lost}}}\n'.encode()
            try:
                self._write((b"\n" if self._torn else b"") + (lost if self.lost else b""))
                self.lost = 0
                self._write(data)
            except OSError:  # there is no other place to tell it; it is counted, and told when there is one again
                self.lost += 1

    def _write(self, data: bytes) -> None:
        while data:
            written = os.write(self._descriptor, data)
            self._torn = not data[:written].endswith(b"\n")
            data = data[written:]

    debug = info = warning = error = critical = exception = msg


def configure(level: str, style: str) -> None:
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
            *([] if console else [structlog.processors.format_exc_info]),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=lambda *_: lines,
        cache_logger_on_first_use=True,
    )
