"""contenthubctl schedule: from the command line through the door to a real database, on a clock that stands still."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import pytest

from contenthubd.adapters.postgres.engine import Database
from contenthubd.control import wire_schedules
from contenthubd.control.server import ControlServer
from contenthubd.ctl import schedule_commands
from contenthubd.desk.schedules import ScheduleDesk
from contenthubd.domain import schedule
from tests.control.conftest import Door, Result, served
from tests.control.memory_application import MemoryApplication
from tests.running import CHECKOUT
from tests.stages.house import House

DAILY = ("--account", "studio", "--cron", "30 7 * * *", "--time-zone", "Europe/Berlin", "--topic", "News of {date}")


@dataclass
class Studio:
    """A door whose desk for schedules works on a database."""

    door: Door
    house: House

    async def ctl(self, *words: str) -> Result:
        """contenthubctl schedule …"""
        return await self.door.ctl("schedule", *words)

    async def json(self, *words: str) -> Any:
        """What it answers with --json."""
        result = await self.ctl(*words, "--json")
        assert result.code == 0, result.err
        return json.loads(result.out)


@pytest.fixture
async def studio(folder: Path, database: Database) -> AsyncIterator[Studio]:
    """It is noon in UTC on the first of March 2026; there is an account ``studio``."""
    house, app, path = House(database), MemoryApplication(), folder / "control.sock"
    await house.account("studio")
    desk = ScheduleDesk(house.schedules, house.accounts, house.clock)
    server = ControlServer(replace(served(app), schedules=desk), path)
    await server.start()
    yield Studio(Door(app, path, server), house)
    await server.close()


async def test_a_schedule_is_made_shown_and_listed(studio: Studio) -> None:
    made = await studio.json(
        "create", "daily", *DAILY, "--keywords", "tea, news", "--priority", "2", "--catch-up", "skip"
    )
    assert made == await studio.json("show", "daily")
    assert made["next_at"] == "2026-03-02T06:30:00Z"
    assert (made["catch_up"], made["overlap"], made["paused_at"]) == ("skip", False, None)
    assert (made["request"]["keywords"], made["request"]["priority"]) == (["tea", "news"], 2)
    listed = await studio.ctl("list", "--account", "studio")
    assert "30 7 * * *" in listed.out
    assert "2026-03-02 06:30" in listed.out
    assert (await studio.ctl("list", "-o", "name")).out == "daily\n"
    shown = (await studio.ctl("show", "daily")).out
    assert "Europe/Berlin" in shown
    assert "tea, news" in shown


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("create", "daily", *DAILY, "--cron", "30 25 * * *"), "The hour is not valid; valid range: 0 to 23"),
        (("create", "daily", *DAILY, "--time-zone", "Europe/Berln"), "Did you mean 'Europe/Berlin'"),
        (("create", "Daily News", *DAILY), "cannot be a schedule's name"),
        (("create", "daily", *DAILY, "--topic", ""), "The value of --topic is empty."),
        (("create", "daily", *DAILY, "--topic", "\udcff"), "--topic is not UTF-8 text."),
        (("create", "daily", *DAILY, "--catch-up", "sometimes"), "Valid values: skip, once, all."),
        (("preview",), "and not both"),
        (("preview", "daily", "--cron", "* * * * *"), "and not both"),
        (("preview", "daily", "--time-zone", "UTC"), "Leave --time-zone out."),
        (("create", "daily", *DAILY, "--topic", "News of {day}"), "Unknown placeholder '{day}' in the topic."),
        (("preview", "--cron", "* * * * *", "--count", "101"), "count"),
    ],
)
async def test_what_is_wrong_is_told(studio: Studio, words: tuple[str, ...], told: str) -> None:
    result = await studio.ctl(*words)
    assert result.code == 2
    assert told in result.err
    assert (await studio.ctl("list", "-o", "name")).out == ""


async def test_what_is_not_there_or_there_already(studio: Studio) -> None:
    await studio.ctl("create", "daily", *DAILY)
    again = await studio.ctl("create", "daily", *DAILY)
    assert (again.code, "already" in again.err) == (6, True)
    for verb in ("show", "run", "history", "pause", "resume", "delete", "preview"):
        missing = await studio.ctl(verb, "dayly")
        assert (missing.code, "Did you mean 'daily'?" in missing.err) == (3, True), verb
    stranger = await studio.ctl("create", "other", *DAILY, "--account", "nobody")
    assert (stranger.code, "nobody" in stranger.err) == (3, True)
    assert (await studio.ctl("list", "--account", "nobody")).code == 3


async def test_a_preview_needs_no_stored_schedule(studio: Studio) -> None:
    told = await studio.json("preview", "--cron", "30 2 * * *", "--time-zone", "Europe/Berlin", "--count", "30")
    assert [slot for slot in told["slots"] if "-03-29" in slot["at"]] == [
        {"at": "2026-03-29T01:00:00Z", "local": "2026-03-29T03:00:00+02:00"}
    ]
    shown = await studio.ctl("preview", "--cron", "0 0 * * *", "--count", "1")
    assert "2026-03-02 00:00+00:00" in shown.out
    await studio.ctl("create", "daily", *DAILY)
    assert [slot["at"][:10] for slot in (await studio.json("preview", "daily"))["slots"]] == [
        "2026-03-02", "2026-03-03", "2026-03-04", "2026-03-05", "2026-03-06",
    ]  # fmt: skip


async def test_by_hand_and_by_the_clock(studio: Studio) -> None:
    await studio.ctl("create", "daily", *DAILY)
    assert "No run was due yet." in (await studio.ctl("history", "daily")).err
    run = await studio.json("run", "daily")
    assert (run["state"], run["topic"], run["created"]) == ("pending", "News of 2026-03-01", True)
    refused = await studio.ctl("run", "daily")
    assert (refused.code, run["id"] in refused.err) == (6, True)
    studio.house.clock.advance(hours=18, minutes=30)
    await studio.house.schedules.tick()
    skipped, fired = (await studio.json("history", "daily"))["firings"]
    assert (fired["outcome"], fired["slot_at"], fired["task_id"], fired["task_state"]) == (
        "fired", None, run["id"], "pending",
    )  # fmt: skip
    assert (skipped["outcome"], skipped["reason"], skipped["task_id"]) == ("skipped", "overlap", None)
    assert skipped["slot_at"] == "2026-03-02T06:30:00Z"
    table = (await studio.ctl("history", "daily")).out
    assert "by hand" in table
    assert "overlap" in table
    page = await studio.json("history", "daily", "--limit", "1")
    assert (len(page["firings"]), page["next"]) == (1, skipped["id"])


async def test_pause_resume_delete(studio: Studio) -> None:
    for name in ("one", "two"):
        await studio.ctl("create", name, *DAILY)
    assert (await studio.ctl("pause", "one", "two")).out == "one  paused\ntwo  paused\n"
    assert "paused" in (await studio.ctl("list")).out
    assert (await studio.json("show", "one"))["next_at"] is None
    again = await studio.ctl("pause", "one")
    assert (again.code, "already paused" in again.err) == (6, True)
    assert (await studio.json("resume", "one"))["paused_at"] is None
    assert (await studio.ctl("resume", "one")).code == 6
    deleted = await studio.ctl("delete", "one", "three", "two")
    assert (deleted.code, "three" in deleted.err) == (3, True)
    assert (await studio.ctl("list", "-o", "name")).out == ""


async def test_the_alias_is_the_same_word(studio: Studio) -> None:
    await studio.ctl("create", "daily", *DAILY)
    assert (await studio.door.ctl("scheduler", "list", "-o", "name")).out == "daily\n"


async def test_a_program_is_told_what_the_wire_knows(studio: Studio) -> None:
    wrong = {"name": "daily", "account": "studio", "cron": "* * * * *", "request": {"topic": "a"}, "catch_up": "never"}
    status, _, problem = await studio.door.request("POST", "/v1/schedules", json.dumps(wrong).encode())
    assert (status, problem["fix"]) == (422, "Choose from skip, once, all.")
    wrong = {**wrong, "catch_up": "all", "request": {"topic": "a", "keyword": []}}
    _, _, problem = await studio.door.request("POST", "/v1/schedules", json.dumps(wrong).encode())
    assert problem["fix"] == "Did you mean 'keywords'?"
    wrong = {**wrong, "request": {"topic": "a", "idempotency_key": "k"}}
    _, _, problem = await studio.door.request("POST", "/v1/schedules", json.dumps(wrong).encode())
    assert "idempotency key" in problem["detail"]


def test_the_words_are_those_of_the_domain() -> None:
    words = {word.value for word in schedule.CatchUp}
    assert set(get_args(wire_schedules.CatchUp)) == words == set(schedule_commands.CATCH_UP)
    view = wire_schedules.FiringView.__annotations__
    assert set(get_args(view["outcome"])) == {word.value for word in schedule.FiringOutcome}
    assert set(get_args(get_args(view["reason"])[0])) == {word.value for word in schedule.SkipReason}


def test_every_field_is_documented() -> None:
    text = (CHECKOUT / "docs" / "http-api.md").read_text(encoding="utf-8")
    kinds = [kind for kind in vars(wire_schedules).values() if hasattr(kind, "__struct_fields__")]
    fields = {name for kind in kinds for name in kind.__struct_fields__}
    assert {name for name in fields if f"`{name}`" not in text and f'"{name}"' not in text} == set()
