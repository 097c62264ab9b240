"""One idempotency key makes one row, however many ask at once, through the real door."""

import asyncio

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
