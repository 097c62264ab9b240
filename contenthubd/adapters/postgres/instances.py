"""The register of creator instances.

Times here are PostgreSQL's own, not the daemons': whether another daemon lives must not depend on how well the clocks
of two machines agree.
"""

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import text

from contenthubd.adapters.postgres.engine import Database
from contenthubd.domain.publication import PublicationEvent, PublicationState, publication_step

# What a daemon that is gone was publishing, ``gone`` being a row of the register: only a person can find out.
_PARKED: Final = """
    UPDATE publication SET state = :unknown, owner = NULL, error = :cause FROM gone
    WHERE publication.state = 'publishing' AND gone.state_id <> ''
        AND starts_with(publication.owner, gone.state_id || '/')
"""
_TOLD: Final = """
    INSERT INTO fact (at, name, content_id, task_id, data)
    SELECT now(), CAST(:parked_fact AS text), content.id, content.task_id,
           jsonb_build_object('target', parked.target, 'attempt', parked.attempt, 'error', CAST(:cause AS text))
    FROM parked JOIN content ON content.id = parked.content_id
"""
# Whoever takes an instance over from another state directory will not know what that one was publishing, and as long
# as the instance has a daemon it is never lost. The same daemon may live on under another instance's name.
_HOLD: Final = text(f"""
    WITH before AS (
        SELECT name, state_id FROM instance WHERE name = :name AND state_id <> :state_id
    ), held AS (
        INSERT INTO instance AS known (name, state_id, seen_until)
        VALUES (:name, :state_id, now() + make_interval(secs => :alive))
        ON CONFLICT (name) DO UPDATE SET state_id = excluded.state_id, seen_until = excluded.seen_until
            WHERE known.state_id = excluded.state_id OR known.seen_until < now()
        RETURNING name
    ), gone AS (
        SELECT before.state_id FROM before JOIN held USING (name)
        WHERE NOT EXISTS (SELECT 1 FROM instance AS other
                          WHERE other.state_id = before.state_id AND other.name <> before.name)
    ), parked AS (
        {_PARKED} RETURNING publication.content_id, publication.target, publication.attempt
    ), told AS (
        {_TOLD}
    )
    SELECT name FROM held
""")  # noqa: S608 - only our own clauses are put in
_HELD_FOR: Final = text("""
    SELECT greatest(0, CAST(extract(epoch FROM seen_until - now()) AS double precision)) AS seconds
    FROM instance WHERE name = :name
""")
# Further ahead than any daemon writes it: PostgreSQL's clock was set back since. Whoever lives renews it in a moment.
_BROUGHT_BACK: Final = text("""
    UPDATE instance SET seen_until = now() + make_interval(secs => :most)
    WHERE seen_until > now() + make_interval(secs => 2 * CAST(:most AS double precision))
""")
_RELEASE: Final = text("""
    UPDATE instance SET seen_until = least(seen_until, now()) WHERE name = :name AND state_id = :state_id
""")
_ENTER: Final = text("""
    INSERT INTO instance (name, state_id, seen_until)
    SELECT DISTINCT instance, '', now() FROM attempt
    WHERE ended_at IS NULL AND NOT EXISTS (SELECT 1 FROM instance AS known WHERE known.name = attempt.instance)
    ON CONFLICT (name) DO NOTHING
""")
_LOST: Final = text("""
    SELECT name FROM instance WHERE name <> :own AND seen_until < now() - make_interval(secs => :after) ORDER BY name
""")
# The same daemon may live on under another instance's name: then what it publishes is its own affair.
_FORGET: Final = text(f"""
    WITH gone AS (
        DELETE FROM instance WHERE name = :name AND seen_until < now() - make_interval(secs => :after)
            AND NOT EXISTS (SELECT 1 FROM attempt WHERE attempt.instance = :name AND attempt.ended_at IS NULL)
        RETURNING name, state_id, seen_until
    ), parked AS (
        {_PARKED}
            AND NOT EXISTS (SELECT 1 FROM instance AS other
                            WHERE other.state_id = gone.state_id AND other.name <> gone.name
                                AND other.seen_until >= now() - make_interval(secs => :after))
        RETURNING publication.content_id, publication.target, publication.attempt
    ), told AS (
        {_TOLD}
    )
    INSERT INTO fact (at, name, data)
    SELECT :now, 'instance_lost', jsonb_build_object('instance', name, 'seen_until', seen_until) FROM gone
""")  # noqa: S608 - only our own clauses are put in
_CAUSE: Final = "Its daemon disappeared; the article may already be at the target."
_LOST_SIGHT: Final = {
    "unknown": publication_step(PublicationState.PUBLISHING, PublicationEvent.LOST_SIGHT),
    "parked_fact": f"publication_{PublicationEvent.LOST_SIGHT}",
    "cause": _CAUSE,
}


class PostgresInstances:
    """The register on PostgreSQL (port ``InstanceStore``)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def hold(self, name: str, state_id: str, alive: timedelta) -> bool:
        """See the port."""
        held = await self._database.rows(
            _HOLD, name=name, state_id=state_id, alive=alive.total_seconds(), **_LOST_SIGHT
        )
        if not held:
            await self._database.changed(_BROUGHT_BACK, most=alive.total_seconds())
        return bool(held)

    async def held_for(self, name: str) -> timedelta:
        """See the port."""
        row = await self._database.first(_HELD_FOR, name=name)
        return timedelta(seconds=row.seconds) if row else timedelta()

    async def release(self, name: str, state_id: str) -> None:
        """See the port."""
        await self._database.changed(_RELEASE, name=name, state_id=state_id)

    async def lost(self, own: str, after: timedelta) -> list[str]:
        """See the port."""
        await self._database.changed(_ENTER)
        await self._database.changed(_BROUGHT_BACK, most=after.total_seconds())
        return [row.name for row in await self._database.rows(_LOST, own=own, after=after.total_seconds())]

    async def forget(self, name: str, after: timedelta, now: datetime) -> bool:
        """See the port."""
        return 1 == await self._database.changed(
            _FORGET,
            name=name,
            after=after.total_seconds(),
            now=now,
            **_LOST_SIGHT,
        )
