"""Topics in, published articles out, through a real daemon in a process of its own."""

import signal
from collections import Counter
from pathlib import Path

import psutil
import pytest

from tests.conftest import StartDaemon
from tests.running import Refused, RunningDaemon

TOPICS = [f"topic {number}" for number in range(10)]


@pytest.mark.parametrize("mode", ["async", "sync"])
async def test_ten_topics_become_ten_published_articles(start_daemon: StartDaemon, mode: str) -> None:
    daemon = await start_daemon({"tasks": {"mode": mode, "poll_interval_seconds": 1}}, latency_seconds=0.2)
    await daemon.account()
    await daemon.submit(*TOPICS)

    tasks = await daemon.settled()

    assert [task["state"] for task in tasks] == ["completed"] * 10
    assert [task["topic"] for task in tasks] == TOPICS
    assert {task["mode"] for task in tasks} == {mode}
    contents = (await daemon.get("/contents", batch="last"))["contents"]
    assert {content["state"] for content in contents} == {"published"}
    articles = [Path(task["location"]) for task in tasks]
    assert len(set(articles)) == 10
    for article, task in zip(articles, tasks, strict=True):
        text = article.read_text(encoding="utf-8")
        assert text.startswith("---\n")
        assert task["topic"] in text
        assert "[ref " not in text
        assert list(article.parent.glob("*.png")), "the images lie beside the article"


async def test_never_more_than_five_tasks_and_five_children(start_daemon: StartDaemon) -> None:
    daemon = await start_daemon({"tasks": {"mode": "sync"}}, latency_seconds=0.3)
    await daemon.account()
    await daemon.submit(*(f"topic {number}" for number in range(15)))
    most: Counter[str] = Counter()

    async def all_settled() -> bool:
        children = _creator_commands(daemon)
        states = Counter(task["state"] for task in await daemon.tasks(batch="last"))
        most["children"] = max(most["children"], len(children))
        most["running"] = max(most["running"], states["running"])
        return states["completed"] == 15

    await daemon.until(all_settled)

    assert most["running"] <= 5
    assert 2 <= most["children"] <= 5


async def test_one_child_is_kept_for_asking_while_the_worker_works(start_daemon: StartDaemon) -> None:
    daemon = await start_daemon(
        {"tasks": {"poll_interval_seconds": 1}, "creator": {"max_children": 2}}, latency_seconds=0.3
    )
    await daemon.account()
    await daemon.submit("asynchronous", batch=False, mode="async")
    await daemon.submit(*(f"topic {number}" for number in range(6)), mode="sync")
    most = 0

    async def all_done() -> bool:
        nonlocal most
        most = max(most, len(_creator_commands(daemon)))
        return all(task["state"] == "completed" for task in await daemon.tasks())

    await daemon.until(all_done)

    assert most <= 2


async def test_a_planned_stop_costs_no_attempt(start_daemon: StartDaemon) -> None:
    daemon = await start_daemon({"tasks": {"mode": "sync"}, "daemon": {"stop_grace_seconds": 0.2}}, latency_seconds=600)
    await daemon.account()
    await daemon.submit("one", "two")
    await daemon.until(lambda: _states(daemon, running=2))
    children = _creator_commands(daemon)

    assert await daemon.stop() == 0

    assert not [child for child in children if psutil.pid_exists(child)], "our children ended with us"
    daemon.environ["CREATOR_SIMULATOR_LATENCY_SECONDS"] = "0.1"
    await daemon.start()
    tasks = await daemon.settled()
    assert [task["state"] for task in tasks] == ["completed", "completed"]
    assert [task["retry_count"] for task in tasks] == [0, 0]
    assert [task["attempt"] for task in tasks] == [2, 2]


async def test_a_killed_daemon_loses_nothing(start_daemon: StartDaemon) -> None:
    daemon = await start_daemon({"tasks": {"poll_interval_seconds": 1}}, latency_seconds=1)
    await daemon.account()
    await daemon.submit(*TOPICS)
    await daemon.until(lambda: _states(daemon, completed=1, at_least=True))

    await daemon.end(signal.SIGKILL)
    await daemon.start()

    tasks = await daemon.settled()
    assert [task["state"] for task in tasks] == ["completed"] * 10
    contents = (await daemon.get("/contents", batch="last", limit=100))["contents"]
    assert len(contents) == 10
    assert all(len(content["publications"]) == 1 for content in contents)


async def test_a_second_daemon_on_the_same_state_directory_is_refused(start_daemon: StartDaemon) -> None:
    daemon = await start_daemon()
    second = RunningDaemon(daemon.state_dir, daemon.settings, environ=daemon.environ)
    second.log_path = second.log_path.with_suffix(".second.log")
    await second.start(ready=False)
    assert second.process is not None

    assert await second.process.wait() == 6

    told = second.log_path.read_text(encoding="utf-8")
    assert "already uses the state directory" in told
    assert str(daemon.pid) in told
    assert (await daemon.get("/health"))["status"] == "ok"


