"""Images between their provider's address, which dies within a day, and our own directory."""

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import text

from contenthubd.adapters.postgres.engine import Database
from contenthubd.ports.contents import DueImage

# What waits for longer than any retry does was planned under another wall clock: it is due.
_DUE: Final = text("""
    (SELECT content_id, position, url, tries FROM image WHERE state = 'pending' AND due_at <= :now
     ORDER BY due_at LIMIT :limit)
    UNION ALL
    (SELECT content_id, position, url, tries FROM image WHERE state = 'pending' AND due_at > :farthest
     ORDER BY due_at LIMIT :limit)
    LIMIT :limit
""")
_NEXT: Final = text("SELECT min(due_at) AS at FROM image WHERE state = 'pending'")
_FETCHED: Final = text("""
    WITH kept AS (
        UPDATE image SET state = 'fetched', path = :path, media_type = :media_type, bytes = :size, tries = tries + 1,
            error = NULL
        WHERE content_id = :content AND position = :position AND state = 'pending' RETURNING content_id
    )
    INSERT INTO fact (at, name, content_id, task_id, data)
    SELECT :now, 'image_fetched', content.id, content.task_id,
           jsonb_build_object('position', CAST(:position AS integer))
    FROM kept JOIN content ON content.id = kept.content_id
""")
_FAILED: Final = text("""
    WITH tried AS (
        UPDATE image SET tries = tries + 1, error = :cause, due_at = coalesce(:retry_at, due_at),
            state = CASE WHEN CAST(:retry_at AS timestamptz) IS NULL THEN 'lost' ELSE state END
        WHERE content_id = :content AND position = :position AND state = 'pending' RETURNING content_id, state
    )
    INSERT INTO fact (at, name, content_id, task_id, data)
    SELECT :now, CASE WHEN tried.state = 'lost' THEN 'image_lost' ELSE 'image_failed' END, content.id, content.task_id,
           jsonb_build_object('position', CAST(:position AS integer), 'cause', CAST(:cause AS text))
    FROM tried JOIN content ON content.id = tried.content_id
""")


class PostgresImages:
    """The image store on PostgreSQL (port ``ImageStore``)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def due_images(
        self, now: datetime, limit: int, *, longest: timedelta
    ) -> tuple[list[DueImage], datetime | None]:
        """See the port."""
        rows = await self._database.rows(_DUE, now=now, farthest=now + longest, limit=limit)
        following = None if rows else await self._database.first(_NEXT)
        return [DueImage(row.content_id, row.position, row.url, row.tries) for row in rows], (
            following.at if following else None
        )

    async def image_fetched(self, image: DueImage, path: str, media_type: str, size: int, now: datetime) -> None:
        """See the port."""
        await self._database.changed(
            _FETCHED,
            content=image.content_id,
            position=image.position,
            path=path,
            media_type=media_type,
            size=size,
            now=now,
        )

    async def image_failed(self, image: DueImage, cause: str, retry_at: datetime | None, now: datetime) -> None:
        """See the port."""
        await self._database.changed(
            _FAILED, content=image.content_id, position=image.position, cause=cause, retry_at=retry_at, now=now
        )
