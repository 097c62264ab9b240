"""Rows and values as the words of the wire."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from contenthubd.control import advice, wire
from contenthubd.domain.account import Account
from contenthubd.domain.content import ContentState
from contenthubd.domain.errors import Conflict
from contenthubd.domain.outcome import HINTS, ErrorKind
from contenthubd.domain.request import Request, cleaned
from contenthubd.domain.task import IN_FLIGHT, Mode, Task
from contenthubd.ports.views import Row

_ENDS = {"failed": "has failed", "unknown": "has an unknown outcome", "cancelled": "was cancelled"}


def shown(value: Any) -> Any:
    """Times as RFC 3339 in UTC, ids as text; the rest as it is."""
    match value:
        case datetime():
            return value.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        case UUID():
            return str(value)
        case Mapping():
            return {key: shown(one) for key, one in value.items()}
        case list() | tuple():
            return [shown(one) for one in value]
    return value


def task_view(row: Row, expected: float | None, waiting_for: wire.WaitingFor | None = None) -> wire.TaskView:
    deadline = None
    publications = publications_of(row, row["content_id"], row["content_state"])
    sent = min((one for one in publications if one["published_at"]), key=lambda one: one["published_at"], default=None)
    if row["claimed_at"] and row["state"] in IN_FLIGHT:
        deadline = row["claimed_at"] + timedelta(seconds=row["timeout_seconds"])
    more = {
        "deadline_at": deadline,
        "expected_seconds": expected,
        "hint": _hint(row["error_kind"]),
        "attempts": row.get("attempts", []),
        "publications": publications,
        "published_at": sent["published_at"] if sent else None,
        "location": sent["location"] if sent else None,
        "waiting_for": waiting_for,
    }
    return msgspec.convert(shown({**row, **more}), wire.TaskView)


def _hint(kind: str | None) -> str | None:
    return HINTS.get(ErrorKind(kind)) if kind else None


def content_view(row: Row) -> wire.ContentView:
    publications = publications_of(row, row["id"], row["state"])
    step = advice.content_step(row["id"], row["state"], publications)
    return msgspec.convert(shown({**row, "publications": publications, "next_step": step}), wire.ContentView)


def publications_of(row: Row, content_id: object, content_state: str | None) -> list[Row]:
    """The publications of a row: they come as JSON, with times in whatever zone PostgreSQL is set to."""
    return [
        {
            **one,
            "published_at": _parsed(one["published_at"]),
            "due_at": _parsed(one["due_at"]),
            "next_step": advice.publication_step(one, content_id, content_state),
        }
        for one in row["publications"]
    ]


def unpublished(view: wire.TaskView | wire.ContentView) -> Conflict | None:
    """Why an article that is approved already is not out, and what gets it out; None if that is not the case."""
    state, content_id = (
        (view.state, view.id) if isinstance(view, wire.ContentView) else (view.content_state, view.content_id)
    )
    stuck = next((one for one in view.publications if one.state in _ENDS), None)
    if state != ContentState.APPROVED.value or (view.publications and stuck is None):
        return None
    if stuck is None:
        step = advice.content_step(content_id, state, [])
        return Conflict("The article is approved already, but it is not in the publish pool.", fix=step)
    return Conflict(
        f"The article is approved already; its publication to {stuck.target!r} {_ENDS[stuck.state]}.",
        why=stuck.error or "",
        fix=stuck.next_step,
    )


def _parsed(instant: str | None) -> datetime | None:
    return datetime.fromisoformat(instant) if instant else None


def account_view(account: Account) -> wire.AccountView:
    return wire.AccountView(
        name=account.name,
        created_at=shown(account.created_at),
        title=account.title,
        mode=account.mode.value if account.mode else None,
        auto_approve=account.auto_approve,
        tone=account.tone,
        audience=account.audience,
        requirements=account.requirements,
    )


def submitted(task: Task, created: bool) -> wire.SubmittedTask:
    return wire.SubmittedTask(
        id=str(task.task_id),
        state=task.state.value,
        topic=task.topic,
        created=created,
        already_submitted=not created,
    )


def request(one: wire.TopicRequest) -> Request:
    return cleaned(Request(**(msgspec.structs.asdict(one) | {"mode": Mode(one.mode) if one.mode else None})))
