"""Settle: the only writer of results. One function turns an outcome into one write.

``decide`` is pure: the same task, outcome and time give the same settlement. A charged failure uses up a retry; what
was the creator's or the daemon's fault does not, but a task over which three of them died is parked as poison.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final, assert_never

import structlog
from anyio import to_thread

from contenthubd import faultpoints
from contenthubd.domain.article import Article, read_article
from contenthubd.domain.attempt import AttemptOutcome, mark_of
from contenthubd.domain.content import NewContent
from contenthubd.domain.errors import Conflict
from contenthubd.domain.outcome import (
    COUNTED,
    PERMANENT,
    UNCHARGED,
    Accepted,
    ErrorKind,
    Failed,
    Interrupted,
    Outcome,
    Sick,
    Succeeded,
    TimedOut,
    Unknown,
)
from contenthubd.domain.retry import RetryPolicy
from contenthubd.domain.task import Mode, Task, TaskEvent, TaskState, step
from contenthubd.ports.clock import Clock
from contenthubd.ports.queue import TaskQueue
from contenthubd.ports.stage import Stage, Wake
from contenthubd.ports.tasks import Fact, Settlement, TaskStore
from contenthubd.stages.slots import Slots

SHORT_CHARS: Final = 1_000
"""An article up to this length is read on the event loop: in less time than a thread takes to start."""
MAX_FACT_CHARS: Final = 1_000
SICK_AT_ONCE: Final = 2
"""How many uncharged attempts a task has before the next one over a sick creator waits for a retry delay."""
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What settling needs to know of the configuration."""

    retry: RetryPolicy
    poison_limit: int
    targets: Sequence[str]
    """Where an approved content is published; empty: nowhere by itself."""


class Settle:
    """Writes outcomes; wakes the stages that go on from there."""

    def __init__(
        self, tasks: TaskStore, queue: TaskQueue, clock: Clock, rules: Rules, slots: Slots, wake: Wake
    ) -> None:
        self._tasks = tasks
        self._queue = queue
        self._clock = clock
        self.rules = rules
        self._slots = slots
        self._wake = wake

    async def __call__(
        self, task: Task, outcome: Outcome, *, attempt: int | None = None, owner: str | None = None, died: bool = False
    ) -> bool:
        """Settle ``attempt`` (default: the task's present one); False if the task had moved on meanwhile."""
        number = task.attempt if attempt is None else attempt
        decided = partial(decide, task, number, outcome, self.rules, self._clock, owner=owner, died=died)
        long = isinstance(outcome, Succeeded) and len(outcome.article) > SHORT_CHARS
        try:
            settlement = await to_thread.run_sync(decided) if long else decided()
        except Conflict:
            log.warning("settle_conflict", task_id=str(task.task_id), attempt=number, state=task.state)
            return False
        won = await self._tasks.settle(settlement)
        told = log.info if won else log.warning
        told(
            "task_settled" if won else "settle_conflict",
            task_id=str(task.task_id),
            attempt=number,
            outcome=settlement.outcome,
            state=settlement.enters,
            error_kind=settlement.error_kind,
            error=settlement.error,
        )
        if won:
            faultpoints.reached("settle.accepted" if settlement.enters is TaskState.SUBMITTED else "settle.written")
            if settlement.enters is TaskState.PENDING:
                await self._queue.put([(task.task_id, task.rank)])  # at once: it is before all who came after it
            self._ring(settlement)
        return won

    async def started(self, task: Task) -> bool:
        """The creator began to work on a submitted task."""
        return await self._tasks.settle(
            Settlement(
                task_id=task.task_id,
                attempt=task.attempt,
                task_attempt=task.attempt,
                leaves=task.state,
                enters=step(task.state, TaskEvent.STARTED),
                event=TaskEvent.STARTED,
                at=self._clock.now(),
                ends_attempt=False,
                facts=(Fact("task_started"),),
            )
        )

    def _ring(self, settlement: Settlement) -> None:
        if settlement.ends_attempt:
            self._slots.give_back()
        if settlement.enters is TaskState.SUBMITTED:
            self._wake(Stage.POLL)
        if settlement.enters is TaskState.RETRYING:
            self._wake(Stage.PROMOTE)
        if settlement.enters is TaskState.PENDING:
            self._wake(Stage.DISPATCH)
        if settlement.content is not None:
            self._wake(Stage.FETCH if settlement.content.images else Stage.PUBLISH)  # fetch wakes publish in its turn


