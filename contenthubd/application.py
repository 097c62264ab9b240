"""What a person can ask of the daemon: the private door's requests turned into stages and views, and back into words.

No rules live here: a method finds the rows that are meant, calls one stage, and shapes the answer.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import anyio
import msgspec

from contenthubd.control import ids, wire
from contenthubd.control.peer import Peer
from contenthubd.domain.account import Account, check_account_name
from contenthubd.domain.content import ContentEvent, ContentState
from contenthubd.domain.errors import Conflict, NotFound
from contenthubd.domain.outcome import HINTS, UNCHARGED, ErrorKind
from contenthubd.domain.polling import expected_duration
from contenthubd.domain.request import Request
from contenthubd.domain.task import FINAL, Mode, Task
from contenthubd.ports import AccountStore, Clock, History, Listing, Row, Views
from contenthubd.stages.review import Review
from contenthubd.stages.slots import Slots
from contenthubd.stages.steer import Steer
from contenthubd.stages.submit import Submit, batch_of

LOOK_AGAIN: Final = timedelta(seconds=1)
LONGEST_POSITIONED: Final = 20
HISTORY: Final = 50
FACT_MARGIN: Final = 100
"""Facts are told again when they are this close to the cursor: transactions commit out of order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the daemon composed."""

    submit: Submit
    steer: Steer
    review: Review
    views: Views
    history: History
    accounts: AccountStore
    clock: Clock
    slots: Slots
    waiting: Callable[[], Awaitable[int]]
    changed: Callable[[], anyio.Event]
    health: Callable[[], Awaitable[wire.Health]]
    config: Callable[[], list[wire.ConfigEntry]]
    version: wire.Version


class DaemonApplication:
    """The application behind the routes (``control.routes.Application``)."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def submit(self, order: wire.SubmitRequest, *, peer: Peer) -> wire.Submitted:
        """See the protocol."""
        requests = [_request(one) for one in order.requests]
        if order.dry_run:
            await self._parts.submit.check(order.account, requests)
            tasks = [wire.SubmittedTask(id="", state="pending", topic=one.topic) for one in requests]
            return wire.Submitted(account=order.account, tasks=tasks, dry_run=True)
        stored = await self._parts.submit(order.account, requests, batch=order.batch, key=order.idempotency_key)
        batch_id = batch_of(stored)
        return wire.Submitted(
            account=order.account,
            tasks=[_submitted(task, created) for task, created in stored],
            batch_id=str(batch_id) if batch_id else None,
        )

    async def task(self, fragment: str, *, detail: bool) -> wire.TaskView:
        """See the protocol."""
        task_id = await self._find("task", fragment)
        row = await self._parts.views.task(task_id)
        if not detail:
            row = {**row, "attempts": [], "facts": []}
        return await self._task_view(row)

    async def tasks(self, wanted: wire.TaskFilter) -> list[wire.TaskView]:
        """See the protocol."""
        expected = await self._expected()
        rows = await self._parts.views.tasks(await self._listing("task", wanted))
        return [_task_view(row, expected) for row in rows]

    async def wait(self, wanted: wire.WaitQuery) -> wire.WaitReply:
        """See the protocol."""
        batch_id = await self._batch(wanted.batch) if wanted.batch else None
        found = [await self._find("task", fragment) for fragment in wanted.id]
        until = self._parts.clock.now() + timedelta(seconds=wanted.timeout)
        while True:
            event = self._parts.changed()
            reply = await self._waited(found, batch_id, wanted.since)
            left = until - self._parts.clock.now()
            if (reply.changed and reply.cursor != wanted.since) or reply.settled or left <= timedelta():
                return reply
            with anyio.move_on_after(min(left, LOOK_AGAIN).total_seconds()):
                await event.wait()

    async def cancel(self, fragment: str, *, peer: Peer) -> wire.TaskView:
        """See the protocol."""
        cancelled = await self._parts.steer.cancel(await self._find("task", fragment), by=peer.by)
        view = await self._task_view(await self._parts.views.task(cancelled.task_id))
        if cancelled.mode is Mode.ASYNC and view.creator_task_id:
            hint = "The creator cannot stop a task: generation goes on there, and its result will be dropped."
            view = msgspec.structs.replace(view, hint=hint)
        return view

    async def retry(self, fragment: str, *, peer: Peer) -> wire.TaskView:
        """See the protocol."""
        revived = await self._parts.steer.revive(await self._find("task", fragment), by=peer.by)
        return await self._task_view(await self._parts.views.task(revived.task_id))

    async def stats(self, since_seconds: float) -> wire.Stats:
        """See the protocol."""
        now = self._parts.clock.now()
        open_states, finished = await self._parts.views.counts(
            now - timedelta(seconds=since_seconds), now - timedelta(hours=1)
        )
        ended = {row["state"]: row for row in finished}
        completed, count = ended.get("completed"), sum(row["count"] for row in finished)
        judged = count - (ended["cancelled"]["count"] if "cancelled" in ended else 0)
        return wire.Stats(
            since_seconds=since_seconds,
            states={row["state"]: row["count"] for row in (*open_states, *finished)},
            finished=count,
            completed_last_hour=completed["last_hour"] if completed else 0,
            success_rate=(completed["count"] if completed else 0) / judged if judged else None,
            median_seconds=float(completed["median"]) if completed and completed["median"] is not None else None,
            queue_waiting=await self._parts.waiting(),
            slots_used=self._parts.slots.used,
            slots_total=self._parts.slots.total,
        )

    async def contents(self, wanted: wire.ContentFilter) -> list[wire.ContentView]:
        """See the protocol."""
        rows = await self._parts.views.contents(await self._listing("content", wanted))
        return [_content_view(row) for row in rows]

    async def content(self, fragment: str, *, with_body: bool) -> wire.ContentView:
        """See the protocol."""
        return await self._content(await self._find("content", fragment), with_body=with_body)

    async def approve(self, fragment: str, *, peer: Peer, reason: str) -> wire.ContentView:
        """See the protocol."""
        return await self._decide(fragment, ContentEvent.APPROVED, peer, reason)

    async def reject(self, fragment: str, *, peer: Peer, reason: str) -> wire.ContentView:
        """See the protocol."""
        return await self._decide(fragment, ContentEvent.REJECTED, peer, reason)

    async def create_account(self, account: wire.NewAccount, *, peer: Peer) -> wire.AccountView:
        """See the protocol."""
        made = Account(
            account_id=self._parts.clock.new_id(),
            name=check_account_name(account.name),
            created_at=self._parts.clock.now(),
            title=account.title,
            mode=Mode(account.mode) if account.mode else None,
            auto_approve=account.auto_approve,
            tone=account.tone,
            audience=account.audience,
            requirements=account.requirements,
        )
        if not await self._parts.accounts.create(made):
            raise Conflict(f"There is an account {account.name!r} already.", fix="contenthubctl account list shows it.")
        return _account_view(made)

    async def accounts(self) -> list[wire.AccountView]:
        """See the protocol."""
        return [_account_view(account) for account in await self._parts.accounts.all()]

    async def account(self, name: str) -> wire.AccountView:
        """See the protocol."""
        return _account_view(await self._parts.accounts.by_name(name))

    async def health(self) -> wire.Health:
        """See the protocol."""
        return await self._parts.health()

    async def version(self) -> wire.Version:
        """See the protocol."""
        return self._parts.version

    async def config(self) -> list[wire.ConfigEntry]:
        """See the protocol."""
        return self._parts.config()

    async def _find(self, noun: str, fragment: str) -> UUID:
        found = await self._parts.views.find_ids(noun, ids.pattern(fragment))
        if not found:
            raise NotFound(f"There is no {noun} {fragment!r}.", fix=_LISTS[noun])
        if len(found) > 1:
            raise ids.ambiguous(noun, fragment, [str(one) for one in found])
        return found[0]

    async def _batch(self, fragment: str) -> UUID:
        if fragment != wire.LAST_BATCH:
            return await self._find("batch", fragment)
        last = await self._parts.views.last_batch()
        if last is None:
            raise NotFound(
                "Nothing was submitted as a batch yet.", fix="Submit one with: contenthubctl content batch-generate"
            )
        return last

    async def _listing(self, noun: str, wanted: wire.TaskFilter | wire.ContentFilter) -> Listing:
        if wanted.account:
            await self._parts.accounts.by_name(wanted.account)
        return Listing(
            limit=wanted.limit,
            states=wanted.status,
            account=wanted.account,
            batch_id=await self._batch(wanted.batch) if wanted.batch else None,
            since=wanted.since,
            after=await self._find(noun, wanted.after) if wanted.after else None,
        )

    async def _expected(self) -> float | None:
        expected = expected_duration(await self._parts.history.durations(HISTORY))
        return expected.total_seconds() if expected is not None else None

    async def _task_view(self, row: Row) -> wire.TaskView:
        return _task_view(row, await self._expected())

    async def _content(self, content_id: UUID, *, with_body: bool) -> wire.ContentView:
        rows = await self._parts.views.contents(Listing(limit=1, only=content_id))
        body = await self._parts.views.body(content_id) if with_body else None
        return _content_view({**rows[0], "body": body})

    async def _decide(self, fragment: str, event: ContentEvent, peer: Peer, reason: str) -> wire.ContentView:
        content_id = await self._find("content", fragment)
        seen = await self._content(content_id, with_body=False)
        await self._parts.review(content_id, ContentState(seen.state), event, by=peer.by, reason=reason)
        return await self._content(content_id, with_body=False)

    async def _waited(self, found: Sequence[UUID], batch_id: UUID | None, since: str) -> wire.WaitReply:
        rows = await self._parts.views.waited(found, batch_id)
        expected = await self._expected()
        last = max((row["last_fact"] or 0 for row in rows), default=0)
        told = int(since) if since.isdecimal() else -1
        new = [row for row in rows if told < 0 or (row["last_fact"] or 0) > told - FACT_MARGIN] if last != told else []
        counts: dict[str, int] = {}
        for row in rows:
            counts[row["state"]] = counts.get(row["state"], 0) + 1
        all_final = all(row["state"] in FINAL for row in rows)
        return wire.WaitReply(
            changed=[await self._waited_task(row, expected, len(rows)) for row in new],
            counts=counts,
            total=len(rows),
            all_final=all_final,
            settled=all_final and not any(row["publishing"] for row in rows),
            cursor=str(last),
        )

    async def _waited_task(self, row: Row, expected: float | None, total: int) -> wire.WaitedTask:
        position = None
        if row["state"] == "pending" and total <= LONGEST_POSITIONED:
            position = (await self._parts.views.task(row["id"]))["position"]
        shown = {**row, "expected_seconds": expected, "position": position}
        return msgspec.convert(_shown(shown), wire.WaitedTask)


