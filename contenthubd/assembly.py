"""Which part is made of which: the configuration's values turned into adapters and stages.

Nothing runs here. ``daemon.py`` starts and stops what is assembled, in an order that can be read as a story.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from contenthubd.adapters.creator.creator import CommandCreator
from contenthubd.adapters.creator.settings import CreatorSettings
from contenthubd.adapters.images.files import ImageDirectory
from contenthubd.adapters.images.http import HttpImages
from contenthubd.adapters.postgres.accounts import PostgresAccounts
from contenthubd.adapters.postgres.engine import Database
from contenthubd.adapters.postgres.facts import PostgresFacts
from contenthubd.adapters.postgres.flights import PostgresFlights
from contenthubd.adapters.postgres.images import PostgresImages
from contenthubd.adapters.postgres.instances import PostgresInstances
from contenthubd.adapters.postgres.prune import PostgresRetention
from contenthubd.adapters.postgres.publications import PostgresPublications
from contenthubd.adapters.postgres.schedules import PostgresSchedules
from contenthubd.adapters.postgres.tasks import PostgresTasks
from contenthubd.adapters.postgres.views import PostgresViews
from contenthubd.adapters.publishers.directory import DirectoryPublisher
from contenthubd.adapters.queue.choice import Choice
from contenthubd.config.model import Config
from contenthubd.domain.retry import RetryPolicy
from contenthubd.domain.task import TaskState
from contenthubd.ports.clock import Clock
from contenthubd.ports.queue import TaskQueue
from contenthubd.ports.stage import Stage, Wake
from contenthubd.ports.tasks import Lease
from contenthubd.runtime.loop import Tick
from contenthubd.stages.attempt import Attempts
from contenthubd.stages.dispatch import Dispatch
from contenthubd.stages.failover import Failover
from contenthubd.stages.fetch import Fetch
from contenthubd.stages.heartbeat import Heartbeat
from contenthubd.stages.pause import Pause
from contenthubd.stages.poll import Poll
from contenthubd.stages.promote import Promote
from contenthubd.stages.prune import Prune
from contenthubd.stages.publish import Publish
from contenthubd.stages.reclaim import Reclaim
from contenthubd.stages.rescue import Rescue
from contenthubd.stages.review import Review
from contenthubd.stages.schedule import Schedules
from contenthubd.stages.settle import Rules, Settle
from contenthubd.stages.slots import Slots
from contenthubd.stages.steer import Steer
from contenthubd.stages.submit import Defaults, Submit

DIRECTORY_TARGET: Final = "directory"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who we are in leases: the state directory's id, and this run's."""

    state_id: str
    run_id: str

    @property
    def owner(self) -> str:
        """The owner of this run's leases."""
        return f"{self.state_id}/{self.run_id}"


