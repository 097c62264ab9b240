"""The long poll of people who wait for tasks."""

from collections.abc import Callable
from datetime import timedelta
from typing import Final

import anyio
import msgspec

from contenthubd.control import wire
from contenthubd.desk.looks import Looks, Seen, Subject
from contenthubd.desk.search import Search
from contenthubd.desk.shapes import publications_of, shown
from contenthubd.desk.waiting import Glance, Waiting
from contenthubd.domain.errors import InvalidInput
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
        self._looks = Looks(views, waiting, clock, changed)

    async def __call__(self, wanted: wire.WaitQuery, expected: float | None) -> wire.WaitReply:
        """The tasks that changed since the query's cursor, at the latest at its timeout."""
        if not wanted.id and wanted.batch is None:
            raise InvalidInput("There is nothing to wait for.", fix="Name tasks with id, or a batch with batch.")
        batch_id = await self._search.batch(wanted.batch) if wanted.batch is not None else None
        ids = frozenset([await self._search.one("task", fragment) for fragment in wanted.id])
        until = self._clock.uptime() + timedelta(seconds=wanted.timeout)
        with self._looks.at(Subject(batch_id, ids)) as look:
            while True:
                seen = await look()
                reply = await self._told(seen, wanted.since, expected)
                left = until - self._clock.uptime()
                if reply.cursor != wanted.since or reply.settled or left <= timedelta():
                    return reply
                with anyio.move_on_after(min(left, LOOK_AGAIN).total_seconds()):
                    await seen.changed.wait()
                # Thousands of tasks are read anew at each change of any task: that takes a tenth of the time at most.
                await anyio.sleep(min(left, seen.took * REST).total_seconds())

    async def _told(self, seen: Seen, since: str, expected: float | None) -> wire.WaitReply:
        first = seen.first_pending
        waiting_for = seen.glance.reason(first) if first else None
        cursor = f"{seen.last_fact}-{waiting_for.code if waiting_for else ''}"
        told = int(known) if (known := since.partition("-")[0]).isdecimal() and len(known) <= 18 else -1
        new = [row for row in seen.rows if told < 0 or (row["last_fact"] or 0) > told - FACT_MARGIN]
        changed = new if cursor != since else []
        return wire.WaitReply(
            changed=[await self._waited_task(row, expected, len(seen.rows), seen.glance) for row in changed],
            counts=dict(seen.counts),
            total=len(seen.rows),
            all_final=seen.all_final,
            settled=seen.settled,
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
