"""A creator that was upgraded, one whose answers fail now and then, and one that says too much or the same again."""

import json
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from contenthubd.adapters.creator.creator import CommandCreator
from contenthubd.adapters.creator.usage import CREATE_OPTIONS
from contenthubd.domain.outcome import ErrorKind, Failed, Outcome, Sick, Succeeded
from contenthubd.domain.task import Mode
from tests.contracts.creator_kit import FixedClock, mark_for, script, settings_for, started, task_of, until_async

LONG = timedelta(seconds=120)


async def generated(creator: CommandCreator) -> Outcome:
    task = task_of("同步", mode=Mode.SYNC)
    return await creator.generate(task, mark_for(task), LONG, started)


class TestChangedProgram:
    """An upgraded creator that refuses an option of ours costs no task a try, and says which version it is."""

    @staticmethod
    def changed(tmp_path: Path, commands: str, said: str) -> CommandCreator:
        refuse = f'echo "error: {said}" >&2; exit 1'
        body = f"case $1 in\n--version) echo =====; echo 9.9.9;;\n{commands}) {refuse};;\n*) echo '[]';;\nesac"
        return CommandCreator(
            settings_for(tmp_path, script(tmp_path, body), look_again=timedelta(hours=1)), FixedClock()
        )

    @pytest.mark.parametrize("said", ["unknown option '--priority'", "required option '--style <s>' not specified"])
    async def test_a_refused_create_pauses_dispatch_and_names_both_versions(self, tmp_path: Path, said: str) -> None:
        creator = self.changed(tmp_path, "create", said)
        await creator.start()
        assert await creator.ready(Mode.SYNC) is None
        outcome = await generated(creator)
        for sick in (outcome, await creator.ready(Mode.SYNC)):
            assert isinstance(sick, Sick)
            assert sick.kind is ErrorKind.CREATOR_CHANGED
            assert "'9.9.9'" in sick.cause
            assert "llm-content-creator 0.2.0" in sick.cause
        assert await creator.rows([str(uuid4())]) is not None
        assert await creator.ready(Mode.SYNC), "a list that can be read does not make it well"

    async def test_a_missing_command_is_a_changed_program(self, tmp_path: Path) -> None:
        creator = self.changed(tmp_path, "list|result", "unknown command 'x'")
        await creator.start()
        for sick in (await creator.ready(Mode.SYNC), await creator.result(str(uuid4())), await creator.rows(["x"])):
            assert isinstance(sick, Sick)
            assert sick.kind is ErrorKind.CREATOR_CHANGED

    async def test_it_is_well_again_when_the_program_is(self, tmp_path: Path) -> None:
        creator = CommandCreator(
            settings_for(tmp_path, script(tmp_path, "echo \"error: unknown command 'list'\" >&2; exit 1")), FixedClock()
        )
        await creator.start()
        assert await creator.ready(Mode.SYNC)
        script(tmp_path, "echo '[]'")

        async def well() -> bool:
            return await creator.ready(Mode.SYNC) is None

        await until_async(well, "the creator recovered")

    @pytest.mark.parametrize(
        ("said", "before"),
        [
            ("unknown option '--priority'", "sed -e /--priority/d"),
            ("required option '-s, --style <s>' not specified", "sed -e 's/$/ --style/'"),
        ],
    )
    async def test_its_help_tells_whether_it_still_refuses(self, tmp_path: Path, said: str, before: str) -> None:
        create = tmp_path / "create"

        def is_now(help_: str, answer: str) -> None:
            options = " ".join(CREATE_OPTIONS)
            create.write_text(f"case $2 in --help) printf '%s\\n' {options} | {help_};; *) {answer};; esac")

        body = f"echo $1 $2 >> {tmp_path}/calls\ncase $1 in create) . {create};; *) echo '[]';; esac"
        program = script(tmp_path, body)
        creator = CommandCreator(settings_for(tmp_path, program, look_again=timedelta(milliseconds=1)), FixedClock())
        is_now(before, f'echo "error: {said}" >&2; exit 1')
        await creator.start()
        assert isinstance(await generated(creator), Sick)
        calls = tmp_path / "calls"

        async def looked() -> bool:
            assert await creator.ready(Mode.SYNC)
            return calls.read_text().count("create --help") >= 3

        await until_async(looked, "its help was read three times")
        is_now("cat", "exit 1")

        async def well() -> bool:
            return await creator.ready(Mode.SYNC) is None

        await until_async(well, "it recovered")
        assert calls.read_text().count("create --topic") == 1, "no task was needed to find out"


