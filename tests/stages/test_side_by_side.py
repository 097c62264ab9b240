"""A poisoned task and an innocent one side by side: whatever is read about the one, the other is finished in time."""

from collections.abc import Awaitable, Callable, Collection
from datetime import timedelta

import pytest

from contenthubd.domain.attempt import Child, mark_of
from contenthubd.domain.outcome import CreatorRow, Outcome, RowState, Sick
from contenthubd.domain.task import FINAL, Mode, Task, TaskState
from tests.stages.house import House
from tests.stages.scripted_creator import ScriptedCreator

POISON = "毒"
ROUNDS = 30


class Unreadable(ScriptedCreator):
    """One of its answers about the poisoned task makes our reader fail, however well the reader is guarded."""

    def __init__(self, where: str) -> None:
        super().__init__()
        self.where = where
        self.poisoned: set[str] = set()

    def _fail(self, where: str, poisoned: bool) -> None:
        if poisoned and self.where == where:
            raise ZeroDivisionError("a fault of ours over foreign text")

    async def create(self, task: Task, mark: str) -> Outcome:
        self._fail("create", POISON in task.topic)
        return await super().create(task, mark)

    async def generate(
        self, task: Task, mark: str, timeout: timedelta, started: Callable[[Child], Awaitable[None]]
    ) -> Outcome:
        self._fail("sync output", POISON in task.topic)
        return await super().generate(task, mark, timeout, started)

    async def find(self, marks: Collection[str]) -> dict[str, CreatorRow] | Sick:
        found = await super().find(marks)
        for row in found.values() if isinstance(found, dict) else ():
            self._fail("search", row.creator_task_id in self.poisoned)
        return found

    async def result(self, creator_task_id: str) -> Outcome:
        self._fail("result", creator_task_id in self.poisoned)
        return await super().result(creator_task_id)

    async def cause(self, creator_task_id: str) -> str | None:
        self._fail("error log", creator_task_id in self.poisoned)
        return await super().cause(creator_task_id)

    async def requeue(self, creator_task_id: str) -> bool:
        self._fail("queue jobs", creator_task_id in self.poisoned)
        return await super().requeue(creator_task_id)


async def step(house: House) -> None:
    await house.beat()
    await house.promote.tick()
    await house.dispatch.tick()
    for task in house.started:
        await house.attempts.run(task)
    house.started.clear()
    await house.look()
    await house.rescue.tick()


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("where", ["create", "result", "error log", "queue jobs"])
async def test_the_innocent_one_is_finished_and_the_poisoned_one_ends(house: House, where: str, first: bool) -> None:
    creator = Unreadable(where)
    house = House(house.database, house.clock, creator)
    topics = [POISON, "innocent"] if first else ["innocent", POISON]
    tasks = {topic: await house.add(topic, max_retries=1, timeout_seconds=600) for topic in topics}
    await step(house)
    for creator_task_id, row in list(creator.table.items()):
        if any(task.topic == POISON for task in creator.tasks if row.requirements.endswith(_mark(task))):
            creator.poisoned.add(creator_task_id)
        else:
            creator.finish(creator_task_id)
    if where in ("result", "error log"):
        for creator_task_id in creator.poisoned:
            creator.finish(creator_task_id)
            creator.move(creator_task_id, state=RowState.COMPLETED if where == "result" else RowState.FAILED)
    await house.look()
    assert await house.state(tasks["innocent"]) is TaskState.COMPLETED, "at the next look, as always"
    for _ in range(ROUNDS):
        await step(house)
        creator.poisoned |= creator.table.keys() - {key for key in creator.results if key not in creator.poisoned}
        if await house.state(tasks[POISON]) in FINAL:
            break
        house.clock.advance(150)
    now = await house.now(tasks[POISON])
    assert now.state in FINAL
    assert now.attempt <= 3, "it is not tried for ever"


async def test_in_sync_mode_too(house: House) -> None:
    creator = Unreadable("sync output")
    house = House(house.database, house.clock, creator)
    poisoned = await house.add(POISON, mode=Mode.SYNC, max_retries=0)
    innocent = await house.add("innocent", mode=Mode.SYNC)
    for _ in range(3):
        await step(house)
    assert await house.state(innocent) is TaskState.COMPLETED
    now = await house.now(poisoned)
    assert (now.state, now.error_kind) == (TaskState.FAILED, "internal_error")


async def test_a_search_that_fails_rescues_nobody_wrongly_and_stops_no_dispatch(house: House) -> None:
    lost = await house.claimed(POISON)
    creator = Unreadable("search")
    creator.poisoned.add(creator.add(f"x\n{_mark(lost)}"))
    heir = House(house.database, house.clock, creator, run="second")
    await heir.beat()
    innocent = await heir.add("innocent")
    for _ in range(3):
        try:
            await heir.rescue.tick()
        except ZeroDivisionError:
            continue
    assert await heir.state(lost) is TaskState.SUBMITTING, "what cannot be searched is not created anew"
    await heir.dispatch.tick()
    assert [task.task_id for task in heir.started] == [innocent.task_id]


def _mark(task: Task) -> str:
    return mark_of(task.task_id, task.attempt)
