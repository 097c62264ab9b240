"""A program whose answers have another form: told from one task whose answer cannot be read, and from a changed creator
that is right again."""

import json
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import anyio
import pytest

from contenthubd.adapters.creator.creator import CommandCreator
from contenthubd.adapters.creator.version import is_another
from contenthubd.domain.outcome import CreatorRow, ErrorKind, Failed, Outcome, RowState, Sick, Succeeded, Unknown
from contenthubd.domain.task import Mode
from tests.contracts.creator_kit import FixedClock, mark_for, script, settings_for, started, task_of, until_async

RULE = "─" * 40
EXPECTED, OTHER = "0.1.0", "9.9.9"
HEAD = f"\n📄 任务结果\n{RULE}\n任务ID: {{id}}\n状态: ✅ 已完成\n{RULE}\n\n"
BODY = f"{RULE}\n内容:\n# A\n"
END = f"字数: 3\n{RULE}\n"
FORMS = {
    "JSON": '{"taskId": "x", "status": "completed", "article": {"body": "# A"}}',
    "an array": '[{"type": "ARTICLE", "content": "# A"}]',
    "other words": f"\n📄 Result\n{RULE}\nTask: x\nState: completed\n{RULE}\n",
    "no count": f"{HEAD}1. ARTICLE\n{BODY}{RULE}\n",
    "no article": f"{HEAD}1. TEXT\n{BODY}{END}",
    "images alone": f"{HEAD}1. TEXT\n{BODY}{END}\n2. IMAGE\n{RULE}\n图片 URL:\nhttps://a/b.png\n{RULE}\n",
    "an unknown state": "⚠️  任务尚未完成，当前状态: 🗄 已归档\n",
    "nothing": "",
    "garbage": "\x01\x02\x03",
}
GOOD = f"{HEAD}1. ARTICLE\n{BODY}{END}"
by_form = pytest.mark.parametrize("form", list(FORMS.values()), ids=list(FORMS))


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be read is asked for again without a pause."""
    monkeypatch.setattr("contenthubd.adapters.creator.reading._PAUSES", (0.0, 0.0))


class Program:
    """A creator of a few files: a list, a result for each id, and a version."""

    def __init__(self, folder: Path, version: str = EXPECTED) -> None:
        self.folder = folder
        (folder / "list").write_text("[]")
        self.is_version(version)
        self.rows: dict[str, str] = {}
        self.requirements: dict[str, str] = {}
        body = f"""echo "$1 $2" >> {folder}/calls