@dataclass(frozen=True, slots=True)
class Base:
    """What every stage is built on."""

    config: Config
    clock: Clock
    identity: Identity
    wake: Wake
    draining: Callable[[], bool]
    tasks: PostgresTasks
    flights: PostgresFlights
    queues: Choice
    creator: CommandCreator
    slots: Slots
    pause: Pause

    @property
    def queue(self) -> TaskQueue:
        """The one queue, whatever it is made of."""
        return self.queues.queue

    @property
    def lease_length(self) -> timedelta:
        """How long a claim holds without a heartbeat."""
        return timedelta(seconds=self.config.tasks.lease_seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Assembly:
    """Everything that was put together."""

    base: Base
    images: HttpImages
    accounts: PostgresAccounts
    views: PostgresViews
    settle: Settle
    submit: Submit
    schedules: Schedules
    steer: Steer
    review: Review
    attempts: Attempts
    poll: Poll
    heartbeat: Heartbeat
    ticks: dict[Stage, Tick]


def rules_of(config: Config) -> Rules:
    """How failures are retried and where approved contents go."""
    return Rules(
        retry=_policy(config.tasks.retry_delays_seconds, config.tasks.retry_jitter),
        poison_limit=config.creator.poison_limit,
        targets=(DIRECTORY_TARGET,) if config.publish.auto_add_to_pool else (),
    )


def defaults_of(config: Config) -> Defaults:
    """What a task inherits at submit."""
    return Defaults(
        mode=config.tasks.mode,
        auto_approve=config.review.auto_approve,
        max_retries=config.tasks.max_retries,
        timeout=timedelta(seconds=config.tasks.timeout_seconds),
    )


def assemble(
    config: Config,
    database: Database,
    clock: Clock,
    identity: Identity,
    wake: Wake,
    *,
    draining: Callable[[], bool],
    queues: Choice,
) -> Assembly:
    """Build every part; raises StateDirectoryError if a directory cannot be used."""
    base = _base(config, database, clock, identity, wake, draining, queues)
    accounts, pool = PostgresAccounts(database), PostgresPublications(database, config.state_dir / "images")
    settle = Settle(base.tasks, base.queue, clock, rules_of(config), base.slots, wake)
    attempts = _attempts(base, settle)
    instances, images = PostgresInstances(database), _image_source(config)
    heartbeat = _heartbeat(base, instances, attempts)
    poll = _poll(base, settle, attempts, heartbeat)
    submit = Submit(base.tasks, accounts, base.queue, clock, defaults_of(config), wake)
    schedules = _schedules(base, PostgresSchedules(database), submit)
    return Assembly(
        base=base,
        images=images,
        accounts=accounts,
        views=PostgresViews(database),
        settle=settle,
        submit=submit,
        schedules=schedules,
        steer=Steer(base.tasks, base.queue, attempts, clock, wake),
        review=Review(pool, clock, wake, targets=(DIRECTORY_TARGET,)),
        attempts=attempts,
        poll=poll,
        heartbeat=heartbeat,
        ticks={
            **_work(base, heartbeat, instances, settle, attempts),
            Stage.SCHEDULE: schedules.tick,
            Stage.POLL: poll.tick,
            **_side_work(base, database, pool, images),
        },
    )


def _work(
    base: Base, heartbeat: Heartbeat, instances: PostgresInstances, settle: Settle, attempts: Attempts
) -> dict[Stage, Tick]:
    """The stages that claim tasks and answer for them."""
    return {
        Stage.HEARTBEAT: heartbeat.tick,
        Stage.RESCUE: _rescue(base, heartbeat, settle, attempts).tick,
        Stage.RECLAIM: _reclaim(base, instances, heartbeat, settle).tick,
        Stage.PROMOTE: Promote(base.tasks, base.queue, base.clock, base.wake).tick,
        Stage.DISPATCH: _dispatch(base, heartbeat, attempts).tick,
    }


def _side_work(base: Base, database: Database, pool: PostgresPublications, images: HttpImages) -> dict[Stage, Tick]:
    """The stages that look after contents and after the house."""
    return {
        Stage.FETCH: _fetch(base, PostgresImages(database), images).tick,
        Stage.PUBLISH: _publish(base, pool).tick,
        **_failover(base, database),
        Stage.PRUNE: _prune(base, PostgresRetention(database)).tick,
    }


def _base(
    config: Config,
    database: Database,
    clock: Clock,
    identity: Identity,
    wake: Wake,
    draining: Callable[[], bool],
    queues: Choice,
) -> Base:
    return Base(
        config,
        clock,
        identity,
        wake,
        draining,
        tasks=PostgresTasks(database),
        flights=PostgresFlights(database),
        queues=queues,
        creator=CommandCreator(_creator_settings(config, identity), clock),
        slots=Slots(config.tasks.max_concurrent, wake),
        pause=Pause(clock),
    )


def _failover(base: Base, database: Database) -> dict[Stage, Tick]:
    if not base.queues.changes:
        return {}
    stage = Failover(base.queues.watch, PostgresFacts(database), state_id=base.identity.state_id)
    return {Stage.FAILOVER: stage.tick}


def _schedules(base: Base, store: PostgresSchedules, submit: Submit) -> Schedules:
    return Schedules(store, store, submit, base.queue, base.clock, base.wake)


def _heartbeat(base: Base, instances: PostgresInstances, attempts: Attempts) -> Heartbeat:
    return Heartbeat(
        base.flights,
        instances,
        base.clock,
        base.wake,
        owner=base.identity.owner,
        instance=base.config.creator.instance,
        length=base.lease_length,
        alive=lambda: attempts.alive,
    )


def _attempts(base: Base, settle: Settle) -> Attempts:
    return Attempts(
        base.creator,
        base.flights,
        settle,
        base.clock,
        base.slots,
        base.pause,
        base.wake,
        owner=base.identity.owner,
    )


def _dispatch(base: Base, heartbeat: Heartbeat, attempts: Attempts) -> Dispatch:
    def lease() -> Lease | None:
        return None if base.draining() else heartbeat.lease()

    return Dispatch(
        base.tasks,
        base.flights,
        base.queue,
        base.creator,
        base.clock,
        base.slots,
        base.pause,
        lease=lease,
        start=attempts.start,
        sync_when_down=base.config.creator.on_redis_down == "sync",
        refill=base.config.queue.memory_size + 1,
    )


def _poll(base: Base, settle: Settle, attempts: Attempts, heartbeat: Heartbeat) -> Poll:
    return Poll(
        base.tasks,
        base.flights,
        base.flights,
        base.creator,
        base.creator,
        settle,
        attempts,
        base.clock,
        base.slots,
        instance=base.config.creator.instance,
        interval=timedelta(seconds=base.config.tasks.poll_interval_seconds),
        abandon=timedelta(seconds=base.config.creator.abandon_seconds),
        held=lambda: heartbeat.lease() is not None,
    )


def _rescue(base: Base, heartbeat: Heartbeat, settle: Settle, attempts: Attempts) -> Rescue:
    return Rescue(
        base.tasks,
        base.flights,
        base.creator,
        base.creator,
        settle,
        attempts,
        base.clock,
        base.slots,
        base.wake,
        lease=heartbeat.lease,
        state_id=base.identity.state_id,
        every=base.lease_length / 2,
    )


def _reclaim(base: Base, instances: PostgresInstances, heartbeat: Heartbeat, settle: Settle) -> Reclaim:
    return Reclaim(
        base.tasks,
        base.flights,
        instances,
        settle,
        base.clock,
        lease=heartbeat.lease,
        instance=base.config.creator.instance,
        after=timedelta(seconds=base.config.creator.instance_lost_seconds),
        every=base.lease_length / 2,
    )


def _fetch(base: Base, store: PostgresImages, source: HttpImages) -> Fetch:
    settings = base.config.images
    policy = _policy(settings.retry_delays_seconds, base.config.tasks.retry_jitter)
    return Fetch(store, source, base.clock, base.wake, policy=policy, max_retries=settings.max_retries)


def _publish(base: Base, pool: PostgresPublications) -> Publish:
    settings = base.config.publish
    return Publish(
        pool,
        {DIRECTORY_TARGET: DirectoryPublisher(base.config.published_dir)},
        base.clock,
        owner=base.identity.owner,
        state_id=base.identity.state_id,
        policy=_policy(settings.retry_delays_seconds, base.config.tasks.retry_jitter),
        max_retries=settings.max_retries,
    )


def _prune(base: Base, store: PostgresRetention) -> Prune:
    settings = base.config.retention
    days = {
        TaskState.COMPLETED: settings.completed_days,
        TaskState.FAILED: settings.failed_days,
        TaskState.TIMEOUT: settings.timeout_days,
        TaskState.CANCELLED: settings.cancelled_days,
    }
    return Prune(
        store,
        ImageDirectory(base.config.state_dir / "images"),
        base.clock,
        keep={state: timedelta(days=count) for state, count in days.items() if count},
        keep_facts=timedelta(days=settings.fact_days) if settings.fact_days else None,
    )


def _image_source(config: Config) -> HttpImages:
    return HttpImages(
        config.state_dir / "images",
        max_bytes=config.images.max_bytes,
        timeout=timedelta(seconds=config.images.timeout_seconds),
        allow_private_addresses=config.images.allow_private_addresses,
    )


def _policy(delays: tuple[float, ...], jitter: float) -> RetryPolicy:
    return RetryPolicy(tuple(timedelta(seconds=delay) for delay in delays), jitter)


def _creator_settings(config: Config, identity: Identity) -> CreatorSettings:
    creator = config.creator
    return CreatorSettings(
        command=creator.command,
        worker_command=creator.worker_command,
        workdir=config.creator_workdir,
        instance=creator.instance,
        owner=identity.state_id,
        redis_url=creator.redis_url,
        env_file=config.creator_env_file,
        proxy=creator.proxy,
        manage_worker=creator.manage_worker,
        on_redis_down=creator.on_redis_down,
        max_children=creator.max_children,
        concurrency=config.tasks.max_concurrent,
        command_timeout=timedelta(seconds=creator.command_timeout_seconds),
        page_size=creator.list_page_size,
        environ=dict(os.environ),
    )