_LISTS: Final = {
    "task": "List tasks with: contenthubctl task list",
    "content": "List contents with: contenthubctl content list",
    "batch": "List tasks with: contenthubctl task list",
}


def _shown(value: Any) -> Any:
    """Times as RFC 3339 in UTC, ids as text; the rest as it is."""
    match value:
        case datetime():
            return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        case UUID():
            return str(value)
        case Mapping():
            return {key: _shown(one) for key, one in value.items()}
        case list() | tuple():
            return [_shown(one) for one in value]
    return value


def _task_view(row: Row, expected: float | None) -> wire.TaskView:
    deadline = None
    if row["claimed_at"] and row["state"] in ("submitting", "submitted", "running"):
        deadline = row["claimed_at"] + timedelta(seconds=row["timeout_seconds"])
    attempts = [{**one, "charged": _charged(one)} for one in row.get("attempts", [])]
    more = {
        "deadline_at": deadline,
        "expected_seconds": expected,
        "hint": _hint(row["error_kind"]),
        "attempts": attempts,
    }
    return msgspec.convert(_shown({**row, **more}), wire.TaskView)


def _charged(attempt: Row) -> bool:
    return attempt["outcome"] in ("failed", "timed_out") and attempt["error_kind"] not in UNCHARGED


def _hint(kind: str | None) -> str | None:
    return HINTS.get(ErrorKind(kind)) if kind else None


def _content_view(row: Row) -> wire.ContentView:
    return msgspec.convert(_shown(row), wire.ContentView)


def _account_view(account: Account) -> wire.AccountView:
    return wire.AccountView(
        name=account.name,
        created_at=_shown(account.created_at),
        title=account.title,
        mode=account.mode.value if account.mode else None,
        auto_approve=account.auto_approve,
        tone=account.tone,
        audience=account.audience,
        requirements=account.requirements,
    )


def _submitted(task: Task, created: bool) -> wire.SubmittedTask:
    return wire.SubmittedTask(id=str(task.task_id), state=task.state.value, topic=task.topic, created=created)


def _request(one: wire.TopicRequest) -> Request:
    return Request(**(msgspec.structs.asdict(one) | {"mode": Mode(one.mode) if one.mode else None}))
