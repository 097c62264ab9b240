"""Poll: ends are noticed in time and with few questions, deadlines are kept, and lost jobs are queued again."""

from collections.abc import Collection
from datetime import timedelta
from uuid import UUID

import pytest

from contenthubd.domain.outcome import CreatorRow, ErrorKind, Failed, Picture, RowState, Sick, Succeeded, Unknown
from contenthubd.domain.task import Mode, TaskState
from contenthubd.ports.stage import Stage
from contenthubd.stages.poll import IDLE
from tests.stages.house import House
from tests.stages.scripted_creator import Create, ScriptedCreator

LOCKED = Sick(ErrorKind.DATABASE_MISSING, "locked")
SECOND = timedelta(seconds=1)


async def test_nothing_in_flight_asks_nothing(house: House) -> None:
    assert await house.polled() == IDLE
    assert house.creator.calls["rows"] == 0
    assert house.creator.in_flight_told == 0


async def test_the_creator_is_told_how_many_async_attempts_are_in_flight(house: House) -> None:
    await house.accepted()
    await house.claimed(mode=Mode.SYNC)
    await house.polled()
    assert house.creator.in_flight_told == 1
    assert house.slots.used == 2


async def test_a_look_is_never_later_than_the_interval(house: House) -> None:
    task, creator_task_id = await house.accepted()
    house.creator.finish(creator_task_id)
    for _ in range(30):
        assert await house.polled() <= 2 * SECOND
        assert await house.state(task) is TaskState.SUBMITTED
        house.clock.advance(1)
    await house.polled()
    assert await house.state(task) is TaskState.COMPLETED
    assert house.creator.calls["rows"] == 1
    assert await house.polled() == IDLE


async def test_history_brings_the_looks_closer_when_a_task_is_about_to_finish(house: House) -> None:
    for number in range(5):
        task, creator_task_id = await house.accepted(f"第{number}个")
        house.clock.advance(100)
        house.creator.finish(creator_task_id, at=house.clock.now())
        await house.look()
        assert await house.state(task) is TaskState.COMPLETED
    task, creator_task_id = await house.accepted("下一个")
    await house.polled()
    began = house.clock.now()
    while house.clock.now() <= began + timedelta(seconds=104):
        if house.clock.now() == began + timedelta(seconds=101):
            house.creator.finish(creator_task_id, at=house.clock.now())
        await house.polled()
        house.clock.advance(1)
    assert await house.state(task) is TaskState.COMPLETED, "noticed within three seconds, not within thirty"


async def test_nothing_new_in_the_creators_database_means_no_question(house: House) -> None:
    _, creator_task_id = await house.accepted()
    for _ in range(4):
        await house.look()
    assert house.creator.calls["rows"] == house.poll.calls == 1
    house.creator.move(creator_task_id, state=RowState.RUNNING)
    await house.look()
    assert house.poll.calls == 2


async def test_one_question_answers_for_all(house: House) -> None:
    found = [await house.accepted(f"第{number}个") for number in range(5)]
    for _, creator_task_id in found:
        house.creator.finish(creator_task_id)
    await house.look()
    assert {await house.state(task) for task, _ in found} == {TaskState.COMPLETED}
    assert (house.creator.calls["rows"], house.creator.calls["result"]) == (1, 5)


async def test_a_task_that_the_worker_began_is_running(house: House) -> None:
    task, creator_task_id = await house.accepted()
    house.creator.move(creator_task_id, state=RowState.RUNNING)
    await house.look()
    await house.look()
    assert await house.state(task) is TaskState.RUNNING
    assert (await house.facts(task)).count("task_started") == 1


async def test_a_creator_that_cannot_be_asked_costs_nothing(house: House) -> None:
    task, creator_task_id = await house.accepted()
    house.creator.finish(creator_task_id)
    house.creator.sick_rows.append(LOCKED)
    await house.look()
    assert await house.state(task) is TaskState.SUBMITTED
    await house.look()
    assert await house.state(task) is TaskState.COMPLETED


