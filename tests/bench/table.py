"""What was measured, as a table for the terminal and for the document."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One measure: ours beside what it is compared with in the same run."""

    what: str
    ours: str
    reference: str = ""
    ratio: float | None = None
    target: str = ""
    met: bool | None = None
    """None: there is no target, the number is only told."""

    @property
    def cells(self) -> tuple[str, ...]:
        """As text, in the order of ``HEADS``."""
        verdict = {True: "yes", False: "no", None: ""}[self.met]
        return self.what, self.ours, self.reference, f"{self.ratio:.2f}" if self.ratio else "", self.target, verdict


HEADS = ("what", "ours", "reference", "ratio", "target", "met")


def middle(values: Iterable[float]) -> float:
    """The median."""
    return median(values)


def quantile(values: Sequence[float], part: float) -> float:
    """The value below which ``part`` of the values lie."""
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


def plain(lines: Sequence[Line]) -> str:
    """Columns for a terminal."""
    rows = [HEADS, *(line.cells for line in lines)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADS))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def markdown(lines: Sequence[Line]) -> str:
    """The same for the document."""
    rows = [HEADS, ("---",) * len(HEADS), *(line.cells for line in lines)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
