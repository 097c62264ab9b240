"""Path → handler for schedules."""

from typing import Final, Protocol

from aiohttp import web

from contenthubd.control import wire, wire_schedules
from contenthubd.control.messages import asking, body, path_name, query, reply
from contenthubd.control.pages import one_more, page
from contenthubd.control.peer import Peer


class Schedules(Protocol):
    """Schedules, as people set them up. Names that do not exist are NotFound."""

    async def create_schedule(self, wanted: wire_schedules.NewSchedule, *, peer: Peer) -> wire_schedules.ScheduleView:
        """InvalidInput for a name, time or request that is not possible, Conflict for a name that is taken."""

    async def schedules(self, account: str | None) -> list[wire_schedules.ScheduleView]:
        """Every schedule by name, or those of one account."""

    async def schedule(self, name: str) -> wire_schedules.ScheduleView:
        """One schedule."""

    async def steer_schedule(self, name: str, verb: str, *, peer: Peer) -> wire_schedules.ScheduleView:
        """``pause``, ``resume`` or ``delete`` it; as it is then, or was. Conflict."""

    async def run_schedule(self, name: str, *, peer: Peer) -> wire.SubmittedTask:
        """Fire now. Conflict while a task of it is not finished and tasks may not overlap."""

    async def firings(self, name: str, wanted: wire_schedules.FiringFilter) -> list[wire_schedules.FiringView]:
        """At most ``wanted.limit`` firings, newest first."""

    async def preview(self, wanted: wire_schedules.PreviewQuery) -> wire_schedules.Preview:
        """The next slots. InvalidInput unless either a schedule or an expression is given."""


SCHEDULES: Final = web.AppKey("schedules", Schedules)


def _desk(request: web.Request) -> Schedules:
    return request.app[SCHEDULES]


def _name(request: web.Request) -> str:
    return path_name(request, "name")


async def create(request: web.Request) -> web.Response:
    """POST /v1/schedules."""
    wanted = await body(request, wire_schedules.NewSchedule)
    return reply(await _desk(request).create_schedule(wanted, peer=await asking(request)), 201)


async def listed(request: web.Request) -> web.Response:
    """GET /v1/schedules."""
    account = query(request, wire_schedules.ScheduleFilter).account
    return reply(wire_schedules.ScheduleList(schedules=await _desk(request).schedules(account)))


async def show(request: web.Request) -> web.Response:
    """GET /v1/schedules/{name}."""
    return reply(await _desk(request).schedule(_name(request)))


async def pause(request: web.Request) -> web.Response:
    """POST /v1/schedules/{name}/pause."""
    return reply(await _desk(request).steer_schedule(_name(request), "pause", peer=await asking(request)))


async def resume(request: web.Request) -> web.Response:
    """POST /v1/schedules/{name}/resume."""
    return reply(await _desk(request).steer_schedule(_name(request), "resume", peer=await asking(request)))


async def delete(request: web.Request) -> web.Response:
    """POST /v1/schedules/{name}/delete."""
    return reply(await _desk(request).steer_schedule(_name(request), "delete", peer=await asking(request)))


async def run(request: web.Request) -> web.Response:
    """POST /v1/schedules/{name}/run."""
    return reply(await _desk(request).run_schedule(_name(request), peer=await asking(request)), 201)


async def firings(request: web.Request) -> web.Response:
    """GET /v1/schedules/{name}/firings."""
    wanted = query(request, wire_schedules.FiringFilter)
    found = await _desk(request).firings(_name(request), one_more(wanted, wanted.limit))
    firings, last = page(found, wanted.limit)
    return reply(wire_schedules.FiringPage(firings=firings, next=last.id if last else None))


async def preview(request: web.Request) -> web.Response:
    """GET /v1/preview."""
    return reply(await _desk(request).preview(query(request, wire_schedules.PreviewQuery)))


ROUTES: Final = (
    web.post("/v1/schedules", create),
    web.get("/v1/schedules", listed),
    web.get("/v1/schedules/{name}", show),
    web.post("/v1/schedules/{name}/pause", pause),
    web.post("/v1/schedules/{name}/resume", resume),
    web.post("/v1/schedules/{name}/delete", delete),
    web.post("/v1/schedules/{name}/run", run),
    web.get("/v1/schedules/{name}/firings", firings),
    web.get("/v1/preview", preview),
)
