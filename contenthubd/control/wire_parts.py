"""What several messages of the private door are made of; ``wire`` has the messages, and its rules hold here too."""

from typing import Literal

from msgspec import Struct

Mode = Literal["async", "sync"]
State = Literal[
    "pending", "submitting", "submitted", "running", "retrying", "completed", "failed", "timeout", "cancelled"
]
ReviewState = Literal["pending_review", "approved", "rejected", "published"]


class Refusing(Struct, forbid_unknown_fields=True):
    """Base of what comes from outside."""


class SteerQuery(Refusing):
    """POST /v1/tasks/{id}/cancel and …/retry, /v1/contents/{id}/approve and …/reject."""

    dry_run: bool = False
    """See whether the id and the state allow it, change nothing."""


class Telling(Struct):
    """Base of what goes out."""


class WaitingFor(Telling):
    """What a task that makes no progress waits for; every view tells the same."""

    code: Literal["stopping", "database", "creator", "slot", "turn", "retry"]
    what: str
    """Completes the words "waiting for"."""
    until: str | None = None
    """When it is looked at again, where that is known."""
    kind: str | None = None
    """The creator's error kind, when it waits for the creator."""
    cause: str = ""
    """The fault as it was reported, in one sentence."""
    hint: str = ""
    """What a person can do about it."""


class PublicationView(Telling):
    """One content at one target. ``location`` is a path on disk or a URL."""

    id: str
    target: str
    state: str
    location: str | None = None
    remote_id: str | None = None
    published_at: str | None = None
    error: str | None = None
    """Of the latest try."""
    tries: int = 0
    """How many times it was sent or tried to be."""
    due_at: str | None = None
    """When it is sent; null once it was sent, has failed for good or was taken out."""
    next_step: str = ""
    """What happens next, or what a person can do; empty when nothing is left to do."""


class ImageView(Telling):
    """One image of a content."""

    position: int
    state: str
    url: str
    prompt: str = ""
    path: str | None = None
    error: str | None = None


class SubmittedTask(Telling):
    """One task of a submit. A dry run has no ids and creates nothing; an idempotency key may find an earlier task."""

    id: str | None
    state: State
    topic: str
    created: bool = True
    already_submitted: bool = False
