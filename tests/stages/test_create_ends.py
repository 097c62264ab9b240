"""However a ``create`` ends: what it stored is found, nothing is made beside it, and nothing is repeated for ever."""

from datetime import timedelta

import pytest

from contenthubd.domain.outcome import ErrorKind, Failed, Outcome, RowState, Sick, TimedOut, Unknown
from contenthubd.domain.task import FINAL, Mode, Task, TaskState
from tests.stages.house import House
from tests.stages.scripted_creator import Create, ScriptedCreator

RETRIES = 2
ROUNDS = 40
UNKNOWN: dict[str, Outcome] = {
    "exit 0 without an id": Unknown("The output of create is unreadable: there is no line with the task's id.", 0),
    "exit 1": Unknown("create: It ended with exit code 1: database is busy", 1),
    "a signal": Unknown("create: It was ended by signal 9.", -9),
    "the limit of its time": TimedOut("create: It did not answer in time and was killed."),
    "a flood": Unknown("create: It printed more than 8 MiB and was stopped."),
}
REFUSED: dict[str, Outcome] = {
    "a refusal": Failed(ErrorKind.REFUSED, "content-creator rejected the request: Topic is required", 1)
}
SICK: dict[str, Outcome] = {
    "a refused option": Sick(ErrorKind.CREATOR_CHANGED, "content-creator rejected a command or option."),
    "a broken database": Sick(ErrorKind.DATABASE_MISSING, "content-creator's database cannot be used: SQLITE_FULL."),
    "missing keys": Sick(ErrorKind.API_KEYS_MISSING, "LLM_API_KEY is not set; content-creator needs it."),
    "no Redis": Sick(ErrorKind.CREATOR_REDIS_DOWN, "creator.redis_url is not set; async mode needs it."),
}
NEVER_RAN: dict[str, Outcome] = {
    "no process": Sick(ErrorKind.NO_PROCESS, "The system could not start a process: No memory.", spawned=False),
    "no program": Sick(ErrorKind.CREATOR_MISSING, "content-creator cannot be run.", spawned=False),
}
FOREIGN: dict[str, Outcome] = {"another task's id": Failed(ErrorKind.LOST, "The creator gave it another task's id.", 0)}
RAN = {**UNKNOWN, **REFUSED, **SICK}


