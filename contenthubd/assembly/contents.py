"""The stages that work on contents and on the installation."""

import os
from datetime import timedelta

from contenthubd.adapters.images.files import ImageDirectory
from contenthubd.adapters.images.http import HttpImages
from contenthubd.adapters.images.proxies import proxies_of
from contenthubd.adapters.postgres.engine import Database
from contenthubd.adapters.postgres.facts import PostgresFacts
from contenthubd.adapters.postgres.images import PostgresImages
from contenthubd.adapters.postgres.prune import PostgresRetention
from contenthubd.adapters.postgres.publications import PostgresPublications
from contenthubd.adapters.publishers.directory import DirectoryPublisher
from contenthubd.assembly.base import DIRECTORY_TARGET, Base, policy_of
from contenthubd.config.model import Config
from contenthubd.domain.task import TaskState
from contenthubd.ports.stage import Stage
from contenthubd.runtime.loop import Tick
from contenthubd.stages.failover import Failover
from contenthubd.stages.fetch import Fetch
from contenthubd.stages.prune import Prune
from contenthubd.stages.publish import Publish
from contenthubd.stages.steady import SteadyTime


def content_ticks(base: Base, database: Database, pool: PostgresPublications, images: HttpImages) -> dict[Stage, Tick]:
    """The stages that work on contents and on the installation."""
    return {
        Stage.FETCH: _fetch(base, PostgresImages(database), images).tick,
        Stage.PUBLISH: _publish(base, pool).tick,
        **_failover(base, database),
        Stage.PRUNE: _prune(base, PostgresRetention(database)).tick,
    }


def _failover(base: Base, database: Database) -> dict[Stage, Tick]:
    if not base.queues.changes:
        return {}
    stage = Failover(base.queues.watch, PostgresFacts(database), state_id=base.identity.state_id)
    return {Stage.FAILOVER: stage.tick}


def _fetch(base: Base, store: PostgresImages, source: HttpImages) -> Fetch:
    settings = base.config.images
    policy = policy_of(settings.retry_delays_seconds, base.config.tasks.retry_jitter)
    return Fetch(store, source, base.clock, base.wake, policy=policy, max_retries=settings.max_retries)


def _publish(base: Base, pool: PostgresPublications) -> Publish:
    settings = base.config.publish
    return Publish(
        pool,
        {DIRECTORY_TARGET: DirectoryPublisher(base.config.published_dir, file_mode=int(settings.file_mode, 8))},
        base.clock,
        owner=base.identity.owner,
        state_id=base.identity.state_id,
        policy=policy_of(settings.retry_delays_seconds, base.config.tasks.retry_jitter),
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
        SteadyTime(base.clock).now,
        keep={state: timedelta(days=count) for state, count in days.items() if count},
        keep_facts=timedelta(days=settings.fact_days) if settings.fact_days else None,
    )


def image_source(config: Config) -> HttpImages:
    """Where images come from."""
    return HttpImages(
        config.state_dir / "images",
        max_bytes=config.images.max_bytes,
        timeout=timedelta(seconds=config.images.timeout_seconds),
        allow_private_addresses=config.images.allow_private_addresses,
        proxies=proxies_of(config.images.proxy, os.environ),
    )
