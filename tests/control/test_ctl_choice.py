"""Commands over several things: ids, or a whole batch of which only some fit; and their rehearsal."""

import json

import pytest
from msgspec import structs

from contenthubd.control import wire
from contenthubd.control.peer import Peer
from contenthubd.ctl.failure import CONFLICT, NOT_FOUND, OK, USAGE
from contenthubd.ctl.listing import PAGE
from contenthubd.ctl.tasks import OPEN, RETRIED
from contenthubd.domain.content import ContentEvent, ContentState, content_step
from contenthubd.domain.errors import Conflict
from contenthubd.domain.task import FINAL, TaskEvent, TaskState, step
from tests.control.conftest import US, Door, submitted_ids

VERBS = {
    ("task", "cancel"): ("will be cancelled", TaskState.PENDING, TaskState.COMPLETED),
    ("task", "retry"): ("will be tried again", TaskState.FAILED, TaskState.RUNNING),
    ("content", "approve"): ("will be approved", "pending_review", "published"),
}
Verb = tuple[str, str]
every_verb = pytest.mark.parametrize("verb", VERBS, ids=" ".join)


async def batch_of(door: Door, verb: Verb, fitting: int, others: int = 0) -> tuple[list[str], list[str]]:
    """The ids of a new batch's tasks or articles: those that the verb fits, and the others."""
    topics = [wire.TopicRequest(topic=f"Tea {number}") for number in range(fitting + others)]
    made = await door.app.submit(wire.SubmitRequest(account="studio", requests=topics, batch=True), peer=US)
    ids = submitted_ids(made)
    for number, one in enumerate(ids):
        fits = number < fitting
        if verb[0] == "content":
            door.app.finish(one, "On tea", None if fits else "/tea")
            content = next(key for key, value in door.app.content_views.items() if value.task_id == one)
            door.app.content_views[content] = structs.replace(door.app.content_views[content], batch=made.batch_id)
            ids[number] = content
        else:
            door.app.move(one, TaskState(VERBS[verb][1 if fits else 2]))
    return ids[:fitting], ids[fitting:]


def state_of(door: Door, one: str) -> str:
    found = door.app.task_views.get(one) or door.app.content_views[one]
    return str(found.state)


@every_verb
async def test_of_a_batch_only_what_fits_is_changed(door: Door, verb: Verb) -> None:
    fitting, others = await batch_of(door, verb, 3, 2)
    before = {one: state_of(door, one) for one in others}
    elsewhere, _ = await batch_of(door, verb, 1)
    batch = next(one.batch for one in door.app.task_views.values())
    rehearsed = await door.ctl(*verb, "--batch", str(batch), "--dry-run", "-o", "json")
    assert (rehearsed.code, sorted(json.loads(rehearsed.out)["ids"])) == (OK, sorted(fitting))
    assert "nothing was changed" in rehearsed.err
    unchanged = {one: state_of(door, one) for one in fitting}
    done = await door.ctl(*verb, "--batch", str(batch))
    assert (done.code, f"3 {VERBS[verb][0]}." in done.err) == (OK, True), done.err
    assert all(state_of(door, one) != unchanged[one] for one in fitting)
    assert {one: state_of(door, one) for one in others} == before
    assert state_of(door, elsewhere[0]) == unchanged[fitting[0]], "another batch is left alone"


@every_verb
async def test_a_batch_of_which_nothing_fits_is_told(door: Door, verb: Verb) -> None:
    _, others = await batch_of(door, verb, 0, 2)
    before = [state_of(door, one) for one in others]
    for more in ((), ("--dry-run",)):
        told = await door.ctl(*verb, "--batch", "last", *more)
        assert told.code == OK
        assert "Nothing in this batch is in one of these states" in told.err
    assert [state_of(door, one) for one in others] == before


@every_verb
async def test_a_batch_that_does_not_exist_is_not_found(door: Door, verb: Verb) -> None:
    for batch in ("last", "deadbeef"):
        for more in ((), ("--dry-run",)):
            told = await door.ctl(*verb, "--batch", batch, *more)
            assert (told.code, told.out) == (NOT_FOUND, "")
            assert f"There is no batch '{batch}'" in told.err


@every_verb
async def test_a_batch_and_ids_are_refused_together_and_neither_too(door: Door, verb: Verb) -> None:
    [one], _ = await batch_of(door, verb, 1)
    for words in ((one, "--batch", "last"), (), ("--dry-run",)):
        told = await door.ctl(*verb, *words)
        assert (told.code, "--batch" in told.err) == (USAGE, True)
        assert f"See: contenthubctl {' '.join(verb)} --help" in told.err


async def test_what_somebody_else_does_meanwhile_does_not_stop_the_rest(door: Door) -> None:
    fitting, _ = await batch_of(door, ("task", "cancel"), 3)
    cancel = door.app.cancel

    async def overtaken(fragment: str, *, peer: Peer, dry_run: bool = False) -> wire.TaskView:
        if fragment == fitting[1]:
            raise Conflict("The task is completed and cannot be cancelled.")
        return await cancel(fragment, peer=peer, dry_run=dry_run)

    door.app.cancel = overtaken  # type: ignore[method-assign]  # somebody else was quicker
    told = await door.ctl("task", "cancel", "--batch", "last")
    assert told.code == CONFLICT
    assert "is completed and cannot be cancelled" in told.err
    assert [state_of(door, one) for one in fitting] == ["cancelled", "pending", "cancelled"]


async def test_a_batch_of_more_than_a_page(door: Door) -> None:
    fitting, _ = await batch_of(door, ("task", "cancel"), PAGE + 1)
    for words, states in ((("--dry-run", "-o", "name"), {"pending"}), (("-o", "name"), {"cancelled"})):
        told = await door.ctl("task", "cancel", "--batch", "last", *words)
        assert told.code == OK
        assert sorted(told.out.split()) == sorted(fitting)
        assert {state_of(door, one) for one in fitting} == states


@every_verb
async def test_a_rehearsal_with_ids_looks_at_each(door: Door, verb: Verb) -> None:
    [fits], [other] = await batch_of(door, verb, 1, 1)
    told = await door.ctl(*verb, fits[:8], "--dry-run", "-o", "name")
    assert (told.code, told.out.split()) == (OK, [fits])
    told = await door.ctl(*verb, fits, other, "--dry-run", "-o", "name")
    assert (told.code, told.out.split()) == (CONFLICT, [fits])
    assert f"is {state_of(door, other)} and cannot be" in told.err or "is already" in told.err
    told = await door.ctl(*verb, "deadbeef", other, "--dry-run", "-o", "name")
    assert (told.code, told.out) == (NOT_FOUND, "")
    assert "There is no" in told.err
    assert "0 would be" in told.err


def test_the_states_of_a_choice_are_those_the_verb_allows() -> None:
    assert set(OPEN) == {state.value for state in TaskState if state not in FINAL}
    assert set(RETRIED) == {"failed", "timeout"}
    for state in (*RETRIED, "cancelled"):
        assert step(TaskState(state), TaskEvent.REVIVED) is TaskState.PENDING
    for review in ("pending_review", "rejected"):
        assert content_step(ContentState(review), ContentEvent.APPROVED) is ContentState.APPROVED
