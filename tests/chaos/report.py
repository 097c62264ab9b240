"""What a run came to, as tables for a terminal."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tests.chaos.invariants import DOUBLED, LOST
from tests.invariants import Finding, as_table

SHOWN = 5
"""How many of those who break a rule are told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything worth telling. Times in seconds, memory in MB."""

    seed: int
    seconds: float
    faults: Counter[str]
    states: Mapping[str, int]
    repeats: int
    attempts: int
    exits: Counter[int]
    longest_stall: float
    lines_a_second: int
    peak_memory: float
    findings: Sequence[Finding]
    stuck: Sequence[str] = ()

    @property
    def sound(self) -> bool:
        """Whether nothing was lost, doubled or left."""
        return not self.stuck and not any(finding.offenders for finding in self.findings)

    def __str__(self) -> str:
        parts = [_table("faults injected", sorted(self.faults.items()))]
        parts.append(_table("tasks by state", sorted(self.states.items())))
        parts.append(_table("figures", self._figures()))
        parts.append(f"invariants\n{as_table([_short(finding) for finding in self.findings])}")
        if self.stuck:
            parts.append("\n".join(["stuck", *_first(self.stuck)]))
        return "\n\n".join(parts)

    def _figures(self) -> list[tuple[str, object]]:
        offenders = {finding.name: len(finding.offenders) for finding in self.findings}
        return [
            ("tasks", sum(self.states.values())),
            ("faults", sum(self.faults.values())),
            ("seconds", f"{self.seconds:.0f}"),
            ("lost", offenders[LOST]),
            ("doubled", offenders[DOUBLED]),
            ("attempts", self.attempts),
            ("submits repeated by the client", self.repeats),
            ("daemon restarts", ", ".join(f"{count} after {_code(code)}" for code, count in self.exits.items()) or "0"),
            ("longest stall while healthy", f"{self.longest_stall:.1f} s"),
            ("log lines a second, at most", self.lines_a_second),
            ("daemon's peak memory", f"{self.peak_memory:.0f} MB"),
        ]


def _short(finding: Finding) -> Finding:
    return replace(finding, offenders=_first(finding.offenders))


def _first(lines: Sequence[str]) -> list[str]:
    more = len(lines) - SHOWN
    return [*lines[:SHOWN], *([f"and {more} more"] if more > 0 else [])]


def _code(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"


def _table(title: str, rows: Sequence[tuple[str, object]]) -> str:
    width = max((len(name) for name, _ in rows), default=0)
    return "\n".join([title, *(f"  {name.ljust(width)}  {value}" for name, value in rows)])