class TestSyncResult:
    async def test_a_result_that_fails_is_asked_again_and_nothing_is_written_twice(self, tmp_path: Path) -> None:
        rule = "─" * 40
        task = "7d1f0f0a-3a57-4b7e-9d3c-52f4a3b7c901"
        head = f"\n📄 任务结果\n{rule}\n任务ID: {task}\n状态: ✅ 已完成\n{rule}\n"
        (tmp_path / "result").write_text(f"{head}\n1. ARTICLE\n{rule}\n内容:\n# A\n字数: 3\n{rule}\n")
        calls = tmp_path / "calls"
        body = f"""case $1 in
list) echo '[]';;
create) echo create >> {calls}
  printf '%s\\n✅ 执行成功\\n{rule}\\n任务ID: {task}\\n状态: 已完成\\n' "${{3#--requirements=}}";;
result) echo result >> {calls}
  case $(grep -c result {calls}) in
  1) echo 'Error: connect ETIMEDOUT' >&2; exit 1;;
  2) echo 'database is locked' >&2; exit 1;;
  *) cat {tmp_path}/result;;
  esac;;
esac"""
        creator = CommandCreator(settings_for(tmp_path, script(tmp_path, body)), FixedClock())
        await creator.start()
        outcome = await generated(creator)
        assert isinstance(outcome, Succeeded), outcome
        assert calls.read_text().split() == ["create", "result", "result", "result"]

    async def test_an_article_of_five_megabytes_is_read(self, tmp_path: Path) -> None:
        rule = "─" * 40
        task = "7d1f0f0a-3a57-4b7e-9d3c-52f4a3b7c901"
        article = "# A\n\n" + "长" * 1_700_000
        head = f"\n📄 任务结果\n{rule}\n任务ID: {task}\n状态: ✅ 已完成\n{rule}\n"
        text = f"{head}\n1. ARTICLE\n{rule}\n内容:\n{article}\n字数: {len(article)}\n{rule}\n"
        (tmp_path / "result").write_text(text)
        creator = CommandCreator(settings_for(tmp_path, script(tmp_path, f"cat {tmp_path}/result")), FixedClock())
        await creator.start()
        outcome = await creator.result(task)
        assert isinstance(outcome, Succeeded)
        assert outcome.article == article
        (tmp_path / "result").write_text(text * 2)
        outcome = await creator.result(task)
        assert isinstance(outcome, Failed)
        assert "more than 8 MiB" in outcome.cause


class TestPaging:
    async def test_a_creator_that_ignores_offset_ends_the_paging(self, tmp_path: Path) -> None:
        row = '{"taskId": "a-%d", "status": "pending", "requirements": "x"}'
        page = ", ".join(row % number for number in range(2))
        calls = tmp_path / "calls"
        body = f"echo $1 >> {calls}\ncase $1 in list) echo '[{page}]';; *) echo 未找到任务 >&2; exit 1;; esac"
        creator = CommandCreator(settings_for(tmp_path, script(tmp_path, body), page_size=2), FixedClock())
        await creator.start()
        assert await creator.find(["[no mark of ours]"]) == {}
        assert await creator.rows(["nobody"]) == {}
        assert len(calls.read_text().split()) < 15


class TestSeveralRows:
    @pytest.mark.parametrize("order", [("completed", "pending"), ("pending", "completed"), ("failed", "running")])
    async def test_of_several_rows_with_one_mark_the_furthest_counts(
        self, tmp_path: Path, order: tuple[str, str]
    ) -> None:
        mark = mark_for(task_of("写"))
        rows = [{"taskId": state, "status": state, "requirements": f"x\n{mark}"} for state in order]
        (tmp_path / "rows").write_text(json.dumps(rows))
        creator = CommandCreator(settings_for(tmp_path, script(tmp_path, f"cat {tmp_path}/rows")), FixedClock())
        await creator.start()
        found = await creator.find([mark])
        assert not isinstance(found, Sick)
        best = {"completed", "running"} & set(order)
        assert {found[mark].creator_task_id} == best
