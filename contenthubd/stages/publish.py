"""Publish: due entries of the pool → their target, in priority order, each at most once.

Publishers answer the same receipt when they are asked twice, so an entry that is found in ``publishing`` between two
ticks is simply due again: a dead daemon left it there, or our own last tick, when the database went away under it.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

import structlog

from contenthubd import faultpoints
from contenthubd.domain.errors import PublishFailed
from contenthubd.domain.publication import Publication, PublicationEvent
from contenthubd.domain.retry import RetryPolicy
from contenthubd.ports.clock import Clock
from contenthubd.ports.contents import PublicationStore, Publisher

IDLE: Final = timedelta(seconds=30)
LIMIT: Final = 20
_NOBODY: Final = ""
log = structlog.get_logger(__name__)


class Publish:
    """Brings approved contents to their targets."""

    def __init__(
        self,
        pool: PublicationStore,
        publishers: Mapping[str, Publisher],
        clock: Clock,
        *,
        owner: str,
        state_id: str,
        policy: RetryPolicy,
        max_retries: int,
    ) -> None:
        self._pool = pool
        self._publishers = publishers
        self._clock = clock
        self._owner = owner
        self._state_id = state_id
        self._policy = policy
        self._max_retries = max_retries

    async def tick(self) -> timedelta:
        """A page of due entries; wait for the next one."""
        count = await self._pool.release_stale(self._state_id, _NOBODY)
        if count:
            log.warning("publications_rescued", count=count)
        now = self._clock.now()
        due, following = await self._pool.claim_due(now, LIMIT, self._owner, longest=self._policy.longest)
        if due:
            faultpoints.reached("publish.claimed")
        for publication in due:
            await self._publish(publication)
        if due:
            return timedelta()
        return IDLE if following is None else min(max(following - now, timedelta(seconds=1)), IDLE)

    async def _publish(self, publication: Publication) -> None:
        publisher = self._publishers.get(publication.target)
        try:
            if publisher is None:
                raise PublishFailed(f"There is no publishing target {publication.target!r} in the configuration.")
            receipt = await publisher.publish(publication)
        except PublishFailed as fault:
            return await self._failed(publication, fault)
        faultpoints.reached("publish.sent")
        now = self._clock.now()
        await self._pool.settle_publication(publication, PublicationEvent.SUCCEEDED, now=now, receipt=receipt)
        log.info(
            "content_published",
            content_id=str(publication.content_id),
            task_id=str(publication.task_id),
            target=publication.target,
            location=receipt.location,
        )

    async def _failed(self, publication: Publication, fault: PublishFailed) -> None:
        now = self._clock.now()
        over = publication.retry_count >= self._max_retries
        event = PublicationEvent.GAVE_UP if over else PublicationEvent.FAILED
        retry_at = None if over else self._policy.retry_at(publication.retry_count + 1, now, self._clock.random())
        log.warning(
            "publication_failed",
            content_id=str(publication.content_id),
            target=publication.target,
            error=str(fault),
            final=over,
        )
        await self._pool.settle_publication(publication, event, now=now, error=str(fault), retry_at=retry_at)
