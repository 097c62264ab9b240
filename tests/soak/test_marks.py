"""The long run is only as good as its judgement: what has grown must be called so."""

from dataclasses import replace
from typing import Any

import pytest

from tests.soak.marks import Mark, faults, plain

FLAT = Mark(
    tasks=1_000, rss_mb=90.0, pss_mb=80.0, database_mb=50.0, files=18, threads=3, children=0, tasks_a_second=100.0,
    door_ms=20.0, list_ms=4.0, stats_ms=2.0, one_task_ms=20.0,
)  # fmt: skip


def judged(**changes: Any) -> list[str]:
    return faults([FLAT, replace(FLAT, tasks=10_000, rss_mb=100.0), replace(FLAT, tasks=100_000, **changes)])


def test_what_stays_is_no_fault() -> None:
    assert judged(rss_mb=104.9, files=22) == []


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"rss_mb": 105.1}, "Memory"),
        ({"files": 23}, "files"),
        ({"threads": 8}, "Threads"),
        ({"children": 1}, "children"),
    ],
)
def test_what_grew_is_told(changes: dict[str, float], word: str) -> None:
    (fault,) = judged(**changes)
    assert word in fault


def test_a_short_run_is_compared_with_its_first_mark() -> None:
    assert faults([FLAT, replace(FLAT, tasks=2_000, rss_mb=95.0)])
    assert faults([FLAT]) == []


def test_the_table_has_a_line_for_every_mark() -> None:
    assert len(plain([FLAT, FLAT]).splitlines()) == 3
