"""The publish pool, and the review that fills it."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row, text

from contenthubd.adapters.postgres.engine import Database
from contenthubd.domain.content import ContentEvent, ContentState, content_sources, content_step
from contenthubd.domain.publication import (
    Publication,
    PublicationEvent,
    PublicationState,
    PublishedImage,
    Receipt,
    publication_sources,
    publication_step,
)

_DUE_CONTENT: Final = """
    publication.state IN ('pending', 'retrying')
    AND content.state = ANY(CAST(:publishable AS text[]))
    AND NOT EXISTS (SELECT 1 FROM image WHERE image.content_id = content.id AND image.state = 'pending')
"""
# What waits for longer than any retry does was planned under another wall clock: it is due.
_CLAIM: Final = text(f"""
    WITH due AS (
        SELECT publication.id FROM publication JOIN content ON content.id = publication.content_id
        WHERE {_DUE_CONTENT} AND (publication.due_at <= :now OR publication.due_at > :farthest)
        ORDER BY publication.priority, publication.due_at LIMIT :limit FOR UPDATE OF publication, content SKIP LOCKED
    ), claimed AS (
        UPDATE publication SET state = :publishing, attempt = attempt + 1, owner = :owner, error = NULL
        WHERE id IN (SELECT id FROM due) RETURNING *
    )
    SELECT claimed.id, claimed.content_id, claimed.target, claimed.state, claimed.attempt, claimed.retry_count,
           content.task_id, content.title, content.body, content.created_at, account.name AS account, task.topic,
           task.keywords,
           (SELECT coalesce(json_agg(json_build_array(position, prompt, path, media_type) ORDER BY position), '[]')
            FROM image WHERE image.content_id = content.id AND image.state = 'fetched') AS images
    FROM claimed JOIN content ON content.id = claimed.content_id JOIN task ON task.id = content.task_id
         JOIN account ON account.id = content.account_id
    ORDER BY claimed.priority, claimed.due_at
""")  # noqa: S608 - only our own condition is put in
_NEXT: Final = text(f"""
    SELECT min(publication.due_at) AS at FROM publication JOIN content ON content.id = publication.content_id
    WHERE {_DUE_CONTENT}
""")  # noqa: S608 - only our own condition is put in
_SETTLE: Final = text("""
    WITH moved AS (
        UPDATE publication SET state = :enters, owner = NULL, error = nullif(:error, ''),
            retry_count = retry_count + :charged, due_at = coalesce(:retry_at, due_at),
            remote_id = coalesce(:remote_id, remote_id), location = coalesce(:location, location),
            published_at = CASE WHEN :published THEN CAST(:now AS timestamptz) END
        WHERE id = :id AND state = :leaves AND attempt = :attempt RETURNING content_id, target, attempt
    ), shown AS (
        UPDATE content SET state = :content_published FROM moved
        WHERE :published AND content.id = moved.content_id AND content.state = ANY(CAST(:publishable AS text[]))
    )
    INSERT INTO fact (at, name, content_id, task_id, data)
    SELECT :now, CAST(:fact AS text), content.id, content.task_id,
           jsonb_build_object('target', moved.target, 'attempt', moved.attempt,
                              'location', CAST(:location AS text), 'error', nullif(CAST(:error AS text), ''))
    FROM moved JOIN content ON content.id = moved.content_id
""")
_RELEASE_STALE: Final = text("""
    UPDATE publication SET state = :pending, owner = NULL
    WHERE state = 'publishing' AND starts_with(owner, :state_id) AND owner <> :alive
""")
# Review and claim exclude each other by the content's lock. It is taken by a statement of its own, so that the decision
# sees what was committed while it waited: a content that is just being sent is not rejected any more.
_LOCK_CONTENT: Final = text("SELECT 1 FROM content WHERE id = :id FOR UPDATE")
_REVIEW: Final = text("""
    WITH moved AS (
        UPDATE content SET state = :enters, reviewed_at = :now, reviewed_by = :by, review_reason = nullif(:reason, '')
        WHERE id = :id AND state = ANY(CAST(:leaves AS text[])) AND NOT (:rejected AND EXISTS (
            SELECT 1 FROM publication WHERE content_id = :id AND state = :publishing))
        RETURNING id, task_id
    ), pooled AS (
        INSERT INTO publication (id, content_id, target, state, priority, due_at, created_at)
        SELECT one.id, moved.id, one.target, :pending, task.priority, :now, :now
        FROM moved JOIN task ON task.id = moved.task_id,
             unnest(CAST(:publication_ids AS uuid[]), CAST(:targets AS text[])) AS one (id, target)
        ON CONFLICT (content_id, target) DO UPDATE
            SET state = excluded.state, due_at = excluded.due_at, retry_count = 0, error = NULL
            WHERE publication.state = :withdrawn
    ), withdrawn AS (
        UPDATE publication SET state = :withdrawn FROM moved
        WHERE :rejected AND publication.content_id = moved.id AND publication.state = ANY(CAST(:withdrawable AS text[]))
    )
    INSERT INTO fact (at, name, content_id, task_id, data)
    SELECT :now, CAST(:fact AS text), id, task_id,
           jsonb_build_object('by', CAST(:by AS text), 'reason', nullif(CAST(:reason AS text), ''))
    FROM moved
