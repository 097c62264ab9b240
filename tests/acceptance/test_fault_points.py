"""The daemon dies by SIGKILL at each of its fault points; the next one brings everything to its end, unasked.

Each scenario is a list of lives. In the first somebody asks for something and the daemon dies in the middle of it; in
those that follow it dies again, of what it does by itself; in the last it is left alone until all is settled. Then
our rows, the creator's, the published files and the kernel are asked whether anything was lost or doubled.
"""

import signal
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
from sqlalchemy import Row, text

from contenthubd import faultpoints
from contenthubd.adapters.postgres.engine import Database
from tests import invariants
from tests.conftest import TEMPLATE
from tests.postgres_server import TestServer
from tests.running import PATIENCE_SECONDS, RunningDaemon

TOPICS = ("one", "two", "three")
COMPLETED = Counter(completed=3)
ONE_CANCELLED = Counter(completed=2, cancelled=1)
SETTINGS: dict[str, dict[str, Any]] = {
    "daemon": {"log_format": "json"},
    "tasks": {"poll_interval_seconds": 0.2, "retry_delays_seconds": [0.1]},
    "queue": {"type": "memory"},
}
Drive = Callable[[RunningDaemon], Awaitable[object]]


async def submit(daemon: RunningDaemon, **values: object) -> list[str]:
    """Three tasks under one key, so that it does not matter how often this is called; their ids."""
    requests = [{"topic": topic, **values} for topic in TOPICS]
    asked = {"account": "demo", "batch": True, "idempotency_key": "once", "requests": requests}
    return [task["id"] for task in (await daemon.post("/tasks", asked))["tasks"]]


async def submit_one(daemon: RunningDaemon) -> None:
    """One task."""
    await daemon.submit("one")


async def make_schedule(daemon: RunningDaemon) -> None:
    """A schedule whose next slot is years away."""
    asked = {"name": "leap", "account": "demo", "cron": "0 0 29 2 *", "request": {"topic": "one"}}
    await daemon.post("/schedules", asked)


async def fire_one(daemon: RunningDaemon) -> None:
    """A task beside those of a batch, made by a schedule's hand."""
    await submit(daemon)
    await make_schedule(daemon)
    await daemon.post("/schedules/leap/run")


async def last_completed(daemon: RunningDaemon) -> None:
    """Wait for the task of the schedule, which belongs to no batch."""
    firing, *_ = (await daemon.get("/schedules/leap/firings"))["firings"]
    await daemon.until(lambda: in_state(daemon, firing["task_id"], "completed"))


async def submit_flaky(daemon: RunningDaemon) -> None:
    """The first try of one of three tasks fails."""
    await daemon.submit("FLAKY1 one", "two", "three")


async def approve(daemon: RunningDaemon) -> None:
    """Approve every content, once all wait for it."""
    await submit(daemon)
    for content in await daemon.until(lambda: waiting_for_review(daemon, 3)):
        await daemon.post(f"/contents/{content['id']}/approve")


async def approve_the_rest(daemon: RunningDaemon) -> None:
    """Approve what still waits for it."""
    for content in await daemon.until(lambda: waiting_for_review(daemon, 2)):
        await daemon.post(f"/contents/{content['id']}/approve")


async def cancel_one(daemon: RunningDaemon) -> None:
    """Cancel a task that our own child works on and would never finish."""
    task_id, *_ = await daemon.submit("HANG one", "two", "three")
    await daemon.until(lambda: in_state(daemon, task_id, "running"))
    await daemon.post(f"/tasks/{task_id}/cancel")


async def revive_one(daemon: RunningDaemon) -> None:
    """Try a task again that failed for good the first time."""
    task_id, *_ = await daemon.submit("FLAKY1 one", "two", "three", max_retries=0)
    await daemon.until(lambda: in_state(daemon, task_id, "failed"))
    await daemon.post(f"/tasks/{task_id}/retry")


async def in_state(daemon: RunningDaemon, task_id: str, state: str) -> bool:
    """Whether a task is in this state."""
    return any(task["id"] == task_id and task["state"] == state for task in await daemon.tasks())


async def waiting_for_review(daemon: RunningDaemon, count: int) -> list[dict[str, Any]]:
    """The contents that wait for a decision, once there are so many."""
    contents: list[dict[str, Any]] = (await daemon.get("/contents", status="pending_review"))["contents"]
    return contents if len(contents) == count else []


