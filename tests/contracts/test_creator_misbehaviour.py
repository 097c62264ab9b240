"""A creator that lies, hangs, dies and floods: every ending has its own outcome, and nothing is made twice."""

import asyncio
import errno
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from contenthubd.adapters.creator.command import Cut, Finished, NotStarted
from contenthubd.adapters.creator.creator import CommandCreator
from contenthubd.adapters.creator.directory import Directory
from contenthubd.adapters.creator.process import lives
from contenthubd.adapters.creator.verdict import refusal, sickness, story
from contenthubd.domain.attempt import Child
from contenthubd.domain.outcome import ErrorKind, Failed, Outcome, RowState, Sick, Succeeded, TimedOut, Unknown
from contenthubd.domain.task import Mode
from tests.contracts.creator_kit import (
    FixedClock,
    Site,
    mark_for,
    script,
    settings_for,
    site_of,
    started,
    task_of,
    until,
    until_async,
)

LONG = timedelta(seconds=120)
SOON = timedelta(seconds=2)
MEBIBYTE = 1024 * 1024


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with site_of("simulator", tmp_path) as found:
        yield found


def told(site: Site, **behaviour: str) -> Site:
    """The same site with a simulator that misbehaves."""
    variables = {f"CREATOR_SIMULATOR_{name.upper()}": value for name, value in behaviour.items()}
    return replace(site, settings=replace(site.settings, environ={**site.settings.environ, **variables}))


async def prepared(site: Site, **changes: object) -> CommandCreator:
    creator = site.creator(**changes)
    await creator.start()
    return creator


async def generated(creator: CommandCreator, topic: str = "同步", timeout: timedelta = LONG) -> Outcome:
    task = task_of(topic, mode=Mode.SYNC)
    return await creator.generate(task, mark_for(task), timeout, started)


class TestCreate:
    @pytest.mark.parametrize(
        ("kind", "stored"), [("crash", False), ("crash_after", True), ("garbage", True), ("empty", True)]
    )
    async def test_a_lost_answer_is_unknown_and_the_mark_tells(self, site: Site, kind: str, stored: bool) -> None:
        creator = await prepared(told(site, misbehaviour=kind, misbehaviour_on="create"))
        task = task_of()
        outcome = await creator.create(task, mark_for(task))
        assert isinstance(outcome, Unknown), outcome
        found = await creator.find([mark_for(task)])
        assert not isinstance(found, Sick)
        states = {mark: row.state for mark, row in found.items()}
        assert states == ({mark_for(task): RowState.PENDING} if stored else {})

    @pytest.mark.parametrize("kind", ["hang", "hang_after"])
    async def test_a_create_that_hangs_is_unknown(self, site: Site, kind: str) -> None:
        creator = await prepared(told(site, misbehaviour=kind, misbehaviour_on="create"), command_timeout=SOON)
        task = task_of()
        outcome = await creator.create(task, mark_for(task))
        assert isinstance(outcome, Unknown)
        assert "in time" in outcome.cause

    async def test_a_create_that_floods_is_unknown(self, site: Site) -> None:
        creator = await prepared(
            told(site, misbehaviour="flood", misbehaviour_on="create"), max_output_bytes=MEBIBYTE, command_timeout=LONG
        )
        task = task_of()
        assert isinstance(await creator.create(task, mark_for(task)), Unknown)


