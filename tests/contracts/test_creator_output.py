"""What the creator prints, read back: every trap its output is known to hold."""

import json
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contenthubd.adapters.creator import listing, output
from contenthubd.adapters.creator.result import Result, result
from contenthubd.domain.attempt import mark_of
from contenthubd.domain.foreign import Unreadable
from contenthubd.domain.outcome import NO_ADDRESS, CreatorRow, Picture, RowState

TASK = "7d1f0f0a-3a57-4b7e-9d3c-52f4a3b7c901"
FORGED = "00000000-0000-4000-8000-00000000beef"
MARK = mark_of(UUID("018f2d6e-7c11-7aaa-8bbb-0123456789ab"), 1)
RULE = "─" * 40
BAR = "=" * 40
BANNER = f"{BAR}\nConfiguration Loaded Successfully\n{BAR}\nEnvironment: development\nStorage: local\n{BAR}\n"
RED_LOG = "2026-03-01 10:00:00 [\x1b[31merror\x1b[39m]: "


def echo(topic: str = "主题", requirements: str = "写一篇", mode: str = "async") -> str:
    lines = f"工作流类型: content-creator\n主题: {topic}\n要求: {requirements}\n{MARK}\n受众: 普通读者\n语气: 专业\n"
    return f"{BANNER}\n🚀 创建内容创作任务\n{RULE}\n{lines}执行模式: {mode}\n{RULE}\n✅ 使用 SQLite 持久化存储\n"


def created(task_id: str = TASK) -> str:
    return f"\n✅ 任务已成功创建\n{RULE}\n任务ID: {task_id}\n模式: 异步（队列）\n{RULE}\n"


def sync_answer(state: str, article: str = "") -> str:
    body = f"\n📝 生成的内容:\n{RULE}\n{article}\n{RULE}\n" if article else ""
    return f"\n✅ 执行成功\n{RULE}\n任务ID: {TASK}\n状态: {state}\n耗时: 0秒\n{RULE}\n{body}"


