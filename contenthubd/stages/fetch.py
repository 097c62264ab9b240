"""Fetch: bring images here before their provider's addresses die. A lost image never loses an article."""

from datetime import timedelta
from functools import partial
from typing import Final

import structlog

from contenthubd import faultpoints
from contenthubd.domain.errors import FetchFailed
from contenthubd.domain.retry import RetryPolicy
from contenthubd.ports.clock import Clock
from contenthubd.ports.contents import DueImage, ImageSource, ImageStore
from contenthubd.ports.stage import Stage, Wake
from contenthubd.stages.abreast import abreast

IDLE: Final = timedelta(seconds=30)
LIMIT: Final = 10
ABREAST: Final = 4
"""An article with many addresses that hang holds up the others less."""
log = structlog.get_logger(__name__)


class Fetch:
    """Due images, a few at a time; publishing is woken since it waits for them."""

    def __init__(
        self,
        images: ImageStore,
        source: ImageSource,
        clock: Clock,
        wake: Wake,
        *,
        policy: RetryPolicy,
        max_retries: int,
    ) -> None:
        self._images = images
        self._source = source
        self._clock = clock
        self._wake = wake
        self._policy = policy
        self._max_retries = max_retries

    async def tick(self) -> timedelta:
        """A page of due images; wait for the next one."""
        now = self._clock.now()
        due, following = await self._images.due_images(now, LIMIT, longest=self._policy.longest)
        await abreast([partial(self._fetch, image) for image in due], ABREAST)
        if due:
            self._wake(Stage.PUBLISH)
            return timedelta()
        return IDLE if following is None else min(max(following - now, timedelta()), IDLE)

    async def _fetch(self, image: DueImage) -> None:
        try:
            path, media_type, size = await self._source.fetch(image.url, image.content_id, image.position)
        except FetchFailed as fault:
            await self._failed(image, fault)
        else:
            faultpoints.reached("fetch.fetched")
            await self._images.image_fetched(image, path, media_type, size, self._clock.now())

    async def _failed(self, image: DueImage, fault: FetchFailed) -> None:
        now = self._clock.now()
        over = fault.final or image.tries >= self._max_retries
        retry_at = None if over else self._policy.retry_at(image.tries + 1, now, self._clock.random())
        log.warning(
            "image_lost" if over else "image_failed",
            content_id=str(image.content_id),
            position=image.position,
            cause=str(fault),
        )
        await self._images.image_failed(image, str(fault), retry_at, now)
