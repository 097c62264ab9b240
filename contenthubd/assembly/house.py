"""Which part is made of which. Nothing runs here: ``daemon.py`` starts and stops what is assembled."""

from collections.abc import Callable
from dataclasses import dataclass

from contenthubd.adapters.images.http import HttpImages
from contenthubd.adapters.postgres.accounts import PostgresAccounts
from contenthubd.adapters.postgres.engine import Database
from contenthubd.adapters.postgres.instances import PostgresInstances
from contenthubd.adapters.postgres.publications import PostgresPublications
from contenthubd.adapters.postgres.schedules import PostgresSchedules
from contenthubd.adapters.postgres.views import PostgresViews
from contenthubd.adapters.queue.choice import Choice
from contenthubd.assembly.base import Base, Identity, base_of, defaults_of, rules_of
from contenthubd.assembly.contents import content_ticks, image_source
from contenthubd.assembly.tasks import attempts_of, heartbeat_of, poll_of, schedules_of, task_ticks
from contenthubd.config.model import Config
from contenthubd.ports.clock import Clock
from contenthubd.ports.stage import Stage, Wake
from contenthubd.runtime.loop import Tick
from contenthubd.stages.attempt import Attempts
from contenthubd.stages.heartbeat import Heartbeat
from contenthubd.stages.poll import Poll
from contenthubd.stages.review import Review
from contenthubd.stages.schedule import Schedules
from contenthubd.stages.settle import Settle
from contenthubd.stages.steer import Steer
from contenthubd.stages.submit import Submit


@dataclass(frozen=True, slots=True, kw_only=True)
class Assembly:
    """Everything that was put together."""

    base: Base
    images: HttpImages
    accounts: PostgresAccounts
    views: PostgresViews
    settle: Settle
    submit: Submit
    schedules: Schedules
    steer: Steer
    review: Review
    attempts: Attempts
    poll: Poll
    heartbeat: Heartbeat
    ticks: dict[Stage, Tick]


def assemble(
    config: Config,
    database: Database,
    clock: Clock,
    identity: Identity,
    wake: Wake,
    *,
    draining: Callable[[], bool],
    queues: Choice,
) -> Assembly:
    """Build every part; raises StateDirectoryError if a directory cannot be used."""
    base = base_of(config, database, clock, identity, wake, draining, queues)
    accounts, pool = PostgresAccounts(database), PostgresPublications(database, config.state_dir / "images")
    settle = Settle(base.tasks, base.queue, clock, rules_of(config), base.slots, wake)
    attempts = attempts_of(base, settle)
    instances, images = PostgresInstances(database), image_source(config)
    heartbeat = heartbeat_of(base, instances, attempts)
    poll = poll_of(base, settle, attempts, heartbeat)
    submit = Submit(base.tasks, accounts, base.queue, clock, defaults_of(config), wake)
    schedules = schedules_of(base, PostgresSchedules(database), submit)
    return Assembly(
        base=base,
        images=images,
        accounts=accounts,
        views=PostgresViews(database),
        settle=settle,
        submit=submit,
        schedules=schedules,
        steer=Steer(base.tasks, base.queue, attempts, clock, wake),
        review=Review(pool, clock, wake, targets=rules_of(config).targets),
        attempts=attempts,
        poll=poll,
        heartbeat=heartbeat,
        ticks={
            **task_ticks(base, heartbeat, instances, settle, attempts, submit),
            Stage.SCHEDULE: schedules.tick,
            Stage.POLL: poll.tick,
            **content_ticks(base, database, pool, images),
        },
    )