class TestGenerate:
    @pytest.mark.parametrize("kind", ["garbage", "empty", "crash_after"])
    async def test_an_article_whose_news_was_lost_is_found(self, site: Site, kind: str) -> None:
        creator = await prepared(told(site, misbehaviour=kind, misbehaviour_on="create"))
        assert isinstance(await generated(creator), Succeeded)

    async def test_a_failure_whose_news_was_lost_keeps_its_cause(self, site: Site) -> None:
        creator = await prepared(told(site, misbehaviour="garbage", misbehaviour_on="create"))
        outcome = await generated(creator, "FAIL")
        assert isinstance(outcome, Failed)
        assert outcome.kind is ErrorKind.GENERATION_FAILED
        assert outcome.cause

    async def test_a_child_that_is_killed(self, site: Site) -> None:
        outcome = await generated(await prepared(told(site, misbehaviour="crash", misbehaviour_on="create")))
        assert isinstance(outcome, Failed)
        assert (outcome.kind, outcome.exit_code) == (ErrorKind.CHILD_KILLED, -9)

    async def test_a_flood_is_unreadable(self, site: Site) -> None:
        creator = await prepared(told(site, misbehaviour="flood", misbehaviour_on="create"), max_output_bytes=MEBIBYTE)
        outcome = await generated(creator)
        assert isinstance(outcome, Failed)
        assert outcome.kind is ErrorKind.OUTPUT_UNREADABLE

    async def test_a_hang_times_out(self, site: Site) -> None:
        creator = await prepared(told(site, misbehaviour="hang", misbehaviour_on="create"))
        assert isinstance(await generated(creator, timeout=timedelta(seconds=0.5)), TimedOut)

    async def test_when_nothing_can_be_looked_up_the_outcome_is_unknown(self, site: Site) -> None:
        creator = await prepared(told(site, misbehaviour="garbage"))
        assert isinstance(await generated(creator), Unknown)

    async def test_a_task_without_an_article(self, site: Site) -> None:
        creator = await prepared(site)
        done = await generated(creator)
        assert isinstance(done, Succeeded)
        site.query("DELETE FROM results WHERE task_id = ?", done.creator_task_id)
        outcome = await creator.result(done.creator_task_id or "")
        assert isinstance(outcome, Failed)
        assert outcome.kind is ErrorKind.ARTICLE_EMPTY

    async def test_cancelling_ends_the_child(self, site: Site) -> None:
        creator = await prepared(told(site, misbehaviour="hang", misbehaviour_on="create"))
        children: list[Child] = []

        async def remember(child: Child) -> None:
            children.append(child)

        task = task_of(mode=Mode.SYNC)
        running = asyncio.create_task(creator.generate(task, mark_for(task), LONG, remember))
        await until(lambda: children, "the child was started")
        assert creator.health()["children"] == 1
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert not lives(children[0])
        assert creator.health()["children"] == 0


class TestAsking:
    @pytest.mark.parametrize("kind", ["garbage", "empty", "crash"])
    async def test_a_list_that_cannot_be_read_is_a_sickness_and_nobody_is_absent(self, site: Site, kind: str) -> None:
        creator = await prepared(told(site, misbehaviour=kind, misbehaviour_on="list"))
        for answer in (await creator.rows([str(uuid4())]), await creator.find([mark_for(task_of())])):
            assert isinstance(answer, Sick)
            assert answer.kind is ErrorKind.OUTPUT_UNREADABLE
        ready = await creator.ready(Mode.SYNC)
        assert ready and ready.kind is ErrorKind.OUTPUT_UNREADABLE

    async def test_a_list_that_is_cut_hides_nobody(self, site: Site) -> None:
        creator = await prepared(site)
        outcome = await generated(creator)
        assert isinstance(outcome, Succeeded)
        site.add_rows((str(uuid4()), "x" * 50_000, "2099-01-01T00:00:00.000Z") for _ in range(3))
        cut = await prepared(told(site, misbehaviour="cut_output", misbehaviour_on="list"))
        assert isinstance(await cut.rows([outcome.creator_task_id or ""]), Sick)

    async def test_a_result_that_is_cut_is_unreadable(self, site: Site) -> None:
        outcome = await generated(await prepared(site), "LONG")
        assert isinstance(outcome, Succeeded)
        cut = await prepared(told(site, misbehaviour="cut_output", misbehaviour_on="result"))
        again = await cut.result(outcome.creator_task_id or "")
        assert isinstance(again, Failed)
        assert again.kind is ErrorKind.OUTPUT_UNREADABLE

    async def test_a_result_that_hangs_is_unknown(self, site: Site) -> None:
        creator = await prepared(told(site, misbehaviour="hang", misbehaviour_on="result"), command_timeout=SOON)
        assert isinstance(await creator.result(str(uuid4())), Unknown)

    @pytest.mark.parametrize("kind", ["empty", "crash"])
    async def test_a_status_that_cannot_be_read_makes_nobody_absent_and_hides_no_other(
        self, site: Site, kind: str
    ) -> None:
        good = await generated(await prepared(site))
        assert isinstance(good, Succeeded)
        assert good.creator_task_id
        poisoned = str(uuid4())
        creator = await prepared(told(site, misbehaviour=kind, misbehaviour_on="status"))
        answer = await creator.rows([good.creator_task_id, poisoned])
        assert not isinstance(answer, Sick)
        states = {name: row.state for name, row in answer.items()}
        unread = {poisoned: RowState.UNKNOWN} if kind == "crash" else {}  # an unknown id says so on stderr
        assert states == {good.creator_task_id: RowState.COMPLETED} | unread


