"""Poll: ask the creator how the tasks it has are doing, and settle what ended.

One ``list --json`` answers for all of them. A look at which nothing changed in the creator's database since the last
answer costs no call, which pays for looking more often when history expects a finish (``domain/polling.py``).

Deadlines are kept here too: the creator has none. Nobody is judged unseen: after a start, a pause of the machine, an
outage or a step of the wall clock, a task past its deadline may have finished long ago, so only an answer that was
asked for after the deadline may time it out. While the creator cannot be asked, or has finished and does not give the
article, nothing is judged for ``abandon`` beyond the deadline; then the attempt ends as ``creator_unavailable``.
"""

from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Final

import structlog

from contenthubd import faultpoints
from contenthubd.domain.attempt import AttemptOutcome, Flight, is_marked_otherwise
from contenthubd.domain.moment import Moment
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
from contenthubd.stages.abreast import abreast
from contenthubd.stages.attempt import Attempts
from contenthubd.stages.contain import Contain, internal_error
from contenthubd.stages.looks import Looks
from contenthubd.stages.settle import Settle
from contenthubd.stages.slots import Slots

IDLE: Final = timedelta(seconds=30)
ASK_AGAIN: Final = timedelta(seconds=10)
"""How soon a creator that did not answer is asked again when a deadline waits for its answer."""
REQUEUE_AFTER: Final = timedelta(seconds=15)
REQUEUE_AGAIN: Final = timedelta(seconds=60)
HISTORY: Final = 50
ABREAST: Final = 4
"""Articles that are fetched at a time: they may be long, and a creator that hangs may hang over several."""
CHANGED: Final = (ErrorKind.CREATOR_CHANGED, ErrorKind.OUTPUT_UNREADABLE)
"""While the creator answers in another form about every task nothing is given to it, and what it finished is kept."""
OVERWRITTEN: Final = "Failed to claim task"
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Crowd:
    """Attempts nobody here waits for any more that hold every place at the creator; there is none while one is free."""

    count: int
    since: datetime
    """When the first of them was abandoned."""
    until: datetime
    """When it is given up, at the latest, so that a place is free again."""


