"""One idempotency key makes one row, however many ask at once, through the real door."""

import asyncio
import sys
from pathlib import Path

from tests.conftest import StartDaemon

AT_ONCE = 50


async def test_fifty_submits_at_once_with_one_key_make_one_task(start_daemon: StartDaemon) -> None:
    daemon = await start_daemon({"tasks": {"mode": "sync"}, "creator": {"manage_worker": False}})
    await daemon.account()
    answers = await asyncio.gather(
        *(daemon.submit("one topic", batch=False, idempotency_key="once") for _ in range(AT_ONCE))
    )
    [task] = await daemon.tasks()
    assert answers == [[task["id"]]] * AT_ONCE


async def test_fifty_batches_at_once_with_one_key_make_one_batch(start_daemon: StartDaemon) -> None:
    daemon = await start_daemon({"tasks": {"mode": "sync"}, "creator": {"manage_worker": False}})
    await daemon.account()
    body = {"account": "demo", "batch": True, "idempotency_key": "once", "requests": [{"topic": "a"}, {"topic": "b"}]}
    answers = await asyncio.gather(*(daemon.post("/tasks", body) for _ in range(AT_ONCE)))
    tasks = await daemon.tasks()
    assert sorted(task["topic"] for task in tasks) == ["a", "b"]
    assert [sorted(task["id"] for task in answer["tasks"]) for answer in answers] == (
        [sorted(task["id"] for task in tasks)] * AT_ONCE
    )


async def test_a_replayed_file_is_known_and_a_used_key_with_another_topic_is_refused(
    start_daemon: StartDaemon, tmp_path: Path
) -> None:
    daemon = await start_daemon({"tasks": {"mode": "sync"}, "creator": {"manage_worker": False}})
    await daemon.account()

    async def ctl(name: str, text: str, *more: str) -> tuple[int, str]:
        (tmp_path / name).write_text(text, encoding="utf-8")
        words = ("content", "batch-generate", "--account", "demo", "--file", str(tmp_path / name), *more)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "contenthubd.ctl.main", "--socket", str(daemon.socket), *words,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        told, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, told.decode()

    header = "topic,idempotency_key\n"
    code, told = await ctl("twice.csv", header + "Alpha,k1\nBeta,k1\nGamma,k2\n")
    assert (code, await daemon.tasks()) == (2, []), told
    assert "line 3" in told
    assert "line 2" in told
    assert (await ctl("first.csv", header + "Alpha,k1\nGamma,k2\n"))[0] == 0
    batch = (await daemon.tasks())[0]["batch"]
    code, told = await ctl("again.csv", header + "Alpha,k1\nGamma,k2\n")
    assert code == 0
    assert "0 submitted, 2 already submitted" in told
    code, told = await ctl("other.csv", header + "Alpha,k1\nDelta,k2\n")
    assert code == 2
    assert "line 3: The idempotency key 'k2' belongs to task" in told
    assert "topic was 'Gamma', now 'Delta'" in told
    code, told = await ctl("more.csv", header + "Alpha,k1\nDelta,k2\nEpsilon,k3\n", "--skip-bad", "--wait")
    assert code == 0
    assert "1 submitted, 1 already submitted" in told
    assert sorted(task["topic"] for task in await daemon.tasks()) == ["Alpha", "Epsilon", "Gamma"]
    assert {task["batch"] for task in await daemon.tasks(batch="last")} != {batch}