class TestProgram:
    async def test_a_program_that_is_not_there(self, tmp_path: Path) -> None:
        creator = CommandCreator(settings_for(tmp_path, ("content-creator-that-is-not-there",)), FixedClock())
        await creator.start()
        task = task_of()
        rows = await creator.rows([str(task.task_id)])
        for outcome in (await creator.ready(Mode.SYNC), await generated(creator), rows):
            assert isinstance(outcome, Sick)
            assert outcome.kind is ErrorKind.CREATOR_MISSING
            assert "Errno" not in outcome.cause, "the number of an error tells people nothing"
            assert outcome.hint

    @pytest.mark.parametrize(
        "body",
        ["exit 127", "echo 'env: node: No such file' >&2; exit 127", 'echo "Error: Cannot find module x" >&2; exit 1'],
    )
    async def test_a_program_that_cannot_find_its_parts(self, tmp_path: Path, body: str) -> None:
        creator = CommandCreator(settings_for(tmp_path, script(tmp_path, body)), FixedClock())
        await creator.start()
        sick = await creator.ready(Mode.SYNC)
        assert sick
        assert sick.kind is ErrorKind.CREATOR_MISSING

    async def test_a_working_directory_that_is_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "creator").write_text("in the way")
        creator = CommandCreator(settings_for(tmp_path, manage_worker=True), FixedClock())
        await creator.start()
        for outcome in (await creator.ready(Mode.ASYNC), await generated(creator)):
            assert isinstance(outcome, Sick)
            assert outcome.kind is ErrorKind.CREATOR_DIRECTORY
        await creator.stop(LONG)

    async def test_it_is_not_asked_again_at_once(self, tmp_path: Path) -> None:
        calls = tmp_path / "calls"
        program = script(tmp_path, f"echo x >> {calls}; exit 127")
        creator = CommandCreator(settings_for(tmp_path, program, look_again=timedelta(hours=1)), FixedClock())
        await creator.start()
        for _ in range(20):
            assert await creator.ready(Mode.SYNC)
        assert calls.read_text() == "x\n"

    async def test_when_it_works_again_it_is_well(self, tmp_path: Path) -> None:
        creator = CommandCreator(settings_for(tmp_path, script(tmp_path, "exit 127")), FixedClock())
        await creator.start()
        assert await creator.ready(Mode.SYNC)
        script(tmp_path, "echo '[]'")

        async def well() -> bool:
            return await creator.ready(Mode.SYNC) is None

        await until_async(well, "the creator recovered")
        assert creator.health()["sick"] is None

    async def test_the_real_package_without_redis_works_in_sync_mode_only(self, tmp_path: Path) -> None:
        creator = CommandCreator(settings_for(tmp_path, script(tmp_path, "echo '[]'")), FixedClock())
        await creator.start()
        assert await creator.ready(Mode.SYNC) is None
        task = task_of()
        for outcome in (await creator.ready(Mode.ASYNC), await creator.create(task, mark_for(task))):
            assert isinstance(outcome, Sick)
            assert outcome.kind is ErrorKind.CREATOR_REDIS_DOWN


