"""Poll: ask the creator how the tasks it has are doing, and settle what ended.

One ``list --json`` answers for all of them. A look at which nothing changed in the creator's database since the last
answer costs no call, which pays for looking more often when history expects a finish (``domain/polling.py``).
Deadlines are kept here too: the creator has none.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

import structlog

from contenthubd import faultpoints
from contenthubd.domain.attempt import Flight, is_marked_otherwise
from contenthubd.domain.errors import Unavailable
from contenthubd.domain.outcome import (
    CreatorRow,
    ErrorKind,
    Failed,
    Outcome,
    RowState,
    Sick,
    Succeeded,
    TimedOut,
    Unknown,
)
from contenthubd.domain.polling import CLOSEST, next_look
from contenthubd.domain.task import FINAL, Task, TaskState
from contenthubd.ports.clock import Clock
from contenthubd.ports.creator import Creator, CreatorWatch
from contenthubd.ports.flights import FlightStore, History, Key
from contenthubd.ports.tasks import TaskStore
from contenthubd.stages.attempt import Attempts
from contenthubd.stages.settle import Settle
from contenthubd.stages.slots import Slots

IDLE: Final = timedelta(seconds=30)
REQUEUE_AFTER: Final = timedelta(seconds=15)
REQUEUE_AGAIN: Final = timedelta(seconds=60)
HISTORY: Final = 50
OVERWRITTEN: Final = "Failed to claim task"
log = structlog.get_logger(__name__)


class Poll:
    """Follows the attempts that the creator's worker has."""

    def __init__(
        self,
        tasks: TaskStore,
        flights: FlightStore,
        history: History,
        creator: Creator,
        watch: CreatorWatch,
        settle: Settle,
        attempts: Attempts,
        clock: Clock,
        slots: Slots,
        *,
        instance: str,
        interval: timedelta,
        abandon: timedelta,
        held: Callable[[], bool] = lambda: True,
    ) -> None:
        self._tasks = tasks
        self._flights = flights
        self._history = history
        self._creator = creator
        self._watch = watch
        self._settle = settle
        self._attempts = attempts
        self._clock = clock
        self._slots = slots
        self._instance = instance
        self.interval = interval
        self._abandon = abandon
        self.held = held
        """Whether the instance is surely ours."""
        self._last_look: datetime | None = None
        self._seen: object = object()
        self._rows: dict[str, CreatorRow] = {}
        self._troubled: set[Key] = set()
        self._durations: list[timedelta] = []
        self._sick: Sick | None = None
        self.calls = 0
        self.stopping = False
        """Set when the worker was ended on purpose: what it left behind is nobody's failure, and is looked for now."""

    async def tick(self) -> timedelta:
        """One look, if one is due; the time until the next look or deadline.

        While the instance may be another daemon's nothing is asked: what is not found *here* may well be there.
        """
        if not self.held():
            return IDLE
        changes = self._slots.changes
        flights = await self._flights.in_flight(self._instance)
        self._slots.correct(len(flights), changes)
        waiting = [flight for flight in flights if flight.creator_task_id is not None]
        self._watch.in_flight(len([flight for flight in flights if flight.mode == "async"]))
        if waiting:
            await self._look_if_due(waiting)
        else:
            self._last_look, self._rows = None, {}
        for flight in flights:
            await self._keep_time(flight)
        return self._delay(waiting) if waiting else IDLE

    async def _look_if_due(self, waiting: Sequence[Flight]) -> None:
        now = self._clock.now()
        if self._last_look is None:
            self._last_look = now
            self._durations = await self._history.durations(HISTORY)
        if self.stopping or now >= self._due(waiting) or self._someone_died(waiting):
            await self._look(waiting, now)

    def _due(self, waiting: Sequence[Flight]) -> datetime:
        last = self._last_look or self._clock.now()
        claimed = [flight.claimed_at for flight in waiting if flight.current]
        return next_look(last, self.interval, claimed, self._durations)

    def _delay(self, waiting: Sequence[Flight]) -> timedelta:
        deadlines = [flight.deadline_at for flight in waiting if flight.current]
        following = min([self._due(waiting), *deadlines])
        return min(max(following - self._clock.now(), timedelta()), CLOSEST)

    def _someone_died(self, waiting: Sequence[Flight]) -> bool:
        rows = (self._rows.get(flight.creator_task_id or "") for flight in waiting)
        return any(row is not None and self._orphaned(row) for row in rows)

    def _orphaned(self, row: CreatorRow) -> bool:
        return (
            row.state is RowState.RUNNING
            and row.worker_id is not None
            and self._watch.worker_alive(row.worker_id) is False
        )

    async def _look(self, waiting: Sequence[Flight], now: datetime) -> None:
        self._last_look = now
        seen = self._watch.fingerprint()
        wanted = {flight.creator_task_id for flight in waiting if flight.creator_task_id is not None}
        if seen != self._seen or not wanted <= self._rows.keys() or self._someone_died(waiting):
            self.calls += 1
            rows = await self._creator.rows(wanted)
            if isinstance(rows, Sick):
                if rows != self._sick:
                    log.warning("poll_failed", kind=rows.kind, cause=rows.cause)
                self._sick = rows
                return
            self._sick = None
            self._rows, self._seen = rows, seen
        for flight in sorted(waiting, key=lambda flight: (flight.task_id, flight.attempt) in self._troubled):
            await self._judge_one(flight, self._rows.get(flight.creator_task_id or ""))

    async def _judge_one(self, flight: Flight, row: CreatorRow | None) -> None:
        """A fault over one task stops nobody else's look; who made trouble last time comes last."""
        key = flight.task_id, flight.attempt
        self._troubled.discard(key)
        try:
            await self._judge(flight, row)
        except Unavailable:
            raise
        except Exception as fault:  # one task must not stop the look at the others; told with its traceback
            log.error("look_crashed", task_id=str(flight.task_id), attempt=flight.attempt, exc_info=fault)
            self._troubled.add(key)

    async def _judge(self, flight: Flight, row: CreatorRow | None) -> None:
        if row is not None and is_marked_otherwise(row.requirements, flight.mark):
            cause = f"The creator gave this task the id {row.creator_task_id}, which belongs to another task."
            await self._failed(flight, Failed(ErrorKind.LOST, cause))
        elif row is None:
            await self._failed(flight, Failed(ErrorKind.LOST, "The creator no longer knows this task."))
        elif row.state is RowState.UNKNOWN:
            log.info("row_state_unknown", task_id=str(flight.task_id), attempt=flight.attempt)
        elif row.state is RowState.COMPLETED:
            await self._completed(flight, row)
        elif row.state in (RowState.FAILED, RowState.CANCELLED):
            await self._failed(flight, await self._why(row))
        elif self._orphaned(row):
            await self._failed(flight, self._left_behind())
        elif row.state is RowState.RUNNING:
            task = await self._tasks.get(flight.task_id)
            if _awaited(flight, task) and task.state is TaskState.SUBMITTED:
                await self._settle.started(task)
        else:
            await self._queued(flight, row)

    async def _completed(self, flight: Flight, row: CreatorRow) -> None:
        task = await self._tasks.get(flight.task_id)
        if task.state in FINAL:
            return await self._ended(flight, "late_success_dropped")
        faultpoints.reached("poll.finish_seen")
        outcome: Outcome = await self._creator.result(row.creator_task_id)
        faultpoints.reached("poll.result_fetched")
        if isinstance(outcome, Succeeded):
            outcome = replace(outcome, ended_at=row.completed_at)
        if isinstance(outcome, Sick | Unknown):
            # The article is there and only could not be had just now; the deadline bounds how often this is tried.
            self._troubled.add((flight.task_id, flight.attempt))
            log.warning("result_postponed", task_id=str(flight.task_id), cause=outcome.cause)
            return
        if _awaited(flight, task):
            await self._settle(task, outcome)
        elif isinstance(outcome, Succeeded) and outcome.article.strip():
            if await self._settle(task, outcome, attempt=flight.attempt):
                self._attempts.interrupt(flight.task_id)
        else:
            await self._ended(flight, "failed")
        self._durations = await self._history.durations(HISTORY)

    async def _failed(self, flight: Flight, failed: Failed) -> None:
        task = await self._tasks.get(flight.task_id)
        if _awaited(flight, task):
            await self._settle(task, failed)
        else:
            await self._ended(flight, "failed")

    async def _why(self, row: CreatorRow) -> Failed:
        """The row's own text is overwritten within seconds; the worker's error log keeps the true cause."""
        if row.state is RowState.CANCELLED:
            return Failed(ErrorKind.GENERATION_FAILED, "The task was cancelled at the creator.")
        cause = await self._creator.cause(row.creator_task_id)
        if cause:
            return Failed(ErrorKind.GENERATION_FAILED, cause)
        overwritten = row.error is None or OVERWRITTEN in row.error
        if overwritten and row.worker_id and self._watch.worker_alive(row.worker_id) is False:
            return self._left_behind()
        return Failed(ErrorKind.GENERATION_FAILED, row.error or "The creator gave no reason.")

    def _left_behind(self) -> Failed:
        if self.stopping:
            return Failed(ErrorKind.STOPPED, "contenthubd was stopped while the creator's worker had this task.")
        return Failed(ErrorKind.WORKER_GONE, "The creator's worker ended while it worked on this task.")

    async def _queued(self, flight: Flight, row: CreatorRow) -> None:
        """A pending row whose job was lost with the creator's Redis stays so for ever unless it is queued again."""
        now = self._clock.now()
        since, pause = flight.accepted_at or flight.claimed_at, REQUEUE_AFTER
        if flight.requeued_at is not None:
            since, pause = flight.requeued_at, REQUEUE_AGAIN
        if not flight.current or now < since + pause:
            return
        if await self._creator.requeue(row.creator_task_id):
            log.warning("task_requeued", task_id=str(flight.task_id), attempt=flight.attempt)
            await self._flights.requeued(flight.task_id, flight.attempt, now)

    async def _keep_time(self, flight: Flight) -> None:
        now = self._clock.now()
        if flight.current and flight.creator_task_id is not None and now >= flight.deadline_at:
            task = await self._tasks.get(flight.task_id)
            if _awaited(flight, task):
                took = flight.timeout.total_seconds()
                await self._settle(task, TimedOut(f"The creator did not finish within {took:g} seconds."))
        elif flight.abandoned_at is not None and now >= flight.abandoned_at + self._abandon:
            await self._ended(flight, "given_up")

    async def _ended(self, flight: Flight, outcome: str) -> None:
        if await self._flights.end(flight.task_id, flight.attempt, self._clock.now(), outcome, flight.owner):
            log.info("attempt_ended", task_id=str(flight.task_id), attempt=flight.attempt, outcome=outcome)
            self._slots.give_back()


def _awaited(flight: Flight, task: Task) -> bool:
    """Whether the task still waits for this very attempt: it is read later than the attempt was."""
    in_time = task.attempt == flight.attempt and task.state in (TaskState.SUBMITTED, TaskState.RUNNING)
    return flight.current and in_time
