"""What an operator reads at 80 columns, and commands given in a way that is easy to slip into."""

import json
from typing import Any

import msgspec
import pytest

from contenthubd.control import wire
from contenthubd.ctl import watch
from contenthubd.ctl.failure import TIMED_OUT
from contenthubd.ctl.layout import hang, width
from contenthubd.ctl.listing import each
from contenthubd.ctl.output import Output
from contenthubd.ctl.progress import Drawn
from contenthubd.domain.task import TaskState
from tests.control.conftest import US, Door, submitted_ids


@pytest.mark.parametrize("columns", ["60", "80"])
async def test_no_value_and_no_origin_of_the_configuration_is_cut(door: Door, columns: str) -> None:
    whole = json.loads((await door.ctl("config", "show", "--json")).out)["config"]
    for more in ([], ["--origin"]):
        told = (await door.ctl("config", "show", *more, env={"COLUMNS": columns})).out
        assert "…" not in told
        assert max(map(width, told.splitlines())) <= int(columns)
        joined = "".join(told.split())
        for entry in whole:
            value = "".join(json.dumps(entry["value"], ensure_ascii=False).split())
            assert f"{entry['key']}{value}{''.join(entry['origin'].split()) if more else ''}" in joined


async def test_a_task_that_is_named_twice_is_one_task(door: Door) -> None:
    task_id = await door.submitted()
    door.app.finish(task_id, "On tea", "/tea")
    twice = await door.ctl("task", "wait", task_id, task_id, task_id[-8:])
    assert (twice.code, twice.out.count("On tea"), "/2" in twice.err) == (0, 1, False)
    assert len(json.loads((await door.ctl("task", "wait", task_id, task_id[-8:], "--json")).out)["tasks"]) == 1


async def test_a_list_that_goes_on_says_how_many_it_shows(door: Door) -> None:
    for number in range(3):
        await door.submitted(f"topic {number}")
    one = await door.ctl("task", "list", "--limit", "1")
    assert "There are more; this is the first one. See more with --limit." in one.err
    two = await door.ctl("task", "list", "--limit", "2")
    assert "There are more; these are the first 2. See more with --limit." in two.err


@pytest.mark.parametrize("verb", ["retry", "cancel"])
async def test_a_malformed_id_behind_a_good_one_changes_nothing(door: Door, verb: str) -> None:
    task_id = await door.submitted()
    door.app.move(task_id, TaskState.FAILED if verb == "retry" else TaskState.PENDING)
    before = door.app.task_views[task_id].state
    refused = await door.ctl("task", verb, task_id, "zz")
    assert (refused.code, refused.out) == (2, "")
    assert door.app.task_views[task_id].state == before


async def test_the_forecast_of_a_drawn_watch_is_true(door: Door) -> None:
    order = wire.SubmitRequest(account="studio", requests=[wire.TopicRequest(topic="Tea")] * 2, batch=True)
    made = await door.app.submit(order, peer=US)
    drawn = Drawn()
    assert "connecting" in _text(drawn), "nothing is known yet, and nobody was waited for"
    for one in submitted_ids(made):
        door.app.finish(one, "On tea", None)  # waits for review: nothing is being published
    _, _, reply = await door.request("GET", f"/v1/wait?batch={made.batch_id}")
    drawn.show(reply)
    assert "2/2  2 completed" in _text(drawn)
    assert "publishing" not in _text(drawn)
    drawn.show({**reply, "settled": False})
    assert _text(drawn).endswith(", publishing")


def _text(drawn: Any) -> str:
    return str(drawn._bar.tasks[0].description)


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("01a20a58-b48e-706e-9e82-4d87b4c35718", "b4c35718"),
        ("01A20A58B48E706E9E824D87B4C35718", "B4C35718"),
        ("01a20a58-b48e", "01a20a58-b48e"),
        ("01a20a58b48e706e", "01a20a58b48e706e"),
        ("9e82-4d87b4c35718", "9e82-4d87b4c35718"),
        ("01a2", "01a2"),
    ],
)
def test_the_way_back_to_a_watch_names_what_was_watched(given: str, shown: str) -> None:
    assert watch.Target(ids=(given,)).command == f"contenthubctl task wait {shown}"
    assert watch.Target(batch=given).command == f"contenthubctl task wait --batch {shown}"


async def test_the_way_back_can_be_pasted(door: Door) -> None:
    task_id = await door.submitted()
    for part in (task_id, task_id[:13], task_id[:18], task_id[-12:]):
        told = await door.ctl("task", "wait", part, "--timeout", "0.01s")
        assert told.code == TIMED_OUT
        again = told.err.partition("contenthubctl ")[2].split()
        assert (await door.ctl(*again, "--timeout", "0.01s")).code == TIMED_OUT


async def test_a_hint_is_told_once_for_many_tasks(door: Door) -> None:
    ids = [await door.submitted(f"topic {number}") for number in range(3)]
    for one in ids:
        door.app.task_views[one] = msgspec.structs.replace(door.app.task_views[one], hint="Generation continues.")
    told = await door.ctl("task", "cancel", *ids)
    assert (told.code, told.out.count("cancelled: ")) == (0, 3)
    assert told.err.splitlines() == ["Generation continues."]


PUBLICATION_STATES = ("pending", "in_progress", "retrying", "failed", "unknown", "cancelled", "published")
STUCK = {"retrying", "failed", "unknown", "cancelled"}


@pytest.mark.parametrize("review", ["pending_review", "approved", "rejected", "published"])
async def test_articles_are_listed_whatever_became_of_their_publications(door: Door, review: str) -> None:
    made = {}
    for state in PUBLICATION_STATES:
        task_id = await door.submitted(state)
        door.app.finish(task_id, f"On {state}", None)
        view = door.app.content_views[str(door.app.task_views[task_id].content_id)]
        one = wire.PublicationView(id="p", target="directory", state=state, error="The disk is full.", tries=1)
        door.app.content_views[view.id] = msgspec.structs.replace(view, state=review, publications=[one])
        made[state] = view.id
    listed = await door.ctl("content", "list", "-o", "wide")
    assert listed.code == 0, listed.err
    for state, content_id in made.items():
        line = next(line for line in listed.out.splitlines() if line.startswith(content_id.replace("-", "")[-8:]))
        told = f"publication {state}: The disk is full." in line
        assert told == (state in STUCK and review in ("approved", "published"))


def test_a_remark_breaks_before_a_command_and_its_bracket() -> None:
    text = "Changed in the configuration, in force after a restart (systemctl restart contenthubd):"
    assert hang(text, 80).splitlines()[1] == "(systemctl restart contenthubd):"


async def test_what_is_named_twice_is_done_once(door: Door) -> None:
    done: list[str] = []
    assert each(["tea", "news", "tea"], Output("table", quiet=False, headers=True, color="auto"), done.append) == 0
    assert done == ["tea", "news"]
    task_id = await door.submitted()
    door.app.finish(task_id, "On tea", None)
    content_id = str(door.app.task_views[task_id].content_id)
    assert (await door.ctl("content", "reject", content_id, content_id)).code == 0
    assert (await door.ctl("content", "approve", content_id, content_id, "--dry-run")).code == 0
    pending = await door.submitted()
    assert (await door.ctl("task", "cancel", pending, pending)).code == 0
