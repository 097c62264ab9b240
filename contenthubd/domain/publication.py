"""The life of a publication: one content to one target. The pool is the set of them.

``unknown`` is the state for "the target may have it and we cannot tell": a person decides, nothing is sent twice
blindly. A publication is unique per content and target.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from contenthubd.domain.machine import Machine


class PublicationState(StrEnum):
    """The words on the wire, in the tables and in the docs."""

    PENDING = "pending"
    PUBLISHING = "publishing"
    RETRYING = "retrying"
    PUBLISHED = "published"
    FAILED = "failed"
    UNKNOWN = "unknown"
    CANCELLED = "cancelled"


class PublicationEvent(StrEnum):
    """What can happen to a publication."""

    CLAIMED = "claimed"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    GAVE_UP = "gave_up"
    LOST_SIGHT = "lost_sight"
    RELEASED = "released"
    CANCELLED = "cancelled"
    REVIVED = "revived"


P, V = PublicationState, PublicationEvent

PUBLICATION_TRANSITIONS: Final[dict[tuple[PublicationState, PublicationEvent], PublicationState]] = {
    (P.PENDING, V.CLAIMED): P.PUBLISHING,
    (P.PENDING, V.CANCELLED): P.CANCELLED,
    (P.PUBLISHING, V.SUCCEEDED): P.PUBLISHED,
    (P.PUBLISHING, V.FAILED): P.RETRYING,
    (P.PUBLISHING, V.GAVE_UP): P.FAILED,
    (P.PUBLISHING, V.LOST_SIGHT): P.UNKNOWN,
    (P.PUBLISHING, V.RELEASED): P.PENDING,
    (P.RETRYING, V.CLAIMED): P.PUBLISHING,
    (P.RETRYING, V.CANCELLED): P.CANCELLED,
    (P.FAILED, V.REVIVED): P.PENDING,
    (P.FAILED, V.CANCELLED): P.CANCELLED,
    (P.UNKNOWN, V.SUCCEEDED): P.PUBLISHED,
    (P.UNKNOWN, V.REVIVED): P.PENDING,
    (P.UNKNOWN, V.CANCELLED): P.CANCELLED,
    (P.CANCELLED, V.REVIVED): P.PENDING,
}


_WORDS: Final = {V.REVIVED: "tried again", V.LOST_SIGHT: "lost sight of", V.GAVE_UP: "given up"}
_MACHINE: Final = Machine("publication", PUBLICATION_TRANSITIONS, words=_WORDS)
publication_step = _MACHINE.step
publication_sources = _MACHINE.sources


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """A claimed pool entry, with all that a publisher needs."""

    publication_id: UUID
    content_id: UUID
    task_id: UUID
    account: str
    target: str
    state: PublicationState
    attempt: int
    retry_count: int
    title: str
    topic: str
    body: str
    keywords: tuple[str, ...]
    created_at: datetime
    images: tuple["PublishedImage", ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedImage:
    """An image that was fetched: ``path`` is absolute."""

    position: int
    prompt: str
    path: str
    media_type: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a target answered: its own id of the content, and where a person can look at it."""

    remote_id: str
    location: str
