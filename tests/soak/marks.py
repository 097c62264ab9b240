"""What is counted when so many tasks are done, how it is printed, and what of it is a fault."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

MEMORY_RATIO = 1.05
WARM_TASKS = 10_000
"""Until then heaps and caches find their size; from here on nothing may grow."""
SPARE_FILES = 4
"""One more connection to the database in the pool is no leak; one descriptor lost in a thousand tasks would be 99."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """One idle moment. Memory in MB, times in milliseconds; medians of several looks."""

    tasks: int
    rss_mb: float
    pss_mb: float
    database_mb: float
    """PSS of the private PostgreSQL, all processes together."""
    files: int
    threads: int
    children: int
    tasks_a_second: float
    """Since the mark before, published files included."""
    door_ms: float
    """The slowest answer of the door to the simplest question since the mark before: the event loop was not away
    for longer."""
    list_ms: float
    stats_ms: float
    one_task_ms: float
    """From handing in one task on the idle daemon until it is settled: submit, claim, two children, settle."""

    @property
    def figures(self) -> dict[str, float]:
        """By name."""
        return asdict(self)


COLUMNS = {
    "tasks": ("tasks", ",.0f"),
    "RSS": ("rss_mb", ".1f"),
    "PSS": ("pss_mb", ".1f"),
    "PostgreSQL": ("database_mb", ".1f"),
    "fds": ("files", "d"),
    "threads": ("threads", "d"),
    "children": ("children", "d"),
    "tasks/s": ("tasks_a_second", ".0f"),
    "slowest request on the control socket": ("door_ms", ".0f"),
    "list": ("list_ms", ".1f"),
    "stats": ("stats_ms", ".1f"),
    "one task": ("one_task_ms", ".1f"),
}


def plain(marks: Sequence[Mark]) -> str:
    """Columns for a terminal: memory in MB, times in ms."""
    rows = [list(COLUMNS)] + [[format(mark.figures[name], form) for name, form in COLUMNS.values()] for mark in marks]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)


def faults(marks: Sequence[Mark]) -> list[str]:
    """What grew between the mark at ``WARM_TASKS`` (or the first, in a short run) and the last, one sentence each."""
    warm = [mark for mark in marks[:-1] if mark.tasks <= WARM_TASKS] or marks
    first, last = warm[-1], marks[-1]
    found = []
    if last.rss_mb > first.rss_mb * MEMORY_RATIO:
        found.append(f"Memory grew from {first.rss_mb:.1f} to {last.rss_mb:.1f} MB.")
    if last.files > first.files + SPARE_FILES:
        found.append(f"Open files grew from {first.files} to {last.files}.")
    if last.threads > first.threads + SPARE_FILES:
        found.append(f"Threads grew from {first.threads} to {last.threads}.")
    if last.children:
        found.append(f"{last.children} children of the idle daemon are left.")
    return found