""")
_PUBLISHABLE: Final = [ContentState.APPROVED, ContentState.PUBLISHED]


class PostgresPublications:
    """The publish pool on PostgreSQL (port ``PublicationStore``); ``images`` is the directory of fetched images."""

    def __init__(self, database: Database, images: Path) -> None:
        self._database = database
        self._images = images

    async def claim_due(
        self, now: datetime, limit: int, owner: str, *, longest: timedelta
    ) -> tuple[list[Publication], datetime | None]:
        """See the port."""
        rows = await self._database.rows(
            _CLAIM,
            now=now,
            farthest=now + longest,
            limit=limit,
            owner=owner,
            publishing=PublicationState.PUBLISHING,
            publishable=_PUBLISHABLE,
        )
        following = None if rows else await self._database.first(_NEXT, publishable=_PUBLISHABLE)
        return [self._publication(row) for row in rows], following.at if following else None

    async def settle_publication(
        self,
        publication: Publication,
        event: PublicationEvent,
        *,
        now: datetime,
        receipt: Receipt | None = None,
        error: str = "",
        retry_at: datetime | None = None,
    ) -> bool:
        """See the port."""
        enters = publication_step(publication.state, event)
        return 1 == await self._database.changed(
            _SETTLE,
            id=publication.publication_id,
            attempt=publication.attempt,
            leaves=publication.state,
            enters=enters,
            now=now,
            error=error,
            retry_at=retry_at,
            charged=int(event is PublicationEvent.FAILED),
            published=enters is PublicationState.PUBLISHED,
            content_published=ContentState.PUBLISHED,
            publishable=_PUBLISHABLE,
            remote_id=receipt.remote_id if receipt else None,
            location=receipt.location if receipt else None,
            fact=f"publication_{event}",
        )

    async def release_stale(self, state_id: str, alive: str) -> int:
        """See the port."""
        return await self._database.changed(
            _RELEASE_STALE, pending=PublicationState.PENDING, state_id=f"{state_id}/", alive=alive
        )

    async def review(
        self,
        content_id: UUID,
        event: ContentEvent,
        *,
        by: str,
        reason: str,
        now: datetime,
        pool: Sequence[tuple[UUID, str]],
    ) -> bool:
        """See the port. Rejecting takes what waits out of the pool; what is just being sent cannot be rejected."""
        leaves = list(content_sources(event))
        values = {
            "id": content_id,
            "leaves": leaves,
            "enters": content_step(leaves[0], event),
            "now": now,
            "by": by,
            "reason": reason,
            "rejected": event is ContentEvent.REJECTED,
            "pending": PublicationState.PENDING,
            "withdrawn": PublicationState.CANCELLED,
            "withdrawable": list(publication_sources(PublicationEvent.CANCELLED)),
            "publishing": PublicationState.PUBLISHING,
            "publication_ids": [publication_id for publication_id, _ in pool],
            "targets": [target for _, target in pool],
            "fact": f"content_{event}",
        }
        async with self._database.transaction() as connection:
            await connection.execute(_LOCK_CONTENT, {"id": content_id})
            return (await connection.execute(_REVIEW, values)).rowcount == 1

    def _publication(self, row: Row[Any]) -> Publication:
        images = (
            PublishedImage(position=position, prompt=prompt, path=str(self._images / path), media_type=media_type)
            for position, prompt, path, media_type in row.images
        )
        return Publication(
            publication_id=row.id,
            content_id=row.content_id,
            task_id=row.task_id,
            account=row.account,
            target=row.target,
            state=PublicationState(row.state),
            attempt=row.attempt,
            retry_count=row.retry_count,
            title=row.title,
            topic=row.topic,
            body=row.body,
            keywords=tuple(row.keywords),
            created_at=row.created_at,
            images=tuple(images),
        )