@dataclass(frozen=True)
class Scenario:
    """``lives`` are the fault points of the lives before the last."""

    lives: tuple[str, ...]
    mode: str = "async"
    drive: Drive = submit
    again: Drive | None = None
    """What the caller who got no answer does in the last life."""
    states: Counter[str] = field(default_factory=lambda: COMPLETED)
    creations: int | None = 3
    """How many tasks the creator ever had; None where a killed child may or may not have come so far."""
    charged: int = 0
    """How many failures may be charged, all tasks together."""
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    behaviour: Mapping[str, object] = field(default_factory=dict)


def dies_at(point: str, **values: Any) -> Scenario:
    """The plain case: one death in the first life."""
    return Scenario((point,), **values)


DaemonFor = Callable[[Scenario], RunningDaemon]
STUCK = {"misbehaviour": "hang", "misbehaviour_on": "create"}
BY_HAND = {"review": {"auto_approve": False}}
CHARGED: dict[str, Any] = {"creations": None, "charged": 3}
"""Our own children die with the daemon, and each of them costs its task a try."""
SLOW = {"latency_seconds": 0.4}
SCENARIOS = {
    "submit.stored": dies_at("submit.stored", again=submit),
    "submit.queued": dies_at("submit.queued", again=submit),
    "schedule.decided": dies_at("schedule.decided", drive=fire_one, again=last_completed, creations=4),
    "dispatch.taken": dies_at("dispatch.taken"),
    "dispatch.claimed": dies_at("dispatch.claimed"),
    "create.unspawned": dies_at("create.unspawned"),
    "create.spawned": dies_at("create.spawned:3"),
    "create.answered": dies_at("create.answered:2"),
    "generate.spawned": dies_at("generate.spawned:3", mode="sync", behaviour=SLOW, **CHARGED),
    "generate.noted": dies_at("generate.noted:3", mode="sync", behaviour=SLOW, **CHARGED),
    "generate.ended": dies_at("generate.ended", mode="sync", **CHARGED),
    "settle.accepted": dies_at("settle.accepted:2"),
    "settle.written": dies_at("settle.written"),
    "poll.finish_seen": dies_at("poll.finish_seen:2"),
    "poll.result_fetched": dies_at("poll.result_fetched"),
    "promote.written": dies_at("promote.written", drive=submit_flaky, creations=4, charged=1),
    "rescue.looked_up": Scenario(("create.answered", "rescue.looked_up")),
    "rescue.taken_over": Scenario(("create.answered", "rescue.taken_over:2")),
    "fetch.fetched": dies_at("fetch.fetched:2", behaviour={"images": 2}),
    "publish.claimed": dies_at("publish.claimed"),
    "publish.sent": dies_at("publish.sent"),
    "review.written": dies_at("review.written", drive=approve, again=approve_the_rest, settings=BY_HAND),
    "cancel.written": dies_at("cancel.written", mode="sync", drive=cancel_one, states=ONE_CANCELLED, **CHARGED),
    "revive.written": dies_at("revive.written", drive=revive_one, creations=4, charged=1),
    "heartbeat.renewed": Scenario(("submit.queued", "heartbeat.renewed"), again=submit),
}


@pytest.fixture
async def database_url(postgres: TestServer) -> AsyncIterator[str]:
    """The address of a fresh database; gone after the test, whoever is still connected."""
    url = await postgres.fresh_database(TEMPLATE)
    yield url
    await postgres.drop(url)


@pytest.fixture
async def daemon_for(state_dir: Path, database_url: str) -> AsyncIterator[DaemonFor]:
    """Makes the daemon of a scenario, not yet started; whatever happens to the test, it is ended."""
    made: list[RunningDaemon] = []

    def make(scenario: Scenario) -> RunningDaemon:
        settings: dict[str, dict[str, Any]] = {section: dict(values) for section, values in SETTINGS.items()}
        settings["database"] = {"url": database_url}
        settings["tasks"]["mode"] = scenario.mode
        for section, values in scenario.settings.items():
            settings.setdefault(section, {}).update(values)
        behaviour = {"latency_seconds": 0.05, "images": 0, **scenario.behaviour}
        made.append(RunningDaemon.simulated(state_dir, settings, **behaviour))
        return made[-1]

    yield make
    for daemon in made:
        await daemon.end(signal.SIGKILL)
    for child in invariants.children(state_dir):
        child.kill()


