"""Path → handler. A handler parses, calls the application once and shapes the reply; rules live in the stages."""

from dataclasses import dataclass
from typing import Final, Protocol

from aiohttp import web

from contenthubd.control import routes_schedules, wire
from contenthubd.control.door_health import with_door
from contenthubd.control.messages import CONNECTIONS, asking, body, optional_body, path_name, query, reply
from contenthubd.control.pages import one_more, page
from contenthubd.control.peer import Peer
from contenthubd.control.wire_queue import QueueStatus


class Tasks(Protocol):
    """Tasks, as people ask for them."""

    async def submit(self, order: wire.SubmitRequest, *, peer: Peer) -> wire.Submitted:
        """Store all tasks or none; a dry run only checks.

        InvalidInput; when single requests are at fault its ``faults`` are (index, sentence) pairs, all of them at once.
        """

    async def task(self, fragment: str, *, detail: bool) -> wire.TaskView:
        """One task; attempts and facts only in detail."""

    async def tasks(self, wanted: wire.TaskFilter) -> list[wire.TaskView]:
        """At most ``wanted.limit`` tasks, newest first."""

    async def wait(self, wanted: wire.WaitQuery) -> wire.WaitReply:
        """Answer when something changed since ``wanted.since``, at the latest after ``wanted.timeout`` seconds."""

    async def cancel(self, fragment: str, *, peer: Peer, dry_run: bool = False) -> wire.TaskView:
        """Cancel a task that is not final; ``hint`` says so if the creator cannot be stopped. Conflict.

        ``dry_run``, here and below: answer alike, change nothing.
        """

    async def retry(self, fragment: str, *, peer: Peer, dry_run: bool = False) -> wire.TaskView:
        """Revive a failed, timed out or cancelled task. Conflict."""

    async def stats(self, since_seconds: float) -> wire.Stats:
        """Counts and rates of the period, and the present load."""


class Contents(Protocol):
    """Articles, as people review them."""

    async def contents(self, wanted: wire.ContentFilter) -> list[wire.ContentView]:
        """At most ``wanted.limit`` contents, newest first, with publications, without bodies."""

    async def content(self, fragment: str, *, with_body: bool) -> wire.ContentView:
        """One content, by its own id or its task's."""

    async def approve(self, fragment: str, *, peer: Peer, reason: str, dry_run: bool = False) -> wire.ContentView:
        """Approve a content. Conflict."""

    async def reject(self, fragment: str, *, peer: Peer, reason: str, dry_run: bool = False) -> wire.ContentView:
        """Reject a content. Conflict."""


class Accounts(Protocol):
    """Accounts, as people set them up."""

    async def create_account(self, account: wire.NewAccount, *, peer: Peer) -> wire.AccountView:
        """InvalidInput for a name that is not possible, Conflict for one that is taken."""

    async def accounts(self) -> list[wire.AccountView]:
        """Every account by name."""

    async def account(self, name: str) -> wire.AccountView:
        """One account; NotFound names the nearest one."""


