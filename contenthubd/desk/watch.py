"""The long poll of people who wait for tasks."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Final
from uuid import UUID

import anyio
import msgspec

from contenthubd.control import advice, wire
from contenthubd.desk.search import Search
from contenthubd.desk.shapes import publications_of, shown
from contenthubd.desk.waiting import Glance, Waiting
from contenthubd.domain.content import ContentState
from contenthubd.domain.task import FINAL, TaskState
from contenthubd.ports.clock import Clock
from contenthubd.ports.views import Row, Views

LOOK_AGAIN: Final = timedelta(seconds=1)
REST: Final = 9
LONGEST_POSITIONED: Final = 20
FACT_MARGIN: Final = 100
"""Facts are told again when they are this close to the cursor: transactions commit out of order."""


class Watch:
    """Answers when something changed. ``changed`` gives an event that the next change sets."""

    def __init__(
        self, views: Views, search: Search, clock: Clock, waiting: Waiting, changed: Callable[[], anyio.Event]
    ) -> None:
        self._views = views
        self._search = search
        self._clock = clock
        self._waiting = waiting
        self._changed = changed

    async def __call__(self, wanted: wire.WaitQuery, expected: float | None) -> wire.WaitReply:
        """The tasks that changed since the query's cursor, at the latest at its timeout."""
        batch_id = await self._search.batch(wanted.batch) if wanted.batch else None
        found = [await self._search.one("task", fragment) for fragment in wanted.id]
        until = self._clock.uptime() + timedelta(seconds=wanted.timeout)
        while True:
            event, began = self._changed(), self._clock.uptime()
            reply = await self._waited(found, batch_id, wanted.since, expected)
            now = self._clock.uptime()
            left = until - now
            if reply.cursor != wanted.since or reply.settled or left <= timedelta():
                return reply
            with anyio.move_on_after(min(left, LOOK_AGAIN).total_seconds()):
                await event.wait()
            # Thousands of tasks are read anew at each change of any task: reading takes a tenth of the time at most.
            await anyio.sleep(min(left, (now - began) * REST).total_seconds())

    async def _waited(
        self, found: Sequence[UUID], batch_id: UUID | None, since: str, expected: float | None
    ) -> wire.WaitReply:
        rows = await self._views.waited(found, batch_id)
        glance = await self._waiting.glance()
        first = next((row for row in rows if row["state"] == TaskState.PENDING), None)
        waiting_for = glance.reason(first) if first else None
        last = max((row["last_fact"] or 0 for row in rows), default=0)
        cursor = f"{last}-{waiting_for.code if waiting_for else ''}"
        told = int(known) if (known := since.partition("-")[0]).isdecimal() and len(known) <= 18 else -1
        new = [row for row in rows if told < 0 or (row["last_fact"] or 0) > told - FACT_MARGIN]
        counts: dict[str, int] = {}
        for row in rows:
            counts[row["state"]] = counts.get(row["state"], 0) + 1
        all_final = all(row["state"] in FINAL for row in rows)
        changed = new if cursor != since else []
        return wire.WaitReply(
            changed=[await self._waited_task(row, expected, len(rows), glance) for row in changed],
            counts=counts,
            total=len(rows),
            all_final=all_final,
            settled=all_final and not any(map(_on_its_way, rows)),
            cursor=cursor,
            waiting_for=waiting_for,
        )

    async def _waited_task(self, row: Row, expected: float | None, total: int, glance: Glance) -> wire.WaitedTask:
        position = None
        if row["state"] == "pending" and total <= LONGEST_POSITIONED:
            position = (await self._views.task(row["id"]))["position"]
        told = {
            **row,
            "expected_seconds": expected,
            "position": position,
            "waiting_for": glance.reason(row, position),
            "publications": publications_of(row, row["content_id"], row["content_state"]),
        }
        return msgspec.convert(shown(told), wire.WaitedTask)


def _on_its_way(row: Row) -> bool:
    """Whether something of a task is still to be published without anybody's doing."""
    on_its_way = any(one["state"] in advice.ON_ITS_WAY for one in row["publications"])
    return on_its_way and row["content_state"] != ContentState.REJECTED
