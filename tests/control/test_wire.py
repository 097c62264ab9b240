"""The wire against what is on both sides of it: the domain, and contenthubctl, which does not import it."""

import dataclasses
import re
from typing import get_args

from msgspec import Struct

from contenthubd.control import wire
from contenthubd.control.routes import ROUTES
from contenthubd.ctl import batchfile, commands, listing, progress, spreadsheet, watch
from contenthubd.domain import content, request, task
from tests.running import CHECKOUT


def test_the_words_are_those_of_the_domain() -> None:
    assert set(get_args(wire.State)) == {state.value for state in task.TaskState}
    assert set(get_args(wire.ReviewState)) == {state.value for state in content.ContentState}
    assert set(get_args(wire.Mode)) == {mode.value for mode in task.Mode}


def test_a_request_has_the_same_fields_and_defaults_inside() -> None:
    inside = {field.name: field.default for field in dataclasses.fields(request.Request)}
    outside = {name: getattr(wire.TopicRequest(topic=""), name) for name in wire.TopicRequest.__struct_fields__}
    assert inside.keys() == outside.keys()
    told = {name: value for name, value in inside.items() if name not in ("topic", "keywords")}
    assert told == {name: outside[name] for name in told}


def test_contenthubctl_knows_the_words() -> None:
    assert set(commands.STATES) == set(get_args(wire.State)) == set(progress.ORDER)
    assert set(commands.REVIEW_STATES) == set(get_args(wire.ReviewState))
    assert {state.value for state in task.FINAL} == progress.FINAL


def test_contenthubctl_knows_the_limits_and_fields() -> None:
    assert listing.PAGE == wire.MAX_PAGE
    assert watch.POLL_SECONDS == wire.MAX_WAIT_SECONDS
    assert set(batchfile.FIELDS) == set(wire.TopicRequest.__struct_fields__)
    assert set(spreadsheet.COLUMNS) < set(batchfile.FIELDS)


def test_every_route_and_field_is_documented() -> None:
    text = (CHECKOUT / "docs" / "http-api.md").read_text(encoding="utf-8")
    for route in ROUTES:
        path = route.path.replace("{fragment}", "{id}")
        assert f"{route.method} {path}" in text
    kinds = [kind for kind in vars(wire).values() if isinstance(kind, type) and issubclass(kind, Struct)]
    fields = {name for kind in kinds for name in getattr(kind, "__struct_fields__", ())}
    assert {name for name in fields if not re.search(rf"[`\"?]{name}[`\"=]", text)} == set()
