"""The desk for schedules."""

from contextlib import suppress
from dataclasses import asdict
from datetime import datetime
from typing import Final

import msgspec

from contenthubd.control import wire, wire_schedules
from contenthubd.control.peer import Peer
from contenthubd.desk.shapes import request, shown, submitted
from contenthubd.domain.account import check_account_name
from contenthubd.domain.cron import Cron
from contenthubd.domain.errors import InvalidInput
from contenthubd.domain.schedule import CatchUp, Firing, Schedule
from contenthubd.ports.accounts import AccountStore
from contenthubd.ports.clock import Clock
from contenthubd.stages.schedule import Schedules

_LIKE_ACCOUNTS: Final = "Put what people should read into the topic."


class ScheduleDesk:
    """What people do with schedules (``control.routes_schedules.Schedules``)."""

    def __init__(self, stage: Schedules, accounts: AccountStore, clock: Clock) -> None:
        self._stage = stage
        self._store = stage.store
        self._accounts = accounts
        self._clock = clock

    async def create_schedule(self, wanted: wire_schedules.NewSchedule, *, peer: Peer) -> wire_schedules.ScheduleView:
        """See the protocol."""
        now = self._clock.now()
        times = Cron(wanted.cron, wanted.time_zone)
        made = Schedule(
            schedule_id=self._clock.new_id(),
            name=_checked(wanted.name),
            account=wanted.account,
            cron=times.expression,
            time_zone=times.zone.key,
            request=request(wanted.request),
            catch_up=CatchUp(wanted.catch_up),
            overlap=wanted.overlap,
            created_at=now,
            checked_until=now,
            due_at=times.next(now),
        )
        return self._view(await self._stage.create(made, by=peer.by))

    async def schedules(self, account: str | None) -> list[wire_schedules.ScheduleView]:
        """See the protocol."""
        if account is not None:
            await self._accounts.by_name(account)
        return [self._view(schedule) for schedule in await self._store.all(account)]

    async def schedule(self, name: str) -> wire_schedules.ScheduleView:
        """See the protocol."""
        return self._view(await self._store.by_name(name))

    async def steer_schedule(self, name: str, verb: str, *, peer: Peer) -> wire_schedules.ScheduleView:
        """See the protocol."""
        act = {"pause": self._stage.pause, "resume": self._stage.resume, "delete": self._stage.delete}[verb]
        return self._view(await act(name, by=peer.by))

    async def run_schedule(self, name: str, *, peer: Peer) -> wire.SubmittedTask:
        """See the protocol."""
        return submitted(await self._stage.run(name, by=peer.by), created=True)

    async def firings(self, name: str, wanted: wire_schedules.FiringFilter) -> list[wire_schedules.FiringView]:
        """See the protocol."""
        schedule = await self._store.by_name(name)
        found = await self._store.history(schedule.schedule_id, wanted.limit, wanted.after)
        return [_firing(one) for one in found]

    async def preview(self, wanted: wire_schedules.PreviewQuery) -> wire_schedules.Preview:
        """See the protocol."""
        after = self._clock.now()
        if (wanted.schedule is None) == (wanted.cron is None):
            raise InvalidInput("Give the name of a schedule, or a cron expression, and not both.")
        if wanted.schedule is not None and wanted.time_zone is not None:
            raise InvalidInput("A schedule has its own time zone; leave the time zone out.")
        if wanted.schedule is not None:
            schedule = await self._store.by_name(wanted.schedule)
            times, after = schedule.times(), max(after, schedule.checked_until)
        else:
            times = Cron(wanted.cron or "", wanted.time_zone or "UTC")
        return wire_schedules.Preview(
            cron=times.expression,
            time_zone=times.zone.key,
            slots=[_slot(slot, times) for slot in times.first(after, wanted.count)],
        )

    def _view(self, schedule: Schedule) -> wire_schedules.ScheduleView:
        next_at = None
        with suppress(InvalidInput):  # a time zone this machine does not know: it does not fire, but can be seen
            if schedule.paused_at is None:
                next_at = schedule.times().next(max(self._clock.now(), schedule.checked_until))
        told = {name: value for name, value in asdict(schedule).items() if name not in ("schedule_id", "due_at")}
        return msgspec.convert(shown({**told, "next_at": next_at}), wire_schedules.ScheduleView)


def _checked(name: str) -> str:
    try:
        return check_account_name(name)
    except InvalidInput as fault:
        raise InvalidInput(f"{name[:80]!r} cannot be a schedule's name.", why=fault.why, fix=_LIKE_ACCOUNTS) from None


def _slot(slot: datetime, times: Cron) -> wire_schedules.Slot:
    return wire_schedules.Slot(at=shown(slot), local=slot.astimezone(times.zone).isoformat())


def _firing(firing: Firing) -> wire_schedules.FiringView:
    told = asdict(firing)
    return msgspec.convert(shown({**told, "id": told.pop("firing_id")}), wire_schedules.FiringView)
