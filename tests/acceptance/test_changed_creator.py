"""An upgraded creator whose results have another form: a daemon tells it, charges nobody, and continues by itself."""

from pathlib import Path

from tests.acceptance.hostile import creator, daemon_on
from tests.running import RunningDaemon

GOOD = 'good "$3"'
JSON = """\necho '{"status": "completed", "article": "# A"}'\n"""
EXPECTED = "contenthubd is made for llm-content-creator 0.2.0"


async def told(daemon: RunningDaemon) -> bool:
    """Whether health names the version that is expected, as a fault of the creator."""
    faults = (await daemon.get("/health"))["faults"]
    return any(fault["part"] == "creator" and EXPECTED in fault["what"] for fault in faults)


async def test_a_changed_creator_costs_nobody_a_retry_and_its_articles_are_taken_later(state_dir: Path) -> None:
    async with daemon_on(state_dir, GOOD) as daemon:
        await daemon.account()
        await daemon.submit("before", batch=True)
        (before,) = await daemon.settled()
        assert before["state"] == "completed"
        creator(state_dir.parent, GOOD, result=JSON)
        kept = await daemon.submit(*(f"topic {number}" for number in range(8)), batch=True)
        await daemon.until(lambda: told(daemon))
        creator(state_dir.parent, GOOD)
        tasks = await daemon.settled()
        assert {task["id"] for task in tasks} == set(kept)
        assert {(task["state"], task["attempt"], task["retry_count"]) for task in tasks} == {("completed", 1, 0)}
