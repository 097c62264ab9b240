"""The daemon: own the state directory, start the database, assemble, open the door, run the stages, drain, stop."""

import asyncio
import os
import platform
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import timedelta
from typing import Final, TypeVar

import anyio
import structlog
from anyio.abc import TaskStatus

from contenthubd import __version__
from contenthubd.adapters.postgres.address import parse
from contenthubd.adapters.postgres.admission import admit
from contenthubd.adapters.postgres.embedded import EmbeddedPostgres
from contenthubd.adapters.postgres.engine import Database
from contenthubd.adapters.postgres.installation import installation_id
from contenthubd.adapters.postgres.keeper import keep
from contenthubd.adapters.postgres.migrate import upgrade
from contenthubd.adapters.queue.choice import Choice, memory_alone, redis_first
from contenthubd.adapters.queue.redis import RedisQueue
from contenthubd.adapters.queue.redis_server import RedisServer
from contenthubd.assembly.base import Identity, defaults_of, rules_of
from contenthubd.assembly.house import Assembly, assemble
from contenthubd.config.loader import Loaded
from contenthubd.config.show import describe
from contenthubd.control import wire
from contenthubd.control.routes import Application
from contenthubd.control.server import ControlServer
from contenthubd.desk.accounts import AccountDesk
from contenthubd.desk.condition import ConditionDesk
from contenthubd.desk.contents import ContentDesk
from contenthubd.desk.schedules import ScheduleDesk
from contenthubd.desk.search import Search
from contenthubd.desk.starting import Starting
from contenthubd.desk.tasks import TaskDesk
from contenthubd.desk.waiting import Waiting
from contenthubd.desk.watch import Watch
from contenthubd.domain.errors import ContentHubError, DatabaseUnavailable
from contenthubd.health import Health
from contenthubd.ports.clock import Clock
from contenthubd.ports.stage import Stage, Wake
from contenthubd.runtime import lifecycle
from contenthubd.runtime.faults import LoopFaults
from contenthubd.runtime.loop import Loop
from contenthubd.runtime.patience import StopAsked, patiently
from contenthubd.runtime.steps import ClockSteps

SETTLE_SECONDS: Final = 25
GIVE_UP_SECONDS: Final = 5
RESTART_PAUSE_SECONDS: Final = 1
LIVE_KEYS: Final = frozenset(
    {
        "tasks.mode",
        "tasks.timeout_seconds",
        "tasks.max_retries",
        "tasks.retry_delays_seconds",
        "tasks.retry_jitter",
        "tasks.poll_interval_seconds",
        "review.auto_approve",
        "publish.auto_add_to_pool",
        "creator.poison_limit",
        "daemon.stop_grace_seconds",
    }
)
"""What SIGHUP changes in a running daemon; every other key is told as needing a restart."""
T = TypeVar("T")
log = structlog.get_logger(__name__)


def queues_of(loaded: Loaded, clock: Clock, wake: Wake, *, database: str, run: str) -> Choice:
    """The queue the configuration asks for; a Redis at the default address is not missed if nobody named it."""
    config = loaded.config

    def ring() -> None:
        wake(Stage.DISPATCH)

    if not config.queue_redis_url:
        return memory_alone(config.queue.memory_size, clock)
    redis = RedisQueue(RedisServer(config.queue_redis_url), database, run, config.queue.memory_size, ring)
    wanted = config.queue.type == "redis" or loaded.origins["queue.redis_url"] != "default"
    return redis_first(redis, config.queue.memory_size, clock, ring, wanted=wanted)


async def _admitted(database: Database) -> bool:
    """Bring the tables of a database that can be worked with to the newest version; True if that was needed."""
    await admit(database)
    return await upgrade(database)


