"""docs/benchmarks.md, written anew by each complete run."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from textwrap import fill

from tests.bench.place import cores
from tests.bench.table import Line, markdown

WIDTH = 120
SOAK = "\n## Soak\n"
"""Written down by hand after each long run, and kept."""
HEAD = """# Benchmarks

Made by `make bench` on {date}, on a virtual machine with {cores} cores{load}; the private PostgreSQL with its default
durability. Each measure is taken in turn with its reference, and the numbers are medians: compare the ratios, not
the absolute numbers, which drift from machine to machine. A target that is missed is told, it fails nothing.
"""
SECTIONS: Mapping[str, tuple[str, str]] = {
    "throughput": (
        "Throughput",
        "A creator that takes no time, sync mode, five at once. The reference runs the same two commands of each task "
        "(create, result) in the same way and records nothing; ours also claims, settles, stores attempt, content, "
        "pool entry and facts, and publishes meanwhile. A task costs two children; the target is the goal for "
        "a task of one child.",
    ),
    "submit": (
        "Submitting",
        "One request after another over the Unix socket, tasks recorded durably with their facts, against inserting "
        "one short row into a table with one index on the same server.",
    ),
    "dispatch": (
        "Dispatch on an idle system",
        "From the client's request to the first instruction of the creator's process, which writes the time down "
        "itself. Two durable commits lie in between: the task, and the claim.",
    ),
    "idle": (
        "Idle",
        "The bundled simulator in async mode, started on an existing database, after ten tasks, with the connections "
        "open; the creator's worker is not counted. PSS counts shared pages once.",
    ),
    "cli": ("Command line", "A whole process: start, ask, print, end."),
    "makespan": (
        "Polling, in virtual time",
        "The real stages on a real PostgreSQL with a moved clock and a creator that needs exactly its time; nothing "
        "is known about durations when the run begins. Polling every 30 s is computed for comparison (articles of "
        "exactly 240 s happen to end on its beat).",
    ),
    "plan": (
        "The plan's own numbers",
        "One run of the daemon with the bundled simulator in async mode, worker included. Articles an hour follow "
        "from how long one takes: with five places, 240 s each can never be more than 75.",
    ),
}


def write(path: Path, found: Mapping[str, Sequence[Line]], load: float) -> None:
    """Every section that was measured, and last what `make soak` found; ``load`` is what others used when it began."""
    busy = f" (busy with other work: load {load:.1f} at the start)" if load > 1 else ""
    title, _, text = HEAD.format(date=f"{datetime.now(UTC):%Y-%m-%d}", cores=cores(), load=busy).partition("\n\n")
    parts = [f"{title}\n\n{fill(text, WIDTH)}\n"]
    for name, lines in found.items():
        title, text = SECTIONS[name]
        parts.append(f"## {title}\n\n{fill(text, WIDTH)}\n\n{markdown(lines)}\n")
    _, soak, figures = path.read_text(encoding="utf-8").partition(SOAK)
    path.write_text("\n".join(parts) + soak + figures, encoding="utf-8")
