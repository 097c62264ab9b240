"""What people do to tasks: cancel in every state, try again; and what returns by itself (promote)."""

from datetime import timedelta
from uuid import UUID

import anyio
import pytest
from msgspec import structs
from sqlalchemy import text

from contenthubd.adapters.postgres.tasks import PostgresTasks
from contenthubd.control import wire
from contenthubd.control.peer import Peer
from contenthubd.control.wire_queue import QueueStatus
from contenthubd.desk.search import Search
from contenthubd.desk.tasks import TaskDesk
from contenthubd.desk.waiting import Waiting
from contenthubd.desk.watch import Watch
from contenthubd.domain.errors import Conflict, InvalidInput, NotFound
from contenthubd.domain.outcome import ErrorKind, Failed
from contenthubd.domain.task import Mode, Task, TaskEvent, TaskState
from contenthubd.ports.stage import Stage
from contenthubd.stages.promote import IDLE
from contenthubd.stages.steer import Steer
from tests.clock import NOON
from tests.stages.house import INSTANCE, POLICY, House


async def pending(house: House) -> Task:
    return await house.add()


async def submitting(house: House) -> Task:
    return await house.claimed()


async def submitted(house: House) -> Task:
    return (await house.accepted())[0]


async def running(house: House) -> Task:
    task = await submitted(house)
    assert await house.settle.started(task)
    return await house.now(task)


async def in_sync(house: House) -> Task:
    return await house.claimed(mode=Mode.SYNC)


async def retrying(house: House) -> Task:
    task = await house.claimed()
    assert await house.settle(task, Failed(ErrorKind.LOST, "gone"), owner=house.owner)
    return await house.now(task)


async def failed(house: House) -> Task:
    task = await house.claimed()
    assert await house.settle(task, Failed(ErrorKind.REFUSED, "no"), owner=house.owner)
    return await house.now(task)


async def cancelled(house: House) -> Task:
    return await house.steer.cancel((await house.add()).task_id, by="test")


@pytest.mark.parametrize("reach", [pending, submitting, submitted, running, in_sync, retrying])
async def test_cancel_ends_whatever_is_not_final(house: House, reach: object) -> None:
    task = await reach(house)  # type: ignore[operator]  # one of the ways above
    house.clock.advance(5)
    done = await house.steer.cancel(task.task_id, by="ann")
    assert (done.state, done.finished_at, done.run_at) == (TaskState.CANCELLED, house.clock.now(), None)
    assert (await house.facts(task))[-1] == "task_cancelled"
    open_attempts = await house.value("SELECT count(*) FROM attempt WHERE ended_at IS NULL AND abandoned_at IS NULL")
    assert open_attempts == 0, "nobody waits for its attempt any more"
    assert await house.queue.count() == 0
    assert house.rung[Stage.POLL] > 0
    with pytest.raises(Conflict, match="already cancelled") as caught:
        await house.steer.cancel(task.task_id, by="ann")
    assert caught.value.exit_code == 6


@pytest.mark.parametrize("reach", [pending, submitting, submitted, running, in_sync])
async def test_only_final_tasks_can_be_tried_again_by_hand(house: House, reach: object) -> None:
    task = await reach(house)  # type: ignore[operator]  # one of the ways above
    with pytest.raises(Conflict, match=f"The task is {task.state} and cannot be tried again"):
        await house.steer.revive(task.task_id, by="ann")


async def test_a_retrying_task_is_tried_at_once_and_keeps_its_count(house: House) -> None:
    task = await retrying(house)
    before = await house.now(task)
    revived = await house.steer.revive(task.task_id, by="ann")
    assert (revived.state, revived.run_at) == (TaskState.PENDING, None)
    assert revived.retry_count == before.retry_count > 0
    assert house.rung[Stage.DISPATCH] > 0
    assert await house.queue.count() == 1


async def test_a_completed_task_stays_as_it_is(house: House) -> None:
    task = await house.completed()
    for act in (house.steer.cancel, house.steer.revive):
        with pytest.raises(Conflict):
            await act(task.task_id, by="ann")
    assert await house.state(task) is TaskState.COMPLETED


@pytest.mark.parametrize("reach", [failed, cancelled])
async def test_a_revived_task_is_a_fresh_try(house: House, reach: object) -> None:
    task = await reach(house)  # type: ignore[operator]  # one of the ways above
    revived = await house.steer.revive(task.task_id, by="ann")
    assert (revived.state, revived.retry_count, revived.deaths) == (TaskState.PENDING, 0, 0)
    assert (revived.finished_at, revived.error_kind, revived.error) == (None, None, None)
    assert revived.attempt == task.attempt, "the fence only ever grows"
    assert (await house.facts(task))[-1] == "task_revived"
    again = await house.again(revived)
    assert again.attempt == task.attempt + 1


async def test_an_unknown_task(house: House) -> None:
    for act in (house.steer.cancel, house.steer.revive):
        with pytest.raises(NotFound):
            await act(house.clock.new_id(), by="ann")


class Quick(PostgresTasks):
    """The store of a system where somebody else revives each task just before it is looked at."""

    async def get(self, task_id: UUID) -> Task:
        await self.revive(task_id, NOON, "somebody else")
        return await super().get(task_id)


async def test_a_task_that_changes_between_two_looks_is_a_conflict_too(house: House) -> None:
    task = await cancelled(house)
    house.steer = Steer(Quick(house.database), house.queue, house.attempts, house.clock, house.ring)
    with pytest.raises(Conflict, match="changed in the meantime"):
        await house.steer.cancel(task.task_id, by="ann")
    assert await house.state(task) is TaskState.PENDING


