"""An application without daemon or database: the real rules of the domain over dictionaries.

It lets the door and contenthubctl be tested by themselves. ``move`` plays the daemon: it takes a task to a state.
"""

import asyncio
import os
import platform
import uuid
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

import msgspec

from contenthubd import __version__
from contenthubd.control import ids, wire
from contenthubd.control.peer import Peer
from contenthubd.control.routes import Application
from contenthubd.control.wire_queue import QueueStatus
from contenthubd.domain.account import check_account_name
from contenthubd.domain.content import ContentEvent, ContentState, content_step
from contenthubd.domain.errors import Conflict, DatabaseUnavailable, InvalidInput, NotFound
from contenthubd.domain.request import Request, check
from contenthubd.domain.task import FINAL, TaskEvent, TaskState, step
from tests.control.unreached import schedule_desk

NOW = "2026-01-31T07:00:00.000Z"
T = TypeVar("T")


class BadRequests(InvalidInput):
    """Single requests are at fault."""

    def __init__(self, faults: list[tuple[int, str]]) -> None:
        super().__init__(f"{len(faults)} faults.")
        self.faults = faults


class MemoryApplication:
    """``control.routes.Application`` over dictionaries."""

    def __init__(self) -> None:
        self.task_views: dict[str, wire.TaskView] = {}
        self.content_views: dict[str, wire.ContentView] = {}
        self.account_views: dict[str, wire.AccountView] = {}
        self.keys: dict[str, wire.Submitted] = {}
        self.peers: list[Peer] = []
        self.status: Any = "ok"
        self.database_is_away = False
        self._moved = asyncio.Event()
        self._version = 0

    @property
    def application(self) -> Application:
        """Every desk of the door, all served by this one object."""
        return Application(tasks=self, contents=self, accounts=self, schedules=schedule_desk(), condition=self)

    def move(self, task_id: str, state: TaskState, **more: Any) -> None:
        """Take a task to a state, as the daemon would."""
        self.task_views[task_id] = msgspec.structs.replace(self.task_views[task_id], state=state.value, **more)
        self._changed()

    def finish(self, task_id: str, title: str, location: str | None) -> None:
        """A task came to its end with an article; without a location it waits for review."""
        task = self.task_views[task_id]
        content_id = str(uuid.uuid4())
        state: Any = "published" if location else "pending_review"
        published = [wire.PublicationView(id=content_id, target="directory", state="published", location=location)]
        self.content_views[content_id] = wire.ContentView(
            id=content_id, task_id=task_id, account=task.account, state=state, title=title, topic=task.topic, chars=5,
            created_at=NOW, body=f"# {title}", publications=published if location else [],
        )  # fmt: skip
        more = {"content_id": content_id, "content_state": state, "title": title, "location": location}
        self.move(task_id, TaskState.COMPLETED, finished_at=NOW, **more)

    async def submit(self, order: wire.SubmitRequest, *, peer: Peer) -> wire.Submitted:
        self.peers.append(peer)
        self._account(order.account)
        requests = [Request(**msgspec.structs.asdict(one)) for one in order.requests]
        faults = [(index, fault) for index, one in enumerate(requests) for fault in check(one)]
        if faults:
            raise BadRequests(faults)
        if order.dry_run:
            told = [wire.SubmittedTask(id=None, state="pending", topic=one.topic, created=False) for one in requests]
            return wire.Submitted(account=order.account, tasks=told, dry_run=True)
        if order.idempotency_key in self.keys:
            before = self.keys[order.idempotency_key]
            return msgspec.structs.replace(
                before,
                tasks=[msgspec.structs.replace(one, created=False, already_submitted=True) for one in before.tasks],
            )
        submitted = self._store(order)
        if order.idempotency_key:
            self.keys[order.idempotency_key] = submitted
        return submitted

    async def task(self, fragment: str, *, detail: bool) -> wire.TaskView:
        task = self._find("task", fragment, self.task_views)
        facts = [wire.FactView(at=NOW, name="task_submitted", data={"by": "uid:0"})] if detail else []
        return msgspec.structs.replace(task, facts=facts)

    async def tasks(self, wanted: wire.TaskFilter) -> list[wire.TaskView]:
        self._reachable()
        self._batch(wanted.batch)
        return _page(list(self.task_views.values()), wanted, lambda one: one.state)

    async def wait(self, wanted: wire.WaitQuery) -> wire.WaitReply:
        if wanted.batch:
            found = [one for one in self.task_views.values() if one.batch and one.batch.endswith(wanted.batch)]
        else:
            found = [self._find("task", one, self.task_views) for one in wanted.id]
        if wanted.since == str(self._version):
            with suppress(TimeoutError):  # the long poll's ordinary end
                await asyncio.wait_for(self._moved.wait(), wanted.timeout)
        return self._waited(list(dict.fromkeys(one.id for one in found)))

    async def cancel(self, fragment: str, *, peer: Peer, dry_run: bool = False) -> wire.TaskView:
        return self._steer(fragment, TaskEvent.CANCELLED, dry_run=dry_run)

    async def retry(self, fragment: str, *, peer: Peer, dry_run: bool = False) -> wire.TaskView:
        return self._steer(fragment, TaskEvent.REVIVED, dry_run=dry_run)

    async def stats(self, since_seconds: float) -> wire.Stats:
        return wire.Stats(since_seconds=since_seconds, states={"pending": len(self.task_views)}, slots_total=5)

    async def contents(self, wanted: wire.ContentFilter) -> list[wire.ContentView]:
        self._batch(wanted.batch)
        rows = [msgspec.structs.replace(one, body=None) for one in self.content_views.values()]
        return _page(rows, wanted, lambda one: one.state)

    async def content(self, fragment: str, *, with_body: bool) -> wire.ContentView:
        found = self._find("content", fragment, self.content_views)
        return found if with_body else msgspec.structs.replace(found, body=None)

    async def approve(self, fragment: str, *, peer: Peer, reason: str, dry_run: bool = False) -> wire.ContentView:
        return self._decide(fragment, ContentEvent.APPROVED, peer, reason, dry_run=dry_run)

    async def reject(self, fragment: str, *, peer: Peer, reason: str, dry_run: bool = False) -> wire.ContentView:
        return self._decide(fragment, ContentEvent.REJECTED, peer, reason, dry_run=dry_run)

    async def create_account(self, account: wire.NewAccount, *, peer: Peer) -> wire.AccountView:
        name = check_account_name(account.name)
        if name in self.account_views:
            raise Conflict(f"There is an account {name!r} already.")
        self.account_views[name] = wire.AccountView(created_at=NOW, **msgspec.structs.asdict(account))
        return self.account_views[name]

    async def accounts(self) -> list[wire.AccountView]:
        return sorted(self.account_views.values(), key=lambda one: one.name)

    async def account(self, name: str) -> wire.AccountView:
        return self._account(name)

    async def health(self) -> wire.Health:
        faults = [] if self.status == "ok" else [wire.HealthFault(part="queue", what="It is away.", hint="Start it.")]
        return wire.Health(
            status=self.status, version=__version__, uptime_seconds=61.0, faults=faults,
            queue={"kind": "memory", "since": NOW, "why": "Redis is away.", "degraded": False, "waiting": 0},
            creator={"worker": {"state": "running", "worker_id": "w1"}, "key_faults": []},
        )  # fmt: skip

    async def version(self) -> wire.Version:
        return wire.Version(version=__version__, python=platform.python_version(), pid=os.getpid())

    async def config(self) -> list[wire.ConfigEntry]:
        return [
            wire.ConfigEntry(key="tasks.mode", value="async", origin="environment ASYNC_ENABLED"),
            wire.ConfigEntry(key="tasks.max_concurrent", value=3, needs_restart=True, after_restart=7),
        ]

    async def queue(self) -> QueueStatus:
        return QueueStatus(kind="memory", since=NOW, why="Redis is away.", degraded=True, waiting=3)

    def _store(self, order: wire.SubmitRequest) -> wire.Submitted:
        batch = str(uuid.uuid4()) if order.batch else None
        told = []
        for one in order.requests:
            task_id = str(uuid.uuid4())
            self.task_views[task_id] = wire.TaskView(
                id=task_id, account=order.account, state="pending", mode=one.mode or "async", topic=one.topic,
                created_at=NOW, batch=batch, priority=one.priority,
            )  # fmt: skip
            told.append(wire.SubmittedTask(id=task_id, state="pending", topic=one.topic))
        self._changed()
        return wire.Submitted(account=order.account, tasks=told, batch_id=batch)

    def _waited(self, task_ids: list[str]) -> wire.WaitReply:
        fields = wire.WaitedTask.__struct_fields__
        views = [self.task_views[task_id] for task_id in task_ids]
        counts = Counter[str](view.state for view in views)
        final = all(TaskState(view.state) in FINAL for view in views)
        return wire.WaitReply(
            changed=[wire.WaitedTask(**{name: getattr(view, name) for name in fields}) for view in views],
            counts=dict(counts), total=len(views), all_final=final, settled=final, cursor=str(self._version),
        )  # fmt: skip

    def _steer(self, fragment: str, event: TaskEvent, *, dry_run: bool) -> wire.TaskView:
        task = self._find("task", fragment, self.task_views)
        state = step(TaskState(task.state), event)
        if not dry_run:
            self.move(task.id, state)
        return self.task_views[task.id]

    def _decide(
        self, fragment: str, event: ContentEvent, peer: Peer, reason: str, *, dry_run: bool
    ) -> wire.ContentView:
        seen = self._find("content", fragment, self.content_views)
        state: Any = content_step(ContentState(seen.state), event).value
        if dry_run:
            return seen
        decided = msgspec.structs.replace(seen, state=state, reviewed_by=peer.by, review_reason=reason)
        self.content_views[seen.id] = decided
        return decided

    def _account(self, name: str) -> wire.AccountView:
        self._reachable()
        if name in self.account_views:
            return self.account_views[name]
        raise NotFound(f"There is no account {name!r}.", fix="List them with: contenthubctl account list")

    def _batch(self, wanted: str | None) -> None:
        known = {one.batch for one in self.task_views.values() if one.batch}
        if wanted and wanted not in known and not (wanted == wire.LAST_BATCH and known):
            raise NotFound(f"There is no batch {wanted!r}.", fix="List tasks with: contenthubctl task list")

    def _find(self, noun: str, fragment: str, rows: dict[str, T]) -> T:
        self._reachable()
        digits = ids.pattern(fragment)
        found = [
            one for one in rows if one.replace("-", "").startswith(digits) or one.replace("-", "").endswith(digits)
        ]
        if not found:
            raise NotFound(f"There is no {noun} {fragment!r}.")
        if len(found) > 1:
            raise ids.ambiguous(noun, fragment, found)
        return rows[found[0]]

    def _reachable(self) -> None:
        if self.database_is_away:
            raise DatabaseUnavailable("PostgreSQL does not answer.", fix="Look at its log.")

    def _changed(self) -> None:
        self._version += 1
        self._moved.set()
        self._moved = asyncio.Event()


def _page(rows: list[T], wanted: Any, state: Callable[[T], str]) -> list[T]:
    """Newest first (a batch: as submitted), after the last one seen, as many as asked for."""
    ordered: list[Any] = list(rows if wanted.batch else reversed(rows))
    if wanted.after:
        ordered = ordered[[one.id for one in ordered].index(wanted.after) + 1 :]
    kept = [
        one
        for one in ordered
        if (not wanted.status or state(one) in wanted.status)
        and (not wanted.account or one.account == wanted.account)
        and (not wanted.batch or one.batch == wanted.batch or (wanted.batch == "last" and one.batch == _last(rows)))
    ]
    return kept[: wanted.limit]


def _last(rows: list[Any]) -> str | None:
    return next((one.batch for one in reversed(rows) if one.batch), None)
