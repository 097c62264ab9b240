"""Steer: what a person does to one task: cancel it, or have it tried again: a final one, or a retrying one at once."""

from uuid import UUID

import structlog

from contenthubd import faultpoints
from contenthubd.domain.errors import Conflict
from contenthubd.domain.task import Task, TaskEvent, TaskState, step
from contenthubd.ports.clock import Clock
from contenthubd.ports.queue import TaskQueue
from contenthubd.ports.stage import Stage, Wake
from contenthubd.ports.tasks import TaskStore
from contenthubd.stages.attempt import Attempts

log = structlog.get_logger(__name__)


class Steer:
    """Cancel and revive."""

    def __init__(self, tasks: TaskStore, queue: TaskQueue, attempts: Attempts, clock: Clock, wake: Wake) -> None:
        self._tasks = tasks
        self._queue = queue
        self._attempts = attempts
        self._clock = clock
        self._wake = wake

    async def cancel(self, task_id: UUID, *, by: str) -> Task:
        """Cancel a task that is not final; Conflict. Our own child is killed, the creator's worker goes on."""
        cancelled = await self._tasks.cancel(task_id, self._clock.now(), by)
        if cancelled is None:
            raise await self._refusal(task_id, TaskEvent.CANCELLED)
        faultpoints.reached("cancel.written")
        await self._queue.remove(task_id)
        self._attempts.interrupt(task_id)
        log.info("task_cancelled", task_id=str(task_id), by=by)
        self._wake(Stage.POLL)
        return cancelled

    async def revive(self, task_id: UUID, *, by: str) -> Task:
        """Try a failed, timed out or cancelled task from the start, a retrying one before its time; Conflict."""
        now = self._clock.now()
        revived = await self._tasks.hurry(task_id, now, by) or await self._tasks.revive(task_id, now, by)
        if revived is None:
            raise await self._refusal(task_id, TaskEvent.REVIVED)
        faultpoints.reached("revive.written")
        await self._queue.put([(task_id, revived.rank)])
        log.info("task_revived", task_id=str(task_id), by=by)
        self._wake(Stage.DISPATCH)
        return revived

    async def check(self, task_id: UUID, event: TaskEvent) -> None:
        """Whether a person may do this to the task now; Conflict as if it were done, NotFound. Nothing is changed."""
        state = (await self._tasks.get(task_id)).state
        if event is not TaskEvent.REVIVED or state is not TaskState.RETRYING:  # a retrying one is tried at once
            step(state, event, task_id)

    async def _refusal(self, task_id: UUID, event: TaskEvent) -> Conflict:
        """Why the write lost: what the present state says, else that it changed between two looks."""
        step((await self._tasks.get(task_id)).state, event, task_id)
        return Conflict("The task changed in the meantime.", fix=f"See: contenthubctl task status {task_id}")
