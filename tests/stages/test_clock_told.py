"""A step of the wall clock is noticed, logged once and told; the slow corrections of NTP are not."""

import pytest
from structlog.testing import capture_logs

from contenthubd.runtime.steps import TOLD_FOR, ClockSteps
from tests.clock import ManualClock


@pytest.mark.parametrize("by", [-3600, -90, -1, 1, 90, 3600])
def test_a_step_is_noticed_once(by: int) -> None:
    clock = ManualClock()
    steps = ClockSteps(clock)
    clock.step(by)
    with capture_logs() as logs:
        for _ in range(3):
            clock.advance(5)
            steps.look()
    assert [(entry["event"], entry["by_seconds"]) for entry in logs] == [("clock_stepped", by)]
    found = steps.last()
    assert found is not None
    assert found.by.total_seconds() == by
    clock.advance(TOLD_FOR.total_seconds() + 1)
    assert steps.last() is None


def test_time_that_passes_and_small_corrections_are_no_steps() -> None:
    clock = ManualClock()
    steps = ClockSteps(clock)
    with capture_logs() as logs:
        for _ in range(1000):
            clock.advance(5)
            clock.step(0.01)
            steps.look()
    assert (logs, steps.last()) == ([], None)
