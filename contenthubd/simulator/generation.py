"""Decides what a task comes to and after how long, and stores it the way each mode does."""

import json
import os
import re
import signal
from collections import namedtuple

from contenthubd.simulator import article, log, picture, store
from contenthubd.simulator.behaviour import Behaviour
from contenthubd.simulator.screen import Screen

# seconds it takes, and why it fails (empty when it does not)
Plan = namedtuple("Plan", "seconds cause")
Picture = dict[str, object]
PROMPTS = ("清晨的城市，柔和的光线", "书桌与笔记本，暖色调", "远山与晨雾，水彩", "工作室一角，自然光")
SIZE = 1024


def plan(task: store.Row, ordinal: int, settings: Behaviour) -> Plan:
    """How this task will go. `ordinal` counts the tasks with the same topic before it."""
    topic = task["topic"]
    if "HANG" in topic:
        seconds = settings.number("node_timeout_seconds")
        return Plan(seconds, f"Node timeout: organize exceeded {seconds * 1000:.0f}ms")
    base = settings.number("latency_seconds")
    spread = settings.number("jitter") * (2 * dice(settings, topic, ordinal, "time") - 1)
    return Plan(base * (1 + spread) + number_in(topic, "SLOW"), fault(topic, ordinal, settings))


def fault(topic: str, ordinal: int, settings: Behaviour) -> str:
    """Why the task fails, or nothing."""
    if "FAIL5XX" in topic:
        return "Request failed with status code 503"
    unlucky = dice(settings, topic, ordinal, "fault") < settings.number("failure_rate")
    if "FAIL" in topic or ordinal < number_in(topic, "FLAKY") or unlucky:
        return "Request failed with status code 400"
    return ""


def number_in(topic: str, word: str) -> int:
    """The number that follows a word in the topic, or 0."""
    found = re.search(word + r"(\d+)", topic)
    return int(found.group(1)) if found else 0


def dice(settings: Behaviour, topic: str, ordinal: int, what: str) -> float:
    """A number from 0 up to 1; always the same for the same task when there is a seed."""
    seed = settings.text("seed")
    if not seed:
        return int.from_bytes(os.urandom(4), "big") / 2**32
    from hashlib import blake2b

    text = f"{seed}\n{topic}\n{ordinal}\n{what}"
    return int.from_bytes(blake2b(text.encode("utf-8", "replace"), digest_size=4).digest(), "big") / 2**32


def die_if_told(task: store.Row) -> None:
    """CRASH in the topic ends the process that generates it, as the kernel would."""
    if "CRASH" in task["topic"]:
        os.kill(os.getpid(), signal.SIGKILL)


def write(task: store.Row, settings: Behaviour) -> str:
    """The article a task asks for."""
    constraints = json.loads(task["hard_constraints"] or "{}")
    echoes = "ECHO" in task["topic"] or settings.flag("echo_mark")
    return article.compose(
        task["topic"],
        low=constraints.get("minWords"),
        high=constraints.get("maxWords"),
        keywords=constraints.get("keywords", []),
        echo=task["requirements"].rstrip().rpartition("\n")[2].strip() if echoes else "",
        long="LONG" in task["topic"] or settings.flag("long_article"),
    )


def draw(task: store.Row, settings: Behaviour) -> list[Picture]:
    """The pictures of a task, by address."""
    base = settings.text("image_base_url").rstrip("/")
    names = [f"{task['id']}-{number}" for number in range(1, int(settings.number("images")) + 1)]
    return [
        {
            "url": f"{base}/{name}.png" if base else picture.data_url(name),
            "prompt": PROMPTS[number % len(PROMPTS)],
            "width": SIZE,
            "height": SIZE,
        }
        for number, name in enumerate(names)
    ]


def save(database: store.Database, task: store.Row, text: str, pictures: list[Picture]) -> None:
    """Store the results: asynchronous tasks a row per picture, synchronous ones all pictures in one row."""
    count: dict[str, object] = {"wordCount": article.units(text)}
    if task["mode"] == "async":
        store.insert_result(database, task["id"], "article", text, count)
        for item in pictures:
            store.insert_result(database, task["id"], "image", str(item["url"]), {})
        return
    made: dict[str, object] = {"generatedAt": store.now()}
    store.insert_result(database, task["id"], "article", text, count | made)
    if pictures:
        both: dict[str, object] = {"count": len(pictures)} | made
        store.insert_result(database, task["id"], "image", log.dumps(pictures), both)


def tell_cause(page: Screen, task_id: str, cause: str) -> None:
    """The error lines of the workflow itself, which come before those of who ran it."""
    log.error(page, "LLM:Enhanced", "LLM API request failed after retries", error=cause, duration=4, stream=False)
    log.error(page, "OrganizeNode", "Organize failed", taskId=task_id, error=cause)
    fields = {"nodeId": "organize", "taskId": task_id, "error": cause, "duration": 5}
    log.error(page, "Node:organize", "Node execution failed", **fields)
