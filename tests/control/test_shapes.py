"""Rows as the words of the wire: times are UTC, to the second, wherever they come from."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest

from contenthubd.control import wire
from contenthubd.desk.shapes import content_view, unpublished

ID = UUID("01a20b85-3d0f-71e9-9a83-72a6dedae26d")
EAST = timezone(timedelta(hours=8))


@pytest.mark.parametrize(
    ("stored", "told"),
    [
        ("2026-11-24T03:06:51.047631+00:00", "2026-11-24T03:06:51Z"),
        ("2026-11-24T11:06:51.047631+08:00", "2026-11-24T03:06:51Z"),
        ("2026-11-24T03:06:51+00:00", "2026-11-24T03:06:51Z"),
        (None, None),
    ],
)
def test_publications_are_told_in_utc_whatever_zone_the_database_has(stored: str | None, told: str | None) -> None:
    one = {
        "id": str(ID), "target": "directory", "state": "published" if stored else "pending", "location": None,
        "remote_id": None, "published_at": stored, "error": None, "tries": 1, "due_at": stored,
    }  # fmt: skip
    row = {
        "id": ID, "task_id": ID, "account": "studio", "state": "published", "title": "One", "topic": "One", "chars": 9,
        "created_at": datetime(2026, 11, 24, 11, 6, 51, tzinfo=EAST), "batch": None, "reviewed_at": None,
        "reviewed_by": None, "review_reason": None, "images": [], "publications": [one],
    }  # fmt: skip
    view = content_view(row)
    assert [publication.published_at for publication in view.publications] == [told]
    assert datetime.fromisoformat(view.created_at).astimezone(UTC).hour == 3
    assert one["published_at"] == stored


@pytest.mark.parametrize(
    ("state", "said"),
    [("failed", "has failed."), ("unknown", "has an unknown outcome."), ("cancelled", "was cancelled.")],
)
def test_why_an_approved_article_is_not_out_is_told_in_whole_words(state: Any, said: str) -> None:
    view = wire.ContentView(
        id="c", task_id="t", account="a", state="approved", title="", topic="", chars=1, created_at="",
        publications=[wire.PublicationView(id="p", target="directory", state=state)],
    )  # fmt: skip
    refusal = unpublished(view)
    assert refusal is not None
    assert refusal.what == f"The article is approved already; its publication to 'directory' {said}"