def utf16(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def result_text(article: str, *images: str, count: int | None = None) -> str:
    blocks = [f"1. ARTICLE\n{RULE}\n内容:\n{article}\n字数: {utf16(article) if count is None else count}\n{RULE}\n"]
    blocks += [f"{n}. IMAGE\n{RULE}\n图片 URL:\n{image}\n{RULE}\n" for n, image in enumerate(images, 2)]
    head = f"\n📄 任务结果\n{RULE}\n任务ID: {TASK}\n状态: ✅ 已完成\n{RULE}\n\n📋 生成结果\n{RULE}\n"
    return BANNER + head + "".join(blocks)


def row(task_id: str = TASK, **fields: object) -> dict[str, object]:
    return {"id": task_id, "taskId": task_id, "status": "pending", "requirements": "写", "version": 1, **fields}


def printed_list(*rows: dict[str, object]) -> str:
    return f"{BANNER}{json.dumps(list(rows), indent=2, ensure_ascii=False)}\n"


def listed(printed: bytes, asked: int) -> listing.Page:
    """A page that can be read."""
    found = listing.page(printed, asked)
    assert isinstance(found, listing.Page), found
    return found


def status_of(printed: bytes, task_id: str = TASK) -> CreatorRow:
    """A status that can be read."""
    found = output.status_row(printed, task_id)
    assert isinstance(found, CreatorRow), found
    return found


def result_of(printed: bytes, task_id: str = TASK) -> Result:
    """A result that can be read."""
    found = result(printed, task_id)
    assert isinstance(found, Result), found
    return found


class TestCreated:
    def test_the_id_is_read(self) -> None:
        assert output.accepted_id((echo() + created()).encode(), MARK) == TASK

    def test_a_forged_id_in_the_echo_is_not_believed(self) -> None:
        forged = echo(topic=f"x\n任务ID: {FORGED}", requirements=f"y{created(FORGED)}")
        assert output.accepted_id((forged + created()).encode(), MARK) == TASK

    def test_a_forged_answer_alone_is_no_answer(self) -> None:
        assert isinstance(output.accepted_id(echo(requirements=f"y{created(FORGED)}").encode(), MARK), Unreadable)

    def test_the_random_line_of_dotenv_in_front_is_harmless(self) -> None:
        printed = "◇ injected env (0) from .env // tip: ⌘ multiple files\n" + echo() + created()
        assert output.accepted_id(printed.encode(), MARK) == TASK

    def test_colour_is_harmless(self) -> None:
        printed = (echo() + created()).replace(MARK, f"\x1b[37m{MARK}\x1b[39m").replace("任务ID", "\x1b[1m任务ID")
        assert output.accepted_id(printed.encode(), MARK) == TASK

    @pytest.mark.parametrize(
        "printed", [b"", b"\xff\xfe\x00garbage", BANNER.encode(), (echo() + created()).partition("-9d3c")[0].encode()]
    )
    def test_what_is_cut_or_garbage_is_unreadable(self, printed: bytes) -> None:
        assert isinstance(output.accepted_id(printed, MARK), Unreadable)


class TestSync:
    @pytest.mark.parametrize(("word", "state"), [("已完成", RowState.COMPLETED), ("失败", RowState.FAILED)])
    def test_only_one_line_tells_success_from_failure(self, word: str, state: RowState) -> None:
        end = output.sync_end((echo(mode="sync") + sync_answer(word)).encode(), MARK)
        assert end == output.SyncEnd(TASK, state)

    def test_an_article_that_holds_an_answer_is_not_believed(self) -> None:
        article = f"# 题\n{MARK}\n✅ 执行成功\n{RULE}\n任务ID: {FORGED}\n状态: 失败\n"
        end = output.sync_end((echo(mode="sync") + sync_answer("已完成", article)).encode(), MARK)
        assert end == output.SyncEnd(TASK, RowState.COMPLETED)

    def test_no_state_is_unreadable(self) -> None:
        assert isinstance(output.sync_end(echo(mode="sync").encode(), MARK), Unreadable)

    def test_an_unheard_state_is_unreadable(self) -> None:
        assert isinstance(output.sync_end((echo(mode="sync") + sync_answer("未知")).encode(), MARK), Unreadable)

    def test_the_cause_is_in_the_log_lines(self) -> None:
        noise = RED_LOG + '[SQLite:QualityCheckRepository] Failed to create quality check {"error":{}}\n'
        first = RED_LOG + f'[OrganizeNode] Organize failed {{"taskId":"{TASK}","error":"early"}}\n'
        true = RED_LOG + f'[SyncExecutor] Workflow execution error {{"taskId":"{TASK}","error":"the true cause"}}\n'
        printed = (echo(mode="sync") + noise + first + true + sync_answer("失败")).encode()
        assert output.sync_cause(printed, TASK) == "the true cause"
        assert output.sync_cause(printed, FORGED) is None
        assert output.sync_cause((noise + first).encode(), TASK) == "early"

    def test_an_error_may_be_an_object(self) -> None:
        line = RED_LOG + f'[SyncExecutor] Task execution failed {{"taskId":"{TASK}","error":{{"message":"deep"}}}}\n'
        assert output.sync_cause(line.encode(), TASK) == "deep"

    def test_a_broken_log_line_is_passed_over(self) -> None:
        assert output.sync_cause((RED_LOG + "[X] y {not json}\n").encode(), TASK) is None


class TestList:
    def test_rows_are_read(self) -> None:
        fields = row(
            status="failed",
            errorMessage="boom",
            workerId="w",
            startedAt="2026-03-01T10:00:00.500Z",
            completedAt=None,
            createdAt="2026-03-01T09:00:00.000Z",
        )
        page = listed(printed_list(fields).encode(), 20)
        found = page.rows[0]
        assert (found.creator_task_id, found.state) == (TASK, RowState.FAILED)
        assert (found.error, found.worker_id) == ("boom", "w")
        assert found.started_at == datetime(2026, 3, 1, 10, 0, 0, 500_000, UTC)
        assert page.newest == datetime(2026, 3, 1, 9, tzinfo=UTC)

    @pytest.mark.parametrize("around", [("", ""), (RED_LOG + "[X] y {}\n", "Database connection pool closed\n")])
    def test_lines_before_and_behind_are_passed_over(self, around: tuple[str, str]) -> None:
        printed = around[0] + printed_list(row(requirements="a\n]\n[\nb", keywords=["x", "y"])) + around[1]
        assert [found.requirements for found in listed(printed.encode(), 20).rows] == ["a\n]\n[\nb"]

    def test_no_rows(self) -> None:
        assert listed(f"{BANNER}[]\n".encode(), 20).rows == []
        assert listed(b"[]\n", 20).rows == []

    def test_of_an_unheard_state_nothing_follows(self) -> None:
        assert listed(printed_list(row(status="processing")).encode(), 20).rows[0].state is RowState.UNKNOWN

    def test_half_a_character_in_a_foreign_row_hides_nobody(self) -> None:
        printed = printed_list(row(FORGED, requirements="HALF"), row()).replace("HALF", "\\ud800")
        assert [found.creator_task_id for found in listed(printed.encode(), 20).rows] == [FORGED, TASK]

    def test_only_halves_are_replaced(self) -> None:
        texts = {"\\ud83d\\ude00": "😀", "\\\\ud83d": "\\ud83d", "\\uDE00\\ud83d": "��", "\\\\\\ud83dx": "\\�x"}
        for escaped, text in texts.items():
            printed = printed_list(row(FORGED, requirements="\ud800"), row(requirements="TEXT")).replace(
                "TEXT", escaped
            )
            assert listed(printed.encode("utf-8", "surrogatepass"), 2).rows[1].requirements == text

    def test_more_rows_than_asked_are_not_read(self) -> None:
        printed = printed_list(row(), row(FORGED, requirements='"taskId": "taskId":')).encode()
        assert len(listed(printed, 2).rows) == 2
        assert listing.page(printed, 1) == Unreadable("the JSON array has more rows than the 1 that were asked for")

    def test_bytes_that_are_not_utf8_hide_nobody(self) -> None:
        printed = printed_list(row(FORGED, requirements="HALF"), row()).encode().replace(b"HALF", b"\xff\xfe")
        assert [found.creator_task_id for found in listed(printed, 20).rows] == [FORGED, TASK]

    @pytest.mark.parametrize(
        "printed",
        ["", BANNER, '{"tasks": []}\n', printed_list(row())[:-2], "[\n{]\n]\n", "[warning]\n", "[]x\n", " []\n"],
    )
    def test_what_is_cut_or_garbage_is_unreadable(self, printed: str) -> None:
        assert isinstance(listing.page(printed.encode(), 20), Unreadable)

    @pytest.mark.parametrize(
        "bad",
        [
            "null", "3", '""', "[]", "{}", '{"id": 1}', '{"taskId": null, "status": "pending"}',
            '{"taskId": "a b", "status": "pending"}', '{"taskId": "x", "status": ' + "9" * 5000 + "}",
            '{"taskId": "x", "deep": ' + "[" * 200_000 + "]" * 200_000 + "}", '{"taskId" "x"}', "nonsense",
        ],
    )  # fmt: skip
    def test_a_row_that_cannot_be_read_hides_nobody(self, bad: str) -> None:
        printed = f"{BANNER}[{json.dumps(row())}, {bad}, {json.dumps(row(FORGED))}]\n"
        page = listed(printed.encode(), 3)
        assert [found.creator_task_id for found in page.rows] == [TASK, FORGED]
        assert (len(page.bad), page.size) == (1, 3)

    @pytest.mark.parametrize(
        "odd", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "soon", "", 17, None, [], "9" * 5000]
    )
    def test_odd_times_cost_no_row(self, odd: object) -> None:
        fields = row(startedAt=odd, completedAt=odd, createdAt=odd, status="completed")
        found = listed(printed_list(fields, row(FORGED)).encode(), 2).rows
        assert [(one.state, one.started_at, one.completed_at) for one in found] == [
            (RowState.COMPLETED, None, None), (RowState.PENDING, None, None),
        ]  # fmt: skip

    def test_a_time_without_a_zone_is_in_utc(self) -> None:
        page = listed(printed_list(row(createdAt="2026-03-01 09:00:00")).encode(), 1)
        assert page.newest == datetime(2026, 3, 1, 9, tzinfo=UTC)

    @pytest.mark.parametrize("odd", ["1970-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "soon", None])
    def test_one_odd_time_makes_no_page_old(self, odd: object) -> None:
        made = "2026-03-01T09:00:00Z"
        for fields in ([row(createdAt=made), row(FORGED, createdAt=odd)], [row(createdAt=odd), row(createdAt=made)]):
            assert listed(printed_list(*fields).encode(), 2).newest == datetime(2026, 3, 1, 9, tzinfo=UTC)

    @pytest.mark.parametrize("status", ["processing", "", None, 3, [], "unknown"])
    def test_a_state_that_cannot_be_told_is_told_as_such(self, status: object) -> None:
        page = listed(printed_list(row(status=status), row(FORGED)).encode(), 2)
        assert [found.state for found in page.rows] == [RowState.UNKNOWN, RowState.PENDING]
        assert len(page.bad) == 1

    def test_a_page_of_rows_in_another_form_is_unreadable(self) -> None:
        changed = [{"uuid": TASK, "state": "done"}] * 3
        assert isinstance(listing.page(f"{json.dumps(changed)}\n".encode(), 5), Unreadable)

    @pytest.mark.parametrize("before", ["", "\ufeff", f"{BANNER}", "(node:1) Warning: x\n[winston] y {}\n[1/2] z\n"])
    @pytest.mark.parametrize("after", ["", "\n", "\r\n", "\n[warning] closed\n", "\n\nDatabase closed", "  \n[]x"])
    @pytest.mark.parametrize("indent", [None, 0, 2, "\t"])
    def test_the_array_is_found_whatever_its_form(self, before: str, after: str, indent: int | str | None) -> None:
        array = json.dumps([row(requirements="[]\n[{\n]", keywords=[["x"], []]), row(FORGED)], indent=indent)
        for printed in (before + array + after, (before + array + after).replace("\n", "\r\n")):
            assert [found.creator_task_id for found in listed(printed.encode(), 2).rows] == [TASK, FORGED]
        assert listed((before + "[]" + after).encode(), 2).rows == []

    def test_an_array_inside_a_cut_one_is_not_believed(self) -> None:
        for indent in (None, 2):
            cut = json.dumps([row(keywords=[[], []]), row(FORGED)], indent=indent)[:-1]
            assert isinstance(listing.page(f"{cut}\n[]\n".encode(), 2), Unreadable)

    def test_every_cut_of_a_page_is_unreadable(self) -> None:
        printed = printed_list(row(), row(FORGED)).encode()
        for length in range(len(BANNER.encode()), len(printed) - 1):
            assert isinstance(listing.page(printed[:length], 20), Unreadable)


class TestStatus:
    @staticmethod
    def printed(state: str, rest: str = "") -> bytes:
        return f"{BANNER}\n📊 任务状态\n{RULE}\n任务ID: {TASK}\n状态: {state}\n当前步骤: 无\n{RULE}\n{rest}".encode()

    def test_error_and_worker_are_read(self) -> None:
        rest = f"错误信息:\nline one\nline two\n{RULE}\nWorker ID: worker-1\n{RULE}\n"
        found = status_of(self.printed("❌ 失败", rest), TASK)
        assert (found.state, found.error, found.worker_id) == (RowState.FAILED, "line one\nline two", "worker-1")

    @pytest.mark.parametrize(
        ("shown", "state"),
        [
            ("⏳ 待处理", RowState.PENDING),
            ("🔄 运行中", RowState.RUNNING),
            ("⏸️ 等待中", RowState.WAITING),
            ("✅ 已完成", RowState.COMPLETED),
            ("⏹️ 已取消", RowState.CANCELLED),
        ],
    )
    def test_states(self, shown: str, state: RowState) -> None:
        found = status_of(self.printed(shown), TASK)
        assert (found.state, found.error, found.worker_id) == (state, None, None)

    def test_another_task_or_no_state_is_unreadable(self) -> None:
        for printed, task in (
            (self.printed("✅ 已完成"), FORGED),
            (b"", TASK),
            (self.printed("?").replace(b": ?", b" ?"), TASK),
        ):
            assert isinstance(output.status_row(printed, task), Unreadable)


class TestResult:
    def test_article_and_images_of_async_mode(self) -> None:
        printed = result_text("# 题\n\n正文", "http://h/1.png", "data:image/png;base64,AA==")
        found = result_of(printed.encode(), TASK)
        assert found.article == "# 题\n\n正文"
        assert found.pictures == (Picture("http://h/1.png"), Picture("data:image/png;base64,AA=="))

    def test_images_of_sync_mode(self) -> None:
        images = json.dumps([{"url": "http://h/1.png", "prompt": "晨", "width": 1}, {"prompt": "no address"}])
        assert result_of(result_text("x", images).encode(), TASK).pictures == (
            Picture("http://h/1.png", "晨"), Picture(NO_ADDRESS),
        )  # fmt: skip

    def test_the_end_is_counted_in_utf16_units(self) -> None:
        article = f"🎉 emoji 𠀀\n字数: 10\n{RULE}\n2. IMAGE\n{RULE}\n图片 URL:\nhttp://forged/\n{RULE}\nthe end"
        found = result_of(result_text(article, "http://h/1.png").encode(), TASK)
        assert found.article == article
        assert found.pictures == (Picture("http://h/1.png"),)

    def test_an_article_may_count_its_own_beginning(self) -> None:
        article = f"abc\n字数: 3\n{RULE}\nthe rest"
        assert result_of(result_text(article, "http://h/1.png").encode(), TASK).article == article

    @given(st.lists(st.sampled_from(["字数: 3", "字数: 0", RULE, "😀", "", "正文", "1. ARTICLE", "x"]), min_size=1))
    def test_any_article_comes_back_exactly(self, lines: list[str]) -> None:
        article = "\n".join(lines)
        assert result_of(result_text(article, "http://h/1").encode(), TASK).article == article

    def test_images_beyond_number_lose_no_article(self) -> None:
        found = result_of(result_text("x", *[json.dumps(["http://h/1.png"] * 900)] * 50).encode(), TASK)
        assert (found.article, len(found.pictures)) == ("x", 1000)

    @pytest.mark.parametrize(
        "bad",
        [
            "[", "{", "[}", "[" * 5000, "[" * 5000 + "]" * 5000, "[" + "9" * 5000 + "]", "[null]", "[1]", "[{}]",
            '[{"url": null}]', '[{"url": 7}]', '[{"url": " "}]', '[{"url": "\\u0000"}]', '[{"url": "\\ud800"}]',
            "{}", "",
        ],
    )  # fmt: skip
    def test_an_image_that_cannot_be_read_keeps_its_place_and_loses_no_article(self, bad: str) -> None:
        found = result_of(result_text("# 题", bad, "http://h/2.png").encode())
        assert found.article == "# 题"
        assert found.pictures == (Picture(NO_ADDRESS), Picture("http://h/2.png"))
        assert len(found.unread) == 1

    @pytest.mark.parametrize("count", ["9" * 5000, "-3", "1e3", "\uff10", "", "4.0"])
    def test_a_count_that_is_no_number_ends_nothing(self, count: str) -> None:
        printed = result_text("abc").replace("字数: 3", f"字数: {count}")
        assert isinstance(result(printed.encode(), TASK), Unreadable)
        article = f"abc\n字数: {count}\n{RULE}\nrest"
        assert result_of(result_text(article).encode()).article == article

    def test_half_a_character_is_printed_as_three_and_counted_as_one(self) -> None:
        for halves in (1, 2, 5):
            printed = "# 题" + "\ufffd\ufffd\ufffd x" * halves + "\n尾"
            found = result_of(result_text(printed, "http://h/1", count=utf16(printed) - 2 * halves).encode())
            assert (found.article, len(found.pictures)) == (printed, 1)
            for off in (-1, 1):
                wrong = result_text(printed, count=utf16(printed) - 2 * halves - off)
                assert isinstance(result(wrong.encode(), TASK), Unreadable)

    def test_frames_with_crlf_are_read(self) -> None:
        printed = result_text("a\nb", "http://h/1").replace("\n", "\r\n")
        assert result_of(printed.encode()).article == "a\nb"

    def test_every_cut_of_a_result_is_unreadable(self) -> None:
        whole = result_text("# 题\n\n正文")
        for length in range(len(BANNER), len(whole) - len(RULE)):
            assert isinstance(result(whole[:length].encode(), TASK), Unreadable)

    def test_a_wrong_count_or_another_task_is_unreadable(self) -> None:
        for printed, task in ((result_text("abc", count=7), TASK), (result_text("abc"), FORGED)):
            assert isinstance(result(printed.encode(), task), Unreadable)

    def test_an_unfinished_task_tells_its_state(self) -> None:
        printed = f"{BANNER}⚠️  任务尚未完成，当前状态: 🔄 运行中\n"
        assert result(printed.encode(), TASK) == Result(None, state=RowState.RUNNING)

    def test_an_article_that_speaks_of_unfinished_tasks_is_an_article(self) -> None:
        article = "⚠️  任务尚未完成，当前状态: 🔄 运行中"
        assert result_of(result_text(article).encode(), TASK).article == article

    def test_a_task_without_results_has_no_article(self) -> None:
        printed = result_text("").partition("\n📋")[0] + "\n提示: 该任务未生成结果\n"
        assert result(printed.encode(), TASK) == Result(None)


class TestSmallThings:
    def test_missing_variables_are_named(self) -> None:
        names = "[\n { path: [ 'LLM_API_KEY' ] },\n { path: [ 'ARK_API_KEY' ] }\n]"
        said = f"Environment variable validation failed:\n{names}"
        assert output.missing_variables(said) == ("LLM_API_KEY", "ARK_API_KEY")
        assert output.missing_variables("something else") is None

    def test_silence_behind_the_banner(self) -> None:
        assert output.only_banner(BANNER.encode())
        assert not output.only_banner((BANNER + "[]\n").encode())

    def test_requeued(self) -> None:
        assert output.requeued("✅ 任务已添加到队列！\n".encode())
        assert not output.requeued("⚠️  任务已完成，如需重新执行请创建新任务\n".encode())
