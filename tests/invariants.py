"""What must be true when a run is over, whatever died in it: each rule with its sentence and those who break it.

Three witnesses that do not know each other are asked: our rows, the creator's own rows, the kernel's processes. What
holds between rows at every moment is asked too (``db validate`` asks the same); here is what only an end can show.
"""

import os
import sqlite3
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import psutil
from sqlalchemy import text

from contenthubd.adapters.postgres.engine import Database
from contenthubd.adapters.postgres.invariants import INVARIANTS, Invariant

FINISHED = (
    Invariant("tasks_are_final", "Every task is final.", "SELECT id AS offender FROM task WHERE finished_at IS NULL"),
    Invariant(
        "no_attempt_is_open",
        "No attempt is open, so nothing is leased.",
        "SELECT task_id AS offender FROM attempt WHERE ended_at IS NULL OR leased_until IS NOT NULL",
    ),
    Invariant(
        "tasks_end_once",
        "A completed task was completed once, a failed one gave up once.",
        """
        SELECT task.id AS offender FROM task LEFT JOIN fact ON fact.task_id = task.id GROUP BY task.id
        HAVING count(*) FILTER (WHERE name = 'task_completed') <> CASE WHEN state = 'completed' THEN 1 ELSE 0 END
            OR count(*) FILTER (WHERE name = 'task_gave_up') - count(*) FILTER (WHERE name = 'task_revived')
               > CASE WHEN state IN ('failed', 'timeout') THEN 1 ELSE 0 END
        """,
    ),
    Invariant(
        "attempts_have_a_reason",
        "Each attempt after the first follows a failure, a release or a revival.",
        """
        SELECT task.id AS offender FROM task LEFT JOIN fact ON fact.task_id = task.id
            AND name IN ('attempt_failed', 'task_released', 'task_revived', 'instance_lost')
        GROUP BY task.id HAVING attempt > 1 + count(fact.id)
        """,
    ),
    Invariant(
        "failures_are_told_once",
        "An attempt is accepted at most once, and fails or is released at most once.",
        """
        SELECT task_id AS offender FROM fact
        WHERE name IN ('task_accepted', 'attempt_failed', 'task_gave_up', 'task_released')
        GROUP BY task_id, data ->> 'attempt', name = 'task_accepted' HAVING count(*) > 1
        """,
    ),
    Invariant(
        "charges_are_allowed",
        "No task was charged with more failures than one for each try it has.",
        """
        SELECT task.id AS offender FROM task JOIN fact ON fact.task_id = task.id GROUP BY task.id
        HAVING count(*) FILTER (WHERE (data ->> 'charged')::boolean)
               > (max_retries + 1) * (1 + count(*) FILTER (WHERE name = 'task_revived'))
        """,
    ),
    Invariant(
        "one_success_for_each_content",
        "A task succeeded in one attempt.",
        """
        SELECT task_id AS offender FROM attempt WHERE outcome = 'succeeded' GROUP BY task_id HAVING count(*) > 1
        """,
    ),
    Invariant(
        "approved_contents_are_published_once",
        "An approved content has one publication for each target, and it is published; no other content has any.",
        """
        SELECT content.id AS offender FROM content LEFT JOIN publication ON content_id = content.id GROUP BY content.id
        HAVING CASE WHEN content.state IN ('approved', 'published')
                    THEN count(*) FILTER (WHERE publication.state = 'published') = 0
                         OR bool_or(publication.state <> 'published')
                    ELSE bool_or(publication.state = 'published') END
        """,
    ),
    Invariant(
        "no_image_is_forgotten",
        "Every image is fetched or lost.",
        "SELECT content_id AS offender FROM image WHERE state = 'pending'",
    ),
    Invariant(
        "creator_tasks_belong_to_one_attempt",
        "No task of the creator is counted for two attempts.",
        """
        SELECT creator_task_id AS offender FROM attempt WHERE creator_task_id IS NOT NULL
        GROUP BY instance, creator_task_id HAVING count(*) > 1
        """,
    ),
)
ATTEMPTS = text("SELECT CAST(task_id AS text) AS task_id, number FROM attempt")
LOCATIONS = text("SELECT location FROM publication WHERE state = 'published'")
MARK = "CONTENTHUBD_CHILD"


