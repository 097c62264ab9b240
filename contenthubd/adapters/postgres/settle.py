"""The one write of results: the task, its attempt, its content, its pool entries and its facts, all or nothing.

The guard: the task is still in the state it leaves, at the attempt number that was decided on, and this attempt has
not ended; where a lease is needed, the attempt is still ours. A settlement that lost its race changes 0 rows.

The task is locked before its attempt, as every other statement does it, so that no two of them wait for each other.
What came from outside may hold NUL and halves of characters, which PostgreSQL cannot store: they are taken out here,
for an article must not be lost over one of them.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import text

from contenthubd.ports.tasks import Settlement

_GUARDED: Final = """
    WITH held AS (
        SELECT id FROM task WHERE id = :id AND state = :leaves AND attempt = :task_attempt FOR UPDATE
    ), closed AS (
        UPDATE attempt SET
            ended_at = CASE WHEN :ends THEN CAST(:at AS timestamptz) END,
            creator_ended_at = CASE WHEN CAST(:creator_ended_at AS timestamptz) IS NOT NULL
                THEN greatest(claimed_at, least(CAST(:creator_ended_at AS timestamptz), :at)) END,
            outcome = CASE WHEN :ends THEN CAST(:outcome AS text) END,
            charged = charged OR CAST(:charged AS integer) = 1,
            abandoned_at = CASE WHEN :abandons THEN coalesce(abandoned_at, :at) ELSE abandoned_at END,
            creator_task_id = coalesce(:creator_task_id, creator_task_id),
            accepted_at = coalesce(accepted_at, CASE WHEN :accepted THEN CAST(:at AS timestamptz) END),
            owner = CASE WHEN :ends OR :accepted OR :abandons THEN NULL ELSE owner END,
            leased_until = CASE WHEN :ends OR :accepted OR :abandons THEN NULL ELSE leased_until END,
            error_kind = :error_kind, error = :error, exit_code = :exit_code, stderr_tail = :stderr_tail
        FROM held WHERE attempt.task_id = held.id AND attempt.number = :attempt AND attempt.ended_at IS NULL
          AND (CAST(:owner AS text) IS NULL OR attempt.owner = :owner)
        RETURNING attempt.task_id
    ), moved AS (
        UPDATE task SET state = :enters, run_at = :run_at,
            finished_at = CASE WHEN :final THEN CAST(:at AS timestamptz) END,
            retry_count = retry_count + CAST(:charged AS integer), deaths = deaths + :died,
            error_kind = :error_kind, error = :error
        FROM closed WHERE task.id = closed.task_id AND task.state = :leaves AND task.attempt = :task_attempt
        RETURNING task.id, task.account_id, task.priority
    ), overtaken AS (
        UPDATE attempt SET abandoned_at = :at FROM moved
        WHERE attempt.task_id = moved.id AND attempt.number = :task_attempt AND :task_attempt <> :attempt
          AND attempt.ended_at IS NULL AND attempt.abandoned_at IS NULL
    ), told AS (
        INSERT INTO fact (at, name, task_id, content_id, data)
        SELECT :at, one.name, moved.id, CAST(:content_id AS uuid), CAST(one.data AS jsonb)
        FROM moved, unnest(CAST(:fact_names AS text[]), CAST(:fact_data AS text[])) AS one (name, data)
    )
"""

_WITH_CONTENT: Final = """
    , made AS (
        INSERT INTO content (id, task_id, account_id, state, title, body, hold_reason, created_at, reviewed_at,
                             reviewed_by)
        SELECT CAST(:content_id AS uuid), moved.id, account_id, :content_state, :title, :body, :hold_reason, :at,
               CASE WHEN :approved THEN CAST(:at AS timestamptz) END, CASE WHEN :approved THEN 'auto' END
        FROM moved RETURNING id
    ), pictured AS (
        INSERT INTO image (content_id, position, url, prompt, state, due_at, error)
        SELECT made.id, one.position, one.url, one.prompt, 'pending', :at, NULL
        FROM made, unnest(CAST(:image_urls AS text[]), CAST(:image_prompts AS text[]))
             WITH ORDINALITY AS one (url, prompt, position)
        UNION ALL
        SELECT made.id, one.position, 'image-placeholder-' || one.position, '', 'lost', :at, :image_missing
        FROM made, unnest(CAST(:missing_images AS smallint[])) AS one (position)
    ), pooled AS (
        INSERT INTO publication (id, content_id, target, state, priority, due_at, created_at)
        SELECT one.id, made.id, one.target, 'pending', moved.priority, :at, :at
        FROM made, moved, unnest(CAST(:publication_ids AS uuid[]), CAST(:targets AS text[])) AS one (id, target)
    )
"""

_WON: Final = "SELECT count(*) AS won FROM moved"
SETTLE: Final = text(f"{_GUARDED} {_WON}")
SETTLE_WITH_CONTENT: Final = text(f"{_GUARDED} {_WITH_CONTENT} {_WON}")
_MISSING: Final = "The article names this image, but the creator did not deliver it."
_UNSTORABLE: Final = re.compile("[\x00\ud800-\udfff]")


def settle_values(settlement: Settlement, *, final: bool, accepted: bool) -> dict[str, Any]:
    """The parameters of SETTLE."""
    content = settlement.content
    return {
        "id": settlement.task_id,
        "attempt": settlement.attempt,
        "task_attempt": settlement.task_attempt,
        "owner": settlement.owner,
        "leaves": settlement.leaves,
        "enters": settlement.enters,
        "at": settlement.at,
        "run_at": settlement.run_at,
        "final": final,
        "accepted": accepted,
        "ends": settlement.ends_attempt,
        "abandons": settlement.abandons,
        "outcome": settlement.outcome,
        "charged": int(settlement.charged),
        "died": int(settlement.died),
        "creator_task_id": settlement.creator_task_id,
        "creator_ended_at": settlement.creator_ended_at,
        "error_kind": settlement.error_kind,
        "error": _storable(settlement.error),
        "exit_code": settlement.exit_code,
        "stderr_tail": _storable(settlement.stderr_tail) or None,
        "content_id": content.content_id if content else None,
        "fact_names": [fact.name for fact in settlement.facts],
        "fact_data": [json.dumps(_without(fact.data), ensure_ascii=False, default=str) for fact in settlement.facts],
    }


def content_values(settlement: Settlement) -> dict[str, Any]:
    """The further parameters of SETTLE_WITH_CONTENT."""
    content = settlement.content
    assert content is not None  # noqa: S101 - the caller chose this statement because there is one
    return {
        "content_state": "approved" if content.approved else "pending_review",
        "approved": content.approved,
        "hold_reason": content.hold_reason or None,
        "missing_images": list(content.missing_images),
        "image_missing": _MISSING,
        "title": _storable(content.title),
        "body": _storable(content.body),
        "image_urls": [_storable(url) for url, _ in content.images],
        "image_prompts": [_storable(prompt) for _, prompt in content.images],
        "publication_ids": [publication_id for publication_id, _ in content.publication_ids],
        "targets": [target for _, target in content.publication_ids],
    }


def _storable(text: str | None) -> str | None:
    return text if text is None else _UNSTORABLE.sub("", text)


def _without(data: Mapping[str, object]) -> dict[str, object]:
    return {name: _storable(value) if isinstance(value, str) else value for name, value in data.items()}
