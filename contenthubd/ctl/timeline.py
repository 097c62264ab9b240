"""What happened to a task, in words: facts are stored as names and values, which JSON shows as they are."""

from __future__ import annotations

from contenthubd.ctl.times import instant
from contenthubd.ctl.words import actor, counted, flat

TYPE_CHECKING = False  # typing itself takes two milliseconds to import, a tenth of a status answer
if TYPE_CHECKING:
    from typing import Any

_SILENT = frozenset({"owner", "echoed"})
"""Values that tell people nothing."""
_PLAIN = frozenset({"kind", "cause", "error", "reason", "detail", "location", "what"})
"""Values that need no label."""
_LABELS = {"creator_task_id": "creator task", "target": "to", "slot": "due", "run_at": "next try at"}
_TIMES = frozenset({"run_at", "slot", "seen_until"})


def line(fact: dict[str, Any]) -> str:
    """``2026-01-31 08:00:00+01:00  attempt failed  attempt 1, llm, no answer, counts as a retry``."""
    data = sorted(fact["data"].items(), key=lambda one: one[0] != "attempt")  # the store has an order of its own
    told = [part for name, value in data if (part := _part(name, value))]
    return f"{instant(fact['at'])}  {fact['name'].replace('_', ' ')}  {', '.join(told)}".rstrip()


def _part(name: str, value: Any) -> str:
    if name in _SILENT or value is None or value in ("", []) or (value is False and name != "charged"):
        return ""
    match name:
        case "charged":
            return "counts as a retry" if value else "does not count as a retry"
        case "late":
            return "late"
        case "chars":
            return counted(value, "character")
        case "slots":
            return f"for {counted(value, 'run')}"
        case "outcome":
            return str(value).replace("_", " ")
        case "by":
            return "automatically" if value == "auto" else f"by {actor(flat(value))}"
    text = _time(value) if name in _TIMES else flat(value)
    if name in _PLAIN:
        return text.rstrip(".")
    return f"{_LABELS.get(name, name.replace('_', ' '))} {text}"


def _time(value: Any) -> str:
    """A time as it is stored, ``2026-01-31 07:00:00.123456+00:00`` or with a T, as clocks here show it."""
    text = str(value).replace(" ", "T", 1)
    return instant(text.removesuffix("+00:00") + "Z" if text.endswith("+00:00") else text)
