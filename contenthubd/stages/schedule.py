"""Schedule: due runs become tasks, each slot once, however many daemons look.

A tick decides one thing for each schedule that is due and comes again at once while there is more, so a long absence
is worked off in turns. Which slot is due is the domain's; that it happens once is the store's.
"""

from datetime import datetime, timedelta
from typing import Final

import structlog

from contenthubd import faultpoints
from contenthubd.domain.errors import Conflict, InvalidInput, NotFound
from contenthubd.domain.schedule import Due, Schedule, SkipReason, check_repeatable, due
from contenthubd.domain.task import NewTask, Task, TaskState
from contenthubd.ports.clock import Clock
from contenthubd.ports.queue import TaskQueue
from contenthubd.ports.schedules import Decided, Decision, ScheduleStore, SlotStore, Verdict
from contenthubd.ports.stage import Stage, Wake
from contenthubd.stages.submit import Submit

IDLE: Final = timedelta(seconds=60)
LIMIT: Final = 50
LOOK_AGAIN: Final = timedelta(seconds=30)
"""How soon a slot that waits for the task before it is looked at again."""
log = structlog.get_logger(__name__)


class Schedules:
    """Fires schedules, and keeps them for people."""

    def __init__(
        self, store: ScheduleStore, slots: SlotStore, submit: Submit, queue: TaskQueue, clock: Clock, wake: Wake
    ) -> None:
        self.store = store
        self._slots = slots
        self._submit = submit
        self._queue = queue
        self._clock = clock
        self._wake = wake

    async def tick(self) -> timedelta:
        """Decide one slot of each schedule that is due; wait for the next one, at most 60 seconds."""
        now = self._clock.now()
        waiting, following = await self._slots.due(now, LIMIT)
        nexts = [await self._advance(schedule, now) for schedule in waiting]
        if len(waiting) == LIMIT:
            return timedelta()
        earliest = min([*nexts, *([following] if following else [])], default=now + IDLE)
        return min(max(earliest - now, timedelta()), IDLE)

    async def create(self, schedule: Schedule, *, by: str) -> Schedule:
        """Store a new schedule, checked as its first task would be. InvalidInput, NotFound, Conflict."""
        check_repeatable(schedule.request)
        await self._submit.check(schedule.account, [schedule.request_at(schedule.due_at)])
        if not await self.store.create(schedule, by):
            fix = "contenthubctl schedule list shows it; delete it first to create it again."
            raise Conflict(f"There is a schedule {schedule.name!r} already.", fix=fix)
        log.info("schedule_created", schedule=schedule.name, due_at=schedule.due_at.isoformat())
        self._wake(Stage.SCHEDULE)
        return schedule

    async def pause(self, name: str, *, by: str) -> Schedule:
        """No slot fires until it is resumed, and none of them is caught up. NotFound, Conflict."""
        schedule = await self.store.by_name(name)
        if not await self.store.pause(schedule.schedule_id, self._clock.now(), by):
            raise Conflict(f"The schedule {name!r} is already paused.")
        log.info("schedule_paused", schedule=name, by=by)
        return await self.store.by_name(name)

    async def resume(self, name: str, *, by: str) -> Schedule:
        """Go on with the next slot. NotFound, Conflict."""
        schedule = await self.store.by_name(name)
        now = self._clock.now()
        next_at = schedule.times().next(max(now, schedule.checked_until))
        if not await self.store.resume(schedule.schedule_id, now, next_at, by):
            raise Conflict(f"The schedule {name!r} is not paused.")
        log.info("schedule_resumed", schedule=name, by=by)
        self._wake(Stage.SCHEDULE)
        return await self.store.by_name(name)

    async def delete(self, name: str, *, by: str) -> Schedule:
        """Forget a schedule and its history; its tasks stay. NotFound."""
        schedule = await self.store.by_name(name)
        if not await self.store.delete(schedule.schedule_id, self._clock.now(), by):
            raise NotFound(f"There is no schedule {name!r} any more.")
        log.info("schedule_deleted", schedule=name, by=by)
        return schedule

    async def run(self, name: str, *, by: str) -> Task:
        """Fire now, by hand, whatever the clock says. NotFound, InvalidRequests, Conflict if tasks would overlap."""
        schedule = await self.store.by_name(name)
        now = self._clock.now()
        task = await self._task(schedule, now)
        decided = await self._decide(Decision(schedule=schedule, at=now, slot=None, task=task, by=by))
        if decided.task is None:
            raise NotFound(f"There is no schedule {name!r} any more.")
        if decided.verdict is Verdict.HELD:
            raise Conflict(
                f"The task {decided.task.task_id} of {name!r} is not finished.",
                why="Tasks of this schedule do not overlap.",
                fix="Wait for it or cancel it, or create the schedule with --overlap.",
            )
        return decided.task

    async def _advance(self, schedule: Schedule, now: datetime) -> datetime:
        """One decision; when the schedule is to be looked at next."""
        try:
            found = due(schedule, now)
        except InvalidInput as fault:  # its time zone is not known on this machine; the others go on
            log.error("schedule_unreadable", schedule=schedule.name, error=str(fault))
            await self._slots.postpone(schedule.schedule_id, now + IDLE)
            return now + IDLE
        if found is None:  # its time zone has new rules, or the slot that waited was decided elsewhere
            next_at = schedule.times().next(max(now, schedule.checked_until))
            await self._slots.postpone(schedule.schedule_id, next_at)
            return next_at
        decided = await self._decide(await self._decision(schedule, found, now))
        if decided.verdict is Verdict.LOST:
            return now  # what was read is out of date: read it again
        if decided.verdict is not Verdict.HELD:
            return found.next_at
        await self._slots.postpone(schedule.schedule_id, now + LOOK_AGAIN)
        return now + LOOK_AGAIN

    async def _decision(self, schedule: Schedule, found: Due, now: datetime) -> Decision:
        task, reason, detail = None, SkipReason.MISSED, ""
        if not found.missed:
            try:
                task = await self._task(schedule, found.slot)
            except InvalidInput as fault:
                reason, detail = SkipReason.REFUSED, str(fault)
        return Decision(
            schedule=schedule,
            at=now,
            slot=found.slot,
            slots=found.slots,
            next_at=found.next_at,
            task=task,
            reason=None if task else reason,
            detail=detail,
        )

    async def _task(self, schedule: Schedule, slot: datetime) -> NewTask:
        return await self._submit.resolved(schedule.account, schedule.request_at(slot))

    async def _decide(self, decision: Decision) -> Decided:
        decided = await self._slots.decide(decision)
        task = decided.task
        told = {"schedule": decision.schedule.name, "slot": decision.slot and decision.slot.isoformat()}
        if decided.verdict is Verdict.FIRED and task is not None and task.state is TaskState.PENDING:
            faultpoints.reached("schedule.decided")
            await self._queue.put([(task.task_id, task.rank)])
            self._wake(Stage.DISPATCH)
            log.info("schedule_fired", **told, slots=decision.slots, task_id=str(task.task_id))
        elif decided.verdict is Verdict.SKIPPED:
            reason = decision.reason or SkipReason.OVERLAP
            log.warning("schedule_skipped", **told, slots=decision.slots, reason=reason, detail=decision.detail)
        return decided
