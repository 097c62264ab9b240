"""The rules of a run that is over notice what breaks them."""

from pathlib import Path

import pytest
from sqlalchemy import text

from tests import invariants
from tests.invariants import FINISHED
from tests.stages.house import House

PUBLISHED = (
    "UPDATE publication SET state = 'published', published_at = now(), location = '/shelf/index.md'",
    "UPDATE content SET state = 'published'",
)
AGAIN = "INSERT INTO fact (at, name, task_id, data) SELECT now(), '{name}', id, '{data}' FROM task"
SECOND = (
    "INSERT INTO attempt (task_id, number, mode, instance, claimed_at, ended_at, outcome, creator_task_id)"
    " SELECT task_id, 2, mode, instance, now(), now(), '{outcome}', {creator_task_id} FROM attempt"
)
BREAKING = {
    "tasks_are_final": "UPDATE task SET state = 'pending', finished_at = NULL",
    "no_attempt_is_open": "UPDATE attempt SET ended_at = NULL, outcome = NULL",
    "tasks_end_once": AGAIN.format(name="task_completed", data="{}"),
    "attempts_have_a_reason": "UPDATE task SET attempt = 2",
    "failures_are_told_once": AGAIN.format(name="task_accepted", data='{"attempt": 1}'),
    "charges_are_allowed": "; ".join([AGAIN.format(name="attempt_failed", data='{"charged": true}')] * 5),
    "one_success_for_each_content": SECOND.format(outcome="succeeded", creator_task_id="'another'"),
    "approved_contents_are_published_once": "DELETE FROM publication",
    "no_image_is_forgotten": "INSERT INTO image (content_id, position, url, state, due_at)"
    " SELECT id, 9, 'data:', 'pending', now() FROM content",
    "creator_tasks_belong_to_one_attempt": SECOND.format(outcome="failed", creator_task_id="creator_task_id"),
}


@pytest.fixture
async def over(house: House) -> House:
    """A run of one task that is over, and at which nothing is wrong."""
    _, creator_task_id = await house.accepted()
    house.creator.finish(creator_task_id)
    await house.look()
    for statement in PUBLISHED:
        await house.database.changed(text(statement))
    invariants.assert_hold(await invariants.in_rows(house.database))
    return house


@pytest.mark.parametrize("name", [rule.name for rule in FINISHED])
async def test_a_rule_notices_what_breaks_it(over: House, name: str) -> None:
    for statement in BREAKING[name].split("; "):
        await over.database.changed(text(statement.replace(":", "\\:")))
    findings = await invariants.in_rows(over.database)
    broken = {finding.name: finding for finding in findings if finding.offenders}
    assert name in broken
    with pytest.raises(AssertionError, match=name):
        invariants.assert_hold(findings)


async def test_a_file_too_many_and_one_too_few_are_noticed(over: House, tmp_path: Path) -> None:
    stray = tmp_path / "account" / "folder" / "index.md"
    stray.parent.mkdir(parents=True)
    stray.touch()
    [finding] = await invariants.in_the_folder(over.database, tmp_path)
    assert finding.offenders == sorted([str(stray), "/shelf/index.md"])
