"""The desk for tasks: submit, look, wait, steer."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import msgspec

from contenthubd.control import wire
from contenthubd.control.peer import Peer
from contenthubd.control.wire_queue import QueueStatus
from contenthubd.desk.search import Search
from contenthubd.desk.shapes import request, submitted, task_view, unpublished
from contenthubd.desk.waiting import Waiting
from contenthubd.desk.watch import Watch
from contenthubd.domain.errors import Conflict
from contenthubd.domain.polling import expected_duration
from contenthubd.domain.task import TaskEvent, TaskState
from contenthubd.ports.clock import Clock
from contenthubd.ports.flights import History
from contenthubd.ports.views import Listing, Row, Views
from contenthubd.stages.steer import Steer
from contenthubd.stages.submit import Submit, batch_of

HISTORY: Final = 50


@dataclass(frozen=True, slots=True)
class TaskDesk:
    """What people do with tasks (``control.routes.Tasks``). ``queue`` tells of the queue."""

    _submit: Submit
    _steer: Steer
    _views: Views
    _history: History
    _search: Search
    _watch: Watch
    _clock: Clock
    _waiting: Waiting
    _queue: Callable[[], Awaitable[QueueStatus]]

    async def submit(self, order: wire.SubmitRequest, *, peer: Peer) -> wire.Submitted:
        """See the protocol."""
        requests = [request(one) for one in order.requests]
        if order.dry_run:
            new = await self._submit.check(order.account, requests, batch=order.batch, key=order.idempotency_key)
            tasks = [
                wire.SubmittedTask(
                    id=None, state="pending", topic=one.topic, created=False, already_submitted=not created
                )
                for one, created in zip(requests, new, strict=True)
            ]
            return wire.Submitted(account=order.account, tasks=tasks, dry_run=True)
        stored = await self._submit(order.account, requests, batch=order.batch, key=order.idempotency_key)
        batch_id = batch_of(stored)
        return wire.Submitted(
            account=order.account,
            tasks=[submitted(task, created) for task, created in stored],
            batch_id=str(batch_id) if batch_id else None,
        )

    async def task(self, fragment: str, *, detail: bool) -> wire.TaskView:
        """See the protocol."""
        task_id = await self._search.one("task", fragment)
        row = await self._views.task(task_id)
        if not detail:
            row = {**row, "attempts": [], "facts": []}
        return await self._task_view(row)

    async def tasks(self, wanted: wire.TaskFilter) -> list[wire.TaskView]:
        """See the protocol."""
        expected = await self._expected()
        rows = await self._views.tasks(await self._search.tasks(wanted))
        glance = await self._waiting.glance()
        return [task_view(row, expected, glance.reason(row)) for row in rows]

    async def wait(self, wanted: wire.WaitQuery) -> wire.WaitReply:
        """See the protocol."""
        return await self._watch(wanted, await self._expected())

    async def cancel(self, fragment: str, *, peer: Peer, dry_run: bool = False) -> wire.TaskView:
        """See the protocol."""
        task_id = await self._search.one("task", fragment)
        if dry_run:
            await self._steer.check(task_id, TaskEvent.CANCELLED)
        else:
            await self._steer.cancel(task_id, by=peer.by)
        view = await self._task_view(await self._views.task(task_id))
        if any(one.mode == "async" and one.creator_task_id and one.outcome is None for one in view.attempts):
            hint = "content-creator cannot stop a task: generation continues there, and its result is discarded."
            view = msgspec.structs.replace(view, hint=hint)
        return view

    async def retry(self, fragment: str, *, peer: Peer, dry_run: bool = False) -> wire.TaskView:
        """See the protocol."""
        task_id = await self._search.one("task", fragment)
        try:
            if dry_run:
                await self._steer.check(task_id, TaskEvent.REVIVED)
            else:
                await self._steer.revive(task_id, by=peer.by)
        except Conflict as refusal:
            stuck = unpublished(await self._task_view(await self._views.task(task_id)))
            raise stuck or refusal from None
        return await self._task_view(await self._views.task(task_id))

    async def stats(self, since_seconds: float) -> wire.Stats:
        """See the protocol."""
        now = self._clock.now()
        open_states, finished = await self._views.counts(
            now - timedelta(seconds=since_seconds), now - timedelta(hours=1)
        )
        ended = {row["state"]: row for row in finished}
        completed, count = ended.get("completed"), sum(row["count"] for row in finished)
        judged = count - (ended["cancelled"]["count"] if "cancelled" in ended else 0)
        queue = await self._queue()
        waiting = next((row["count"] for row in open_states if row["state"] == TaskState.PENDING), 0)
        return wire.Stats(
            since_seconds=since_seconds,
            states={row["state"]: row["count"] for row in (*open_states, *finished)},
            finished=count,
            completed_last_hour=completed["last_hour"] if completed else 0,
            success_rate=(completed["count"] if completed else 0) / judged if judged else None,
            median_seconds=float(completed["median"]) if completed and completed["median"] is not None else None,
            waiting=waiting,
            waiting_for=await self._next_waits_for() if waiting else None,
            queue_waiting=queue.waiting,
            queue_kind=queue.kind,
            slots_used=self._waiting.slots.used,
            slots_total=self._waiting.slots.total,
        )

    async def _expected(self) -> float | None:
        expected = expected_duration(await self._history.durations(HISTORY))
        return expected.total_seconds() if expected is not None else None

    async def _task_view(self, row: Row) -> wire.TaskView:
        reason = (await self._waiting.glance()).reason(row, row["position"])
        return task_view(row, await self._expected(), reason)

    async def _next_waits_for(self) -> wire.WaitingFor | None:
        rows = await self._views.tasks(Listing(limit=1, states=(TaskState.PENDING,), sort="priority"))
        return (await self._waiting.glance()).reason(rows[0]) if rows else None