class TestVerdict:
    @pytest.fixture
    def directory(self, tmp_path: Path) -> Directory:
        directory = Directory(tmp_path)
        assert directory.prepare() is None
        return directory

    @pytest.mark.parametrize(
        ("said", "kind"),
        [
            ("❌ 错误: TaskQueue is not available. Redis is not configured", ErrorKind.CREATOR_REDIS_DOWN),
            ("❌ 错误: database is locked", ErrorKind.DATABASE_MISSING),
            ("❌ 错误: database or disk is full", ErrorKind.DATABASE_MISSING),
            ("Error: Could not locate the bindings file", ErrorKind.CREATOR_MISSING),
        ],
    )
    def test_sicknesses(self, directory: Directory, said: str, kind: ErrorKind) -> None:
        sick = sickness(Finished(1, 1, b"", said.encode()), directory)
        assert sick
        assert sick.kind is kind

    @pytest.mark.parametrize("number", [errno.EMFILE, errno.ENOMEM, errno.EAGAIN])
    def test_a_machine_without_room_costs_no_task_a_try(self, directory: Directory, number: int) -> None:
        assert isinstance(sickness(NotStarted(OSError(number, "no room")), directory), Sick)

    def test_an_empty_exit_with_a_sound_directory_is_the_database(self, directory: Directory) -> None:
        crashes = "x [error]: uncaughtException: old\n    at y\nx [error]: uncaughtException: new\n"
        (directory.logs / "app.exceptions.log").write_text(crashes)
        sick = sickness(Finished(1, 1, b"=" * 40 + b"\n", b""), directory)
        assert sick
        assert (sick.kind, sick.cause.endswith("new")) == (ErrorKind.DATABASE_MISSING, True)

    @pytest.mark.parametrize(
        "said",
        [
            "error: unknown option '--priority'", "error: unknown command 'list'",
            "error: required option '--style <style>' not specified",
            "error: option '--mode <mode>' argument 'async' is invalid. Allowed choices are sync.",
            "error: too many arguments for 'create'. Expected 0 arguments but got 1.",
            "warning first\nerror: unknown option '--topic'\n(Did you mean --title?)",
        ],
    )  # fmt: skip
    def test_a_program_that_does_not_know_our_commands_has_changed(self, directory: Directory, said: str) -> None:
        sick = sickness(Finished(1, 1, b"", said.encode()), directory)
        assert sick
        assert sick.kind is ErrorKind.CREATOR_CHANGED

    @pytest.mark.parametrize(
        "said",
        [
            "error: option '--max-words <number>' argument '90000' is invalid. At most 50000.",
            "error: option '--topic <t>' argument 'x\nerror: unknown option '--mode'' is invalid.",
            "❌ 错误: 必须提供文章主题 (-t, --topic)",
        ],
    )
    def test_refusals(self, directory: Directory, said: str) -> None:
        assert sickness(Finished(1, 1, b"", said.encode()), directory) is None
        failed = refusal(Finished(1, 1, b"", said.encode()))
        assert failed
        assert failed.kind is ErrorKind.REFUSED

    def test_what_is_neither(self, directory: Directory) -> None:
        ended = Finished(1, 1, b"", "❌ 错误: something else".encode())
        assert (sickness(ended, directory), refusal(ended)) == (None, None)
        assert "something else" in story(ended)

    @pytest.mark.parametrize(
        ("ended", "word"),
        [
            (Finished(1, -9, b"", b"", Cut.DEADLINE), "in time"),
            (Finished(1, -9, b"", b"", Cut.FLOOD, 8 * MEBIBYTE), "printed more than 8 MiB"),
            (Finished(1, -11, b"", b""), "signal 11"),
            (NotStarted(OSError(2, "gone")), "could not be started"),
        ],
    )
    def test_stories(self, ended: Finished | NotStarted, word: str) -> None:
        assert word in story(ended)
