"""Prune: remove tasks, and all that hangs on them, once they are older than they are kept for.

Each tick is one bounded step per state. Where there is more, the next tick comes at once; else it comes in an hour and
looks through everything from the oldest on again, since what had to stay may be done with by then. What is old is
judged by a time that is safe to delete by (``stages/steady.py``); while there is none, nothing is removed. A daemon
that is restarted often goes by what earlier ones finished, so the first round comes with the start.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Final

import structlog

from contenthubd.domain.task import TaskState
from contenthubd.ports.retention import ImageFiles, Mark, RetentionStore

ROUND: Final = timedelta(hours=1)
WAIT: Final = timedelta(minutes=10)
LIMIT: Final = 500
log = structlog.get_logger(__name__)


class Prune:
    """``keep`` says how long final tasks of a state stay, ``keep_facts`` how long facts do; absent means forever.

    ``now`` answers None while no time is safe to delete by; it is told the time reached before the start, if known.
    """

    def __init__(
        self,
        store: RetentionStore,
        files: ImageFiles,
        now: Callable[[datetime | None], datetime | None],
        *,
        keep: Mapping[TaskState, timedelta],
        keep_facts: timedelta | None,
        limit: int = LIMIT,
    ) -> None:
        self._store = store
        self._files = files
        self._now = now
        self._keep = keep
        self._keep_facts = keep_facts
        self._limit = limit
        self._marks: dict[TaskState, Mark] = {}
        self._left = set(keep)
        self._asked = False
        self._reached: datetime | None = None

    async def tick(self) -> timedelta:
        """One step of every state that is not through, of the facts, and of the files; wait for the next round."""
        if not self._asked:
            self._reached, self._asked = await self._store.reached(), True
        now = self._now(self._reached)
        if now is None:
            return WAIT
        for state in sorted(self._left):
            await self._prune(state, now - self._keep[state])
        more = await self._forget(now)
        more = await self._remove_files() or more
        if self._left or more:
            return timedelta()
        self._left = set(self._keep)
        return WAIT if self._now(None) is None else ROUND

    async def _prune(self, state: TaskState, before: datetime) -> None:
        pruned = await self._store.prune_tasks(state, before, self._marks.pop(state, None), self._limit)
        if pruned.tasks:
            log.info("tasks_pruned", state=state.value, count=pruned.tasks, finished_before=before.isoformat())
        if pruned.following is None:
            self._left.discard(state)
        else:
            self._marks[state] = pruned.following

    async def _forget(self, now: datetime) -> bool:
        """Old facts; True if there may be more."""
        if self._keep_facts is None:
            return False
        count = await self._store.prune_facts(now - self._keep_facts, self._limit)
        if count:
            log.info("facts_pruned", count=count)
        return count == self._limit

    async def _remove_files(self) -> bool:
        """Files of removed contents; True if there may be more. A disk that refuses is asked again next round."""
        paths = await self._store.discarded_images(self._limit)
        if not paths:
            return False
        try:
            await self._files.remove(paths)
        except OSError as fault:
            log.error("images_not_removed", error=str(fault), count=len(paths))
            return False
        await self._store.images_removed(paths)
        log.info("images_removed", count=len(paths))
        return len(paths) == self._limit
