"""Contain: a fault of our own over one item never stops its neighbours, and never goes on forever.

Every item of a page is worked on behind this. A fault is told once with its traceback, and the item is left for the
next look; the third time in a row whoever asked is told, so that it can be ended as an internal error, charged. A
database that is away is nobody's fault: it ends the whole tick, as ever.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Hashable
from typing import Final

import structlog

from contenthubd.domain.errors import Unavailable
from contenthubd.domain.outcome import ErrorKind, Failed

LIMIT: Final = 3
MOST: Final = 1000
"""Items remembered; they are forgotten together, which only gives each of them its tries again."""
log = structlog.get_logger(__name__)


class Contain:
    """Contains what one stage does with its items."""

    def __init__(self, stage: str) -> None:
        self._stage = stage
        self._faults: Counter[Hashable] = Counter()

    async def __call__(self, item: Hashable, work: Callable[[], Awaitable[object]]) -> Exception | None:
        """Do the work; the fault, once it is the third in a row for this item. Unavailable is passed on."""
        try:
            await work()
        except Unavailable:
            raise
        except Exception as fault:  # noqa: BLE001 - one item must not stop its neighbours; told with its traceback
            return self._noted(item, fault)
        self._faults.pop(item, None)
        return None

    def noted(self, item: Hashable) -> bool:
        """Whether the last look at an item ended with a fault."""
        return item in self._faults

    def _noted(self, item: Hashable, fault: Exception) -> Exception | None:
        if item not in self._faults:
            log.error("item_crashed", stage=self._stage, item=str(item), exc_info=fault)
            if len(self._faults) >= MOST:
                self._faults.clear()
        self._faults[item] += 1
        if self._faults[item] < LIMIT:
            return None
        del self._faults[item]
        return fault


def internal_error(fault: Exception) -> Failed:
    """What an attempt comes to that contenthubd cannot work on."""
    cause = f"contenthubd hit an internal error: {type(fault).__name__}: {fault}"
    return Failed(ErrorKind.INTERNAL_ERROR, cause)