@dataclass(frozen=True)
class Finding:
    """One rule and who breaks it."""

    name: str
    sentence: str
    offenders: Sequence[str]


async def in_rows(database: Database) -> list[Finding]:
    """What our own rows say."""
    return [
        Finding(rule.name, rule.sentence, [str(row.offender) for row in await database.rows(text(rule.sql))])
        for rule in (*INVARIANTS, *FINISHED)
    ]


async def at_the_creator(database: Database, workdir: Path) -> list[Finding]:
    """What the creator's rows say: each of our attempts is there once or not at all, and nothing else is."""
    attempts = {mark_of(row.task_id, row.number) for row in await database.rows(ATTEMPTS)}
    marks = Counter(creator_marks(workdir))
    doubled = [mark for mark, count in marks.items() if count > 1]
    return [
        Finding("attempts_are_created_once", "The creator was given no attempt twice.", doubled),
        Finding("creations_are_attempts", "The creator was given nothing but attempts.", sorted(set(marks) - attempts)),
    ]


async def in_the_folder(database: Database, published: Path) -> list[Finding]:
    """What the published files say: one for each publication, and no other."""
    files = Counter(str(path) for path in published.glob("*/*/index.md"))
    wanted = Counter(str(row.location) for row in await database.rows(LOCATIONS))
    wrong = sorted(((files - wanted) + (wanted - files)).elements())
    return [Finding("files_are_publications", "Every publication is one file, every file a publication.", wrong)]


def in_the_kernel(state_dir: Path) -> list[Finding]:
    """What the kernel says once the daemon has ended: nothing that it started is left."""
    left = [f"{process.pid} {' '.join(process.cmdline())}" for process in _processes(state_dir, marked=False)]
    return [Finding("no_process_is_left", "No process of the daemon is left.", left)]


def children(state_dir: Path) -> list[psutil.Process]:
    """The creator's commands that run for the daemon on this state directory; its worker is none of them."""
    return _processes(state_dir, marked=True)


def creator_marks(workdir: Path) -> list[str]:
    """The last line of what each task of the creator was asked: one for each ``create`` that reached it."""
    path = workdir / "data" / "content-creator.db"
    if not path.exists():
        return []
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=60)) as connection:
        rows = connection.execute("SELECT requirements FROM tasks ORDER BY rowid").fetchall()
    return [str(asked).rstrip().rsplit("\n", 1)[-1] for (asked,) in rows]


def mark_of(task_id: str, attempt: int) -> str:
    """The line by which an attempt is known at the creator."""
    return f"[ref {task_id.replace('-', '')[:28]}{attempt:04x}]"


def as_table(findings: Sequence[Finding]) -> str:
    """The findings for people: a line for each rule, the offenders below the broken ones."""
    lines = []
    for finding in findings:
        lines.append(f"{'broken' if finding.offenders else 'holds':<7} {finding.name:<38} {finding.sentence}")
        lines += [f"{'':<8}{offender}" for offender in finding.offenders]
    return "\n".join(lines)


def assert_hold(findings: Sequence[Finding]) -> None:
    """Fail with the whole table if one rule is broken."""
    assert not any(finding.offenders for finding in findings), f"\n{as_table(findings)}"


def _processes(state_dir: Path, *, marked: bool) -> list[psutil.Process]:
    """The processes that work in a state directory; a zombie works no more."""
    found = []
    for process in psutil.process_iter():
        try:
            inside = Path(process.cwd()).is_relative_to(state_dir) and process.status() != psutil.STATUS_ZOMBIE
            if inside and (not marked or MARK in process.environ()):
                found.append(process)
        except (psutil.Error, OSError):
            continue  # it ended meanwhile, or belongs to somebody else
    return [process for process in found if process.pid != os.getpid()]
