"""Submit: check everything, resolve everything, store the tasks in one transaction, put their ids into the queue."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import structlog

from contenthubd import faultpoints
from contenthubd.domain.account import Account
from contenthubd.domain.errors import InvalidInput
from contenthubd.domain.idempotency import asked, repeated_keys
from contenthubd.domain.request import Request, check, check_key, compose, resolve_auto_approve, resolve_mode
from contenthubd.domain.task import Mode, NewTask, Task, TaskState
from contenthubd.ports.accounts import AccountStore
from contenthubd.ports.clock import Clock
from contenthubd.ports.queue import TaskQueue
from contenthubd.ports.stage import Stage, Wake
from contenthubd.ports.tasks import NewBatch, SubmitStore

log = structlog.get_logger(__name__)


class InvalidRequests(InvalidInput):
    """Some requests cannot be accepted; ``faults`` are (index, sentence), nothing was stored."""

    def __init__(self, faults: list[tuple[int, str]], total: int) -> None:
        if total == 1:
            super().__init__(
                "The request was not accepted.",
                why=" ".join(sentence for _, sentence in faults),
                fix="Correct it and try again; nothing was created.",
            )
        else:
            count = len({index for index, _ in faults})
            super().__init__(f"{count} of {total} tasks cannot be accepted; nothing was submitted.")
        self.faults = faults


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """The configuration's part of what is resolved at submit."""

    mode: Mode
    auto_approve: bool
    max_retries: int
    timeout: timedelta


class Submit:
    """Tasks from requests of one account."""

    def __init__(
        self, tasks: SubmitStore, accounts: AccountStore, queue: TaskQueue, clock: Clock, defaults: Defaults, wake: Wake
    ) -> None:
        self._tasks = tasks
        self._accounts = accounts
        self._queue = queue
        self._clock = clock
        self.defaults = defaults
        self._wake = wake

    async def __call__(
        self, account: str, requests: Sequence[Request], *, batch: bool = False, key: str | None = None
    ) -> list[tuple[Task, bool]]:
        """Store the tasks of one account; each with whether it is new. NotFound, InvalidRequests.

        Without ``batch`` the key is the one request's own; with it, or with several requests, it is the batch's.
        KeyReused if a key was used before with other values.
        """
        made, new_batch = await self._resolved(account, requests, batch=batch, key=key)
        ids = {task.task_id for task in made}
        stored = await self._tasks.submit(made, new_batch)
        faultpoints.reached("submit.stored")
        await self._queue.put([(task.task_id, task.rank) for task in stored if task.state is TaskState.PENDING])
        faultpoints.reached("submit.queued")
        self._wake(Stage.DISPATCH)
        answer = [(task, task.task_id in ids) for task in stored]
        batch_id, count = batch_of(answer), sum(created for _, created in answer)
        log.info(
            "tasks_submitted", account=account, count=count, known=len(answer) - count, batch_id=str(batch_id or "")
        )
        return answer

    async def check(
        self, account: str, requests: Sequence[Request], *, batch: bool = False, key: str | None = None
    ) -> list[bool]:
        """For each request, whether it would make a task, without storing any: NotFound, InvalidRequests, KeyReused."""
        made, new_batch = await self._resolved(account, requests, batch=batch, key=key)
        return [not known for known in await self._tasks.known(made, new_batch)]

    async def resolved(self, account: str, request: Request) -> NewTask:
        """The task that one request makes, checked and resolved but not stored. NotFound, InvalidRequests."""
        found, [(one, text)] = await self._prepare(account, [request])
        return self._new_task(found, one, text, None, None)

    async def _resolved(
        self, account: str, requests: Sequence[Request], *, batch: bool, key: str | None
    ) -> tuple[list[NewTask], NewBatch | None]:
        check_key(key)
        found, prepared = await self._prepare(account, requests)
        new_batch = None
        if batch or len(requests) > 1:
            new_batch = NewBatch(
                batch_id=self._clock.new_id(),
                account_id=found.account_id,
                created_at=self._clock.now(),
                idempotency_key=key,
            )
        return [self._new_task(found, request, text, new_batch, key) for request, text in prepared], new_batch

    async def _prepare(self, account: str, requests: Sequence[Request]) -> tuple[Account, list[tuple[Request, str]]]:
        found = await self._accounts.by_name(account)
        faults = repeated_keys(requests)
        prepared: list[tuple[Request, str]] = []
        for index, request in enumerate(requests):
            wrong = check(request)
            if not wrong:
                try:
                    prepared.append((request, compose(request, found)))
                except InvalidInput as fault:
                    wrong = [str(fault)]
            faults += [(index, sentence) for sentence in wrong]
        if faults:
            raise InvalidRequests(faults, len(requests))
        return found, prepared

    def _new_task(
        self, account: Account, request: Request, text: str, batch: NewBatch | None, key: str | None
    ) -> NewTask:
        defaults = self.defaults
        own_key = request.idempotency_key or (key if batch is None else None)
        keyed = own_key is not None or (batch is not None and batch.idempotency_key is not None)
        timeout = defaults.timeout
        if request.timeout_seconds is not None:
            timeout = timedelta(seconds=request.timeout_seconds)
        return NewTask(
            task_id=self._clock.new_id(),
            account_id=account.account_id,
            batch_id=batch.batch_id if batch else None,
            mode=resolve_mode(request, account, defaults.mode),
            topic=request.topic,
            requirements=text,
            keywords=tuple(word.strip() for word in request.keywords),
            min_chars=request.min_chars,
            max_chars=request.max_chars,
            priority=request.priority,
            auto_approve=resolve_auto_approve(request, account, defaults.auto_approve),
            max_retries=defaults.max_retries if request.max_retries is None else request.max_retries,
            timeout=timeout,
            created_at=self._clock.now(),
            idempotency_key=own_key,
            asked=asked(request) if keyed else None,
        )


def batch_of(stored: Sequence[tuple[Task, bool]]) -> UUID | None:
    """The batch that was made; if nothing was, the earlier one that all tasks belong to."""
    for task, created in stored:
        if created:
            return task.batch_id
    earlier = {task.batch_id for task, _ in stored}
    return earlier.pop() if len(earlier) == 1 else None
