"""What every view says alike: how often something was tried, what it waits for, why it went wrong."""

from __future__ import annotations

import re

from contenthubd.ctl.times import duration, instant

TYPE_CHECKING = False  # typing itself takes two milliseconds to import, a tenth of a status answer
if TYPE_CHECKING:
    from typing import Any

IN_FLIGHT = frozenset({"submitting", "submitted", "running"})
ENDED_BADLY = frozenset({"failed", "timeout"})
_STUCK = ("failed", "unknown", "cancelled", "retrying")
"""States of a publication that a person wants to know of, the worst first."""


def flat(value: Any) -> str:
    """A value of the wire as people read it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(flat, value))
    return "" if value is None else str(value)


def counted(count: int, noun: str, plural: str = "") -> str:
    """``1 task``, ``2 tasks``, ``1,000 retries``."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def actor(who: str) -> str:
    """Who did something: ``uid:0(root)`` is root."""
    found = re.fullmatch(r"uid:[0-9]+\((.+)\)", who)
    return found[1] if found else who


def times(count: int) -> str:
    """``1 time``, ``4 times``."""
    return counted(count, "time")


def tries(task: dict[str, Any]) -> str:
    """How often a task was tried, of how many; attempts that cost no retry make the total larger."""
    charged, most = task["retry_count"], task["max_retries"] + 1
    state, attempt = task["state"], task["attempt"]
    current = f"try {min(charged + 1, most)} of {most}"
    if state in ("pending", "retrying"):
        if not attempt:
            return f"not tried yet, at most {times(most)}"
        return f"{current} is next, tried {times(attempt)} so far" if attempt > charged else f"{current} is next"
    if state in IN_FLIGHT or state == "completed":
        text = f"succeeded on {current}" if state == "completed" else current
        return f"{text} (attempt {attempt})" if attempt > charged + 1 else text
    if attempt > charged:
        return f"tried {times(attempt)} ({charged or 'not'} counted)"
    return f"tried {times(charged)} ({counted(charged - 1, 'retry', 'retries')})" if charged else "not tried"


def tries_short(task: dict[str, Any]) -> str:
    """The same for a cell: ``2/4``."""
    charged, most = task["retry_count"], task["max_retries"] + 1
    current = charged + (task["state"] in IN_FLIGHT or task["state"] == "completed")
    return f"{min(current, most)}/{most}"


def waiting(reason: dict[str, Any] | None) -> str:
    """``waiting for content-creator: command not found (see contenthubctl health)``."""
    if reason is None:
        return ""
    text = f"waiting for {reason['what']}"
    if reason["code"] in ("creator", "database"):
        return f"{text} (see contenthubctl health)"
    return f"{text} at {instant(reason['until'])}" if reason["until"] else text


def stuck(task: dict[str, Any]) -> dict[str, Any] | None:
    """The publication that keeps an article from being out, or is in trouble; None if all is well."""
    if task["content_state"] not in ("approved", "published"):
        return None
    found = [one for state in _STUCK for one in task["publications"] if one["state"] == state]
    return found[0] if found else None


def publication(one: dict[str, Any]) -> str:
    """A publication in one line."""
    state = one["state"]
    text = f"{one['target']}: {state}"
    if state == "published":
        return f"{text} {instant(one['published_at'])}  {one['location']}"
    if one["tries"]:
        text += f", tried {times(one['tries'])}"
    if state == "retrying" and one["due_at"]:
        text += f", next try at {instant(one['due_at'])}"
    elif state == "pending" and one["due_at"]:
        text += f", due at {instant(one['due_at'])}"
    return f"{text}. {one['error']}" if one["error"] else text


def unpublished(task: dict[str, Any]) -> str:
    """Why the article of a completed task is not out; empty while there is none, or it is out."""
    if task["state"] != "completed":
        return ""
    one = stuck(task)
    if one:
        return f"not published ({publication(one)})"
    told = {"pending_review": review(task), "rejected": "rejected: never published"}
    if task["content_state"] == "approved" and not task["publications"]:
        return "not published: approved, but not in the publish pool"
    return told.get(task["content_state"] or "", "" if task["content_state"] == "published" else "not published yet")


def why(task: dict[str, Any]) -> str:
    """Why a task is where it is, in one cell: the error, or what it waits for. Of a completed one only what is about
    its article is looked at, since a list of articles knows no more.
    """
    if task["state"] in ENDED_BADLY:
        return _error(task)
    if task["state"] == "retrying":
        return "; ".join(part for part in (_error(task).rstrip("."), waiting(task["waiting_for"])) if part)
    if task["state"] == "pending":
        return waiting(task["waiting_for"])
    one = stuck(task)
    if one:
        return f"publication {one['state']}" + (f": {one['error']}" if one["error"] else "")
    return review(task) if task["content_state"] == "pending_review" else ""


def _error(task: dict[str, Any]) -> str:
    return str(task["error"] or task["error_kind"] or "")


def review(task: dict[str, Any]) -> str:
    """That a person is to look at the article, and at what."""
    return ": ".join(part for part in ("waiting for review", task["hold_reason"]) if part)


def reason(task: dict[str, Any]) -> str:
    """The latest error with its kind."""
    return ": ".join(part for part in (task["error_kind"], task["error"]) if part)


def usual(elapsed: float | None, expected: float | None) -> str:
    """How long such a task usually takes, as long as that tells something."""
    if not expected or expected < 1:
        return ""
    late = elapsed is not None and elapsed > expected
    return f", longer than the usual {duration(expected)}" if late else f" of about {duration(expected)}"
