"""A planned stop in the middle of a look: what our own worker leaves behind then is nobody's failure."""

from collections.abc import Collection

import pytest

from contenthubd.domain.outcome import CreatorRow, RowState, Sick
from contenthubd.domain.task import TaskState
from tests.stages.house import House
from tests.stages.scripted_creator import ScriptedCreator


class StoppedAt(ScriptedCreator):
    """Our stop begins in the middle of a look: the flag first, as the daemon does it, then the worker is gone."""

    def __init__(self, moment: str, row: RowState) -> None:
        super().__init__()
        self.moment, self.row = moment, row
        self.house: House | None = None

    def _stop(self, moment: str) -> None:
        if moment == self.moment and self.house is not None:
            self.house.poll.draining = True
            self.workers["w1"] = False
            for creator_task_id in self.table:
                self.move(creator_task_id, state=self.row)

    async def rows(self, wanted: Collection[str]) -> dict[str, CreatorRow] | Sick:
        self._stop("before the answer")
        found = await super().rows(wanted)
        self._stop("behind the answer")
        return found

    async def cause(self, creator_task_id: str) -> str | None:
        self._stop("while the cause is read")
        return await super().cause(creator_task_id)

    def worker_alive(self, worker_id: str) -> bool | None:
        self._stop("as its worker is looked for")
        return super().worker_alive(worker_id)


MOMENTS = ["before the answer", "behind the answer", "as its worker is looked for", "while the cause is read"]


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("row", [RowState.RUNNING, RowState.FAILED])
async def test_a_worker_that_ends_with_us_in_the_middle_of_a_look_costs_nothing(
    house: House, moment: str, row: RowState
) -> None:
    creator = StoppedAt(moment, row)
    house = House(house.database, house.clock, creator)
    task, creator_task_id = await house.accepted(max_retries=0)
    creator.workers["w1"] = True
    seen = RowState.FAILED if "cause" in moment else RowState.RUNNING
    creator.move(creator_task_id, state=seen, worker_id="w1", error="Failed to claim task x")
    creator.house = house
    for _ in range(3):
        await house.look()
        house.poll.stopping = True
    now = await house.now(task)
    assert house.poll.draining, "the stop began"
    assert (now.state, now.error_kind, now.retry_count, now.deaths) == (TaskState.RETRYING, "stopped", 0, 0)
