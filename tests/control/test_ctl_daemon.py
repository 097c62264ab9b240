"""contenthubctl against a real daemon: what a person does on the first day."""

import asyncio
import json
import sys
from pathlib import Path

from contenthubd.ctl.failure import NOT_FOUND, OK, USAGE
from tests.conftest import StartDaemon
from tests.control.conftest import PIPE, Result, ended, plain_environment
from tests.running import CHECKOUT, RunningDaemon


async def ctl(daemon: RunningDaemon, *words: str, stdin: str = "") -> Result:
    """contenthubctl, pointed at the daemon's state directory."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "contenthubd.ctl.main", *words, cwd=CHECKOUT, stdin=PIPE, stdout=PIPE, stderr=PIPE,
        env={**plain_environment(), "CONTENTHUBD_STATE_DIR": str(daemon.state_dir)},
    )  # fmt: skip
    return await ended(process, stdin)


async def test_the_first_day(start_daemon: StartDaemon) -> None:
    daemon = await start_daemon(latency_seconds=0.1)
    assert (await ctl(daemon, "health", "--wait", "60")).code == OK
    assert (await ctl(daemon, "account", "create", "studio")).code == OK
    typo = await ctl(daemon, "submit", "--account", "studoi", "--topic", "Tea")
    assert typo.code == NOT_FOUND
    assert "studio" in typo.err

    one = await ctl(daemon, "submit", "--account", "studio", "--topic", "京都的秋天", "--wait", "--json")
    assert one.code == OK, one.err
    task = json.loads(one.out)["tasks"][0]
    assert Path(task["location"]).is_file()
    assert (await ctl(daemon, "task", "status", task["id"][-8:], "--exit-status")).code == OK

    bad = "Tea\n" + "x" * 501 + "\nMate\n"
    batch = ("content", "batch-generate", "--account", "studio", "--file", "-")
    refused = await ctl(daemon, *batch, stdin=bad)
    assert refused.code == USAGE
    assert "line 2: The topic has 501 characters" in refused.err
    made = await ctl(daemon, *batch, "--skip-bad", "--wait", "--json", stdin=bad)
    assert made.code == OK, made.err
    tasks = json.loads(made.out)["tasks"]
    assert [one["topic"] for one in tasks] == ["Tea", "Mate"]
    assert all(Path(one["location"]).is_file() for one in tasks)

    listed = await ctl(daemon, "content", "list", "--batch", "last", "-o", "jsonl")
    assert {json.loads(line)["state"] for line in listed.out.splitlines()} == {"published"}
    shown = await ctl(daemon, "content", "show", json.loads(listed.out.splitlines()[0])["id"], "--body")
    assert shown.out.strip()
    stats = json.loads((await ctl(daemon, "task", "stats", "--json")).out)
    assert stats["states"]["completed"] == 3
    assert (await ctl(daemon, "config", "show", "--origin")).code == OK