class Daemon:
    """One contenthubd on one state directory."""

    def __init__(self, loaded: Loaded, clock: Clock, read_again: Callable[[], Loaded]) -> None:
        self._loaded = loaded
        self._started_with = loaded
        self._clock = clock
        self._read_again = read_again
        self._loops: dict[Stage, Loop] = {}
        self._changed = anyio.Event()
        self._draining = False
        self._stop = anyio.Event()
        self._hurry = anyio.Event()
        self._version = wire.Version(version=__version__, python=platform.python_version(), pid=os.getpid())
        self._door_open = False
        self._steps = ClockSteps(clock)

    async def run(self) -> None:
        """Run until SIGTERM or SIGINT.

        StateDirectoryError, InvalidConfig, InstanceTaken, DatabaseRefused or (our own PostgreSQL) Unavailable if it
        cannot start.
        """
        asyncio.get_running_loop().set_exception_handler(LoopFaults())
        began, state_dir = self._clock.uptime(), self._loaded.config.state_dir
        with lifecycle.owned(state_dir, self._clock.new_id()) as state_id, suppress(StopAsked):
            await self._live(state_id, began)
        log.info("daemon_stopped")

    async def _live(self, state_id: str, began: timedelta) -> None:
        async with AsyncExitStack() as stack:
            self._starting = Starting(self._version, self._config, lambda: self._uptime(began))
            self._door = ControlServer(
                self._starting.application,
                self._loaded.config.socket_path,
                group=self._loaded.config.daemon.socket_group,
            )
            stack.push_async_callback(self._close_door)
            embedded, database = await stack.enter_async_context(self._database())
            parts = await self._assembled(database, state_id)
            self._loops = {stage: Loop(stage, tick, self._clock) for stage, tick in parts.ticks.items()}
            health = Health(parts, database, embedded, self._loops, self._clock, self._steps, began)
            # Before the creator's worker starts: of two workers on one instance each would take the other's work.
            await self._answered(parts.heartbeat.register)
            stack.push_async_callback(self._give_up_instance, parts)
            await stack.enter_async_context(self._creator_and_images(parts))
            stack.push_async_callback(self._close_queue, parts)
            await self._serve(parts, health, embedded)

    async def _assembled(self, database: Database, state_id: str) -> Assembly:
        name = (await self._answered(lambda: installation_id(database))).hex
        identity = Identity(state_id=state_id, run_id=self._clock.new_id().hex)
        return assemble(
            self._loaded.config,
            database,
            self._clock,
            identity,
            self.wake,
            draining=lambda: self._draining,
            queues=queues_of(self._loaded, self._clock, self.wake, database=name, run=identity.run_id),
        )

    async def _close_queue(self, parts: Assembly) -> None:
        with anyio.CancelScope(shield=True):
            await parts.base.queues.close()

    def wake(self, stage: Stage) -> None:
        """Ring one stage, and everybody who waits for a change."""
        self._loops[stage].wake()
        self._changed.set()
        self._changed = anyio.Event()

    async def _serve(self, parts: Assembly, health: Health, embedded: EmbeddedPostgres | None) -> None:
        async with anyio.create_task_group() as attempts, anyio.create_task_group() as stages:
            parts.attempts.open(attempts)
            self._starting.finish(self.application(parts, health))
            await self._open_door()
            await stages.start(self._listen, parts)  # who is told that we have started may stop us at once
            stages.start_soon(self._mind_database, embedded)
            stages.start_soon(parts.base.creator.run)
            stages.start_soon(self._steps.watch)
            for loop in self._loops.values():
                stages.start_soon(loop.run)
            lifecycle.notify("READY=1")
            log.info("daemon_started", version=__version__, state_dir=str(self._loaded.config.state_dir))
            await self._stop.wait()
            await self._drain(parts)
            stages.cancel_scope.cancel()
        await self._close_door()

    async def _listen(self, parts: Assembly, *, task_status: TaskStatus[None]) -> None:
        """The first stop signal drains, a second one hurries; SIGHUP reads the configuration again."""
        async for number in lifecycle.signals(task_status.started):
            if not lifecycle.stops(number):
                self._reload(parts)
            elif self._stop.is_set():
                log.warning("stop_forced", signal=number.name)
                self._hurry.set()
            else:
                grace = self._loaded.config.daemon.stop_grace_seconds
                log.info("daemon_stopping", signal=number.name, grace_seconds=grace)
                lifecycle.notify("STOPPING=1")
                self._stop.set()

    async def _drain(self, parts: Assembly) -> None:
        """Soft, then hard: nothing new is claimed, what runs may finish, then our children are killed uncharged."""
        self._draining = parts.poll.draining = True
        grace = timedelta(seconds=self._loaded.config.daemon.stop_grace_seconds)
        with anyio.move_on_after(grace.total_seconds()) as soft:
            async with anyio.create_task_group() as group:
                group.start_soon(self._cut_short, soft)
                async with anyio.create_task_group() as ending:
                    ending.start_soon(parts.base.creator.stop, grace)
                    ending.start_soon(self._attempts_ended, parts)
                group.cancel_scope.cancel()
        parts.attempts.interrupt_all()
        await parts.base.creator.stop(timedelta())
        parts.poll.stopping = True
        with anyio.move_on_after(SETTLE_SECONDS):
            await self._loops[Stage.POLL].once()
            await self._attempts_ended(parts)
        parts.attempts.close()

    async def _cut_short(self, soft: anyio.CancelScope) -> None:
        await self._hurry.wait()
        soft.cancel()

    async def _attempts_ended(self, parts: Assembly) -> None:
        while parts.attempts.running:
            changed = self._changed
            with anyio.move_on_after(RESTART_PAUSE_SECONDS):
                await changed.wait()

    def _reload(self, parts: Assembly) -> None:
        """SIGHUP: the new configuration, or the old one if the new is at fault."""
        lifecycle.notify("RELOADING=1")
        try:
            loaded = self._read_again()
        except ContentHubError as fault:
            log.error("config_refused", error=str(fault), kept="the current configuration stays in force")
        else:
            self._apply(loaded, parts)
        lifecycle.notify("READY=1")

    def _apply(self, loaded: Loaded, parts: Assembly) -> None:
        old = {entry["key"]: entry["value"] for entry in describe(self._loaded, show_origin=False)}
        new = {entry["key"]: entry["value"] for entry in describe(loaded, show_origin=False)}
        changed = {str(key) for key in new if new[key] != old[key]}
        config = loaded.config
        parts.submit.defaults = defaults_of(config)
        parts.settle.rules = rules_of(config)
        parts.review.targets = rules_of(config).targets
        parts.poll.interval = timedelta(seconds=config.tasks.poll_interval_seconds)
        self._loaded = loaded
        later = sorted(changed - LIVE_KEYS)
        log.info("config_reloaded", changed=sorted(changed & LIVE_KEYS), needs_restart=later)

    @asynccontextmanager
    async def _database(self) -> AsyncIterator[tuple[EmbeddedPostgres | None, Database]]:
        """The database, private or named, with its tables at the newest version; closed in the end."""
        settings = self._loaded.config.database
        embedded, url = None, settings.url
        if not url:
            embedded = EmbeddedPostgres(
                self._loaded.config.state_dir / "postgres", bin_dir=self._loaded.config.postgres_bin
            )
            url = await embedded.start()
        database = Database(
            url,
            command_timeout=settings.command_timeout_seconds,
            pool_size=settings.pool_size,
            uptime=self._clock.uptime,
        )
        try:
            if await self._answered(lambda: _admitted(database)):
                log.info("database_upgraded")
            yield embedded, database
        finally:
            with anyio.CancelScope(shield=True):
                await database.close()
                if embedded is not None:
                    await embedded.stop()

    async def _answered(self, call: Callable[[], Awaitable[T]]) -> T:
        """A server that others run is waited for; our own has just been started, so its absence is a fault."""
        return await (patiently(call, self._waits) if self._loaded.config.database.url else call())

    async def _waits(self, fault: DatabaseUnavailable) -> None:
        """Open the door while the database is away, so that it can be asked what is waited for."""
        self._starting.waits(parse(self._loaded.config.database.url).place, fault)
        await self._open_door()

    async def _open_door(self) -> None:
        if not self._door_open:
            await self._door.start()
            self._door_open = True

    async def _close_door(self) -> None:
        if self._door_open:
            self._door_open = False
            with anyio.CancelScope(shield=True):
                await self._door.close()

    async def _give_up_instance(self, parts: Assembly) -> None:
        """Nobody works on the creator instance any more: another daemon may have it at once."""
        with anyio.move_on_after(GIVE_UP_SECONDS, shield=True):
            try:
                await parts.heartbeat.give_up()
            except DatabaseUnavailable as fault:
                log.warning("instance_not_given_up", error=str(fault))

    def _uptime(self, began: timedelta) -> float:
        return round((self._clock.uptime() - began).total_seconds(), 1)

    async def _mind_database(self, embedded: EmbeddedPostgres | None) -> None:
        if embedded is not None:
            await keep(embedded, self._clock)

    @asynccontextmanager
    async def _creator_and_images(self, parts: Assembly) -> AsyncIterator[None]:
        await parts.base.creator.start()
        await parts.images.start()
        try:
            yield
        finally:
            with anyio.CancelScope(shield=True):
                await parts.base.creator.stop(timedelta())
                parts.base.creator.close()
                await parts.images.close()

    def application(self, parts: Assembly, health: Health) -> Application:
        """Every desk, as the door serves them."""
        search = Search(parts.views, parts.accounts)
        waiting = Waiting(
            parts.base.pause,
            parts.base.slots,
            parts.views,
            self._clock,
            leased=lambda: parts.heartbeat.lease() is not None,
            draining=parts.base.draining,
            instance=self._loaded.config.creator.instance,
        )
        watch = Watch(parts.views, search, self._clock, waiting, lambda: self._changed)
        return Application(
            tasks=TaskDesk(
                parts.submit,
                parts.steer,
                parts.views,
                parts.base.flights,
                search,
                watch,
                self._clock,
                waiting,
                health.queue,
            ),
            contents=ContentDesk(parts.review, parts.views, search),
            accounts=AccountDesk(parts.accounts, self._clock),
            schedules=ScheduleDesk(parts.schedules, parts.accounts, self._clock),
            condition=ConditionDesk(health.report, self._version, self._config, health.queue),
        )

    def _config(self) -> list[wire.ConfigEntry]:
        """What is in force: of keys that need a restart the value of the start, beside what was read since."""
        told = []
        for began, read in zip(
            describe(self._started_with, show_origin=True), describe(self._loaded, show_origin=True), strict=True
        ):
            entry = read if read["key"] in LIVE_KEYS else began
            waits = entry["value"] != read["value"]
            told.append(
                wire.ConfigEntry(
                    key=str(entry["key"]),
                    value=entry["value"],
                    origin=str(entry["origin"]),
                    needs_restart=waits,
                    after_restart=read["value"] if waits else None,
                )
            )
        return told
