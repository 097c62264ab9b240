"""An administrator ends our connections, again and again, while work goes on: no call hangs, and the next one works."""

import anyio
from sqlalchemy import text

from contenthubd.adapters.postgres.engine import Database
from contenthubd.domain.errors import DatabaseRefused, DatabaseUnavailable
from contenthubd.domain.task import TaskState
from tests.plain_connection import connect_to
from tests.stages.house import House

ROUNDS = 20
_END = """
    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


async def test_a_call_whose_connection_is_ended_says_away_and_the_next_one_works(database: Database) -> None:
    outside = await connect_to(database.url)
    ended = 0
    try:
        for _ in range(ROUNDS):
            async with anyio.create_task_group() as group:
                for _ in range(4):
                    group.start_soon(_asked, database)
                ended += await outside.fetchval(_END)
            try:
                assert (await database.rows(text("SELECT 1")))[0][0] == 1
            except DatabaseUnavailable as fault:
                assert not isinstance(fault, DatabaseRefused), "it passes: no person is needed"
                assert (await database.rows(text("SELECT 1")))[0][0] == 1
    finally:
        await outside.close()
    assert ended >= ROUNDS, "connections were there to be ended"


async def _asked(database: Database) -> None:
    try:
        await database.rows(text("SELECT pg_sleep(0.01)"))
    except DatabaseUnavailable as fault:
        assert not isinstance(fault, DatabaseRefused)


async def test_tasks_are_finished_through_it_and_none_is_charged(house: House) -> None:
    outside = await connect_to(house.database.url)
    try:
        for number in range(3):
            task, creator_task_id = await house.accepted(f"第{number}个")
            house.creator.finish(creator_task_id)
            for _ in range(10):
                await outside.fetchval(_END)
                try:
                    await house.look()
                    break
                except DatabaseUnavailable:
                    continue
            await house.look()
            now = await house.now(task)
            assert (now.state, now.retry_count, now.attempt) == (TaskState.COMPLETED, 0, 1)
    finally:
        await outside.close()
    assert await house.value("SELECT count(*) FROM content") == 3
