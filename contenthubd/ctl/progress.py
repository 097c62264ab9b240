"""How a watch shows what it sees: a bar on a terminal, one line per change everywhere else, nothing with --quiet."""

import os
import sys
import time
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Protocol, Self

from contenthubd.ctl.layout import cut, hang
from contenthubd.ctl.output import Output, printable, short
from contenthubd.ctl.times import duration
from contenthubd.ctl.words import IN_FLIGHT, stuck, usual, waiting, why

FINAL = frozenset({"completed", "failed", "timeout", "cancelled"})
ORDER = ("running", "submitted", "submitting", "pending", "retrying", "completed", "failed", "timeout", "cancelled")
TOPIC_COLUMNS = 44
BAR_COLUMNS = 20


class Progress(Protocol):
    """Shows replies of the wait route."""

    every: float
    """Seconds after which it wants to be shown again, even if nothing changed."""

    def __enter__(self) -> "Progress":
        """Begin to show."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the terminal as it was."""

    def show(self, reply: dict[str, Any]) -> None:
        """What changed, and where the whole stands."""

    def say(self, text: str) -> None:
        """A remark."""


def progress_for(output: Output) -> Progress:
    """The one that fits where stderr goes."""
    if sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb" and not output.quiet:
        return Drawn()
    return Lines(output)


class Changes:
    """Which tasks of a reply are really in another state than before: replies may tell a task twice."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[object, ...]] = {}
        self.tasks: dict[str, dict[str, Any]] = {}

    def of(self, reply: dict[str, Any]) -> list[dict[str, Any]]:
        """The tasks to tell about."""
        changed = []
        for task in reply["changed"]:
            self.tasks[task["id"]] = task
            one = stuck(task)
            now = (task["state"], task["attempt"], one and (one["state"], one["tries"]))
            if self._known.get(task["id"]) != now:
                self._known[task["id"]] = now
                changed.append(task)
        return changed


class Lines:
    """One line per change, for logs and pipes."""

    every = 3600.0

    def __init__(self, output: Output) -> None:
        self._output = output
        self._changes = Changes()
        self._started = time.monotonic()
        self._reason = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def show(self, reply: dict[str, Any]) -> None:
        """What changed."""
        done = finished(reply)
        for task in self._changes.of(reply):
            count = f"{done}/{reply['total']}  " if reply["total"] > 1 else ""
            self.say(f"{self._elapsed()}  {count}{short(task['id'])}  {told(task)}")
        reason = waiting(reply["waiting_for"])
        if reason != self._reason and (reply["waiting_for"] or {}).get("code") not in (None, "turn", "slot"):
            self.say(f"{self._elapsed()}  {reason}")
        self._reason = reason

    def _elapsed(self) -> str:
        return duration(time.monotonic() - self._started)

    def say(self, text: str) -> None:
        """A remark."""
        self._output.say(text)


class Drawn:
    """A bar that stays at the bottom; tasks that ended scroll by above it."""

    every = 1.0

    def __init__(self) -> None:
        from rich.console import Console  # heavy: only for a person at a terminal
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as Bar

        self._console = Console(stderr=True, highlight=False, markup=False)
        self._bar = Bar(
            BarColumn(bar_width=BAR_COLUMNS, complete_style="cyan", finished_style="green", pulse_style="cyan"),
            TextColumn("{task.description}", markup=False),
            console=self._console, auto_refresh=False, transient=True,
        )  # fmt: skip
        self._line = self._bar.add_task("connecting to the daemon", total=None)
        self._changes = Changes()
        self._started = time.monotonic()

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def show(self, reply: dict[str, Any]) -> None:
        """The bar, and above it what ended or will be tried again."""
        for task in self._changes.of(reply):
            if (task["state"] in FINAL | {"retrying"} and reply["total"] > 1) or stuck(task):
                self.say(f"{short(task['id'])}  {told(task)}")
        alone = next(iter(self._changes.tasks.values())) if reply["total"] == 1 else None
        text = self._single(alone, reply) if alone else self._several(reply)
        total, done = self._measure(alone) if alone else (reply["total"], finished(reply))
        if reply["all_final"] and not reply["settled"]:
            text += ", publishing"
        room = max(self._console.width - BAR_COLUMNS - 2, 1)
        self._bar.update(self._line, description=cut(printable(text), room), total=total, completed=done)
        self._bar.refresh()

    def say(self, text: str) -> None:
        """A remark, above the bar."""
        self._console.print(hang(printable(text), self._console.width), soft_wrap=True)

    def _single(self, task: dict[str, Any], reply: dict[str, Any]) -> str:
        if task["state"] in FINAL:
            return str(task["state"])
        if task["state"] not in IN_FLIGHT:
            reason = waiting(task["waiting_for"] if task["state"] == "retrying" else reply["waiting_for"])
            return ", ".join(part for part in (task["state"], reason) if part)
        elapsed = since(task["claimed_at"]) or 0.0
        return f"{task['state']}  {duration(elapsed)}{usual(elapsed, task['expected_seconds'])}"

    def _measure(self, task: dict[str, Any]) -> tuple[float | None, float]:
        """An article's bar is time: how much of what history expects is over; without history it only moves."""
        return task["expected_seconds"], since(task["claimed_at"]) or 0.0

    def _several(self, reply: dict[str, Any]) -> str:
        states = ", ".join(f"{reply['counts'][state]} {state}" for state in ORDER if reply["counts"].get(state))
        elapsed = duration(time.monotonic() - self._started)
        reason = waiting(reply["waiting_for"]) if not set(reply["counts"]) & IN_FLIGHT else ""
        return f"{finished(reply)}/{reply['total']}  {states}  {elapsed}  {reason}".rstrip()


def finished(reply: dict[str, Any]) -> int:
    """How many of those waited for are final."""
    return sum(count for state, count in reply["counts"].items() if state in FINAL)


def told(task: dict[str, Any]) -> str:
    """A task in one line."""
    text = f"{task['state']}  {cut(task['topic'], TOPIC_COLUMNS)}"
    reason = why(task)
    if reason:
        text += "  " + reason.partition("\n")[0]
    elif (task["expected_seconds"] or 0) >= 1 and task["state"] in ("submitted", "running"):
        text += f"  expected to take {duration(task['expected_seconds'])}"
    return text


def since(instant: str | None) -> float | None:
    """Seconds since an RFC 3339 time, None for none."""
    return (datetime.now(UTC) - datetime.fromisoformat(instant)).total_seconds() if instant else None
