"""Every reader of foreign text takes time in proportion to its length, whatever the text is, and raises nothing.

A reader is a public function that takes text in one of the modules below. One that is new fails here until it has a
line in READERS; a module that begins to take texts apart fails until it is in ROOMS or in OTHERS with a reason.
"""

import ast
import gc
import importlib
import time
from collections.abc import Callable
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest

from contenthubd.adapters.creator import (
    directory,
    frame,
    listing,
    output,
    redis_probe,
    result,
    usage,
    verdict,
    wordings,
)
from contenthubd.adapters.creator.command import Finished
from contenthubd.domain import attempt, foreign, forms, placeholders, refusals, template

ROOT = Path(__file__).resolve().parents[2]
TASK = "7d1f0f0a-3a57-4b7e-9d3c-52f4a3b7c901"
MARK = "[ref 00000000000000000000000000000001]"
RULE = frame.RULE
SMALL, LARGE = 256 * 1024, 1024 * 1024
STEEPEST = 2.5
"""Four times the text may take so many times four times as long: a quadratic reader takes four times as long again."""
NOISE_SECONDS = 0.03
TRIES = 6


def bounded(text: bytes) -> str:
    return text.decode("utf-8", "replace")


READERS: dict[str, Callable[[bytes], Any]] = {
    "contenthubd.adapters.creator.frame:text_of": frame.text_of,
    "contenthubd.adapters.creator.frame:short_text": frame.short_text,
    "contenthubd.adapters.creator.frame:unix_lines": frame.unix_lines,
    "contenthubd.adapters.creator.frame:uncoloured": frame.uncoloured,
    "contenthubd.adapters.creator.frame:window": lambda text: frame.window(text, 0),
    "contenthubd.adapters.creator.frame:places": lambda text: list(frame.places(text, b"\n", 0, 10**9)),
    "contenthubd.adapters.creator.frame:line_start": lambda text: frame.line_start(text, RULE.encode()),
    "contenthubd.adapters.creator.frame:rest_of_line": lambda text: frame.rest_of_line(text, 0),
    "contenthubd.adapters.creator.frame:state_of": lambda text: frame.state_of(bounded(text)),
    "contenthubd.adapters.creator.frame:id_of": lambda text: frame.id_of(bounded(text)),
    "contenthubd.adapters.creator.output:accepted_id": lambda text: output.accepted_id(text, MARK),
    "contenthubd.adapters.creator.output:sync_end": lambda text: output.sync_end(text, MARK),
    "contenthubd.adapters.creator.output:sync_cause": lambda text: output.sync_cause(text, TASK),
    "contenthubd.adapters.creator.output:error_text": lambda text: output.error_text({"error": bounded(text)}),
    "contenthubd.adapters.creator.output:status_row": lambda text: output.status_row(text, TASK),
    "contenthubd.adapters.creator.output:requeued": output.requeued,
    "contenthubd.adapters.creator.output:unknown_task": lambda text: output.unknown_task(bounded(text)),
    "contenthubd.adapters.creator.output:missing_variables": lambda text: output.missing_variables(bounded(text)),
    "contenthubd.adapters.creator.output:only_banner": output.only_banner,
    "contenthubd.adapters.creator.listing:page": lambda text: listing.page(text, 200),
    "contenthubd.adapters.creator.listing:long_row": listing.long_row,
    "contenthubd.adapters.creator.result:result": lambda text: result.result(text, TASK),
    "contenthubd.adapters.creator.redis_probe:jobs_of": lambda text: redis_probe.jobs_of([bounded(text)], []),
    "contenthubd.adapters.creator.directory:entries_about": lambda text: list(
        directory.entries_about(text, TASK.encode())
    ),
    "contenthubd.adapters.creator.directory:last_crash": directory.last_crash,
    "contenthubd.adapters.creator.usage:options_in": usage.options_in,
    "contenthubd.adapters.creator.usage:required_in": lambda text: usage.required_in(bounded(text)),
    "contenthubd.adapters.creator.verdict:sickness": lambda text: verdict.sickness(
        Finished(1, 1, text, text), directory.Directory(Path("/nowhere"))
    ),
    "contenthubd.adapters.creator.verdict:refusal": lambda text: verdict.refusal(Finished(1, 1, text, text)),
    "contenthubd.adapters.creator.verdict:story": lambda text: verdict.story(Finished(1, 1, text, text)),
    "contenthubd.adapters.creator.verdict:is_unknown_task": lambda text: verdict.is_unknown_task(
        Finished(1, 1, text, text)
    ),
    "contenthubd.adapters.creator.wordings:usage_fault": lambda text: wordings.usage_fault(bounded(text)),
    "contenthubd.adapters.creator.wordings:of_the_task": lambda text: wordings.of_the_task(bounded(text)),
    "contenthubd.adapters.creator.verdict:quoted": lambda text: verdict.quoted(bounded(text)),
    "contenthubd.domain.attempt:marked_task": lambda text: attempt.marked_task(bounded(text)),
    "contenthubd.domain.attempt:is_marked_otherwise": lambda text: attempt.is_marked_otherwise(bounded(text), MARK),
    "contenthubd.domain.foreign:text": lambda text: foreign.text(bounded(text), most=LARGE, repair=True),
    "contenthubd.domain.foreign:clipped": lambda text: foreign.clipped(bounded(text), most=LARGE),
    "contenthubd.domain.foreign:quoted": lambda text: foreign.quoted(bounded(text)),
    "contenthubd.domain.foreign:identifier": lambda text: foreign.identifier(bounded(text)),
    "contenthubd.domain.foreign:whole": lambda text: foreign.whole(bounded(text), least=0, most=9),
    "contenthubd.domain.foreign:moment": lambda text: foreign.moment(bounded(text), assume=UTC),
    "contenthubd.domain.foreign:json_value": foreign.json_value,
    "contenthubd.domain.forms:without_margin": lambda text: forms.without_margin(bounded(text)),
    "contenthubd.domain.forms:doubt_of": lambda text: forms.doubt_of(bounded(text)),
    "contenthubd.domain.refusals:refuses": lambda text: refusals.refuses(bounded(text)),
    "contenthubd.domain.template:without_tokens": lambda text: template.without_tokens(bounded(text)),
    "contenthubd.domain.template:without_open_thought": lambda text: template.without_open_thought(bounded(text)),
    "contenthubd.domain.placeholders:placed": lambda text: placeholders.placed(bounded(text), {}),
    "contenthubd.domain.placeholders:named": lambda text: placeholders.named(bounded(text)),
    "contenthubd.domain.placeholders:without_places": lambda text: placeholders.without_places(bounded(text)),
    "contenthubd.domain.placeholders:positions": lambda text: placeholders.positions(bounded(text)),
}
ROOMS = {name.partition(":")[0] for name in READERS}
NOT_READERS = {
    "contenthubd.adapters.creator.verdict:out_of_time": "looks at how a command ended, not at its words",
    "contenthubd.adapters.creator.verdict:answered": "looks at how a command ended, not at its words",
    "contenthubd.adapters.creator.redis_probe:ping": "its text is an address from the configuration",
    "contenthubd.adapters.creator.redis_probe:queued_jobs": "its text is an address; what comes back goes to jobs_of",
    "contenthubd.domain.attempt:with_mark": "joins texts of ours",
    "contenthubd.domain.attempt:task_part": "cuts a mark of ours",
}
OTHERS = {
    "contenthubd.adapters.creator.environment": "reads the administrator's own file",
    "contenthubd.adapters.creator.worker_process": "looks at names of ours",
}
TAKES_APART = {"re", "json", "msgspec"}
FOREIGN = {"str", "bytes", "bytes | str", "object", "dict[str, object]", "list[str]", "Ended"}


