"""The stages that claim tasks and answer for them."""

from datetime import timedelta

from contenthubd.adapters.postgres.instances import PostgresInstances
from contenthubd.adapters.postgres.schedules import PostgresSchedules
from contenthubd.assembly.base import Base
from contenthubd.domain.task import Mode
from contenthubd.ports.stage import Stage
from contenthubd.ports.tasks import Lease
from contenthubd.runtime.loop import Tick
from contenthubd.stages.attempt import Attempts
from contenthubd.stages.dispatch import Dispatch
from contenthubd.stages.heartbeat import Heartbeat
from contenthubd.stages.poll import Poll
from contenthubd.stages.promote import Promote
from contenthubd.stages.reclaim import Reclaim
from contenthubd.stages.rescue import Rescue
from contenthubd.stages.schedule import Schedules
from contenthubd.stages.settle import Settle
from contenthubd.stages.submit import Submit


def task_ticks(
    base: Base, heartbeat: Heartbeat, instances: PostgresInstances, settle: Settle, attempts: Attempts, submit: Submit
) -> dict[Stage, Tick]:
    """The stages that claim tasks and answer for them."""
    return {
        Stage.HEARTBEAT: heartbeat.tick,
        Stage.RESCUE: _rescue(base, heartbeat, settle, attempts).tick,
        Stage.RECLAIM: _reclaim(base, instances, heartbeat, settle).tick,
        Stage.PROMOTE: _promote(base, settle).tick,
        Stage.DISPATCH: _dispatch(base, heartbeat, attempts, submit).tick,
    }


def heartbeat_of(base: Base, instances: PostgresInstances, attempts: Attempts) -> Heartbeat:
    """The stage that keeps our leases alive."""
    return Heartbeat(
        base.flights,
        instances,
        base.clock,
        base.wake,
        owner=base.identity.owner,
        instance=base.config.creator.instance,
        length=base.lease_length,
        alive=lambda: attempts.alive,
    )


def attempts_of(base: Base, settle: Settle) -> Attempts:
    """The attempts of our own children."""
    return Attempts(
        base.creator,
        base.flights,
        base.flights,
        settle,
        base.clock,
        base.slots,
        base.pause,
        base.wake,
        owner=base.identity.owner,
    )


def _dispatch(base: Base, heartbeat: Heartbeat, attempts: Attempts, submit: Submit) -> Dispatch:
    def lease() -> Lease | None:
        return None if base.draining() else heartbeat.lease()

    def async_missed() -> bool:
        return bool(base.config.creator.redis_url) or submit.defaults.mode is Mode.ASYNC

    return Dispatch(
        base.tasks,
        base.flights,
        base.queue,
        base.creator,
        base.clock,
        base.slots,
        base.pause,
        lease=lease,
        start=attempts.start,
        sync_when_down=base.config.creator.on_redis_down == "sync",
        refill=base.config.queue.memory_size + 1,
        async_missed=async_missed,
    )


def poll_of(base: Base, settle: Settle, attempts: Attempts, heartbeat: Heartbeat) -> Poll:
    """The stage that follows the tasks that the creator has."""
    return Poll(
        base.tasks,
        base.flights,
        base.flights,
        base.creator,
        base.creator,
        settle,
        attempts,
        base.clock,
        base.slots,
        instance=base.config.creator.instance,
        interval=timedelta(seconds=base.config.tasks.poll_interval_seconds),
        abandon=timedelta(seconds=base.config.creator.abandon_seconds),
        held=lambda: heartbeat.lease() is not None,
    )


def _promote(base: Base, settle: Settle) -> Promote:
    def longest() -> timedelta:
        return settle.rules.retry.longest

    return Promote(base.tasks, base.tasks, base.queue, base.clock, base.wake, longest=longest)


def _rescue(base: Base, heartbeat: Heartbeat, settle: Settle, attempts: Attempts) -> Rescue:
    return Rescue(
        base.tasks,
        base.flights,
        base.creator,
        base.creator,
        settle,
        attempts,
        base.clock,
        base.slots,
        base.wake,
        lease=heartbeat.lease,
        state_id=base.identity.state_id,
        every=base.lease_length / 2,
    )


def _reclaim(base: Base, instances: PostgresInstances, heartbeat: Heartbeat, settle: Settle) -> Reclaim:
    return Reclaim(
        base.tasks,
        base.flights,
        instances,
        settle,
        base.clock,
        lease=heartbeat.lease,
        instance=base.config.creator.instance,
        after=timedelta(seconds=base.config.creator.instance_lost_seconds),
        every=base.lease_length / 2,
    )


def schedules_of(base: Base, store: PostgresSchedules, submit: Submit) -> Schedules:
    """The stage of what fires by itself."""
    return Schedules(store, store, submit, base.queue, base.clock, base.wake)
