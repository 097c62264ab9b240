"""Pages of lists as SQL: each order is that of an index, so a page costs the same however many tasks there are."""

from collections.abc import Sequence
from typing import Any, Final

from contenthubd.ports.views import Listing

_AFTER: Final = {
    ("task", False): "task.sequence < (SELECT sequence FROM task WHERE id = :after)",
    ("task", True): "task.sequence > (SELECT sequence FROM task WHERE id = :after)",
    ("content", False): "content.sequence < (SELECT sequence FROM content WHERE id = :after)",
    ("content", True): """task.sequence > (SELECT task.sequence FROM content JOIN task ON task.id = content.task_id
                                             WHERE content.id = :after)""",
}
_ACCOUNT: Final = "{table}.account_id = (SELECT id FROM account WHERE name = :account)"
# Each state is a search of its own in the order of its index; together they are a page.
_FINISHED: Final = """
    WITH page AS (
        SELECT one.id FROM unnest(CAST(:states AS text[])) AS wanted (state) CROSS JOIN LATERAL (
            SELECT task.id, task.finished_at FROM task
            WHERE task.state = wanted.state AND task.finished_at IS NOT NULL AND {where}
            ORDER BY task.finished_at DESC, task.id DESC LIMIT :limit
        ) AS one ORDER BY one.finished_at DESC, one.id DESC LIMIT :limit
    )
    {select} WHERE task.id = ANY(ARRAY(SELECT id FROM page)) ORDER BY task.finished_at DESC, task.id DESC
"""
_RANK: Final = "task.priority, task.turn, task.sequence"
_AFTER_END: Final = """
    (task.finished_at, task.id) < (SELECT before.finished_at, before.id FROM task AS before WHERE before.id = :after)
"""
_AFTER_RANK: Final = """
    (task.priority, task.turn, task.sequence) >
    (SELECT before.priority, before.turn, before.sequence FROM task AS before WHERE before.id = :after)
"""


def tasks_page(select: str, listing: Listing) -> tuple[str, dict[str, Any]]:
    """A page of tasks in the order that is asked for, and its values."""
    if listing.sort == "finished":
        where, values = _where("task", listing, after=_AFTER_END, states=False)
        return _FINISHED.format(select=select, where=where), {**values, "states": list(listing.states)}
    if listing.sort == "priority":
        where, values = _where("task", listing, after=_AFTER_RANK, states=False)
        return f"{select} WHERE task.state = 'pending' AND {where} ORDER BY {_RANK} LIMIT :limit", values
    where, values = _where("task", listing, after=_AFTER["task", listing.batch_id is not None])
    order = "task.sequence" if listing.batch_id else "task.sequence DESC"
    return f"{select} WHERE {where} ORDER BY {order} LIMIT :limit", values


def contents_page(select: str, listing: Listing) -> tuple[str, dict[str, Any]]:
    """A page of contents, newest first (by task within one batch), and its values."""
    where, values = _where("content", listing, after=_AFTER["content", listing.batch_id is not None])
    order = "task.sequence" if listing.batch_id else "content.sequence DESC"
    return f"{select} WHERE {where} ORDER BY {order} LIMIT :limit", values


def _where(table: str, listing: Listing, *, after: str, states: bool = True) -> tuple[str, dict[str, Any]]:
    """The conditions that are really asked for, so that the planner sees no optional ones."""
    conditions: list[str] = ["true"]
    values: dict[str, Any] = {"limit": listing.limit}
    wanted: Sequence[tuple[str, str, object]] = (
        (f"{table}.state = ANY(CAST(:states AS text[]))", "states", list(listing.states) if states else None),
        (_ACCOUNT.format(table=table), "account", listing.account),
        ("task.batch_id = :batch", "batch", listing.batch_id),
        (f"{table}.created_at >= :since", "since", listing.since),
        (f"{table}.finished_at >= :finished_since", "finished_since", listing.finished_since),
        (f"{table}.finished_at < :finished_until", "finished_until", listing.finished_until),
        (f"{table}.id = :only", "only", listing.only),
        (after, "after", listing.after),
    )
    for condition, name, value in wanted:
        if value:
            conditions.append(condition)
            values[name] = value
    return " AND ".join(conditions), values