def decide(
    task: Task, attempt: int, outcome: Outcome, rules: Rules, clock: Clock, *, owner: str | None, died: bool = False
) -> Settlement:
    """What is written for an outcome of ``attempt``."""
    base = _Base(task, attempt, clock.now(), owner)
    match outcome:
        case Accepted(creator_task_id):
            data = {"attempt": attempt, "creator_task_id": creator_task_id}
            fact = Fact("task_accepted", data)
            return base.write(
                TaskEvent.ACCEPTED, None, facts=(fact,), ends_attempt=False, creator_task_id=creator_task_id
            )
        case Succeeded():
            return _succeeded(base, outcome, rules, clock)
        case Failed():
            return _failed(base, outcome, rules, clock, died=died or outcome.kind in COUNTED)
        case TimedOut(cause):
            return _failed(base, Failed(ErrorKind.TIMED_OUT, cause), rules, clock, died=died)
        case Unknown(cause):
            return _failed(base, Failed(ErrorKind.CREATE_UNANSWERED, cause), rules, clock, died=died)
        case Sick():
            return _released(base, outcome, rules, clock)
        case Interrupted():
            if died and task.deaths + 1 >= rules.poison_limit:
                return _failed(base, Failed(ErrorKind.STOPPED, _CUT_OFF), rules, clock, died=True)
            fact = Fact("task_released", {"attempt": attempt, "cause": "died" if died else "stopped"})
            return base.write(TaskEvent.RELEASED, AttemptOutcome.INTERRUPTED, facts=(fact,), died=died)
        case _:
            assert_never(outcome)


_CUT_OFF = "The daemon crashed while it called content-creator."
_POISON = "The daemon crashed too often while working on this task."


@dataclass(frozen=True, slots=True)
class _Base:
    """What every settlement of one attempt has in common."""

    task: Task
    attempt: int
    now: datetime
    owner: str | None

    def write(
        self,
        event: TaskEvent,
        outcome: AttemptOutcome | None,
        *,
        facts: tuple[Fact, ...],
        ends_attempt: bool = True,
        abandons: bool = False,
        charged: bool = False,
        died: bool = False,
        run_at: datetime | None = None,
        creator_task_id: str | None = None,
        failed: Failed | None = None,
        content: NewContent | None = None,
        creator_ended_at: datetime | None = None,
    ) -> Settlement:
        return Settlement(
            task_id=self.task.task_id,
            attempt=self.attempt,
            task_attempt=self.task.attempt,
            leaves=self.task.state,
            enters=step(self.task.state, event),
            event=event,
            at=self.now,
            owner=self.owner,
            ends_attempt=ends_attempt,
            abandons=abandons,
            charged=charged,
            died=died,
            outcome=outcome,
            run_at=run_at,
            creator_task_id=creator_task_id or (failed.creator_task_id if failed else None),
            error_kind=failed.kind if failed else None,
            error=failed.cause if failed else None,
            exit_code=failed.exit_code if failed else None,
            stderr_tail=failed.stderr_tail if failed else "",
            creator_ended_at=creator_ended_at,
            content=content,
            facts=facts,
        )


