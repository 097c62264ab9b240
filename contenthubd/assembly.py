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
from contenthubd.adapters.images.http import HttpImages
from contenthubd.adapters.postgres.accounts import PostgresAccounts
from contenthubd.adapters.postgres.engine import Database
from contenthubd.adapters.postgres.flights import PostgresFlights
from contenthubd.adapters.postgres.images import PostgresImages
from contenthubd.adapters.postgres.publications import PostgresPublications
from contenthubd.adapters.postgres.tasks import PostgresTasks
from contenthubd.adapters.postgres.views import PostgresViews
from contenthubd.adapters.publishers.directory import DirectoryPublisher
from contenthubd.adapters.queue.memory import MemoryQueue
from contenthubd.config.model import Config
from contenthubd.domain.retry import RetryPolicy
from contenthubd.ports import Clock, Lease, Stage, Wake
from contenthubd.runtime.loop import Tick
from contenthubd.stages.attempt import Attempts
from contenthubd.stages.dispatch import Dispatch
from contenthubd.stages.fetch import Fetch
from contenthubd.stages.heartbeat import Heartbeat
from contenthubd.stages.poll import Poll
from contenthubd.stages.promote import Promote
from contenthubd.stages.publish import Publish
from contenthubd.stages.rescue import Rescue
from contenthubd.stages.review import Review
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Assembly:
    """Everything that was put together."""

    creator: CommandCreator
    images: HttpImages
    queue: MemoryQueue
    accounts: PostgresAccounts
    flights: PostgresFlights
    views: PostgresViews
    slots: Slots
    settle: Settle
    submit: Submit
    steer: Steer
    review: Review
    attempts: Attempts
    dispatch: Dispatch
    poll: Poll
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
    config: Config, database: Database, clock: Clock, identity: Identity, wake: Wake, *, draining: Callable[[], bool]
) -> Assembly:
    """Build every part; raises StateDirectoryError if a directory cannot be used."""
    image_root = config.state_dir / "images"
    tasks, flights = PostgresTasks(database), PostgresFlights(database)
    pool, pictures, accounts = (
        PostgresPublications(database, image_root),
        PostgresImages(database),
        PostgresAccounts(database),
    )
    creator, queue = CommandCreator(_creator_settings(config), clock), MemoryQueue(config.queue.memory_size)
    images = HttpImages(
        image_root,
        max_bytes=config.images.max_bytes,
        timeout=timedelta(seconds=config.images.timeout_seconds),
        allow_private_addresses=config.images.allow_private_addresses,
    )
    slots = Slots(config.tasks.max_concurrent, wake)
    lease_length = timedelta(seconds=config.tasks.lease_seconds)
    instance = config.creator.instance
    settle = Settle(tasks, clock, rules_of(config), slots, wake)
    attempts = Attempts(creator, flights, settle, clock, slots, wake, owner=identity.owner)
    heartbeat = Heartbeat(flights, clock, wake, owner=identity.owner, instance=instance, length=lease_length)

    def lease_for_claims() -> Lease | None:
        return None if draining() else heartbeat.lease()

    dispatch = Dispatch(
        tasks,
        flights,
        queue,
        creator,
        clock,
        slots,
        lease=lease_for_claims,
        start=attempts.start,
        sync_when_down=config.creator.on_redis_down == "sync",
    )
    poll = Poll(
        tasks,
        flights,
        flights,
        creator,
        creator,
        settle,
        attempts,
        clock,
        slots,
        instance=instance,
        interval=timedelta(seconds=config.tasks.poll_interval_seconds),
        abandon=timedelta(seconds=config.creator.abandon_seconds),
    )
    promote = Promote(tasks, queue, clock, wake)
    rescue = Rescue(
        tasks,
        flights,
        creator,
        creator,
        settle,
        clock,
        slots,
        wake,
        lease=heartbeat.lease,
        state_id=identity.state_id,
        every=lease_length / 2,
    )
    fetch = Fetch(
        pictures,
        images,
        clock,
        wake,
        policy=_policy(config.images.retry_delays_seconds, config.tasks.retry_jitter),
        max_retries=config.images.max_retries,
    )
    publish = Publish(
        pool,
        {DIRECTORY_TARGET: DirectoryPublisher(config.published_dir)},
        clock,
        owner=identity.owner,
        state_id=identity.state_id,
        policy=_policy(config.publish.retry_delays_seconds, config.tasks.retry_jitter),
        max_retries=config.publish.max_retries,
    )
    return Assembly(
        creator=creator,
        images=images,
        queue=queue,
        accounts=accounts,
        flights=flights,
        views=PostgresViews(database),
        slots=slots,
        settle=settle,
        submit=Submit(tasks, accounts, queue, clock, defaults_of(config), wake),
        steer=Steer(tasks, queue, attempts, clock, wake),
        review=Review(pool, clock, wake, targets=(DIRECTORY_TARGET,)),
        attempts=attempts,
        dispatch=dispatch,
        poll=poll,
        ticks={
            Stage.HEARTBEAT: heartbeat.tick,
            Stage.RESCUE: rescue.tick,
            Stage.PROMOTE: promote.tick,
            Stage.DISPATCH: dispatch.tick,
            Stage.POLL: poll.tick,
            Stage.FETCH: fetch.tick,
            Stage.PUBLISH: publish.tick,
        },
    )


def _policy(delays: tuple[float, ...], jitter: float) -> RetryPolicy:
    return RetryPolicy(tuple(timedelta(seconds=delay) for delay in delays), jitter)


def _creator_settings(config: Config) -> CreatorSettings:
    creator = config.creator
    return CreatorSettings(
        command=creator.command,
        worker_command=creator.worker_command,
        workdir=config.creator_workdir,
        instance=creator.instance,
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