@pytest.mark.parametrize("trouble", [LOCKED, Unknown("no answer")])
async def test_an_article_that_cannot_be_had_just_now_is_fetched_later(house: House, trouble: Sick | Unknown) -> None:
    task, creator_task_id = await house.accepted()
    house.creator.finish(creator_task_id)
    house.creator.results[creator_task_id] = trouble
    await house.look()
    assert (await house.now(task)).retry_count == 0
    assert (await house.attempt(task)).ended_at is None
    house.creator.results[creator_task_id] = Succeeded("# 后来", (Picture("https://i/1"),), creator_task_id)
    await house.look()
    assert await house.state(task) is TaskState.COMPLETED
    assert house.creator.calls["create"] == 1


async def test_an_article_that_cannot_be_read_is_a_failure(house: House) -> None:
    task, creator_task_id = await house.accepted()
    house.creator.finish(creator_task_id)
    house.creator.results[creator_task_id] = Failed(ErrorKind.OUTPUT_UNREADABLE, "garbage")
    await house.look()
    now = await house.now(task)
    assert (now.state, now.error_kind) == (TaskState.RETRYING, "output_unreadable")


async def test_the_true_cause_wins_over_what_the_row_says(house: House) -> None:
    task, creator_task_id = await house.accepted()
    house.creator.move(creator_task_id, state=RowState.FAILED, error="Failed to claim task")
    house.creator.causes[creator_task_id] = "LLM API 500"
    await house.look()
    now = await house.now(task)
    assert (now.error_kind, now.error, now.retry_count) == ("generation_failed", "LLM API 500", 1)


@pytest.mark.parametrize(
    "state, error, cause",
    [
        (RowState.FAILED, "quota used up", "quota used up"),
        (RowState.FAILED, None, "The creator gave no reason."),
        (RowState.CANCELLED, None, "The task was cancelled at the creator."),
    ],
)
async def test_without_it_the_row_is_believed(house: House, state: RowState, error: str | None, cause: str) -> None:
    task, creator_task_id = await house.accepted()
    house.creator.move(creator_task_id, state=state, error=error)
    await house.look()
    assert (await house.now(task)).error == cause


async def test_a_row_that_vanished_is_lost(house: House) -> None:
    task, creator_task_id = await house.accepted()
    house.creator.forget(creator_task_id)
    await house.look()
    now = await house.now(task)
    assert (now.state, now.error_kind) == (TaskState.RETRYING, "lost")


async def test_what_a_dead_worker_left_is_noticed_before_the_next_look_is_due(house: House) -> None:
    task, creator_task_id = await house.accepted()
    house.creator.workers["w1"] = True
    house.creator.move(creator_task_id, state=RowState.RUNNING, worker_id="w1")
    await house.look()
    assert await house.state(task) is TaskState.RUNNING
    house.creator.workers["w1"] = False
    house.clock.advance(1)
    await house.polled()
    now = await house.now(task)
    assert (now.state, now.error_kind, now.retry_count, now.deaths) == (TaskState.RETRYING, "worker_gone", 0, 1)


@pytest.mark.parametrize("alive", [True, None])
async def test_a_worker_that_lives_or_is_not_ours_is_waited_for(house: House, alive: bool | None) -> None:
    task, creator_task_id = await house.accepted()
    if alive is not None:
        house.creator.workers["w1"] = alive
    house.creator.move(creator_task_id, state=RowState.RUNNING, worker_id="w1")
    await house.look()
    await house.look()
    assert await house.state(task) is TaskState.RUNNING


async def test_a_failure_that_only_follows_from_a_dead_worker_is_its_fault(house: House) -> None:
    task, creator_task_id = await house.accepted()
    house.creator.workers["w1"] = False
    house.creator.move(creator_task_id, state=RowState.FAILED, error="Failed to claim task x", worker_id="w1")
    await house.look()
    assert (await house.now(task)).error_kind == "worker_gone"


