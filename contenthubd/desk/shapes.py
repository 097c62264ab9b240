"""Rows and values as the words of the wire."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from contenthubd.control import wire
from contenthubd.domain.account import Account
from contenthubd.domain.outcome import HINTS, UNCHARGED, ErrorKind
from contenthubd.domain.request import Request
from contenthubd.domain.task import IN_FLIGHT, Mode, Task
from contenthubd.ports.views import Row


def shown(value: Any) -> Any:
    """Times as RFC 3339 in UTC, ids as text; the rest as it is."""
    match value:
        case datetime():
            return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        case UUID():
            return str(value)
        case Mapping():
            return {key: shown(one) for key, one in value.items()}
        case list() | tuple():
            return [shown(one) for one in value]
    return value


def task_view(row: Row, expected: float | None) -> wire.TaskView:
    deadline = None
    if row["claimed_at"] and row["state"] in IN_FLIGHT:
        deadline = row["claimed_at"] + timedelta(seconds=row["timeout_seconds"])
    attempts = [{**one, "charged": _charged(one)} for one in row.get("attempts", [])]
    more = {
        "deadline_at": deadline,
        "expected_seconds": expected,
        "hint": _hint(row["error_kind"]),
        "attempts": attempts,
    }
    return msgspec.convert(shown({**row, **more}), wire.TaskView)


def _charged(attempt: Row) -> bool:
    return attempt["outcome"] in ("failed", "timed_out") and attempt["error_kind"] not in UNCHARGED


def _hint(kind: str | None) -> str | None:
    return HINTS.get(ErrorKind(kind)) if kind else None


def content_view(row: Row) -> wire.ContentView:
    # Publications come as JSON, with times in whatever zone PostgreSQL is set to.
    publications = [{**one, "published_at": _parsed(one["published_at"])} for one in row["publications"]]
    return msgspec.convert(shown({**row, "publications": publications}), wire.ContentView)


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
    return wire.SubmittedTask(id=str(task.task_id), state=task.state.value, topic=task.topic, created=created)


def request(one: wire.TopicRequest) -> Request:
    return Request(**(msgspec.structs.asdict(one) | {"mode": Mode(one.mode) if one.mode else None}))