async def test_sighup_reads_the_configuration_again_and_keeps_the_old_one_on_error(start_daemon: StartDaemon) -> None:
    daemon = await start_daemon()
    await daemon.account()
    slots = (await daemon.get("/health"))["pipeline"]["slots_total"]
    daemon.settings["review"] = {"auto_approve": False}
    daemon.settings["tasks"] = {**daemon.settings.get("tasks", {}), "max_concurrent": slots + 2}
    daemon.write_config()
    assert daemon.process is not None
    daemon.process.send_signal(signal.SIGHUP)
    await daemon.until(lambda: _said(daemon, "config_reloaded"))
    await daemon.submit("for review", batch=False)
    task = (await daemon.tasks())[0]
    assert task["auto_approve"] is False
    shown = {entry["key"]: entry for entry in (await daemon.get("/config"))["config"]}
    assert shown["review.auto_approve"]["value"] is False
    later = shown["tasks.max_concurrent"]
    assert (later["value"], later["needs_restart"], later["after_restart"]) == (slots, True, slots + 2)
    assert (await daemon.get("/health"))["pipeline"]["slots_total"] == slots
    assert [key for key, entry in shown.items() if entry["needs_restart"]] == ["tasks.max_concurrent"]

    daemon.settings["review"] = {"auto_aprove": True}
    daemon.write_config()
    daemon.process.send_signal(signal.SIGHUP)
    await daemon.until(lambda: _said(daemon, "config_refused"))
    assert "auto_approve" in daemon.events("config_refused")[0]["error"]
    await daemon.submit("also for review", batch=False)
    assert (await daemon.tasks())[0]["auto_approve"] is False


async def test_a_person_decides_where_nothing_is_approved_by_itself(start_daemon: StartDaemon) -> None:
    daemon = await start_daemon(latency_seconds=0.1)
    await daemon.account(auto_approve=False)
    good, bad = await daemon.submit("good", "bad")
    await daemon.settled()

    approved = await daemon.post(f"/contents/{good}/approve", {"reason": "well written"})
    rejected = await daemon.post(f"/contents/{bad}/reject", {"reason": "wrong tone"})

    assert approved["reviewed_by"].startswith("uid:")
    assert rejected["state"] == "rejected"
    await daemon.until(lambda: _published(daemon, good))
    assert (await daemon.get(f"/contents/{bad}"))["publications"] == []
    with pytest.raises(Refused, match="conflict"):
        await daemon.post(f"/contents/{good}/reject", {"reason": "too late"})


async def test_a_failing_topic_is_tried_again_and_ends_with_its_true_cause(start_daemon: StartDaemon) -> None:
    retries = {"max_retries": 2, "retry_delays_seconds": [0.1], "poll_interval_seconds": 1}
    daemon = await start_daemon({"tasks": retries}, latency_seconds=0.1)
    await daemon.account()
    (task_id,) = await daemon.submit("FAIL on purpose", batch=False)
    await daemon.until(lambda: _states(daemon, failed=1))

    task = await daemon.get(f"/tasks/{task_id}", detail="true")

    assert task["error_kind"] == "generation_failed"
    assert "Failed to claim" not in task["error"]
    assert [attempt["outcome"] for attempt in task["attempts"]] == ["failed"] * 3
    assert [fact["name"] for fact in task["facts"]].count("task_claimed") == 3


async def test_cancel_kills_our_own_child_and_retry_revives(start_daemon: StartDaemon) -> None:
    daemon = await start_daemon({"tasks": {"mode": "sync"}}, latency_seconds=600)
    await daemon.account()
    (task_id,) = await daemon.submit("slow", batch=False)
    await daemon.until(lambda: _states(daemon, running=1))

    assert (await daemon.post(f"/tasks/{task_id}/cancel"))["state"] == "cancelled"

    await daemon.until(lambda: _no_children(daemon))
    await daemon.until(lambda: _free(daemon))
    revived = await daemon.post(f"/tasks/{task_id}/retry")
    assert revived["state"] in ("pending", "running"), "it may have been claimed before the answer was read"


async def test_no_key_makes_two_tasks(start_daemon: StartDaemon) -> None:
    daemon = await start_daemon(latency_seconds=0.1)
    await daemon.account()
    order = {"account": "demo", "requests": [{"topic": "once", "idempotency_key": "2026-11-23/once"}]}

    first = await daemon.post("/tasks", order)
    second = await daemon.post("/tasks", order)

    assert first["tasks"][0]["id"] == second["tasks"][0]["id"]
    assert [first["tasks"][0]["created"], second["tasks"][0]["created"]] == [True, False]


async def _states(daemon: RunningDaemon, *, at_least: bool = False, **wanted: int) -> bool:
    found = Counter(task["state"] for task in await daemon.tasks())
    return all(found[state] >= count if at_least else found[state] == count for state, count in wanted.items())


async def _said(daemon: RunningDaemon, event: str) -> bool:
    return bool(daemon.events(event))


async def _published(daemon: RunningDaemon, fragment: str) -> bool:
    return bool((await daemon.get(f"/contents/{fragment}"))["state"] == "published")


async def _no_children(daemon: RunningDaemon) -> bool:
    return not _creator_commands(daemon)


async def _free(daemon: RunningDaemon) -> bool:
    return bool((await daemon.get("/stats"))["slots_used"] == 0)


def _creator_commands(daemon: RunningDaemon) -> list[int]:
    """The daemon's children that are commands of the creator: not PostgreSQL, not the worker."""
    found = []
    for child in psutil.Process(daemon.pid).children():
        try:
            line = child.cmdline()
        except psutil.NoSuchProcess:
            continue
        if "contenthubd.simulator" in line and "worker" not in line:
            found.append(child.pid)
    return found