async def test_a_worker_that_we_stopped_ourselves_costs_nothing(house: House) -> None:
    task, creator_task_id = await house.accepted()
    house.creator.workers["w1"] = False
    house.creator.move(creator_task_id, state=RowState.RUNNING, worker_id="w1")
    house.poll.draining = True
    await house.look()
    now = await house.now(task)
    assert (now.state, now.error_kind, now.retry_count, now.deaths) == (TaskState.RETRYING, "stopped", 0, 0)


async def test_a_pending_row_without_a_job_is_queued_again_and_not_too_often(house: House) -> None:
    task, creator_task_id = await house.accepted()
    house.creator.without_job.add(creator_task_id)
    await house.look()
    assert house.creator.calls["requeue"] == 1
    assert (await house.attempt(task)).requeued_at == house.clock.now()
    await house.look()
    assert house.creator.calls["requeue"] == 1, "it gets a minute to show"
    await house.look()
    assert house.creator.calls["requeue"] == 2
    assert (await house.now(task)).attempt == 1


async def test_a_fresh_row_is_left_in_peace(house: House) -> None:
    house.poll.interval = timedelta(seconds=5)
    await house.accepted()
    await house.polled()
    house.clock.advance(10)
    await house.polled()
    assert house.creator.calls["requeue"] == 0


async def test_a_deadline_is_kept_to_the_second_and_the_attempt_goes_on_being_watched(house: House) -> None:
    task, creator_task_id = await house.accepted(timeout_seconds=100)
    house.creator.move(creator_task_id, state=RowState.RUNNING)
    await house.look()
    house.clock.advance(69.5)
    assert await house.polled() <= timedelta(seconds=0.5)
    assert await house.state(task) is TaskState.RUNNING
    house.clock.advance(0.5)
    await house.polled()
    now = await house.now(task)
    assert (now.state, now.error_kind, now.retry_count) == (TaskState.RETRYING, "timed_out", 1)
    assert now.error == "The creator did not finish within 100 seconds."
    assert house.slots.used == 1
    house.creator.finish(creator_task_id, "# 迟到")
    await house.look()
    assert await house.state(task) is TaskState.COMPLETED
    assert (await house.attempt(task)).outcome == "succeeded"
    assert house.slots.used == 0


async def test_the_deadline_runs_anew_for_each_attempt(house: House) -> None:
    task, _ = await house.accepted(timeout_seconds=100)
    house.clock.advance(100)
    await house.polled()
    second = await house.again(task)
    await house.attempts.run(second)
    house.clock.advance(99)
    await house.polled()
    assert await house.state(task) is TaskState.SUBMITTED
    house.clock.advance(1)
    await house.polled()
    assert (await house.now(task)).retry_count == 2


async def test_a_late_success_overtakes_the_attempt_that_runs_now(house: House) -> None:
    task, first = await house.accepted(timeout_seconds=60)
    house.clock.advance(60)
    await house.polled()
    second = await house.again(task)
    await house.attempts.run(second)
    house.creator.finish(first, "# 第一次")
    await house.look()
    assert await house.state(task) is TaskState.COMPLETED
    assert (await house.content(task)).title == "第一次"
    row = await house.attempt(task, 2)
    assert row.abandoned_at is not None and row.ended_at is None
    assert house.slots.used == 1
    house.creator.finish(row.creator_task_id, "# 第二次")
    await house.look()
    assert (await house.attempt(task, 2)).outcome == "late_success_dropped"
    assert await house.value("SELECT count(*) FROM content") == 1


async def test_an_abandoned_attempt_that_fails_only_ends(house: House) -> None:
    task, creator_task_id = await house.accepted(timeout_seconds=60)
    house.clock.advance(60)
    await house.polled()
    before = await house.now(task)
    house.creator.move(creator_task_id, state=RowState.FAILED, error="too late")
    await house.look()
    assert await house.now(task) == before
    assert (await house.attempt(task)).outcome == "failed"
    assert house.slots.used == 0


