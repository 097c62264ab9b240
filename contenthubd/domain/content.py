"""The life of a content: the article that came out of a task, one per task.

``pending_review`` waits for a person; ``approved`` may be published; ``rejected`` never is (a person may still
change their mind); ``published`` means at least one target has it.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from contenthubd.domain.machine import Machine


class ContentState(StrEnum):
    """The words on the wire, in the tables and in the docs."""

    PENDING_REVIEW = "pending_review"
    APPROVED = "approved"
    REJECTED = "rejected"
    PUBLISHED = "published"


class ContentEvent(StrEnum):
    """What can happen to a content."""

    APPROVED = "approved"
    REJECTED = "rejected"
    PUBLISHED = "published"


CONTENT_TRANSITIONS: Final[dict[tuple[ContentState, ContentEvent], ContentState]] = {
    (ContentState.PENDING_REVIEW, ContentEvent.APPROVED): ContentState.APPROVED,
    (ContentState.PENDING_REVIEW, ContentEvent.REJECTED): ContentState.REJECTED,
    (ContentState.APPROVED, ContentEvent.REJECTED): ContentState.REJECTED,
    (ContentState.APPROVED, ContentEvent.PUBLISHED): ContentState.PUBLISHED,
    (ContentState.REJECTED, ContentEvent.APPROVED): ContentState.APPROVED,
    (ContentState.PUBLISHED, ContentEvent.PUBLISHED): ContentState.PUBLISHED,
}


_MACHINE: Final = Machine("content", CONTENT_TRANSITIONS, look="contenthubctl content show")
content_step = _MACHINE.step
content_sources = _MACHINE.sources


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """One image of a content. ``path`` is relative to the image directory once it was fetched."""

    position: int
    url: str
    prompt: str
    state: str
    path: str | None = None
    media_type: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewContent:
    """What settle writes beside the completed task."""

    content_id: UUID
    title: str
    body: str
    approved: bool
    hold_reason: str = ""
    """Why a person should look at it before it is published; empty: no reason."""
    missing_images: tuple[int, ...] = ()
    """Positions of images that the article names and the creator did not deliver."""
    images: tuple[tuple[str, str], ...]
    """(url, prompt) in the article's order."""
    publication_ids: tuple[tuple[UUID, str], ...]
    """(publication id, target): the pool entries to make if the content is approved at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """One row of the content table."""

    content_id: UUID
    task_id: UUID
    account_id: UUID
    account: str
    state: ContentState
    title: str
    body: str
    created_at: datetime
    topic: str = ""
    reviewed_at: datetime | None = None
    reviewed_by: str | None = None
    review_reason: str | None = None
    hold_reason: str | None = None
    images: tuple[Image, ...] = ()
