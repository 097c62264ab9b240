"""Dates that cannot be right: the marks that a clock or a misread backup leaves in rows which are valid one by one.

A day and a month that changed places move a date by 25 days at least. Ids of our rows (UUIDv7) carry the millisecond
in which they were made, and no setting of a server can change that.
"""

from typing import Final

from contenthubd.adapters.postgres.invariants import Invariant

APART_DAYS: Final = 25
"""Less than this a wrong clock may well account for."""
_CREATED: Final = ("account", "batch", "task", "content", "publication")
_HAPPENED: Final = (
    ("account", "created_at"), ("batch", "created_at"), ("task", "created_at"), ("task", "claimed_at"),
    ("task", "finished_at"), ("attempt", "claimed_at"), ("attempt", "ended_at"), ("content", "created_at"),
    ("content", "reviewed_at"), ("publication", "published_at"), ("fact", "at"),
)  # fmt: skip


def _apart(table: str) -> str:
    made = (
        "to_timestamp(CAST(CAST('x' || substr(replace(CAST(id AS text), '-', ''), 1, 12) AS bit(48)) AS bigint) / 1e3)"
    )
    return f"""
        SELECT '{table} ' || id || ': created_at is ' || to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD')
               || ', its id is from ' || to_char({made} AT TIME ZONE 'UTC', 'YYYY-MM-DD') AS offender
        FROM {table} WHERE substr(CAST(id AS text), 15, 1) = '7'
        AND created_at NOT BETWEEN {made} - interval '{APART_DAYS} days' AND {made} + interval '{APART_DAYS} days'
    """  # noqa: S608 - names of ours


def _future(table: str, column: str) -> str:
    return f"""
        SELECT '{table}.{column} is ' || to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD') AS offender
        FROM {table} WHERE {column} > now() + interval '1 day'
    """  # noqa: S608 - names of ours


DATES: Final = (
    Invariant(
        "dates_agree_with_ids",
        "created_at agrees with the time in the id.",
        " UNION ALL ".join(_apart(table) for table in _CREATED),
    ),
    Invariant(
        "the_past_is_past",
        "No past event is dated in the future.",
        " UNION ALL ".join(_future(table, column) for table, column in _HAPPENED),
    ),
)
