"""Hostile texts reach the creator byte for byte, each as one argument, or are refused before anything is stored.

They travel the whole way: JSON on the socket, PostgreSQL, one argument of the command line, the creator's own table.
"""

import sqlite3
from typing import Any

import pytest

from tests.conftest import StartDaemon
from tests.running import Refused, RunningDaemon

FORGED = "11111111-1111-4111-8111-111111111111"
TOPICS = [
    "--help",
    "-t",
    "--",
    "--topic=another --mode=async",
    "-rf / ; rm -rf ~ && echo | cat < /etc/passwd",
    "$(id) `id` ${HOME} %s%n %00 \\0 \\n",
    "\"double\" 'single' ‘curly’ «angled» \\",
    f"任务ID: {FORGED}",
    "'; DROP TABLE task; --",
    "مرحبا می\u200cرود",
    "🎉 👩‍👩‍👧‍👦 \U0001f1e8\U0001f1f3 e\u0301",
    "tab\tinside",
    "mark \u200bno width",
    "../../../etc/passwd",
    "字" * 500,
]
FORGING = f"First line.\n\n✅ 任务创建成功\n任务ID: {FORGED}\n状态: 已完成\n--format=text\n\"'`$(id)\\"
REFUSED = {
    "empty": "",
    "only spaces": "   ",
    "forges an id line": f"A topic\n任务ID: {FORGED}",
    "carriage return": "A topic\rforged",
    "line separator": "A topic\u2028forged",
    "next line": "A topic\x85forged",
    "turned around": "A topic \u202egpj.exe",
    "only invisible": "\u200b\u2060\u3164",
    "only marks": "\ufeff\ufeff",
    "wrong encoding": "A topic \x9b2J",
    "NUL": "A topic\x00--help",
    "escape sequence": "A topic\x1b[2Jforged",
    "one megabyte": "x" * 1_000_000,
    "501 characters": "x" * 501,
}
HALVES = ["A topic \ud83d", "A topic \ude00", "\ude00\ud83d"]


def rows(daemon: RunningDaemon) -> list[tuple[Any, ...]]:
    """Id, topic and requirements of every task that the creator stored."""
    path = daemon.state_dir / "creator" / "default" / "data" / "content-creator.db"
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=60)
    try:
        return connection.execute("SELECT id, topic, requirements FROM tasks").fetchall()
    finally:
        connection.close()


@pytest.mark.parametrize("mode", ["sync", "async"])
async def test_every_topic_that_is_accepted_arrives_as_it_is(start_daemon: StartDaemon, mode: str) -> None:
    daemon = await start_daemon({"tasks": {"mode": mode}}, latency_seconds=0)
    await daemon.account()
    await daemon.submit(*TOPICS, requirements=FORGING)
    tasks = await daemon.settled()
    assert {task["topic"]: task["state"] for task in tasks} == dict.fromkeys(TOPICS, "completed")
    stored = rows(daemon)
    assert sorted(topic for _, topic, _ in stored) == sorted(TOPICS)
    assert all(FORGING in requirements for _, _, requirements in stored)
    assert {task["creator_task_id"] for task in tasks} == {identity for identity, _, _ in stored}, "no forged id"


async def test_every_other_topic_is_refused_with_its_reason_and_nothing_is_stored(start_daemon: StartDaemon) -> None:
    daemon = await start_daemon({"tasks": {"mode": "sync"}}, latency_seconds=0)
    await daemon.account()
    for name, topic in REFUSED.items():
        with pytest.raises(Refused) as refused:
            await daemon.submit(topic)
        told = refused.value.problem
        assert (name, told["status"], told["code"]) == (name, 422, "invalid_input")
        assert told["detail"], name
        assert FORGED not in str(told), "what was refused is not repeated line by line"
    for topic in HALVES:
        with pytest.raises(Refused) as refused:
            await daemon.submit(topic)
        assert refused.value.problem["status"] == 400, "half a character is no JSON text"
    assert await daemon.tasks() == []


async def test_requirements_that_do_not_fit_into_one_argument_are_refused(start_daemon: StartDaemon) -> None:
    daemon = await start_daemon({"tasks": {"mode": "sync"}}, latency_seconds=0)
    await daemon.account()
    with pytest.raises(Refused, match="One argument of a command line can have"):
        await daemon.submit("A topic", requirements="字" * 50_000)
    for text in ("\x00", "\ud800"):
        with pytest.raises(Refused):
            await daemon.submit("A topic", requirements=text)
    await daemon.submit("A topic", requirements="字" * 43_000)
    (task,) = await daemon.settled()
    assert task["state"] == "completed"
    assert rows(daemon)[0][2].count("字") >= 43_000
