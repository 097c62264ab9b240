"""The queue, as it is told on the wire."""

from contenthubd.control.wire import Telling


class QueueStatus(Telling):
    """GET /v1/queue: which queue is in use."""

    kind: str
    """redis or memory."""
    since: str
    why: str
    """Why it is this one; empty from the start on, when it is the one that is meant to be."""
    degraded: bool
    """Whether it stands in for one that should be there."""
    waiting: int
    """How many task ids it holds; more may wait in the database."""