case $1 in
--version) cat {folder}/version;;
list) cat {folder}/list;;
result) cat {folder}/result-${{2#--task-id=}} || {{ echo 未找到任务 >&2; exit 1; }};;
create) cat {folder}/create;;
*) echo 未找到任务 >&2; exit 1;;
esac"""
        self.settings = settings_for(folder, script(folder, body), look_again=timedelta(milliseconds=1))

    def is_version(self, version: str) -> None:
        (self.folder / "version").write_text(version)

    def add(self, state: str = "completed", requirements: str = "x") -> str:
        creator_task_id = str(uuid4())
        self.requirements[creator_task_id] = requirements
        self.rows[creator_task_id] = state
        self._write()
        return creator_task_id

    def move(self, creator_task_id: str, state: str) -> None:
        self.rows[creator_task_id] = state
        self._write()

    def says(self, creator_task_id: str, form: str) -> str:
        (self.folder / f"result-{creator_task_id}").write_text(form.replace("{id}", creator_task_id))
        return creator_task_id

    def good(self, creator_task_id: str | None = None) -> str:
        return self.says(creator_task_id or self.add(), GOOD)

    def calls(self, command: str) -> int:
        return (self.folder / "calls").read_text().splitlines().count(command)

    def _write(self) -> None:
        rows = [
            {"taskId": one, "status": state, "requirements": self.requirements[one]} for one, state in self.rows.items()
        ]
        (self.folder / "list").write_text(json.dumps(rows))

    async def creator(self) -> CommandCreator:
        creator = CommandCreator(self.settings, FixedClock())
        await creator.start()
        assert await creator.ready(Mode.SYNC) is None
        return creator


def names_both(sick: object, version: str) -> None:
    assert isinstance(sick, Sick), sick
    assert sick.kind is ErrorKind.CREATOR_CHANGED
    assert f"'{version}'" in sick.cause
    assert "llm-content-creator 0.2.0" in sick.cause


async def well_again(creator: CommandCreator) -> None:
    async def well() -> bool:
        return await creator.ready(Mode.SYNC) is None

    await until_async(well, "the creator recovered")


class TestResult:
    @by_form
    async def test_one_result_is_the_fault_of_its_task(self, tmp_path: Path, form: str) -> None:
        program = Program(tmp_path, OTHER)
        program.good()
        bad = program.says(program.add(), form)
        creator = await program.creator()
        outcome = await creator.result(bad)
        assert isinstance(outcome, Failed | Unknown), "charged, or asked for again until its deadline"
        assert await creator.ready(Mode.SYNC) is None
        assert isinstance(await creator.result(program.good()), Succeeded)

    @by_form
    async def test_the_results_of_several_tasks_are_the_fault_of_the_program(self, tmp_path: Path, form: str) -> None:
        program = Program(tmp_path)
        read_before = program.good()
        creator = await program.creator()
        assert isinstance(await creator.result(read_before), Succeeded)
        program.says(read_before, form)
        bad = program.says(program.add(), form)
        names_both(await creator.result(bad), EXPECTED)
        names_both(await creator.ready(Mode.ASYNC), EXPECTED)
        assert creator.health()["sick"]
        program.good(bad)
        await well_again(creator)
        assert creator.health()["sick"] is None
        assert isinstance(await creator.result(bad), Succeeded)

    @by_form
    async def test_rows_that_this_daemon_never_read_tell_it_too(self, tmp_path: Path, form: str) -> None:
        program = Program(tmp_path)
        creator = await program.creator()
        bad = [program.says(program.add(), form) for _ in range(2)]
        names_both(await creator.result(bad[0]), EXPECTED)
        before = program.calls(f"result --task-id={bad[1]}")
        names_both(await creator.result(bad[0]), EXPECTED)
        assert program.calls(f"result --task-id={bad[1]}") == before, "what is known is not compared again"

    async def test_an_answer_that_is_read_ends_it_at_once(self, tmp_path: Path) -> None:
        program = Program(tmp_path)
        creator = await program.creator()
        bad = [program.says(program.add(), FORMS["JSON"]) for _ in range(2)]
        names_both(await creator.result(bad[0]), EXPECTED)
        assert isinstance(await creator.result(program.good()), Succeeded)
        assert await creator.ready(Mode.SYNC) is None
        assert isinstance(await creator.result(bad[0]), Failed), "now it is this task's fault"

    async def test_rows_that_are_gone_keep_nobody_waiting(self, tmp_path: Path) -> None:
        program = Program(tmp_path)
        creator = await program.creator()
        bad = [program.says(program.add(), FORMS["JSON"]) for _ in range(2)]
        names_both(await creator.result(bad[0]), EXPECTED)
        for one in bad:
            (tmp_path / f"result-{one}").unlink()
        await well_again(creator)

    @pytest.mark.parametrize("form", [FORMS["no count"], FORMS["no article"]])
    @pytest.mark.parametrize("version", [EXPECTED, "", "[]", "v-"])
    async def test_an_article_alone_that_cannot_be_read_is_its_tasks_fault(
        self, tmp_path: Path, version: str, form: str
    ) -> None:
        program = Program(tmp_path, version)
        creator = await program.creator()
        assert isinstance(await creator.result(program.says(program.add(), form)), Failed)
        assert await creator.ready(Mode.SYNC) is None

    async def test_of_the_only_finished_row_the_version_decides(self, tmp_path: Path) -> None:
        program = Program(tmp_path, OTHER)
        bad = program.says(program.add(), FORMS["JSON"])
        creator = await program.creator()
        outcome = await creator.result(bad)
        assert isinstance(outcome, Unknown), "it is asked for again, until the attempt is given up"
        names_both(await creator.ready(Mode.SYNC), OTHER)
        program.is_version(EXPECTED)
        await well_again(creator)

    async def test_what_only_the_version_said_is_tried_anew_when_nothing_is_in_flight(self, tmp_path: Path) -> None:
        program = Program(tmp_path, OTHER)
        creator = await program.creator()
        await creator.result(program.says(program.add(), FORMS["JSON"]))
        creator.in_flight(1)
        names_both(await creator.ready(Mode.SYNC), OTHER)
        creator.in_flight(0)
        assert await creator.ready(Mode.SYNC) is None
        outcome = await creator.result(program.says(program.add(), FORMS["JSON"]))
        names_both(outcome, OTHER)
        creator.in_flight(0)
        names_both(await creator.ready(Mode.SYNC), OTHER)

    async def test_an_error_about_every_task_is_a_creator_that_does_not_answer(self, tmp_path: Path) -> None:
        program = Program(tmp_path)
        creator = await program.creator()
        good = [program.good(), program.good()]
        assert isinstance(await creator.result(good[0]), Succeeded)
        script(tmp_path, f"case $1 in list) cat {tmp_path}/list;; *) echo 'Error: E_NEW' >&2; exit 3;; esac")
        outcome = await creator.result(good[1])
        assert isinstance(outcome, Sick)
        assert outcome.kind is ErrorKind.OUTPUT_UNREADABLE
        assert "E_NEW" in outcome.cause
        assert await creator.ready(Mode.SYNC)

    async def test_a_refused_option_of_result_pauses_although_list_and_create_work(self, tmp_path: Path) -> None:
        program = Program(tmp_path, OTHER)
        creator = await program.creator()
        refuse = "echo \"error: unknown option '--format=text'\" >&2; exit 1"
        script(tmp_path, f"case $1 in --version) echo {OTHER};; list) echo '[]';; *) {refuse};; esac")
        names_both(await creator.result(str(uuid4())), OTHER)
        assert await creator.rows([]) == {}
        for _ in range(3):
            names_both(await creator.ready(Mode.SYNC), OTHER)

    async def test_a_creator_that_cannot_compare_just_now_judges_nobody(self, tmp_path: Path) -> None:
        program = Program(tmp_path)
        bad, other = program.says(program.add(), FORMS["JSON"]), program.add()
        creator = await program.creator()
        (tmp_path / f"result-{other}").symlink_to("/dev/full")
        body = f"case $2 in *{other}) kill -9 $$;; *{bad}) cat {tmp_path}/result-{bad};; *) cat {tmp_path}/list;; esac"
        script(tmp_path, body)
        assert isinstance(await creator.result(bad), Unknown)
        assert await creator.ready(Mode.SYNC) is None


class TestSync:
    """The article of a sync run whose result has another form is kept, and nobody is charged."""

    async def test_it_is_taken_when_the_program_is_right_again(self, tmp_path: Path) -> None:
        program = Program(tmp_path)
        creator = await program.creator()
        assert isinstance(await creator.result(program.good()), Succeeded)
        for one in program.rows:
            program.says(one, FORMS["JSON"])
        bad = program.says(program.add(), FORMS["JSON"])
        outcome = await self.generated(program, creator, bad, timedelta(seconds=60), later=True)
        assert isinstance(outcome, Succeeded)

    async def test_at_the_deadline_it_is_left_uncharged_and_without_its_id(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("contenthubd.adapters.creator.creator._FETCH_SECONDS", 0.1)
        program = Program(tmp_path)
        creator = await program.creator()
        bad = [program.says(program.add(), FORMS["JSON"]) for _ in range(2)]
        outcome = await self.generated(program, creator, bad[0], timedelta(seconds=10))
        assert isinstance(outcome, Failed)
        assert (outcome.kind, outcome.creator_task_id) == (ErrorKind.CREATOR_UNAVAILABLE, None)

    @staticmethod
    async def generated(
        program: Program, creator: CommandCreator, creator_task_id: str, timeout: timedelta, *, later: bool = False
    ) -> Outcome:
        task = task_of("同步", mode=Mode.SYNC)
        end = f"{mark_for(task)}\n✅ 执行成功\n{RULE}\n任务ID: {creator_task_id}\n状态: 已完成\n"
        (program.folder / "create").write_text(end)

        async def right_again() -> bool:
            if await creator.ready(Mode.SYNC) is None:
                return False
            program.good(creator_task_id)
            return True

        outcome: list[Outcome] = []

        async def run() -> None:
            outcome.append(await creator.generate(task, mark_for(task), timeout, started))

        async with anyio.create_task_group() as group:
            group.start_soon(run)
            if later:
                await until_async(right_again, "the program was found to be changed")
        return outcome[0]


class TestStates:
    @staticmethod
    async def seen(program: Program, states: Sequence[str]) -> tuple[CommandCreator, dict[str, CreatorRow]]:
        creator = await program.creator()
        rows = await creator.rows([program.add(state) for state in states])
        assert isinstance(rows, dict)
        assert len(rows) == len(states), "nobody is absent"
        return creator, rows

    @pytest.mark.parametrize("word", ["queued", "COMPLETED", "待处理", "", "x" * 300])
    async def test_of_several_tasks_one_unknown_word_is_the_programs(self, tmp_path: Path, word: str) -> None:
        program = Program(tmp_path)
        creator, rows = await self.seen(program, [word, word, "completed"])
        assert [row.state for row in rows.values()].count(RowState.UNKNOWN) == 2
        sick = await creator.ready(Mode.SYNC)
        names_both(sick, EXPECTED)
        assert sick and word[:20] in sick.cause
        for one in list(program.rows):
            program.move(one, "running")
        await creator.rows(list(program.rows))
        assert await creator.ready(Mode.SYNC) is None

    async def test_one_unknown_state_is_its_tasks_alone(self, tmp_path: Path) -> None:
        creator, rows = await self.seen(Program(tmp_path), ["queued", "running", "completed"])
        assert sorted(row.state for row in rows.values()) == ["completed", "running", "unknown"]
        assert await creator.ready(Mode.SYNC) is None

    async def test_but_not_of_another_version(self, tmp_path: Path) -> None:
        program = Program(tmp_path, OTHER)
        creator, _ = await self.seen(program, ["queued", "running"])
        names_both(await creator.ready(Mode.SYNC), OTHER)
        creator.in_flight(0)
        assert await creator.ready(Mode.SYNC) is None, "nothing of ours has such a state any more"

    async def test_different_faults_are_no_change(self, tmp_path: Path) -> None:
        creator, _ = await self.seen(Program(tmp_path), ["queued", "archived", "running"])
        assert await creator.ready(Mode.SYNC) is None

    async def test_a_status_in_another_form_is_the_programs_too(self, tmp_path: Path) -> None:
        program = Program(tmp_path)
        creator = await program.creator()
        script(tmp_path, f"case $1 in list) echo '[]';; --version) cat {tmp_path}/version;; *) echo '{{}}';; esac")
        rows = await creator.rows([str(uuid4()), str(uuid4())])
        assert isinstance(rows, dict)
        names_both(await creator.ready(Mode.SYNC), EXPECTED)


@pytest.mark.parametrize("version", [None, "", "0.1.0", "[]", "x", "1", "1.x", "...", "1.2.3.4.5", "\u0661.\u0662"])
def test_no_other_version_is_known(version: str | None) -> None:
    assert not is_another(version)


@pytest.mark.parametrize("version", ["0.1.1", "1.0", "10.20.30", "0.3.0-beta.1", "1.2.3.4"])
def test_another_version(version: str) -> None:
    assert is_another(version)