class Poll:
    """Watches the attempts that the creator's worker has. ``held`` says whether the instance is surely ours."""

    draining = False
    """Our own stop ends the creator's worker, at any moment from now on: what it leaves behind is nobody's failure."""
    stopping = False
    """The worker was ended on purpose: what it left behind is looked for now."""

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
        held: Callable[[], bool],
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
        self._held = held
        self._contain = Contain("poll")
        self._looks = Looks(clock)
        self._seen: object = object()
        self._rows: dict[str, CreatorRow] = {}
        self._durations: list[timedelta] = []
        self._sick: Sick | None = None
        self.calls = 0
        self.crowd: Crowd | None = None

    async def tick(self) -> timedelta:
        """One look, if one is due; the time until the next look or deadline.

        While the instance may be another daemon's nothing is asked: what is not found *here* may well be there.
        """
        if not self._held():
            return IDLE
        changes = self._slots.changes
        flights = await self._flights.in_flight(self._instance)
        self._slots.correct(len(flights), changes)
        self.crowd = _crowd(flights, self._slots.total, self._abandon)
        waiting = [flight for flight in flights if flight.creator_task_id is not None]
        self._watch.in_flight(len([flight for flight in flights if flight.mode == "async"]))
        if waiting:
            await self._look_if_due(waiting)
        else:
            self._looks.last, self._rows = None, {}
        self._looks.keep(set(map(_key, flights)))
        for flight in flights:
            # Counted by itself: a deadline that can be kept says nothing of an answer that cannot be read.
            await self._contained(flight, partial(self._keep_time, flight), ("time", *_key(flight)))
        return self._delay(waiting) if waiting else IDLE

    async def _contained(
        self, flight: Flight, work: Callable[[], Awaitable[object]], item: Hashable | None = None
    ) -> None:
        """One attempt's trouble is its own: its neighbours are looked at all the same."""
        fault = await self._contain(item or _key(flight), work)
        if fault is not None:
            await self._contain(("end", *_key(flight)), partial(self._failed, flight, internal_error(fault)))

    async def _look_if_due(self, waiting: Sequence[Flight]) -> None:
        now, uptime = self._clock.moment(), self._clock.uptime()
        first = self._looks.last is None
        if first:
            self._looks.begun()
            self._durations = await self._history.durations(HISTORY)
        missed = first and any(flight.age(now) > self.interval for flight in waiting)
        due = missed or uptime >= self._due(waiting) or self._answer_is_wanted(waiting, now)
        if self.stopping or due or self._someone_died(waiting):
            await self._look(waiting, now)

    def _answer_is_wanted(self, waiting: Sequence[Flight], now: Moment) -> bool:
        """Whether a deadline passed since the last answer."""
        if not self._looks.may_ask_again(min(ASK_AGAIN, self.interval)):
            return False
        return any(flight.current and flight.overdue(now) and not self._looks.saw_overdue(flight) for flight in waiting)

    def _due(self, waiting: Sequence[Flight]) -> timedelta:
        now, uptime = self._clock.moment(), self._clock.uptime()
        last = uptime if self._looks.last is None else self._looks.last
        claimed = [uptime - flight.age(now) for flight in waiting if flight.current]
        return next_look(last, self.interval, claimed, self._durations)

    def _delay(self, waiting: Sequence[Flight]) -> timedelta:
        now = self._clock.moment()
        left = [flight.timeout - flight.age(now) for flight in waiting if flight.current and not flight.overdue(now)]
        following = min([self._due(waiting) - self._clock.uptime(), *left])
        return min(max(following, timedelta()), CLOSEST)

    def _someone_died(self, waiting: Sequence[Flight]) -> bool:
        rows = (self._rows.get(flight.creator_task_id or "") for flight in waiting)
        return any(row is not None and self._orphaned(row) for row in rows)

    def _must_be_asked(self, waiting: Sequence[Flight]) -> bool:
        """Whether the answer may differ although the creator's rows are the same: another program may read them."""
        unknown = any(self._rows[one].state is RowState.UNKNOWN for one in map(_id, waiting) if one in self._rows)
        return unknown or self._someone_died(waiting)

    def _orphaned(self, row: CreatorRow) -> bool:
        return (
            row.state is RowState.RUNNING
            and row.worker_id is not None
            and self._watch.worker_alive(row.worker_id) is False
        )

    async def _look(self, waiting: Sequence[Flight], now: Moment) -> None:
        """``now`` was read before anything was asked: whatever is answered is at least as new."""
        self._looks.begun()
        seen = self._watch.fingerprint()
        wanted = {flight.creator_task_id for flight in waiting if flight.creator_task_id is not None}
        if seen != self._seen or not wanted <= self._rows.keys() or self._must_be_asked(waiting):
            self.calls += 1
            rows = await self._creator.rows(wanted)
            if isinstance(rows, Sick):
                return self._unanswered(rows)
            self._rows, self._seen = rows, seen
        self._sick = None
        self._looks.answered(now)
        order = sorted(waiting, key=self._troubled)
        for flight in order:
            if not self._is_completed(flight):
                await self._contained(flight, self._judging(flight, now))
        finished = [flight for flight in order if self._is_completed(flight)]
        await abreast([partial(self._contained, flight, self._judging(flight, now)) for flight in finished], ABREAST)

    def _judging(self, flight: Flight, asked: Moment) -> Callable[[], Awaitable[None]]:
        return partial(self._judge, flight, self._rows.get(flight.creator_task_id or ""), asked)

    def _is_completed(self, flight: Flight) -> bool:
        """Whether its article has to be fetched, which may take long."""
        row = self._rows.get(flight.creator_task_id or "")
        return row is not None and row.state is RowState.COMPLETED

    def _troubled(self, flight: Flight) -> bool:
        """Who made trouble last time comes last: nobody else waits for it."""
        return self._looks.is_postponed(_key(flight)) or self._contain.noted(_key(flight))

    def _unanswered(self, sick: Sick) -> None:
        if self._sick is None or sick.gist != self._sick.gist:
            log.warning("poll_failed", kind=sick.kind, cause=sick.cause)
        self._sick = sick
        self._looks.unanswered()

    async def _judge(self, flight: Flight, row: CreatorRow | None, asked: Moment) -> None:
        if row is None:
            await self._failed(flight, Failed(ErrorKind.LOST, "The creator no longer knows this task."))
        elif is_marked_otherwise(row.requirements, flight.mark):
            cause = f"The creator gave this task the id {row.creator_task_id}, which belongs to another task."
            await self._failed(flight, Failed(ErrorKind.LOST, cause))
        elif row.state is RowState.COMPLETED:
            await self._completed(flight, row)
        elif row.state in (RowState.FAILED, RowState.CANCELLED):
            await self._failed(flight, await self._why(row))
        elif row.state is RowState.UNKNOWN:
            if self._looks.postpone(_key(flight)):
                log.warning("row_state_unknown", task_id=str(flight.task_id), attempt=flight.attempt)
        else:
            await self._unfinished(flight, row, asked)

    async def _unfinished(self, flight: Flight, row: CreatorRow, asked: Moment) -> None:
        if self._orphaned(row):
            await self._failed(flight, self._left_behind())
        elif flight.current and flight.overdue(asked):
            await self._timed_out(flight)
        elif row.state is RowState.RUNNING:
            task = await self._tasks.get(flight.task_id)
            if _awaited(flight, task) and task.state is TaskState.SUBMITTED:
                await self._settle.started(task)
        else:
            await self._queued(flight, row)

    async def _completed(self, flight: Flight, row: CreatorRow) -> None:
        task = await self._tasks.get(flight.task_id)
        if task.state in FINAL:
            return await self._ended(flight, AttemptOutcome.LATE_SUCCESS_DROPPED)
        faultpoints.reached("poll.finish_seen")
        outcome: Outcome = await self._creator.result(row.creator_task_id)
        faultpoints.reached("poll.result_fetched")
        if isinstance(outcome, Succeeded):
            outcome = replace(outcome, ended_at=row.completed_at)
        if isinstance(outcome, Sick | Unknown):
            # The article is there and only could not be had just now: see _keep_time for how often this is tried.
            changed = isinstance(outcome, Sick) and outcome.kind in CHANGED
            if self._looks.postpone(_key(flight), excused=changed):
                log.warning("result_postponed", task_id=str(flight.task_id), cause=outcome.cause)
            return
        if _awaited(flight, task):
            await self._settle(task, outcome)
        elif isinstance(outcome, Succeeded) and outcome.article.strip():
            if await self._settle(task, outcome, attempt=flight.attempt):
                self._attempts.interrupt(flight.task_id)
        else:
            await self._ended(flight, AttemptOutcome.FAILED)
        self._durations = await self._history.durations(HISTORY)

    async def _failed(self, flight: Flight, failed: Failed) -> None:
        task = await self._tasks.get(flight.task_id)
        if _awaited(flight, task):
            await self._settle(task, failed)
        else:
            await self._ended(flight, AttemptOutcome.FAILED)

    async def _timed_out(self, flight: Flight) -> None:
        task = await self._tasks.get(flight.task_id)
        if _awaited(flight, task):
            took = flight.timeout.total_seconds()
            await self._settle(task, TimedOut(f"The creator did not finish within {took:g} seconds."))

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
        if self.draining:
            return Failed(ErrorKind.STOPPED, "contenthubd was stopped while the creator's worker had this task.")
        return Failed(ErrorKind.WORKER_GONE, "The creator's worker ended while it worked on this task.")

    async def _queued(self, flight: Flight, row: CreatorRow) -> None:
        """A pending row whose job was lost with the creator's Redis stays so forever unless it is queued again."""
        now = self._clock.now()
        since, pause = flight.accepted_at or flight.claimed.wall, REQUEUE_AFTER
        if flight.requeued_at is not None:
            since, pause = flight.requeued_at, REQUEUE_AGAIN
        if not flight.current or timedelta() <= now - since < pause:  # a clock that was set back tells nothing
            return
        if await self._creator.requeue(row.creator_task_id):
            log.warning("task_requeued", task_id=str(flight.task_id), attempt=flight.attempt)
            await self._flights.requeued(flight.task_id, flight.attempt, now)

    async def _keep_time(self, flight: Flight) -> None:
        now = self._clock.moment()
        if flight.current and flight.creator_task_id is not None and flight.overdue(now):
            if min(self._looks.in_vain(_key(flight)), flight.age(now) - flight.timeout) >= self._abandon:
                cause = f"The creator did not answer for {self._abandon.total_seconds():g} seconds past the deadline."
                await self._failed(flight, Failed(ErrorKind.CREATOR_UNAVAILABLE, cause))
        elif flight.abandoned_at is not None and self._is_given_up(flight, flight.abandoned_at, now):
            await self._ended(flight, AttemptOutcome.GIVEN_UP)

    def _is_given_up(self, flight: Flight, abandoned_at: datetime, now: Moment) -> bool:
        """The wall clock says when it was abandoned, its age that the clock was not set forward since, nor back.

        It was abandoned at the latest when its creator had not answered for ``abandon`` past its deadline.
        """
        since = min(now.wall - abandoned_at, flight.age(now))
        return since >= self._abandon or flight.age(now) >= flight.timeout + 2 * self._abandon

    async def _ended(self, flight: Flight, outcome: AttemptOutcome) -> None:
        if await self._flights.end(flight.task_id, flight.attempt, self._clock.now(), outcome, flight.owner):
            log.info("attempt_ended", task_id=str(flight.task_id), attempt=flight.attempt, outcome=outcome)
            self._slots.give_back()


def _key(flight: Flight) -> Key:
    return flight.task_id, flight.attempt


def _id(flight: Flight) -> str:
    return flight.creator_task_id or ""


def _awaited(flight: Flight, task: Task) -> bool:
    """Whether the task still waits for this very attempt: it is read later than the attempt was."""
    in_time = task.attempt == flight.attempt and task.state in (TaskState.SUBMITTED, TaskState.RUNNING)
    return flight.current and in_time


def _crowd(flights: Sequence[Flight], total: int, abandon: timedelta) -> Crowd | None:
    left = [flight.abandoned_at for flight in flights if flight.abandoned_at is not None]
    if not left or len(left) < total:
        return None
    return Crowd(len(left), min(left), min(left) + abandon)
