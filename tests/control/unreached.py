"""A real desk for schedules whose database is not there: for doors at which nobody asks for stored schedules."""

from datetime import timedelta

from contenthubd.adapters.postgres.accounts import PostgresAccounts
from contenthubd.adapters.postgres.engine import Database
from contenthubd.adapters.postgres.schedules import PostgresSchedules
from contenthubd.adapters.postgres.tasks import PostgresTasks
from contenthubd.adapters.queue.memory import MemoryQueue
from contenthubd.desk.schedules import ScheduleDesk
from contenthubd.domain.task import Mode
from contenthubd.ports.stage import Stage
from contenthubd.stages.schedule import Schedules
from contenthubd.stages.submit import Defaults, Submit
from tests.clock import ManualClock

NOWHERE = "postgresql+asyncpg://nobody@/nothing?host=/nonexistent"


def schedule_desk() -> ScheduleDesk:
    """It answers previews; everything else is DatabaseUnavailable."""
    database, clock, queue = Database(NOWHERE), ManualClock(), MemoryQueue(10)
    accounts, store = PostgresAccounts(database), PostgresSchedules(database)
    defaults = Defaults(mode=Mode.ASYNC, auto_approve=True, max_retries=3, timeout=timedelta(seconds=1800))
    submit = Submit(PostgresTasks(database), accounts, queue, clock, defaults, _ring)
    return ScheduleDesk(Schedules(store, store, submit, queue, clock, _ring), accounts, clock)


def _ring(stage: Stage) -> None:
    """Nobody sleeps here."""
