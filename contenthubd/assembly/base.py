"""What every stage is built on, and the configuration turned into rules."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from contenthubd.adapters.creator.creator import CommandCreator
from contenthubd.adapters.creator.settings import CreatorSettings
from contenthubd.adapters.postgres.engine import Database
from contenthubd.adapters.postgres.flights import PostgresFlights
from contenthubd.adapters.postgres.tasks import PostgresTasks
from contenthubd.adapters.queue.choice import Choice
from contenthubd.config.model import Config
from contenthubd.domain.retry import RetryPolicy
from contenthubd.ports.clock import Clock
from contenthubd.ports.queue import TaskQueue
from contenthubd.ports.stage import Wake
from contenthubd.stages.pause import Pause
from contenthubd.stages.settle import Rules
from contenthubd.stages.slots import Slots
from contenthubd.stages.submit import Defaults

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


def rules_of(config: Config) -> Rules:
    """How failures are retried and where approved contents go."""
    return Rules(
        retry=policy_of(config.tasks.retry_delays_seconds, config.tasks.retry_jitter),
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


def base_of(
    config: Config,
    database: Database,
    clock: Clock,
    identity: Identity,
    wake: Wake,
    draining: Callable[[], bool],
    queues: Choice,
) -> Base:
    """The parts that all stages share."""
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


def policy_of(delays: tuple[float, ...], jitter: float) -> RetryPolicy:
    """When something that failed is tried again."""
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
