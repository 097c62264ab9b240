"""Promote: tasks whose retry time has come go back into the queue."""

from collections.abc import Callable
from datetime import timedelta
from typing import Final

import structlog

from contenthubd import faultpoints
from contenthubd.ports.clock import Clock
from contenthubd.ports.queue import TaskQueue
from contenthubd.ports.stage import Stage, Wake
from contenthubd.ports.tasks import TaskStore

IDLE: Final = timedelta(seconds=30)
HELD: Final = timedelta(seconds=1)
LIMIT: Final = 500
log = structlog.get_logger(__name__)


class Promote:
    """``retrying`` → ``pending``."""

    def __init__(
        self, tasks: TaskStore, queue: TaskQueue, clock: Clock, wake: Wake, *, longest: Callable[[], timedelta]
    ) -> None:
        self._tasks = tasks
        self._queue = queue
        self._clock = clock
        self._wake = wake
        self._longest = longest

    async def tick(self) -> timedelta:
        """Promote what is due; wait for the next one."""
        now = self._clock.now()
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
