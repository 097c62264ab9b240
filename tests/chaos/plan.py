"""What goes wrong, in which order, on whom, and what is submitted meanwhile: a function of the seed alone.

Faults are dealt like cards: every kind comes once before any comes again, so even a short run meets them all.
After that the sudden ends come more often than the rest.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

KINDS: dict[str, tuple[str, ...]] = {
    "postgres": ("restart", "kill", "freeze"),
    "postgres line": ("cut", "delay", "black hole"),
    "redis": ("restart", "kill", "freeze", "flush", "full"),
    "redis line": ("cut", "delay", "black hole"),
    "daemon": ("kill", "stop", "freeze"),
    "worker": ("kill", "freeze"),
    "creator's redis": ("kill", "freeze"),
    "creator": (
        "hang", "hang_after", "crash", "crash_after", "flood", "fork", "garbage", "empty", "cut_output",
        "exit0_on_failure", "failing", "deaf",
    ),
}  # fmt: skip
"""Part → what can happen to it. A part has one fault at a time; different parts may have theirs together."""
COMMANDS = ("create", "create", "list", "result")
"""Which command of the creator misbehaves; the first one twice as often."""
ACCOUNTS: dict[str, dict[str, object]] = {
    "queued": {"mode": "async"},
    "direct": {"mode": "sync"},
    "reviewed": {"mode": "async", "auto_approve": False},
    "mixed": {},
}
TOPICS = ("", "", "", "", "", "", "SLOW1", "FLAKY1", "FLAKY2", "ECHO", "LONG", "FAIL")
OFTEN = (("daemon", "kill"),) * 4 + (("worker", "kill"), ("postgres", "kill"), ("postgres line", "cut"))
"""What comes more often after the first round: the sudden ends, since each meets the tasks at one moment only."""
GAP_SECONDS = (0.2, 2.0)
HOLD_SECONDS = (0.3, 4.0)
LONG_HOLD_SECONDS = (6.0, 12.0)
LONG_HOLD_SHARE = 0.1
LARGEST_ORDER = 8


@dataclass(frozen=True, slots=True)
class Step:
    """One fault: when it begins after the one before, and how long it is held. Both in seconds."""

    part: str
    kind: str
    command: str
    gap_seconds: float
    hold_seconds: float

    @property
    def name(self) -> str:
        """For the table."""
        return f"{self.part}: {self.kind}"


@dataclass(frozen=True, slots=True)
class Order:
    """One submit: topics for one account under one key."""

    account: str
    key: str
    requests: tuple[dict[str, object], ...]

    @property
    def body(self) -> dict[str, object]:
        """As the door wants it."""
        return {
            "account": self.account, "batch": True, "idempotency_key": self.key, "requests": list(self.requests),
        }  # fmt: skip


def all_kinds() -> list[tuple[str, str]]:
    """Every (part, kind)."""
    return [(part, kind) for part, kinds in KINDS.items() for kind in kinds]


def faults(seed: int, minutes: float) -> list[Step]:
    """As many faults as fit into this time; 0 minutes: one of every kind."""
    dice = random.Random(f"faults {seed}")  # noqa: S311 - repeatable chance is the point
    steps: list[Step] = []
    spent = 0.0
    free_at: dict[str, float] = {}
    for part, kind in _dealt(dice):
        if len(steps) >= len(all_kinds()) and spent >= minutes * 60:
            return steps
        hold = LONG_HOLD_SECONDS if dice.random() < LONG_HOLD_SHARE else HOLD_SECONDS
        step = Step(part, kind, dice.choice(COMMANDS), dice.uniform(*GAP_SECONDS), dice.uniform(*hold))
        spent = max(spent + step.gap_seconds, free_at.get(part, 0))
        free_at[part] = spent + step.hold_seconds
        steps.append(step)
    raise AssertionError("the cards never end")


def orders(seed: int, tasks: int) -> list[Order]:
    """Tasks in orders of one to eight."""
    dice = random.Random(f"orders {seed}")  # noqa: S311 - repeatable chance is the point
    made: list[Order] = []
    left = tasks
    while left:
        count = min(left, dice.randint(1, LARGEST_ORDER))
        left -= count
        requests = tuple(_request(dice, f"{len(made)}-{number}") for number in range(count))
        made.append(Order(dice.choice(sorted(ACCOUNTS)), f"order-{len(made)}", requests))
    return made


def _request(dice: random.Random, name: str) -> dict[str, object]:
    topic = f"topic {name} {dice.choice(TOPICS)}".strip()
    return {"topic": topic, "priority": dice.randint(1, 10), "idempotency_key": f"task-{name}"}


def _dealt(dice: random.Random) -> Iterator[tuple[str, str]]:
    yield from _shuffled(dice, all_kinds())
    while True:
        yield from _shuffled(dice, [*all_kinds(), *OFTEN])


def _shuffled(dice: random.Random, cards: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    return dice.sample(cards, len(cards))
