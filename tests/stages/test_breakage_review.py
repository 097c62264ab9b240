"""Decisions and publishing that meet: whoever waited for the other sees what the other did."""

import asyncio

import pytest
from sqlalchemy import text

from contenthubd.domain.content import ContentEvent, ContentState
from contenthubd.domain.errors import InvalidInput
from contenthubd.domain.task import Mode
from tests.stages.house import POLICY, House

PATIENCE_SECONDS = 60.0
LOOK_SECONDS = 0.01
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


async def test_a_rejection_that_waited_for_an_approval_empties_the_pool_again(house: House) -> None:
    task = await house.completed(mode=Mode.ASYNC, auto_approve=False)
    content = await house.content(task)
    async with house.database.transaction() as connection:
        await connection.execute(text("SELECT 1 FROM content WHERE id = :id FOR UPDATE"), {"id": content.id})
        rejection = asyncio.ensure_future(
            house.review(content.id, ContentState.APPROVED, ContentEvent.REJECTED, by="ben", reason="")
        )
        await waits(house)
        approval = {"id": content.id, "pool": house.clock.new_id(), "now": house.clock.now()}
        await connection.execute(
            text("UPDATE content SET state = 'approved', reviewed_at = :now, reviewed_by = 'ann' WHERE id = :id"),
            approval,
        )
        await connection.execute(
            text(
                "INSERT INTO publication (id, content_id, target, state, priority, due_at, "
                "created_at) VALUES (:pool, :id, 'shelf', 'pending', 5, :now, :now)"
            ),
            approval,
        )
    await rejection

    assert (await house.content(task)).state == "rejected"
    assert (await house.publication(task)).state == "cancelled"


async def test_a_rejection_that_waited_for_a_claim_is_told(house: House) -> None:
    task = await house.completed(mode=Mode.ASYNC)
    content = await house.content(task)
    async with house.database.transaction() as connection:
        await connection.execute(text("SELECT 1 FROM content WHERE id = :id FOR UPDATE"), {"id": content.id})
        rejection = asyncio.ensure_future(house.pool.review(
            content.id, ContentEvent.REJECTED, by="ben", reason="", now=house.clock.now(), pool=()
        ))  # fmt: skip
        await waits(house)
        await connection.execute(text("UPDATE publication SET state = 'publishing', owner = 'other/run'"))
    assert await rejection is False

    assert (await house.content(task)).state == "approved"
    assert (await house.publication(task)).state == "publishing"


async def test_a_content_that_is_being_decided_about_is_not_claimed(house: House) -> None:
    task = await house.completed(mode=Mode.ASYNC)
    content = await house.content(task)
    async with house.database.transaction() as connection:
        await connection.execute(text("SELECT 1 FROM content WHERE id = :id FOR UPDATE"), {"id": content.id})
        assert (await house.pool.claim_due(house.clock.now(), 10, house.owner, longest=POLICY.longest))[0] == []
    assert len((await house.pool.claim_due(house.clock.now(), 10, house.owner, longest=POLICY.longest))[0]) == 1


async def waits(house: House) -> None:
    """Until somebody waits for a lock in this database."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await house.value(WAITING):  # noqa: ASYNC110 - PostgreSQL tells nobody; the time is bounded
            await asyncio.sleep(LOOK_SECONDS)


@pytest.mark.parametrize("reason", ["\u200b", "no \u202e", "no \x9b", "\x1b[2J"])
async def test_a_reason_that_nobody_can_read_is_refused(house: House, reason: str) -> None:
    task = await house.completed(auto_approve=False)
    content_id = await house.value("SELECT id FROM content WHERE task_id = :id", id=task.task_id)
    with pytest.raises(InvalidInput, match="The reason contains"):
        await house.review(content_id, ContentState.PENDING_REVIEW, ContentEvent.REJECTED, by="me", reason=reason)
    assert await house.value("SELECT state FROM content") == "pending_review"
