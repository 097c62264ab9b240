"""What must be true when a run is over: the rules of every run that is over, and those that only the client can check.

The client's list of what was acknowledged is a witness of its own: it was kept outside the system.
"""

from collections import Counter
from collections.abc import Mapping

from sqlalchemy import text

from contenthubd.adapters.postgres.engine import Database
from tests.chaos.place import Place
from tests.invariants import Finding, at_the_creator, in_rows, in_the_folder, in_the_kernel

LOST = "acknowledged_tasks_are_there"
DOUBLED = "orders_are_stored_once"
TASKS = text("SELECT CAST(id AS text) AS task_id, topic FROM task")
CLAIMS = text("""
    SELECT CAST(task.id AS text) AS offender FROM task
    WHERE attempt <> (SELECT count(*) FROM fact WHERE task_id = task.id AND name = 'task_claimed')
""")


async def findings(place: Place, acknowledged: Mapping[str, str]) -> list[Finding]:
    """Every rule with its offenders. The daemon has ended, PostgreSQL runs."""
    database = Database(place.postgres.url)
    try:
        return [
            *await _kept(database, acknowledged),
            *await in_rows(database),
            Finding("claims_are_told", "Each attempt was claimed once.", await _offenders(database)),
            *await at_the_creator(database, place.creator_directory),
            *await in_the_folder(database, place.published),
            *in_the_kernel(place.daemon.state_dir),
        ]
    finally:
        await database.close()


async def _kept(database: Database, acknowledged: Mapping[str, str]) -> list[Finding]:
    rows = await database.rows(TASKS)
    stored, topics = {row.task_id for row in rows}, Counter(row.topic for row in rows)
    return [
        Finding(LOST, "No acknowledged task is lost.", [task for task in acknowledged.values() if task not in stored]),
        Finding(DOUBLED, "No task was made twice.", [topic for topic, count in topics.items() if count > 1]),
        Finding("tasks_were_ordered", "No task came from nowhere.", sorted(set(topics) - set(acknowledged))),
    ]


async def _offenders(database: Database) -> list[str]:
    return [row.offender for row in await database.rows(CLAIMS)]
