"""Contents on their way out: images, the publish pool, the targets."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from contenthubd.domain.content import ContentEvent
from contenthubd.domain.publication import Publication, PublicationEvent, Receipt


@dataclass(frozen=True, slots=True)
class DueImage:
    """An image to fetch now."""

    content_id: UUID
    position: int
    url: str
    tries: int


class ImageStore(Protocol):
    """Images between their provider's address and our directory."""

    async def due_images(
        self, now: datetime, limit: int, *, longest: timedelta
    ) -> tuple[list[DueImage], datetime | None]:
        """Images that are neither fetched nor lost and whose time has come; and when the next one is due.

        Due is also what would wait for more than ``longest``: no retry does, so the wall clock was set back since.
        """

    async def image_fetched(self, image: DueImage, path: str, media_type: str, size: int, now: datetime) -> None:
        """The image lies at ``path`` (relative to the image directory); ``size`` in bytes."""

    async def image_failed(self, image: DueImage, cause: str, retry_at: datetime | None, now: datetime) -> None:
        """A try failed; ``retry_at`` None gives the image up: a lost image never loses an article."""


class PublicationStore(Protocol):
    """The publish pool."""

    async def claim_due(
        self, now: datetime, limit: int, owner: str, *, longest: timedelta
    ) -> tuple[list[Publication], datetime | None]:
        """Due pool entries of approved contents with settled images, in priority order; and when the next is due.

        Due is also what would wait for more than ``longest``: no retry does, so the wall clock was set back since.
        """

    async def settle_publication(
        self,
        publication: Publication,
        event: PublicationEvent,
        *,
        now: datetime,
        receipt: Receipt | None = None,
        error: str = "",
        retry_at: datetime | None = None,
    ) -> bool:
        """Write what came of one; False if it had moved on."""

    async def release_stale(self, state_id: str, alive: str) -> int:
        """Entries that an earlier daemon of this state directory left in ``publishing`` are due again; how many."""

    async def review(
        self,
        content_id: UUID,
        event: ContentEvent,
        *,
        by: str,
        reason: str,
        now: datetime,
        pool: Sequence[tuple[UUID, str]],
    ) -> bool:
        """Approve (``pool``: publication ids and targets to add) or reject; False if the state does not allow it."""


class Publisher(Protocol):
    """One target."""

    async def publish(self, publication: Publication) -> Receipt:
        """Bring the content to the target, at most once: doing it again answers the same receipt. PublishFailed."""


class ImageSource(Protocol):
    """Where images come from."""

    async def fetch(self, url: str, content_id: UUID, position: int) -> tuple[str, str, int]:
        """Store the image; answers (relative path, media type, bytes). FetchFailed."""