def _succeeded(base: _Base, outcome: Succeeded, rules: Rules, clock: Clock) -> Settlement:
    task = base.task
    article = read_article(outcome.article, mark_of(task.task_id, base.attempt), task.topic, len(outcome.pictures))
    if not article.body:
        failed = Failed(ErrorKind.ARTICLE_EMPTY, "The creator finished, but its article has no visible text.")
        return _failed(base, failed, rules, clock, died=False)
    approved = task.auto_approve and not article.hold_reason
    content = NewContent(
        content_id=clock.new_id(),
        title=article.title,
        body=article.body,
        approved=approved,
        hold_reason=article.hold_reason,
        images=tuple((picture.url, picture.prompt) for picture in outcome.pictures),
        missing_images=article.missing_images,
        publication_ids=tuple((clock.new_id(), target) for target in (rules.targets if approved else ())),
    )
    late = base.attempt != task.attempt or task.state not in (TaskState.SUBMITTED, TaskState.RUNNING)
    completed = Fact("task_completed", {"attempt": base.attempt, "late": late, "chars": len(article.body)})
    return base.write(
        TaskEvent.SUCCEEDED_LATE if late else TaskEvent.SUCCEEDED,
        AttemptOutcome.SUCCEEDED,
        facts=(completed, *_article_facts(article, base.attempt, approved=approved)),
        creator_task_id=outcome.creator_task_id,
        creator_ended_at=outcome.ended_at,
        content=content,
    )


def _article_facts(article: Article, attempt: int, *, approved: bool) -> Iterator[Fact]:
    """What was found in the answer, and what became of the article."""
    if article.echoed:
        yield Fact("mark_removed", {"attempt": attempt})
    if article.removed:
        data = {"what": ", ".join(article.removed), "front_matter": article.front_matter[:MAX_FACT_CHARS]}
        yield Fact("article_unwrapped", data)
    if article.missing_images:
        yield Fact("images_missing", {"positions": list(article.missing_images)})
    if article.hold_reason:
        yield Fact("content_held", {"reason": article.hold_reason})
    yield Fact("content_approved" if approved else "content_awaits_review", {"by": "auto"})


def _released(base: _Base, sick: Sick, rules: Rules, clock: Clock) -> Settlement:
    """Back into the queue, uncharged. A task that comes back again and again lets others be tried in between."""
    task, failed = base.task, Failed(sick.kind, sick.cause)
    behind = sick.spawned and base.attempt - task.retry_count > SICK_AT_ONCE
    run_at = rules.retry.retry_at(1, base.now, clock.random()) if behind else None
    data = {"attempt": base.attempt, "kind": sick.kind, "cause": sick.cause, "run_at": run_at}
    return base.write(
        TaskEvent.FAILED if behind else TaskEvent.RELEASED,
        AttemptOutcome.CREATOR_SICK,
        facts=(Fact("task_released", data),),
        run_at=run_at,
        failed=failed,
    )


def _failed(base: _Base, failed: Failed, rules: Rules, clock: Clock, *, died: bool) -> Settlement:
    task = base.task
    timed_out = failed.kind is ErrorKind.TIMED_OUT
    too_often = died and task.deaths + 1 >= rules.poison_limit
    if too_often and failed.kind not in COUNTED:
        failed = Failed(ErrorKind.POISON, f"{_POISON} Last: {failed.cause}", failed.exit_code, failed.stderr_tail)
    # Five tasks share a worker, so its death convicts none of them; but from the third on it costs each a try.
    charged = too_often or failed.kind not in UNCHARGED
    over = failed.kind in PERMANENT or (charged and task.retry_count >= task.max_retries)
    event = TaskEvent.FAILED if not over else TaskEvent.TIMED_OUT if timed_out else TaskEvent.GAVE_UP
    run_at = None
    if not over:
        run_at = rules.retry.retry_at(task.retry_count + 1, base.now, clock.random()) if charged else base.now
    unfinished = timed_out or failed.kind is ErrorKind.CREATOR_UNAVAILABLE
    abandons = unfinished and task.mode is Mode.ASYNC and task.state is not TaskState.SUBMITTING
    data = {"attempt": base.attempt, "kind": failed.kind, "cause": failed.cause, "charged": charged, "run_at": run_at}
    return base.write(
        event,
        AttemptOutcome.TIMED_OUT if timed_out else AttemptOutcome.FAILED,
        facts=(Fact("task_gave_up" if over else "attempt_failed", data),),
        ends_attempt=not abandons,
        abandons=abandons,
        charged=charged,
        died=died,
        run_at=run_at,
        failed=failed,
    )
