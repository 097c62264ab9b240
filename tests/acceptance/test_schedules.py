"""Schedules on a real daemon: fired by hand, and found again after a restart."""

from tests.conftest import StartDaemon


async def test_a_schedule_fires_by_hand_and_its_article_is_published(start_daemon: StartDaemon) -> None:
    daemon = await start_daemon(latency_seconds=0.05)
    await daemon.account()
    made = await daemon.post(
        "/schedules",
        {
            "name": "yearly", "account": "demo", "cron": "0 0 29 2 *", "time_zone": "Asia/Shanghai",
            "request": {"topic": "News of {date}", "mode": "sync"},
        },
    )  # fmt: skip
    assert "-02-28T16:00:00" in made["next_at"]

    task = await daemon.post("/schedules/yearly/run")

    async def completed() -> bool:
        return bool((await daemon.get(f"/tasks/{task['id']}"))["published_at"])

    await daemon.until(completed)
    await daemon.stop()
    await daemon.start()
    [firing] = (await daemon.get("/schedules/yearly/firings"))["firings"]
    assert (firing["outcome"], firing["task_id"], firing["task_state"]) == ("fired", task["id"], "completed")
    facts = [fact["name"] for fact in (await daemon.get(f"/tasks/{task['id']}", detail="true"))["facts"]]
    assert facts[:2] == ["task_submitted", "schedule_fired"]
    assert (await daemon.get("/schedules"))["schedules"][0]["next_at"] == made["next_at"]