def by_name(ends: dict[str, Outcome]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("end", list(ends.values()), ids=list(ends))


class Always(ScriptedCreator):
    """A creator whose ``create`` and ``generate`` always end alike, after storing a row or not."""

    def __init__(self, end: Outcome, *, stored: bool) -> None:
        super().__init__()
        self.end, self.stored = end, stored

    def next(self) -> None:
        self.script.extend([Create(self.end, stored=self.stored)] * 10)


async def driven(house: House, creator: Always, task: Task, rounds: int = ROUNDS) -> Task:
    """Every stage in turn, as the daemon would, over hours."""
    for _ in range(rounds):
        creator.script.clear()
        creator.next()
        await house.beat()
        await house.promote.tick()
        await house.dispatch.tick()
        for started in house.started:
            await house.attempts.run(started)
        house.started.clear()
        await house.look()
        if (await house.now(task)).state in FINAL:
            break
        house.clock.advance(150)
    return await house.now(task)


async def one(house: House, end: Outcome, *, stored: bool, mode: Mode = Mode.ASYNC) -> tuple[House, Always, Task]:
    creator = Always(end, stored=stored)
    other = House(house.database, house.clock, creator)
    return other, creator, await other.add(mode=mode, max_retries=RETRIES)


@by_name(RAN)
async def test_what_it_stored_is_found_and_nothing_is_created_beside_it(house: House, end: Outcome) -> None:
    there, creator, task = await one(house, end, stored=True)
    now = await driven(there, creator, task, rounds=3)
    assert (now.state, now.retry_count, now.attempt) == (TaskState.SUBMITTED, 0, 1)
    [creator_task_id] = creator.table
    creator.finish(creator_task_id)
    await there.look()
    assert await there.state(task) is TaskState.COMPLETED
    assert creator.calls["create"] == 1


@by_name(UNKNOWN)
async def test_what_it_did_not_store_is_charged_and_repeated_as_often_as_the_task_allows(
    house: House, end: Outcome
) -> None:
    there, creator, task = await one(house, end, stored=False)
    now = await driven(there, creator, task)
    assert now.state in (TaskState.FAILED, TaskState.TIMEOUT)
    assert (now.retry_count, creator.calls["create"]) == (RETRIES + 1, RETRIES + 1)
    assert creator.calls["find"] >= creator.calls["create"], "each was looked up before the next one"


@by_name(REFUSED)
async def test_a_refusal_is_final(house: House, end: Outcome) -> None:
    there, creator, task = await one(house, end, stored=False)
    assert (await driven(there, creator, task)).state is TaskState.FAILED
    assert creator.calls["create"] == 1


@by_name(SICK)
async def test_a_sick_creator_charges_nobody_and_is_looked_up_before_each_create(house: House, end: Outcome) -> None:
    there, creator, task = await one(house, end, stored=False)
    now = await driven(there, creator, task)
    assert now.state in (TaskState.PENDING, TaskState.RETRYING)
    assert now.retry_count == 0
    assert creator.calls["find"] >= creator.calls["create"]


@by_name(SICK)
async def test_but_not_when_it_works_for_everybody_else(house: House, end: Outcome) -> None:
    there, creator, task = await one(house, end, stored=False)
    now = task
    for number in range(ROUNDS):
        now = await driven(there, creator, task, rounds=1)
        if now.state in FINAL:
            break
        creator.script.clear()
        other, other_id = await there.accepted(f"第{number}个", priority=1)
        creator.finish(other_id)
        await there.look()
        assert await there.state(other) is TaskState.COMPLETED
    assert (now.state, now.retry_count) == (TaskState.FAILED, RETRIES + 1)


@by_name(NEVER_RAN)
async def test_what_surely_never_ran_is_not_looked_up(house: House, end: Outcome) -> None:
    there, creator, task = await one(house, end, stored=False)
    now = await driven(there, creator, task, rounds=1)
    assert (now.state, now.retry_count) == (TaskState.PENDING, 0)
    assert creator.calls["find"] == 0


@by_name(UNKNOWN)
async def test_while_nothing_can_be_looked_up_nothing_is_created_again(house: House, end: Outcome) -> None:
    there, creator, task = await one(house, end, stored=True)
    creator.sick_finds.extend([Sick(ErrorKind.DATABASE_MISSING, "locked")] * 4)
    now = await driven(there, creator, task, rounds=6)
    assert now.state is TaskState.SUBMITTED
    assert now.retry_count == isinstance(end, TimedOut), "its time is over: there is none for another search"
    assert creator.calls["create"] == 1, "the next attempt looked for what the one before it left"


@by_name({**UNKNOWN, **SICK, **FOREIGN})
async def test_a_sync_run_that_was_finished_after_all_is_taken(house: House, end: Outcome) -> None:
    there, creator, task = await one(house, end, stored=True, mode=Mode.SYNC)
    await there.beat()
    await there.dispatch.tick()
    [started] = there.started
    creator.script.append(Create(end, stored=True, row=RowState.COMPLETED))
    creator.add_result("# 同步\n\n正文")
    await there.attempts.run(started)
    assert await there.state(task) is TaskState.COMPLETED
    assert creator.calls["generate"] == 1


async def test_three_daemons_that_die_over_a_create_are_the_end_of_it(house: House) -> None:
    task = await house.add(max_retries=RETRIES)
    heir = house
    for number in range(3):
        await heir.beat()
        await heir.promote.tick()
        await heir.dispatch.tick()
        heir = House(house.database, house.clock, house.creator, run=f"heir {number}")
        house.clock.advance(timedelta(minutes=3).total_seconds())
        await heir.beat()
        await heir.rescue.tick()
    now = await heir.now(task)
    assert (now.state, now.error_kind) == (TaskState.FAILED, "poison")
    assert house.creator.calls["create"] == 0
    assert house.creator.calls["find"] == 3


UNREAD: dict[str, dict[Mode, Outcome]] = {
    "nothing that can be read": {
        Mode.ASYNC: Unknown("The output of create is unreadable: it is not there.", 0),
        Mode.SYNC: Failed(ErrorKind.OUTPUT_UNREADABLE, "It ended with exit code 0: no error output", 0),
    }
}


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("end", list(UNREAD.values()), ids=list(UNREAD))
async def test_a_create_that_stores_no_task_at_all_is_the_creators_fault(
    house: House, end: dict[Mode, Outcome], mode: Mode
) -> None:
    there, creator, first = await one(house, end[mode], stored=False, mode=mode)
    assert (await driven(there, creator, first, rounds=1)).retry_count == 1, "one task alone may be the cause"
    others = [await there.add(f"第{number}个", mode=mode, max_retries=RETRIES) for number in range(3)]
    await driven(there, creator, others[0], rounds=1)
    assert [(await there.now(task)).retry_count for task in others] == [0, 0, 0]
    assert there.pause.sick is not None
    assert there.pause.sick.kind is ErrorKind.CREATOR_CHANGED
    for _ in range(ROUNDS):
        await driven(there, creator, others[0], rounds=1)
    assert {await there.state(task) for task in others} == {TaskState.FAILED}, "but not without end"
    uncharged, charged = 2, RETRIES + 1
    assert creator.calls["generate" if mode is Mode.SYNC else "create"] <= 4 * (uncharged + charged)


@pytest.mark.parametrize("mode", Mode)
async def test_but_not_while_others_are_stored_in_between(house: House, mode: Mode) -> None:
    [end] = UNREAD.values()
    there, creator, task = await one(house, end[mode], stored=False, mode=mode)
    for number in range(ROUNDS):
        if (await driven(there, creator, task, rounds=1)).state in FINAL:
            break
        creator.script.clear()
        _, other_id = await there.accepted(f"第{number}个", priority=1)
        creator.finish(other_id)
        await there.look()
    now = await there.now(task)
    assert (now.state, now.retry_count) == (TaskState.FAILED, RETRIES + 1)
