"""What every answer of the door must be, whatever was asked."""

import json
from dataclasses import dataclass
from typing import Any

from contenthubd.control import wire
from tests.fuzz.world import World

MEMBERS = frozenset(wire.Problem.__struct_fields__)


@dataclass(frozen=True, slots=True)
class Answer:
    """One response."""

    status: int
    headers: dict[str, str]
    body: bytes


def answers(received: bytes, *, head: bool = False) -> list[Answer]:
    """The final responses in what came back, in order, without interim ones. ``head``: the first has no body."""
    found: list[Answer] = []
    while received:
        top, blank, received = received.partition(b"\r\n\r\n")
        assert blank, f"an answer without an end: {top[:200]!r}"
        first, *lines = top.decode("latin-1").split("\r\n")
        version, status, _ = first.split(" ", 2)
        assert version.startswith("HTTP/"), first
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        if status.startswith("1"):
            continue
        bodiless = head and not found and received[:5] in (b"", b"HTTP/")  # what cannot be read is not known as HEAD
        length = 0 if bodiless else int(headers["content-length"])
        body, received = received[:length], received[length:]
        assert len(body) == length, f"an answer that was cut: {first}"
        found.append(Answer(int(status), headers, body))
    return found


def judge(answer: Answer, *, head: bool = False) -> None:
    """Fail unless it is JSON below 400, and a whole problem from there on, and no fault of ours."""
    assert answer.status < 500, f"{answer.status}: {answer.body[:500]!r}"
    kind = answer.headers["content-type"].partition(";")[0]
    assert kind == ("application/json" if answer.status < 400 else "application/problem+json"), answer
    if head:
        return
    told: Any = json.loads(answer.body)
    if answer.status < 400:
        assert isinstance(told, dict)
        return
    assert set(told) == MEMBERS
    assert told["status"] == answer.status
    assert told["type"] == wire.PROBLEM_TYPE + told["code"]
    assert told["title"]
    assert told["detail"].strip()
    assert len(told["detail"]) < 2_000, "a person reads this"
    assert isinstance(told["faults"], list)


def tried(world: World, sent: bytes) -> list[int]:
    """Send a request and judge all that comes back; the statuses."""
    head = sent.startswith(b"HEAD ")
    received, faults = world.ask(sent), world.faults()
    found = answers(received, head=head)
    for number, answer in enumerate(found):
        judge(answer, head=head and number == 0)
    assert faults == [], (sent, faults)
    assert found or not sent.strip(b"\r\n"), "bytes without an answer"
    return [answer.status for answer in found]