@contextmanager
def armed(daemon: RunningDaemon, point: str) -> Iterator[None]:
    """What is started meanwhile dies at ``point``."""
    daemon.environ[faultpoints.VARIABLE] = point
    yield
    del daemon.environ[faultpoints.VARIABLE]


async def killed(daemon: RunningDaemon) -> None:
    """Wait until the daemon has died, and by nothing else than SIGKILL."""
    assert await daemon.died() == -signal.SIGKILL


async def first_life(daemon: RunningDaemon, drive: Drive) -> None:
    """Somebody asks for something; the answer may never come."""
    await daemon.start()
    await daemon.account()
    with suppress(aiohttp.ClientError):  # the daemon dies under the request, or soon after it
        await drive(daemon)
    await killed(daemon)


async def die(daemon: RunningDaemon, scenario: Scenario) -> None:
    """Every life but the last."""
    first, *others = scenario.lives
    with armed(daemon, first):
        await first_life(daemon, scenario.drive)
    for point in others:
        with armed(daemon, point):
            await daemon.start(ready=False)
            await killed(daemon)


@pytest.mark.parametrize("name", SCENARIOS)
async def test_death_at_a_fault_point_loses_and_doubles_nothing(
    name: str, daemon_for: DaemonFor, database_url: str
) -> None:
    scenario = SCENARIOS[name]
    daemon = daemon_for(scenario)
    await die(daemon, scenario)

    await daemon.start()
    try:
        if scenario.again is not None:
            await scenario.again(daemon)
        tasks = await daemon.settled()
        assert Counter(task["state"] for task in tasks) == scenario.states
        assert sum(task["retry_count"] for task in tasks) <= scenario.charged
    finally:
        await daemon.stop()
    assert [event["name"] for event in daemon.events("fault_point_reached")] == [
        point.partition(":")[0] for point in scenario.lives
    ]
    await nothing_lost_or_doubled(daemon, database_url)
    created = len(invariants.creator_marks(workdir(daemon)))
    assert scenario.creations in (created, None)


async def test_a_slot_that_was_decided_when_the_daemon_died_makes_exactly_one_task(
    daemon_for: DaemonFor, database_url: str
) -> None:
    daemon = daemon_for(Scenario(()))
    await daemon.start()
    await daemon.account()
    await make_schedule(daemon)
    await daemon.stop()
    past = "timestamptz '2024-02-01 00:00Z'"
    await rows(database_url, f"UPDATE schedule SET checked_until = {past}, due_at = {past} RETURNING name")  # noqa: S608 # a constant
    with armed(daemon, "schedule.decided"):
        await daemon.start(ready=False)
        await killed(daemon)

    await daemon.start()
    await last_completed(daemon)
    [task], [firing] = await daemon.tasks(), (await daemon.get("/schedules/leap/firings"))["firings"]
    assert (firing["outcome"], firing["task_id"], firing["slot_at"][:10]) == ("fired", task["id"], "2024-02-29")
    await daemon.stop()
    await nothing_lost_or_doubled(daemon, database_url)
    assert len(invariants.creator_marks(workdir(daemon))) == 1


async def test_a_create_that_never_came_so_far_is_made_again_once_the_old_child_is_gone(
    daemon_for: DaemonFor, database_url: str
) -> None:
    """It had not stored its row when the daemon died, and would do so at any moment if it were let."""
    daemon = daemon_for(Scenario(("create.spawned:3",), behaviour=STUCK))
    await die(daemon, Scenario(("create.spawned:3",)))
    left = invariants.children(daemon.state_dir)
    assert len(left) == 3, "the daemon's children outlive it"
    cure(daemon)

    await daemon.start()
    tasks = await daemon.settled()

    assert [(task["state"], task["attempt"], task["retry_count"]) for task in tasks] == [("completed", 2, 0)] * 3
    assert psutil.wait_procs(left, timeout=PATIENCE_SECONDS)[1] == []
    await daemon.stop()
    await nothing_lost_or_doubled(daemon, database_url)
    assert len(invariants.creator_marks(workdir(daemon))) == 3


