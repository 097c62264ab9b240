"""Idempotency keys: a key stands for one request for good. With the same values it answers with what was made then,
with other values it is refused, so that no topic is taken for another one.

What was asked is kept and compared, not what it came to: the defaults of the configuration may change in between.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Final
from uuid import UUID

from contenthubd.domain.errors import InvalidInput
from contenthubd.domain.request import Request

SHOWN: Final = 60
"""Characters of a value that a refusal quotes."""
Asked = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class KnownTask:
    """A task that used a key before: which one, and what was asked for then."""

    task_id: UUID
    asked: Asked


class KeyReused(InvalidInput):
    """A key came again with other values; ``faults`` are (index of the request, sentence) or sentences."""

    def __init__(self, faults: Sequence[tuple[int, str]] | Sequence[str]) -> None:
        sentences = [fault if isinstance(fault, str) else fault[1] for fault in faults]
        super().__init__(
            "An idempotency key was used before with other values; nothing was submitted.",
            why=" ".join(sentences[:1]),
            fix="Use a new key for a new request, or repeat the earlier request unchanged.",
        )
        self.faults = list(faults)


def asked(request: Request) -> dict[str, object]:
    """What a request asks for, as it is kept beside its key."""
    told = asdict(request)
    del told["idempotency_key"]
    told["keywords"] = [word.strip() for word in request.keywords]
    told["mode"] = request.mode.value if request.mode else None
    return {name: value.strip() if isinstance(value, str) else value for name, value in told.items()}


def differences(before: Asked, now: Asked) -> list[str]:
    """Each field that differs, with both values; none if both ask for the same. What ``before`` lacks is not judged."""
    return [
        f"{name.replace('_', ' ')} was {_quoted(before[name])}, now {_quoted(value)}"
        for name, value in now.items()
        if name in before and before[name] != value
    ]


def reused(key: str, before: KnownTask, now: Asked) -> str:
    """Why a key is refused, one sentence; empty if it asks for the same as before."""
    different = differences(before.asked, now)
    if not different:
        return ""
    return f"The idempotency key {key[:SHOWN]!r} belongs to task {before.task_id}: {'; '.join(different)}."


def reused_batch(key: str, size: int, before: Sequence[Asked], now: Sequence[Asked]) -> str:
    """As ``reused``, for a batch of ``size`` tasks of which these are still there, in the order of the requests."""
    begin = f"The idempotency key {key[:SHOWN]!r} belongs to a batch of {size} task{'s' * (size != 1)}"
    if size != len(now):
        return f"{begin}; this one has {len(now)}."
    if len(before) == size:
        for place, (then, today) in enumerate(zip(before, now, strict=True), 1):
            if different := differences(then, today):
                return f"{begin}; task {place} differs: {'; '.join(different)}."
        return ""
    rest = iter(now)  # some are gone or belong to earlier batches; those left must come in this order
    if all(any(not differences(then, today) for today in rest) for then in before):
        return ""
    return f"{begin} with other values."


def repeated_keys(requests: Sequence[Request]) -> list[tuple[int, str]]:
    """Each request whose key an earlier one of the same submit has, with a sentence."""
    first: dict[str, int] = {}
    faults = []
    for index, request in enumerate(requests):
        if request.idempotency_key is None:
            continue
        place = first.setdefault(request.idempotency_key, index)
        if place != index:
            shown = f"{request.idempotency_key[:SHOWN]!r}"
            faults.append((index, f"Requests {place + 1} and {index + 1} have the same idempotency key {shown}."))
    return faults


def _quoted(value: object) -> str:
    if value is None or value == []:
        return "not set"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return f"{value:g}"
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return repr(text if len(text) <= SHOWN else text[:SHOWN] + "…")
