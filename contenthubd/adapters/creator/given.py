"""Which task each of the creator's ids was given to, so that no task gets the article of another one.

The mark in an id's row says so, but a sync run ends without its row being read, and a row that is known by its name
alone shows no mark; to read each would cost one more command for each article, for a fault that is rare. So the ids are
remembered, and only one that comes up again is doubted: the row that carries the task's own mark is looked for.
"""

from collections import OrderedDict
from typing import Final
from uuid import UUID

_MOST: Final = 10_000


class GivenIds:
    """The latest ids of this run of the daemon; the first task that an id was given to has it."""

    def __init__(self) -> None:
        self._tasks: OrderedDict[str, UUID] = OrderedDict()

    def note(self, creator_task_id: str, task_id: UUID) -> None:
        """The creator told this id for this task."""
        self._tasks.setdefault(creator_task_id, task_id)
        if len(self._tasks) > _MOST:
            self._tasks.popitem(last=False)

    def claimed_by_another(self, creator_task_id: str, task_id: UUID) -> bool:
        """Claim an id just told for a task; True if another task has it already."""
        self.note(creator_task_id, task_id)
        return self._tasks.get(creator_task_id, task_id) != task_id