async def test_an_abandoned_attempt_whose_article_cannot_be_read_only_ends(house: House) -> None:
    task, creator_task_id = await house.accepted(timeout_seconds=60)
    house.clock.advance(60)
    await house.polled()
    house.creator.finish(creator_task_id)
    house.creator.results[creator_task_id] = Failed(ErrorKind.OUTPUT_UNREADABLE, "garbage")
    await house.look()
    assert (await house.now(task)).retry_count == 1
    assert (await house.attempt(task)).outcome == "failed"


async def test_an_abandoned_attempt_is_given_up_in_the_end(house: House) -> None:
    task, _ = await house.accepted()
    await house.steer.cancel(task.task_id, by="test")
    house.clock.advance(3599)
    await house.polled()
    assert house.slots.used == 1
    house.clock.advance(1)
    rung = house.rung[Stage.DISPATCH]
    await house.polled()
    assert (await house.attempt(task)).outcome == "given_up"
    assert (house.slots.used, house.rung[Stage.DISPATCH]) == (0, rung + 1)
    assert (await house.facts(task))[-1] == "attempt_ended"


async def test_so_is_one_that_never_got_an_id(house: House) -> None:
    task = await house.claimed()
    await house.steer.cancel(task.task_id, by="test")
    house.clock.advance(3600)
    assert await house.polled() == IDLE
    assert (await house.attempt(task)).outcome == "given_up"


class Meddling(ScriptedCreator):
    """While it is asked for rows, a person cancels and revives a task, and dispatch claims it anew."""

    house: House
    task_id: UUID

    async def rows(self, wanted: Collection[str]) -> dict[str, CreatorRow] | Sick:
        found = await super().rows(wanted)
        await self.house.steer.cancel(self.task_id, by="test")
        await self.house.steer.revive(self.task_id, by="test")
        await self.house.beat()
        await self.house.dispatch.tick()
        return found


@pytest.mark.parametrize("found", [RowState.FAILED, RowState.RUNNING, RowState.COMPLETED])
async def test_an_old_row_says_nothing_about_a_new_attempt(house: House, found: RowState) -> None:
    creator = Meddling()
    creator.house = house = House(house.database, house.clock, creator)
    task, creator_task_id = await house.accepted()
    creator.task_id = task.task_id
    creator.finish(creator_task_id, "# 早先的")
    creator.move(creator_task_id, state=found)
    await house.look()
    now, old = await house.now(task), await house.attempt(task, 1)
    assert (now.attempt, now.retry_count, now.error) == (2, 0, None)
    assert now.state is (TaskState.COMPLETED if found is RowState.COMPLETED else TaskState.SUBMITTING)
    assert old.outcome == {RowState.FAILED: "failed", RowState.COMPLETED: "succeeded"}.get(found)


async def test_a_reading_older_than_a_change_does_not_correct_the_places(house: House) -> None:
    await house.claimed()
    changes = house.slots.changes
    house.slots.give_back()
    house.slots.correct(1, changes)
    assert house.slots.used == 0
    rung = house.rung[Stage.DISPATCH]
    house.slots.correct(3, house.slots.changes)
    assert (house.slots.used, house.slots.free, house.rung[Stage.DISPATCH]) == (3, 2, rung)
    house.slots.correct(1, house.slots.changes)
    assert house.rung[Stage.DISPATCH] == rung + 1


async def test_a_scripted_failure_of_generate_is_settled_like_any_other(house: House) -> None:
    house.creator.script.append(Create(Failed(ErrorKind.CHILD_KILLED, "signal 9")))
    task = await house.claimed(mode=Mode.SYNC)
    await house.attempts.run(task)
    assert (await house.now(task)).error_kind == "child_killed"