def hostile(unit: str, head: str = "", tail: str = "") -> Callable[[int], bytes]:
    """A text of about so many bytes."""
    return lambda size: (head + unit * (size // len(unit.encode())) + tail).encode("utf-8", "surrogatepass")


RESULT_HEAD = f"📄 任务结果\n{RULE}\n任务ID: {TASK}\n状态: ✅ 已完成\n{RULE}\n"
ARTICLE_HEAD = f"{RESULT_HEAD}1. ARTICLE\n{RULE}\n内容:\n"
STATUS_HEAD = f"任务ID: {TASK}\n状态: ❌ 失败\n{RULE}\n"
LOG = "2026-03-01 10:00:00 [error]: "
TEXTS: dict[str, Callable[[int], bytes]] = {
    "spaces": hostile(" ", "# a", "b"),
    "tabs in a heading": hostile("\t", "# a", "\n"),
    "line feeds": hostile("\n"),
    "carriage returns": hostile("\r\n"),
    "escapes": hostile("\x1b[0;1"),
    "colours": hostile("\x1b[31m", f"{MARK}\n"),
    "one colour": hostile("1;", f"{MARK}\n\x1b["),
    "wide": hostile("😀", tail="\n"),
    "halves": hostile("\ufffd\ufffd\ufffd", ARTICLE_HEAD),
    "not utf-8": lambda size: b"\xed\xa0\x80\xff" * (size // 4),
    "states": hostile("状态: a", STATUS_HEAD),
    "state lines": hostile("状态: a b\n"),
    "errors without end": hostile("错误信息:\n", STATUS_HEAD),
    "errors and rules": hostile(f"错误信息:\n{RULE}", STATUS_HEAD),
    "warnings": hostile("⚠️ \n"),
    "log braces": hostile(" {", f'{LOG}x {{"taskId":"{TASK}"'),
    "log lines": hostile(f'{LOG}x {{"taskId":"{TASK}","error":"e"}}\n'),
    "log line of ids": hostile(TASK),
    "counts": hostile(f"\n字数: 1\n{RULE}", ARTICLE_HEAD),
    "count digits": hostile("9", f"{ARTICLE_HEAD}a\n字数: "),
    "article heads": hostile(f"\n1. ARTICLE\n{RULE}\n内容:\n", RESULT_HEAD),
    "result heads": hostile(RESULT_HEAD.replace(TASK, "x")),
    "images": hostile(f"1. IMAGE\n{RULE}\n图片 URL:\n[\n{RULE}\n", f"{ARTICLE_HEAD}a\n字数: 1\n{RULE}\n"),
    "image digits": hostile("1", f"{ARTICLE_HEAD}a\n字数: 1\n{RULE}\n"),
    "places of images": hostile("![a](image-placeholder-1"),
    "openings of images": hostile("![", "image-placeholder-1\n"),
    "tags of images": hostile("<img image-placeholder-", "image-placeholder-1\n"),
    "figures of images": hostile("<figure>", "image-placeholder-1\n"),
    "whole figures": hostile("<picture><img src=image-placeholder-2></picture>\n"),
    "images over two lines": hostile("![a\nb](image-placeholder-2) "),
    "code beside images": hostile("<code>`image-placeholder-2"),
    "quoted lines": hostile("> a\n"),
    "apologies": hostile("sorry ", "I'm "),
    "apologies in Chinese": hostile("抱歉，无法", "很"),
    "written breaks": hostile("\\n\\n`", "a\n"),
    "options": hostile("--a-", "required option '"),
    "deep lists": hostile("["),
    "deep lists that end": lambda size: b"[" * (size // 2) + b"]" * (size // 2),
    "list lines": hostile("[\n"),
    "list of rows without end": hostile("{},", "["),
    "lists of rows without end": hostile("[{},\n"),
    "short lists": hostile("[]\n"),
    "strings without end": hostile('\\"', '["'),
    "quotes": hostile('"', "["),
    "digits": hostile("9", "[", "]"),
    "surrogates": hostile("\\ud800", '[{"taskId":"', '"}]'),
    "objects": hostile('{"a":', "["),
    "empty objects": hostile("[]{}", "["),
    "same keys": hostile('"a":1,', "{", '"a":1}'),
    "marks": hostile(MARK),
    "mark lines": hostile(f"{MARK}\n✅ 执行成功\n"),
    "ends": hostile(f"✅ 执行成功\n{RULE}\n", f"{MARK}\n"),
    "created": hostile("✅ 任务已成功创建\n", f"{MARK}\n"),
    "usage": hostile("error: option "),
    "refusals": hostile("❌ 错误: 必须\n"),
    "database": hostile("SQLITE_"),
    "variables": hostile("path: [ 'A' ]", "Environment variable validation failed"),
    "crashes": hostile("uncaughtException: "),
    "bars": hostile("=" * 40),
}


def seconds(read: Callable[[bytes], Any], text: bytes) -> float:
    gc.disable()  # its work depends on all that the tests before have left in memory
    try:
        began = time.process_time()
        read(text)
        return time.process_time() - began
    finally:
        gc.enable()


def steep(read: Callable[[bytes], Any], small: bytes, large: bytes) -> bool:
    """Whether the large text took out of proportion long, each time it was tried."""
    least_small = least_large = float("inf")
    for _ in range(TRIES):
        least_large = min(least_large, seconds(read, large))
        if least_large <= NOISE_SECONDS:
            return False
        least_small = min(least_small, seconds(read, small))
        if least_large <= NOISE_SECONDS + least_small * STEEPEST * LARGE / SMALL:
            return False
    return True


@pytest.mark.parametrize("kind", TEXTS)
def test_no_reader_takes_longer_than_the_text_is_long(kind: str) -> None:
    small, large = TEXTS[kind](SMALL), TEXTS[kind](LARGE)
    assert [name for name, read in READERS.items() if steep(read, small, large)] == []


def test_a_quadratic_reader_is_noticed() -> None:
    def quadratic(text: bytes) -> int:
        return sum(len(text[place:]) for place in range(0, len(text), 64))

    assert steep(quadratic, b"x" * SMALL, b"x" * LARGE)


def modules() -> dict[str, ast.Module]:
    """The modules in which foreign text is read, by name."""
    paths = [*(ROOT / "contenthubd/adapters/creator").glob("*.py")]
    paths += [ROOT / f"{name.replace('.', '/')}.py" for name in ROOMS]
    named = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in paths}
    return {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in named.items()}


def imported(tree: ast.Module) -> set[str]:
    return {alias.name for node in tree.body if isinstance(node, ast.Import) for alias in node.names}


def test_every_module_that_takes_text_apart_is_known() -> None:
    assert [
        name for name, tree in modules().items() if imported(tree) & TAKES_APART and name not in ROOMS | OTHERS.keys()
    ] == []


def test_every_reader_is_tried() -> None:
    found = set()
    for name, tree in modules().items():
        for node in tree.body if name in ROOMS else []:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
                taken = {ast.unparse(one.annotation) for one in node.args.args if one.annotation}
                if taken & FOREIGN:
                    found.add(f"{name}:{node.name}")
    assert found == READERS.keys() | NOT_READERS.keys()
    for name in found:
        module, _, function = name.partition(":")
        assert callable(getattr(importlib.import_module(module), function))
