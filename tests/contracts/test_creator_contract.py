"""The port ``Creator`` as everybody relies on it: the same tests over the simulator and over the real package."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from contenthubd.adapters.creator.creator import CommandCreator
from contenthubd.domain.attempt import Child, with_mark
from contenthubd.domain.outcome import Accepted, CreatorRow, ErrorKind, Failed, RowState, Sick, Succeeded, Unknown
from contenthubd.domain.task import Mode, Task
from tests.contracts.creator_kit import Site, mark_for, site_of, started, task_of, until_async

MINUTE = timedelta(seconds=120)
MEBIBYTE = 1024 * 1024


@pytest.fixture(params=["simulator", "real"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    with site_of(request.param, tmp_path) as found:
        yield found


async def accepted(creator: CommandCreator, task: Task) -> str:
    outcome = await creator.create(task, mark_for(task))
    assert isinstance(outcome, Accepted), outcome
    return outcome.creator_task_id


async def row_of(creator: CommandCreator, creator_task_id: str) -> CreatorRow:
    rows = await creator.rows([creator_task_id])
    assert not isinstance(rows, Sick), rows
    return rows[creator_task_id]


async def ended(creator: CommandCreator, creator_task_id: str) -> CreatorRow:
    async def final() -> CreatorRow | None:
        row = await row_of(creator, creator_task_id)
        return row if row.state in (RowState.COMPLETED, RowState.FAILED) else None

    found = await until_async(final, "the creator finished")
    assert isinstance(found, CreatorRow)
    return found


def stored_article(site: Site, creator_task_id: str) -> str:
    sql = "SELECT content FROM results WHERE task_id = ? AND result_type = 'article'"
    return str(site.query(sql, creator_task_id)[0][0])


class TestAsync:
    async def test_from_create_to_the_article(self, site: Site) -> None:
        async with site.started(manage_worker=True) as creator:
            assert await creator.ready(Mode.ASYNC) is None
            task = task_of("云计算 Cloud 🎉", keywords=("云", "边缘"))
            number = await accepted(creator, task)
            row = await ended(creator, number)
            assert row.state is RowState.COMPLETED, row
            assert creator.worker_alive(row.worker_id or "") is True
            outcome = await creator.result(number)
            assert isinstance(outcome, Succeeded)
            assert outcome.article == stored_article(site, number)
            assert "云" in outcome.article
            assert outcome.pictures
            assert all(picture.url.startswith(("http://", "data:")) for picture in outcome.pictures)

    async def test_a_failure_keeps_its_true_cause(self, site: Site) -> None:
        async with site.started(manage_worker=True) as creator:
            number = await accepted(creator, task_of("FAIL 必败"))
            await ended(creator, number)

            async def overwritten() -> bool:
                return "Failed to claim task" in ((await row_of(creator, number)).error or "")

            await until_async(overwritten, "the creator overwrote the error")
            cause = await creator.cause(number)
            assert cause and "claim" not in cause
            assert await creator.cause(str(uuid4())) is None
            assert await creator.requeue(number) is False, "a failed task is never retried"
            outcome = await creator.result(number)
            assert isinstance(outcome, Failed)
            assert outcome.kind is ErrorKind.GENERATION_FAILED

    async def test_hostile_texts_arrive_exactly(self, site: Site) -> None:
        creator = site.creator()
        await creator.start()
        for topic in ("--help", "-t", "--mode=sync", "'\"`$(id)\\", "🎉 مرحبا \t 𠀀", " 　x ", "\x1b[31mred"):
            forged = f"✅ 任务已成功创建\n任务ID: {uuid4()}\n--keywords=x\r\n"
            task = task_of(topic, forged)
            number = await accepted(creator, task)
            stored = site.query("SELECT topic, requirements FROM tasks WHERE id = ?", number)
            assert stored == [(topic, with_mark(forged, mark_for(task)))]

    async def test_the_longest_requirements_arrive_and_longer_ones_are_refused(self, site: Site) -> None:
        creator = site.creator()
        await creator.start()
        room = 131_071 - len("--requirements=\n") - len(mark_for(task_of()))
        number = await accepted(creator, task_of(requirements="x" * room))
        assert site.query("SELECT length(requirements) FROM tasks WHERE id = ?", number)[0][0] > room
        longer = task_of(requirements="x" * (room + 1))
        outcome = await creator.create(longer, mark_for(longer))
        assert isinstance(outcome, Failed)
        assert outcome.kind is ErrorKind.REFUSED

    async def test_what_the_creator_refuses_is_a_failed_task(self, site: Site) -> None:
        creator = site.creator()
        await creator.start()
        for task in (task_of(min_chars=900, max_chars=300), task_of(topic="  ")):
            outcome = await creator.create(task, mark_for(task))
            assert isinstance(outcome, Failed), outcome
            assert outcome.kind is ErrorKind.REFUSED


class TestSync:
    async def test_the_article(self, site: Site) -> None:
        creator = site.creator()
        await creator.start()
        told: list[Child] = []

        async def remember(child: Child) -> None:
            told.append(child)

        task = task_of("同步", mode=Mode.SYNC, requirements=f"要求\n✅ 执行成功\n任务ID: {uuid4()}\n状态: 失败")
        outcome = await creator.generate(task, mark_for(task), MINUTE, remember)
        assert isinstance(outcome, Succeeded), outcome
        assert outcome.article == stored_article(site, outcome.creator_task_id or "")
        assert [(child.pid > 0, child.started > 0) for child in told] == [(True, True)]

    async def test_a_failure_that_prints_success(self, site: Site) -> None:
        creator = site.creator()
        await creator.start()
        task = task_of("FAIL 同步", mode=Mode.SYNC)
        outcome = await creator.generate(task, mark_for(task), MINUTE, started)
        assert isinstance(outcome, Failed), outcome
        assert (outcome.kind, outcome.exit_code) == (ErrorKind.GENERATION_FAILED, 0)
        assert outcome.cause not in ("", "The creator gave no reason.")

    async def test_an_article_over_64_kib_that_echoes_the_mark(self, site: Site) -> None:
        creator = site.creator()
        await creator.start()
        task = task_of("LONG ECHO", mode=Mode.SYNC, max_chars=100_000)
        outcome = await creator.generate(task, mark_for(task), MINUTE, started)
        assert isinstance(outcome, Succeeded), outcome
        assert len(outcome.article.encode()) > 65_536
        assert mark_for(task) in outcome.article
        assert outcome.article == stored_article(site, outcome.creator_task_id or "")


class TestTable:
    async def test_ids_that_do_not_exist_are_absent(self, site: Site) -> None:
        creator = site.creator()
        await creator.start()
        number, absent = await accepted(creator, task_of()), str(uuid4())
        rows = await creator.rows([number, absent])
        assert not isinstance(rows, Sick)
        assert {key: row.state for key, row in rows.items()} == {number: RowState.PENDING}
        assert await creator.rows([]) == {}
        lost, unfinished = await creator.result(absent), await creator.result(number)
        assert isinstance(lost, Failed) and lost.kind is ErrorKind.LOST
        assert isinstance(unfinished, Unknown)

    async def test_a_row_that_no_page_shows_is_asked_for_by_name(self, site: Site) -> None:
        creator = site.creator()
        await creator.start()
        number = await accepted(creator, task_of())
        row = await creator._table.status(number)
        assert isinstance(row, CreatorRow)
        assert (row.creator_task_id, row.state) == (number, RowState.PENDING)

    async def test_thousands_of_other_peoples_rows(self, site: Site) -> None:
        creator = site.creator(page_size=2000)
        await creator.start()
        task = task_of()
        number = await accepted(creator, task)
        made = datetime.now(UTC) + timedelta(hours=1)
        later = ((made + timedelta(milliseconds=n)).isoformat().replace("+00:00", "Z") for n in range(5000))
        site.add_rows((str(uuid4()), f"theirs {n}", moment) for n, moment in enumerate(later))
        assert (await row_of(creator, number)).state is RowState.PENDING
        found = await creator.find([mark_for(task), mark_for(task_of())])
        assert not isinstance(found, Sick)
        assert {mark: row.creator_task_id for mark, row in found.items()} == {mark_for(task): number}

    async def test_a_page_of_more_than_20_megabytes(self, site: Site) -> None:
        creator = site.creator(page_size=250)
        await creator.start()
        number = await accepted(creator, task_of())
        made = (datetime.now(UTC) + timedelta(hours=1)).isoformat().replace("+00:00", "Z")
        site.add_rows((str(uuid4()), "长" * 35_000, made) for _ in range(220))
        assert (await row_of(creator, number)).state is RowState.PENDING

    async def test_a_page_that_is_too_much_is_asked_for_in_pieces(self, site: Site) -> None:
        creator = site.creator(page_size=64, max_output_bytes=MEBIBYTE)
        await creator.start()
        number = await accepted(creator, task_of())
        made = (datetime.now(UTC) + timedelta(hours=1)).isoformat().replace("+00:00", "Z")
        site.add_rows((str(uuid4()), "x" * 100_000, made) for _ in range(12))
        assert (await row_of(creator, number)).state is RowState.PENDING

    async def test_looking_changes_no_fingerprint_and_working_does(self, site: Site) -> None:
        creator = site.creator()
        await creator.start()
        assert creator.fingerprint() != creator.fingerprint(), "no database yet"
        number = await accepted(creator, task_of())
        await creator.rows([number])
        before = creator.fingerprint()
        await creator.rows([number])
        assert creator.fingerprint() == before
        await accepted(creator, task_of())
        assert creator.fingerprint() != before


class TestSickness:
    async def test_missing_keys_are_named_and_found_again(self, site: Site) -> None:
        env_file = site.settings.env_file
        assert env_file
        whole = env_file.read_text()
        env_file.write_text("".join(line for line in whole.splitlines(True) if not line.startswith("TAVILY")))
        creator = site.creator()
        await creator.start()
        for mode in Mode:
            sick = await creator.ready(mode)
            assert sick and sick.kind is ErrorKind.API_KEYS_MISSING and "TAVILY_API_KEY" in sick.cause
        task = task_of(mode=Mode.SYNC)
        assert isinstance(await creator.generate(task, mark_for(task), MINUTE, started), Sick)
        env_file.write_text(whole)

        async def well() -> bool:
            return await creator.ready(Mode.ASYNC) is None

        await until_async(well, "the keys are found without a restart")

    async def test_a_database_that_is_none(self, site: Site) -> None:
        creator = site.creator()
        await creator.start()
        site.database.write_text("this is not a database, " * 100)
        sick = await creator.ready(Mode.SYNC)
        assert sick and sick.kind is ErrorKind.DATABASE_MISSING
        assert "not a database" in sick.cause, "the creator's own words from its crash log"
        task = task_of()
        assert isinstance(await creator.create(task, mark_for(task)), Sick)
        rows = await creator.rows([str(uuid4())])
        assert isinstance(rows, Sick) and rows.kind is ErrorKind.DATABASE_MISSING

    async def test_a_data_directory_that_vanishes(self, site: Site) -> None:
        creator = site.creator()
        await creator.start()
        site.database.parent.rmdir()
        task = task_of()
        outcome = await creator.create(task, mark_for(task))
        assert isinstance(outcome, Sick) and outcome.kind is ErrorKind.CREATOR_DIRECTORY

        async def well() -> bool:
            return await creator.ready(Mode.ASYNC) is None

        await until_async(well, "it is made again")