async def test_a_late_success_of_a_revived_task_is_adopted(house: House) -> None:
    task, creator_task_id = await house.accepted()
    await house.steer.cancel(task.task_id, by="ann")
    await house.steer.revive(task.task_id, by="ann")
    house.creator.finish(creator_task_id, "# 迟到\n\n正文")
    await house.look()
    assert await house.state(task) is TaskState.COMPLETED
    assert (await house.content(task)).title == "迟到"


async def test_promote_waits_for_the_time_and_puts_the_id_back(house: House) -> None:
    assert await house.promote.tick() == IDLE
    task = await retrying(house)
    assert await house.promote.tick() == timedelta(seconds=30)
    house.clock.advance(29)
    assert await house.promote.tick() == timedelta(seconds=1)
    assert await house.state(task) is TaskState.RETRYING
    house.clock.advance(1)
    rung = house.rung[Stage.DISPATCH]
    assert await house.promote.tick() == IDLE
    now = await house.now(task)
    assert (now.state, now.run_at) == (TaskState.PENDING, None)
    assert await house.queue.take() == task.task_id
    assert house.rung[Stage.DISPATCH] == rung + 1
    assert (await house.facts(task))[-1] == "task_promoted"
    assert await house.promote.tick() == IDLE


async def test_promote_goes_page_by_page(house: House) -> None:
    for _ in range(3):
        await retrying(house)
    house.clock.advance(40)
    first, following = await house.tasks.promote(house.clock.now(), 2, longest=POLICY.longest)
    assert (len(first), following) == (2, house.clock.now() - timedelta(seconds=10))
    second, following = await house.tasks.promote(house.clock.now(), 2, longest=POLICY.longest)
    assert (len(second), following) == (1, None)


@pytest.mark.parametrize("reach", [pending, submitting, submitted, running, in_sync, retrying, failed, cancelled])
@pytest.mark.parametrize("event", [TaskEvent.CANCELLED, TaskEvent.REVIVED])
async def test_a_check_says_what_would_happen_and_changes_nothing(
    house: House, reach: object, event: TaskEvent
) -> None:
    task = await reach(house)  # type: ignore[operator]  # one of the ways above
    said = []
    for act in (
        lambda: house.steer.check(task.task_id, event),
        lambda: (house.steer.cancel if event is TaskEvent.CANCELLED else house.steer.revive)(task.task_id, by="ann"),
    ):
        try:
            await act()
        except Conflict as refusal:
            said.append((refusal.what, refusal.fix))
        else:
            said.append(("", ""))
        if len(said) == 1:
            assert (await house.now(task)).state is task.state
    assert said[0] == said[1]


def task_desk(house: House) -> TaskDesk:
    search = Search(house.views, house.accounts)
    waiting = Waiting(
        house.pause, house.slots, house.views, house.clock, leased=lambda: True, draining=lambda: False,
        instance=INSTANCE,
    )  # fmt: skip
    watch = Watch(house.views, search, house.clock, waiting, anyio.Event)

    async def queue() -> QueueStatus:
        return QueueStatus(kind="memory", since="", why="", degraded=False, waiting=0)

    return TaskDesk(house.submit, house.steer, house.views, house.flights, search, watch, house.clock, waiting, queue)


@pytest.mark.parametrize(
    ("reach", "goes_on"), [(running, True), (submitted, True), (retrying, False), (pending, False)]
)
async def test_a_cancel_says_that_generation_goes_on_only_where_it_does(
    house: House, reach: object, goes_on: bool
) -> None:
    desk = task_desk(house)
    task = await reach(house)  # type: ignore[operator]  # one of the ways above
    if reach is retrying:
        await house.database.changed(text("UPDATE attempt SET creator_task_id = 'c1'"))  # it was accepted, then failed
    view = await desk.cancel(str(task.task_id), peer=Peer(uid=0, gid=0, pid=1, user="ann"))
    assert ("generation continues there" in (view.hint or "")) is goes_on


async def test_a_wait_for_nothing_is_refused_and_says_what_to_give(house: House) -> None:
    with pytest.raises(InvalidInput) as refused:
        await task_desk(house).wait(wire.WaitQuery())
    assert (refused.value.what, refused.value.http_status) == ("There is nothing to wait for.", 422)
    assert refused.value.fix == "Name tasks with id, or a batch with batch."


@pytest.mark.parametrize(
    ("fragment", "fix"),
    [("abcd1234", "List tasks with their batches: contenthubctl task list -o wide"),
     ("last", "Submit one with: contenthubctl content batch-generate")],
)  # fmt: skip
async def test_a_batch_that_is_not_there_is_told_with_the_list_that_shows_batches(
    house: House, fragment: str, fix: str
) -> None:
    with pytest.raises(NotFound) as refused:
        await task_desk(house).wait(wire.WaitQuery(batch=fragment))
    assert refused.value.fix == fix


async def test_a_dry_run_has_no_ids_and_creates_nothing(house: House) -> None:
    desk, us = task_desk(house), Peer(uid=0, gid=0, pid=1, user="ann")
    order = wire.SubmitRequest(
        account="demo", batch=True, requests=[wire.TopicRequest(topic=one, idempotency_key=one) for one in ("一", "二")]
    )
    await desk.submit(wire.SubmitRequest(account="demo", requests=order.requests[:1]), peer=us)
    told = (await desk.submit(structs.replace(order, dry_run=True), peer=us)).tasks
    assert [(one.id, one.created, one.already_submitted) for one in told] == [(None, False, True), (None, False, False)]
    made = (await desk.submit(order, peer=us)).tasks
    assert [(one.created, one.already_submitted) for one in made] == [(False, True), (True, False)]
    assert await house.value("SELECT count(*) FROM task") == 2
