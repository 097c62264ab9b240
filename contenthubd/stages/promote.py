"""Promote: tasks whose retry time has come go back into the queue.

Plans follow the wall clock. When it is set back, what was planned before would come late by as much: it is moved with
the clock, here for all plans. When it is set forward, some of them come early, which is left so.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog

from contenthubd import faultpoints
from contenthubd.ports.clock import Clock
from contenthubd.ports.queue import TaskQueue
from contenthubd.ports.stage import Stage, Wake
from contenthubd.ports.tasks import PlanStore, TaskStore

IDLE: Final = timedelta(seconds=30)
HELD: Final = timedelta(seconds=1)
LIMIT: Final = 500
LEAST_STEP: Final = timedelta(seconds=1)
log = structlog.get_logger(__name__)


class Promote:
    """``retrying`` → ``pending``."""

    def __init__(
        self,
        tasks: TaskStore,
        plans: PlanStore,
        queue: TaskQueue,
        clock: Clock,
        wake: Wake,
        *,
        longest: Callable[[], timedelta],
    ) -> None:
        self._tasks = tasks
        self._plans = plans
        self._queue = queue
        self._clock = clock
        self._wake = wake
        self._longest = longest
        self._distance = self._read_distance()

    async def tick(self) -> timedelta:
        """Promote what is due; wait for the next one."""
        now = self._clock.now()
        await self._follow_clock(now)
        promoted, following = await self._tasks.promote(now, LIMIT, longest=self._longest())
        if promoted:
            faultpoints.reached("promote.written")
            await self._queue.put(promoted)
            log.info("tasks_promoted", count=len(promoted))
            self._wake(Stage.DISPATCH)
        if following is None:
            return IDLE
        # What is due and was not promoted is being changed by somebody else just now.
        return min(max(following - now, timedelta() if promoted else HELD), IDLE)

    async def _follow_clock(self, now: datetime) -> None:
        """Move all plans with a wall clock that was set back since the last tick."""
        distance = self._read_distance()
        back = self._distance - distance
        if back >= LEAST_STEP:
            await self._plans.set_back(back, now)
            log.info("plans_moved", by_seconds=-round(back.total_seconds(), 1))
            self._wake(Stage.PUBLISH)
            self._wake(Stage.FETCH)
        self._distance = distance

    def _read_distance(self) -> timedelta:
        """From the clock that nobody sets to the one on the wall."""
        return self._clock.now() - datetime.fromtimestamp(0, UTC) - self._clock.uptime()
