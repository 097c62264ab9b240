"""What prune needs: old rows removed in bounded steps, and then the files that were theirs."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from contenthubd.domain.task import TaskState


@dataclass(frozen=True, slots=True)
class Mark:
    """A place among the final tasks of one state, which are looked through from the oldest on."""

    finished_at: datetime
    task_id: UUID


@dataclass(frozen=True, slots=True)
class Pruned:
    """One step: how many tasks were removed, and where the next step begins (None: there is nothing further)."""

    tasks: int
    following: Mark | None


class RetentionStore(Protocol):
    """Removes what is older than it is kept for; every call is one bounded statement. DatabaseUnavailable."""

    async def prune_tasks(self, state: TaskState, before: datetime, after: Mark | None, limit: int) -> Pruned:
        """Look at up to ``limit`` tasks that finished in ``state`` before that time; remove those that are done with.

        A task stays while an attempt of it is open, an image of it is to be fetched, its content waits for review,
        or a publication of it is unfinished.
        """

    async def reached(self) -> datetime | None:
        """A time that surely has come: when the last task ended that ended an hour or more before the very last one.

        Those of the last hour may have been noted while the wall clock was wrong; None while there are no others.
        """

    async def prune_facts(self, before: datetime, limit: int) -> int:
        """Remove up to ``limit`` of the oldest facts that are older than that; how many were removed."""

    async def discarded_images(self, limit: int) -> Sequence[str]:
        """The paths of up to ``limit`` image files whose rows are gone."""

    async def images_removed(self, paths: Sequence[str]) -> None:
        """Forget these paths: the files are gone."""


class ImageFiles(Protocol):
    """The directory of images."""

    async def remove(self, paths: Sequence[str]) -> None:
        """Remove files by their paths relative to it; one that is gone already is no failure. OSError."""
