"""Rules that hold between rows at every moment, whatever died: one sentence and one query each.

The CHECKs and foreign keys of the tables refuse rows that cannot be meant one by one; these are the rules that span
several rows. Each query names its offenders, one text per row, so no row means that all is well. They are asked by
``db validate`` and after every test that kills something.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Invariant:
    """``sentence`` says what holds; ``sql`` answers a column ``offender`` with those for which it does not.

    ``since`` is the first version of the tables that has all it reads.
    """

    name: str
    sentence: str
    sql: str
    since: str = "0001"


INVARIANTS: Final = (
    Invariant(
        "open_attempts_are_held",
        "An open attempt has a lease, the creator's id, or is abandoned.",
        """
        SELECT 'attempt ' || number || ' of task ' || task_id AS offender FROM attempt
        WHERE ended_at IS NULL AND leased_until IS NULL AND creator_task_id IS NULL AND abandoned_at IS NULL
        """,
    ),
    Invariant(
        "ended_attempts_have_no_lease",
        "An ended attempt has no lease.",
        """
        SELECT 'attempt ' || number || ' of task ' || task_id AS offender FROM attempt
        WHERE ended_at IS NOT NULL AND leased_until IS NOT NULL
        """,
    ),
    Invariant(
        "tasks_in_flight_have_their_attempt",
        "A task in flight has an open attempt with its current number.",
        """
        SELECT 'task ' || task.id AS offender FROM task WHERE state IN ('submitting', 'submitted', 'running')
        AND NOT EXISTS (SELECT 1 FROM attempt WHERE attempt.task_id = task.id AND attempt.number = task.attempt
                        AND attempt.ended_at IS NULL)
        """,
    ),
    Invariant(
        "only_tasks_in_flight_wait",
        "An attempt is awaited only while its task is in flight with that attempt number.",
        """
        SELECT 'attempt ' || attempt.number || ' of task ' || task.id AS offender
        FROM attempt JOIN task ON task.id = attempt.task_id
        WHERE attempt.ended_at IS NULL AND attempt.abandoned_at IS NULL
          AND (task.state NOT IN ('submitting', 'submitted', 'running') OR task.attempt <> attempt.number)
        """,
    ),
    Invariant(
        "attempts_are_counted",
        "A task has a row for every attempt it counts, numbered from one.",
        """
        SELECT 'task ' || task.id AS offender FROM task
        LEFT JOIN (SELECT task_id, count(*) AS rows, max(number) AS last FROM attempt GROUP BY task_id) AS tried
            ON tried.task_id = task.id
        WHERE coalesce(tried.rows, 0) <> task.attempt OR coalesce(tried.last, 0) <> task.attempt
        """,
    ),
    Invariant(
        "retries_are_bounded",
        "No task has more than max_retries + 1 charged failures.",
        "SELECT 'task ' || id AS offender FROM task WHERE retry_count > max_retries + 1",
    ),
    Invariant(
        "completed_tasks_have_a_content",
        "A task is completed if, and only if, it has a content.",
        """
        SELECT 'task ' || task.id AS offender FROM task LEFT JOIN content ON content.task_id = task.id
        WHERE (task.state = 'completed') <> (content.id IS NOT NULL)
        """,
    ),
    Invariant(
        "contents_are_unique",
        "A task has at most one content.",
        "SELECT 'task ' || task_id AS offender FROM content GROUP BY task_id HAVING count(*) > 1",
    ),
    Invariant(
        "accounts_agree",
        "A task, its batch and its content belong to one account.",
        """
        SELECT 'task ' || task.id AS offender FROM task
        LEFT JOIN batch ON batch.id = task.batch_id LEFT JOIN content ON content.task_id = task.id
        WHERE batch.account_id <> task.account_id OR content.account_id <> task.account_id
        """,
    ),
    Invariant(
        "publications_are_unique",
        "A content goes to a target once.",
        """
        SELECT 'content ' || content_id || ' to ' || target AS offender FROM publication
        GROUP BY content_id, target HAVING count(*) > 1
        """,
    ),
    Invariant(
        "publications_fit_their_content",
        "A publication that is published or in progress belongs to an approved or published content.",
        """
        SELECT 'publication ' || publication.id AS offender
        FROM publication JOIN content ON content.id = publication.content_id
        WHERE (publication.state = 'published' AND content.state <> 'published')
           OR (publication.state IN ('pending', 'retrying') AND content.state NOT IN ('approved', 'published'))
        """,
    ),
    Invariant(
        "published_contents_have_a_publication",
        "A published content was published somewhere.",
        """
        SELECT 'content ' || content.id AS offender FROM content WHERE content.state = 'published'
        AND NOT EXISTS (SELECT 1 FROM publication WHERE publication.content_id = content.id
                        AND publication.state = 'published')
        """,
    ),
    Invariant(
        "facts_tell_of_something",
        "Every fact refers to an existing task and content.",
        """
        SELECT 'fact ' || fact.id AS offender FROM fact
        LEFT JOIN task ON task.id = fact.task_id LEFT JOIN content ON content.id = fact.content_id
        WHERE (fact.task_id IS NOT NULL AND task.id IS NULL) OR (fact.content_id IS NOT NULL AND content.id IS NULL)
        """,
    ),
)
