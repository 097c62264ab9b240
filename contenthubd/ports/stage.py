"""The stages that run by themselves, and the bell that wakes one of them."""

from collections.abc import Callable
from enum import StrEnum


class Stage(StrEnum):
    """The stages that run by themselves; ``Wake`` rings one of them, which is harmless at any time."""

    DISPATCH = "dispatch"
    POLL = "poll"
    PROMOTE = "promote"
    RESCUE = "rescue"
    RECLAIM = "reclaim"
    HEARTBEAT = "heartbeat"
    FETCH = "fetch"
    PUBLISH = "publish"
    PRUNE = "prune"
    FAILOVER = "failover"
    SCHEDULE = "schedule"


Wake = Callable[[Stage], None]
