"""A creator that gives one id to several tasks: none of them gets the article of another."""

import shlex
from datetime import timedelta
from pathlib import Path

import pytest

from contenthubd.adapters.creator.creator import CommandCreator
from contenthubd.adapters.creator.given import GivenIds
from contenthubd.domain.outcome import Accepted, ErrorKind, Failed, Outcome, RowState, Succeeded
from contenthubd.domain.task import Mode, Task
from tests.contracts.creator_kit import (
    SIMULATOR,
    FixedClock,
    mark_for,
    script,
    settings_for,
    started,
    task_of,
)

LONG = timedelta(seconds=120)
ONE_ID_FOR_ALL = f"""
[ "$1" = create ] || exec {shlex.join(SIMULATOR)} "$@"
{shlex.join(SIMULATOR)} "$@" >answer
code=$?
own=$(sed -n 's/^任务ID: //p' answer | head -n 1)
[ -f first ] || printf %s "$own" >first
sed "s/$own/$(cat first)/g" answer
exit $code
"""


@pytest.fixture
async def creator(tmp_path: Path) -> CommandCreator:
    program = script(tmp_path, ONE_ID_FOR_ALL, "content-creator-simulator")
    made = CommandCreator(settings_for(tmp_path, program), FixedClock())
    await made.start()
    return made


async def handed_over(creator: CommandCreator, task: Task) -> Outcome:
    if task.mode is Mode.ASYNC:
        return await creator.create(task, mark_for(task))
    return await creator.generate(task, mark_for(task), LONG, started)


@pytest.mark.parametrize("before", [Mode.SYNC, Mode.ASYNC])
async def test_a_sync_task_does_not_take_the_article_of_another(creator: CommandCreator, before: Mode) -> None:
    first, second = task_of("甲", mode=before), task_of("乙", mode=Mode.SYNC)
    assert isinstance(await handed_over(creator, first), Succeeded | Accepted)
    outcome = await handed_over(creator, second)
    assert isinstance(outcome, Failed)
    assert (outcome.kind, outcome.creator_task_id) == (ErrorKind.LOST, None), "so that its own row is looked for"
    found = await creator.find([mark_for(second)])
    assert isinstance(found, dict)
    own = found[mark_for(second)]
    assert own.state is RowState.COMPLETED
    article = await creator.result(own.creator_task_id)
    assert isinstance(article, Succeeded)
    assert "乙" in article.article


async def test_an_async_task_does_not_take_the_row_of_another(creator: CommandCreator) -> None:
    """Not even where the row is known by its name alone, which says nothing of whose it is."""
    first, second = task_of("甲"), task_of("乙")
    assert isinstance(await handed_over(creator, first), Accepted)
    outcome = await handed_over(creator, second)
    assert isinstance(outcome, Failed)
    assert (outcome.kind, outcome.creator_task_id) == (ErrorKind.LOST, None), "so that its own row is looked for"
    found = await creator.find([mark_for(second)])
    assert isinstance(found, dict)
    assert found.keys() == {mark_for(second)}


def test_another_try_of_the_same_task_may_have_the_same_id() -> None:
    given, task, other = GivenIds(), task_of(), task_of()
    answers = [given.claimed_by_another("id", one.task_id) for one in (task, task, other, task, other)]
    assert answers == [False, False, True, False, True]


def test_not_every_id_is_remembered_for_ever() -> None:
    given, task = GivenIds(), task_of()
    for number in range(20_000):
        given.note(str(number), task.task_id)
    assert not given.claimed_by_another("0", task_of().task_id)
    assert given.claimed_by_another("19999", task_of().task_id)