async def test_a_create_that_stored_its_row_and_never_said_so_is_found_by_its_mark(
    daemon_for: DaemonFor, database_url: str
) -> None:
    scenario = Scenario((), behaviour={"misbehaviour": "hang_after", "misbehaviour_on": "create"})
    daemon = daemon_for(scenario)
    await daemon.start()
    await daemon.account()
    await submit(daemon)
    await daemon.until(lambda: created(daemon, 3))
    await daemon.end(signal.SIGKILL)
    left = invariants.children(daemon.state_dir)
    cure(daemon)

    await daemon.start()
    tasks = await daemon.settled()

    assert [(task["state"], task["attempt"], task["retry_count"]) for task in tasks] == [("completed", 1, 0)] * 3
    assert psutil.wait_procs(left, timeout=PATIENCE_SECONDS)[1] == []
    await daemon.stop()
    await nothing_lost_or_doubled(daemon, database_url)
    assert len(invariants.creator_marks(workdir(daemon))) == 3


async def test_three_deaths_while_calling_the_creator_park_the_task(daemon_for: DaemonFor, database_url: str) -> None:
    """Whatever it is about this task, it must not end every daemon there will ever be."""
    scenario = Scenario(("create.spawned",) * 3, drive=submit_one, behaviour=STUCK)
    daemon = daemon_for(scenario)
    await die(daemon, scenario)

    await daemon.start()
    [task] = await daemon.settled()

    assert (task["state"], task["error_kind"], task["attempt"]) == ("failed", "poison", 3)
    facts = await rows(database_url, "SELECT data ->> 'kind' AS kind FROM fact WHERE name = 'task_gave_up'")
    assert [fact.kind for fact in facts] == ["poison"]
    await daemon.stop()
    await nothing_lost_or_doubled(daemon, database_url)


async def test_deaths_while_a_task_merely_waits_are_nobodys_poison(daemon_for: DaemonFor, database_url: str) -> None:
    """Three while it is pending, three while the creator has it."""
    waiting = ("submit.queued", "dispatch.taken", "dispatch.taken")
    scenario = Scenario((*waiting, "settle.accepted:3", "poll.finish_seen", "poll.finish_seen"))
    daemon = daemon_for(scenario)
    await die(daemon, scenario)

    await daemon.start()
    tasks = await daemon.settled()

    assert [(task["state"], task["attempt"]) for task in tasks] == [("completed", 1)] * 3
    assert [row.deaths for row in await rows(database_url, "SELECT deaths FROM task")] == [0, 0, 0]
    await daemon.stop()
    await nothing_lost_or_doubled(daemon, database_url)


async def created(daemon: RunningDaemon, count: int) -> bool:
    """Whether the creator has so many tasks."""
    return len(invariants.creator_marks(workdir(daemon))) == count


def cure(daemon: RunningDaemon) -> None:
    """The creator behaves from the next start on."""
    daemon.environ.pop("CREATOR_SIMULATOR_MISBEHAVIOUR")


async def rows(url: str, sql: str) -> Sequence[Row[Any]]:
    """Ask the database."""
    database = Database(url)
    try:
        return await database.rows(text(sql))
    finally:
        await database.close()


async def nothing_lost_or_doubled(daemon: RunningDaemon, url: str) -> None:
    """Every invariant of a run that is over; the daemon has ended."""
    database = Database(url)
    try:
        findings = [
            *await invariants.in_rows(database),
            *await invariants.at_the_creator(database, workdir(daemon)),
            *await invariants.in_the_folder(database, daemon.state_dir / "published"),
            *invariants.in_the_kernel(daemon.state_dir),
        ]
    finally:
        await database.close()
    invariants.assert_hold(findings)


def workdir(daemon: RunningDaemon) -> Path:
    """Where the creator works."""
    return daemon.state_dir / "creator" / "default"


def test_there_is_a_scenario_for_every_fault_point() -> None:
    of_commands = {name for name in faultpoints.POINTS if name.startswith(("backup.", "restore.", "upgrade."))}
    assert SCENARIOS.keys() | of_commands == faultpoints.POINTS.keys(), "the commands have a test of their own"
    for name, scenario in SCENARIOS.items():
        assert name in {point.partition(":")[0] for point in scenario.lives}