class Condition(Protocol):
    """The daemon itself."""

    async def health(self) -> wire.Health:
        """Never fails and never waits for the database longer than a moment."""

    async def version(self) -> wire.Version:
        """Who answers."""

    async def config(self) -> list[wire.ConfigEntry]:
        """The configuration in force with the origin of each value."""

    async def queue(self) -> QueueStatus:
        """Which queue is in use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """What the daemon can do for a person, by desk. Methods raise subclasses of ContentHubError, nothing else.

    Ids come as people type them (see ``ids.pattern``): InvalidInput when malformed, NotFound, AmbiguousId.
    """

    tasks: Tasks
    contents: Contents
    accounts: Accounts
    schedules: routes_schedules.Schedules
    condition: Condition


APPLICATION: Final = web.AppKey("application", Application)


def _app(request: web.Request) -> Application:
    return request.app[APPLICATION]


def _fragment(request: web.Request) -> str:
    return path_name(request, "fragment")


# --------------------------------------------------------------------------------------------------------------- tasks


async def submit(request: web.Request) -> web.Response:
    """POST /v1/tasks."""
    order = await body(request, wire.SubmitRequest)
    submitted = await _app(request).tasks.submit(order, peer=await asking(request))
    return reply(submitted, 200 if order.dry_run else 201)


async def list_tasks(request: web.Request) -> web.Response:
    """GET /v1/tasks."""
    wanted = query(request, wire.TaskFilter)
    tasks, last = page(await _app(request).tasks.tasks(one_more(wanted, wanted.limit)), wanted.limit)
    return reply(wire.TaskPage(tasks=tasks, next=last.id if last else None))


async def show_task(request: web.Request) -> web.Response:
    """GET /v1/tasks/{fragment}."""
    return reply(await _app(request).tasks.task(_fragment(request), detail=query(request, wire.TaskQuery).detail))


async def wait(request: web.Request) -> web.Response:
    """GET /v1/wait."""
    return reply(await _app(request).tasks.wait(query(request, wire.WaitQuery)))


async def cancel(request: web.Request) -> web.Response:
    """POST /v1/tasks/{fragment}/cancel."""
    only_check = query(request, wire.SteerQuery).dry_run
    return reply(await _app(request).tasks.cancel(_fragment(request), peer=await asking(request), dry_run=only_check))


async def retry(request: web.Request) -> web.Response:
    """POST /v1/tasks/{fragment}/retry."""
    only_check = query(request, wire.SteerQuery).dry_run
    return reply(await _app(request).tasks.retry(_fragment(request), peer=await asking(request), dry_run=only_check))


async def stats(request: web.Request) -> web.Response:
    """GET /v1/stats."""
    return reply(await _app(request).tasks.stats(query(request, wire.StatsQuery).since_seconds))


# ------------------------------------------------------------------------------------------------------------ contents


async def list_contents(request: web.Request) -> web.Response:
    """GET /v1/contents."""
    wanted = query(request, wire.ContentFilter)
    contents, last = page(await _app(request).contents.contents(one_more(wanted, wanted.limit)), wanted.limit)
    return reply(wire.ContentPage(contents=contents, next=last.id if last else None))


async def show_content(request: web.Request) -> web.Response:
    """GET /v1/contents/{fragment}."""
    with_body = query(request, wire.ContentQuery).body
    return reply(await _app(request).contents.content(_fragment(request), with_body=with_body))


async def approve(request: web.Request) -> web.Response:
    """POST /v1/contents/{fragment}/approve."""
    decision = await optional_body(request, wire.Decision)
    only_check = query(request, wire.SteerQuery).dry_run
    return reply(
        await _app(request).contents.approve(
            _fragment(request), peer=await asking(request), reason=decision.reason, dry_run=only_check
        )
    )


async def reject(request: web.Request) -> web.Response:
    """POST /v1/contents/{fragment}/reject."""
    decision = await optional_body(request, wire.Decision)
    only_check = query(request, wire.SteerQuery).dry_run
    return reply(
        await _app(request).contents.reject(
            _fragment(request), peer=await asking(request), reason=decision.reason, dry_run=only_check
        )
    )


# ------------------------------------------------------------------------------------------------------------ accounts


async def create_account(request: web.Request) -> web.Response:
    """POST /v1/accounts."""
    wanted = await body(request, wire.NewAccount)
    return reply(await _app(request).accounts.create_account(wanted, peer=await asking(request)), 201)


async def list_accounts(request: web.Request) -> web.Response:
    """GET /v1/accounts."""
    return reply(wire.AccountList(accounts=await _app(request).accounts.accounts()))


async def show_account(request: web.Request) -> web.Response:
    """GET /v1/accounts/{name}."""
    return reply(await _app(request).accounts.account(path_name(request, "name")))


# -------------------------------------------------------------------------------------------------------------- daemon


async def health(request: web.Request) -> web.Response:
    """GET /v1/health: 200 whatever the status is; the word in the reply says it."""
    return reply(with_door(await _app(request).condition.health(), request.app[CONNECTIONS]))


async def version(request: web.Request) -> web.Response:
    """GET /v1/version."""
    return reply(await _app(request).condition.version())


async def config(request: web.Request) -> web.Response:
    """GET /v1/config."""
    return reply(wire.ConfigList(config=await _app(request).condition.config()))


async def queue(request: web.Request) -> web.Response:
    """GET /v1/queue."""
    return reply(await _app(request).condition.queue())


ROUTES: Final = (
    web.post("/v1/tasks", submit),
    web.get("/v1/tasks", list_tasks),
    web.get("/v1/tasks/{fragment}", show_task),
    web.post("/v1/tasks/{fragment}/cancel", cancel),
    web.post("/v1/tasks/{fragment}/retry", retry),
    web.get("/v1/wait", wait),
    web.get("/v1/stats", stats),
    web.get("/v1/contents", list_contents),
    web.get("/v1/contents/{fragment}", show_content),
    web.post("/v1/contents/{fragment}/approve", approve),
    web.post("/v1/contents/{fragment}/reject", reject),
    web.post("/v1/accounts", create_account),
    web.get("/v1/accounts", list_accounts),
    web.get("/v1/accounts/{name}", show_account),
    *routes_schedules.ROUTES,
    web.get("/v1/health", health),
    web.get("/v1/version", version),
    web.get("/v1/config", config),
    web.get("/v1/queue", queue),
)
