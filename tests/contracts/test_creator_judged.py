"""Whose fault an answer is, as other tasks tell: without any, with attempts of one task alone, after a start."""

import json
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from contenthubd.adapters.creator.creator import CommandCreator
from contenthubd.adapters.creator.usage import CREATE_OPTIONS
from contenthubd.domain.attempt import mark_of
from contenthubd.domain.outcome import ErrorKind, Failed, RowState, Sick, Succeeded, Unknown
from contenthubd.domain.task import Mode
from tests.contracts.creator_kit import FixedClock, mark_for, script, settings_for, task_of
from tests.contracts.test_creator_forms import EXPECTED, FORMS, OTHER, Program, names_both, well_again

WHOLE = ["JSON", "an array", "other words", "nothing", "garbage"]
by_whole = pytest.mark.parametrize("form", [FORMS[name] for name in WHOLE], ids=WHOLE)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be read is asked for again without a pause."""
    monkeypatch.setattr("contenthubd.adapters.creator.reading._PAUSES", (0.0, 0.0))


def attempts_of_one_task(count: int) -> list[str]:
    task_id = FixedClock().new_id()
    return [f"x\n{mark_of(task_id, number)}" for number in range(1, count + 1)]


class TestWithoutAnother:
    @by_whole
    async def test_nobody_is_charged_until_another_task_is_finished(self, tmp_path: Path, form: str) -> None:
        program = Program(tmp_path)
        creator = await program.creator()
        bad = program.says(program.add(), form)
        assert isinstance(await creator.result(bad), Unknown)
        assert await creator.ready(Mode.SYNC) is None, "and nobody is held up"
        assert isinstance(await creator.result(program.good()), Succeeded)
        assert isinstance(await creator.result(bad), Failed), "the innocent one told whose fault it is"
        assert await creator.ready(Mode.SYNC) is None

    @by_whole
    async def test_nobody_is_charged_when_the_other_one_cannot_be_read_either(self, tmp_path: Path, form: str) -> None:
        program = Program(tmp_path)
        creator = await program.creator()
        bad = [program.says(program.add(), form)]
        assert isinstance(await creator.result(bad[0]), Unknown)
        bad.append(program.says(program.add(), form))
        for one in bad:
            names_both(await creator.result(one), EXPECTED)
        names_both(await creator.ready(Mode.SYNC), EXPECTED)
        program.good(bad[0])
        await well_again(creator)

    async def test_an_unknown_error_is_nobodys_either(self, tmp_path: Path) -> None:
        program = Program(tmp_path)
        creator = await program.creator()
        script(tmp_path, f"case $1 in list) cat {tmp_path}/list;; *) echo 'Error: E_NEW' >&2; exit 3;; esac")
        assert isinstance(await creator.result(program.add()), Unknown)
        assert await creator.ready(Mode.SYNC) is None

    async def test_an_option_that_is_refused_for_one_task_holds_up_nobody(self, tmp_path: Path) -> None:
        program = Program(tmp_path)
        good, bad = program.good(), program.add()
        creator = await program.creator()
        answers = f"list) cat {tmp_path}/list;; --version) echo {EXPECTED};; *) cat {tmp_path}/result-{good};;"
        refuse = f"case $2 in *{bad}) echo 'Unknown argument: format' >&2; exit 1;; esac"
        script(tmp_path, f"{refuse}\ncase $1 in {answers} esac")
        outcome = await creator.result(bad)
        assert isinstance(outcome, Failed)
        assert "Unknown argument: format" in outcome.cause
        assert await creator.ready(Mode.SYNC) is None


class TestOneTask:
    """Its attempts say nothing of the program, however many there are."""

    @pytest.mark.parametrize("form", [FORMS["no count"], FORMS["JSON"]])
    async def test_attempts_of_one_task_are_no_evidence(self, tmp_path: Path, form: str) -> None:
        program = Program(tmp_path)
        creator = await program.creator()
        for requirements in attempts_of_one_task(4):
            outcome = await creator.result(program.says(program.add(requirements=requirements), form))
            assert isinstance(outcome, Failed | Unknown)
            assert await creator.ready(Mode.SYNC) is None, "its neighbours are not held up"
        assert isinstance(await creator.result(program.good()), Succeeded)

    async def test_nor_hide_they_an_older_one_that_can_be_read(self, tmp_path: Path) -> None:
        program = Program(tmp_path)
        bad = [program.says(program.add(), FORMS["no count"]) for _ in range(4)]
        program.good()
        creator = await program.creator()
        assert isinstance(await creator.result(bad[0]), Failed)
        assert await creator.ready(Mode.SYNC) is None

    async def test_a_state_of_two_attempts_of_one_task_is_one_tasks(self, tmp_path: Path) -> None:
        program = Program(tmp_path)
        creator = await program.creator()
        rows = await creator.rows([program.add("queued", requirements) for requirements in attempts_of_one_task(2)])
        assert isinstance(rows, dict)
        assert [row.state for row in rows.values()] == [RowState.UNKNOWN] * 2
        assert await creator.ready(Mode.SYNC) is None


class TestAfterAStart:
    """What a daemon knew of a changed program is found out again before anything is created."""

    @by_whole
    async def test_results_that_none_can_read_are_noticed_before_a_task_is_spent(
        self, tmp_path: Path, form: str
    ) -> None:
        program = Program(tmp_path)
        bad = [program.says(program.add(), form) for _ in range(3)]
        creator = CommandCreator(program.settings, FixedClock())
        await creator.start()
        names_both(await creator.ready(Mode.SYNC), EXPECTED)
        names_both(await creator.ready(Mode.ASYNC), EXPECTED)
        program.good(bad[2])
        program.good(bad[1])
        await well_again(creator)

    @pytest.mark.parametrize("options", [CREATE_OPTIONS, CREATE_OPTIONS[:-1], ()])
    @pytest.mark.parametrize("version", [EXPECTED, OTHER])
    async def test_another_version_is_asked_for_its_options(
        self, tmp_path: Path, version: str, options: tuple[str, ...]
    ) -> None:
        told = " ".join(options) or "nothing"
        answers = f"create) echo {told};; --version) echo {version};; *) echo '[]';;"
        body = f"echo $1 $2 >> {tmp_path}/calls\ncase $1 in {answers} esac"
        creator = CommandCreator(settings_for(tmp_path, script(tmp_path, body)), FixedClock())
        await creator.start()
        sick = await creator.ready(Mode.SYNC)
        changed = version == OTHER and 0 < len(options) < len(CREATE_OPTIONS)
        assert (sick is not None) == changed
        if changed:
            names_both(sick, OTHER)
        asked = (tmp_path / "calls").read_text().count("create --help")
        assert asked == (version == OTHER), "the one that is expected is not asked"


def listed(folder: Path, rows: list[Mapping[str, Any]]) -> CommandCreator:
    (folder / "rows").write_text(json.dumps(rows))
    body = f"case $1 in list) cat {folder}/rows;; --version) echo {EXPECTED};; *) echo 未找到任务 >&2; exit 1;; esac"
    program = script(folder, body)
    return CommandCreator(settings_for(folder, program, look_again=timedelta(milliseconds=1)), FixedClock())


@pytest.mark.parametrize("behind", ["failed", "pending", "completed"])
async def test_of_rows_with_one_id_the_furthest_counts(tmp_path: Path, behind: str) -> None:
    row = {"taskId": "a", "status": "completed", "requirements": "x"}
    creator = listed(tmp_path, [row, row | {"status": behind, "requirements": "another's"}])
    await creator.start()
    rows = await creator.rows(["a"])
    assert isinstance(rows, dict)
    assert (rows["a"].state, rows["a"].requirements) == (RowState.COMPLETED, "x")


class TestRenamed:
    """A list in which the field is renamed that tells whose a row is."""

    @pytest.mark.parametrize("name", ["requirement", "prompt", "Requirements", "requirements_text"])
    @pytest.mark.parametrize("count", [1, 2, 5])
    async def test_a_task_that_is_there_is_not_absent(self, tmp_path: Path, name: str, count: int) -> None:
        mark = mark_for(task_of("写"))
        others = [{"taskId": f"a-{number}", "status": "completed", name: "y"} for number in range(count - 1)]
        creator = listed(tmp_path, [{"taskId": "ours", "status": "pending", name: f"x\n{mark}"}, *others])
        await creator.start()
        for sick in (await creator.find([mark]), await creator.rows(["ours"]), await creator.ready(Mode.SYNC)):
            assert isinstance(sick, Sick)
            assert sick.kind is ErrorKind.OUTPUT_UNREADABLE
            assert "none of its" in sick.cause
            assert EXPECTED in sick.cause
        (tmp_path / "rows").write_text(
            json.dumps([{"taskId": "ours", "status": "pending", "requirements": f"x\n{mark}"}])
        )
        await well_again(creator)
        found = await creator.find([mark])
        assert isinstance(found, dict)
        assert found[mark].creator_task_id == "ours"

    @pytest.mark.parametrize("name", ["taskID", "id", "uuid"])
    async def test_nor_is_one_whose_id_is_renamed(self, tmp_path: Path, name: str) -> None:
        mark = mark_for(task_of("写"))
        creator = listed(tmp_path, [{name: "ours", "status": "pending", "requirements": f"x\n{mark}"}])
        await creator.start()
        assert isinstance(await creator.find([mark]), Sick)

    @pytest.mark.parametrize(
        "rows",
        [
            [{"taskId": "a", "status": "completed"}],
            [{"taskId": "a", "status": "completed", "requirements": None}] * 2,
            [{"taskId": "a", "status": "completed"}, {"taskId": "b", "status": "completed", "requirements": "x"}],
            [{"id": "a"}, {"id": "b"}],
        ],
    )
    async def test_a_few_odd_rows_of_others_are_no_change(self, tmp_path: Path, rows: list[Mapping[str, Any]]) -> None:
        creator = listed(tmp_path, rows)
        await creator.start()
        assert await creator.ready(Mode.SYNC) is None
        assert await creator.find([mark_for(task_of("写"))]) == {}
