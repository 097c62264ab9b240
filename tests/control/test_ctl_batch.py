"""Batches from files: all or none, and what is told about the lines that are at fault."""

import json
from pathlib import Path

import pytest

from contenthubd.ctl.arguments import parse
from contenthubd.ctl.batchfile import read
from contenthubd.ctl.failure import NOT_FOUND, OK, USAGE
from contenthubd.ctl.main import build_parser
from contenthubd.ctl.submit import _order
from tests.control.conftest import Door

BATCH = ("content", "batch-generate", "--account", "studio")
BAD = '{"topic": "Tea"}\n{"topic": ""}\nnonsense\n{"topic": "Mate", "priority": 11}\n'


async def test_a_file_becomes_a_batch(door: Door, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("topic,priority\nTea,1\nMate,\n", encoding="utf-8")
    made = await door.ctl(*BATCH, "--file", str(tmp_path / "t.csv"), "--priority", "9", "--json")
    assert made.code == OK, made.err
    submitted = json.loads(made.out)
    assert {view.batch for view in door.app.task_views.values()} == {submitted["batch_id"]}
    assert [view.priority for view in door.app.task_views.values()] == [1, 9], "a line's own value comes first"
    listed = await door.ctl("task", "list", "--batch", "last", "-o", "name")
    assert len(listed.out.splitlines()) == 2


async def test_bad_lines_are_all_told_and_nothing_is_submitted(door: Door) -> None:
    told = await door.ctl(*BATCH, "--file", "-", "--format", "jsonl", stdin=BAD)
    assert told.code == USAGE
    assert told.out == ""
    for line in ("line 2: The topic is empty.", "line 3: Not JSON", "line 4: The priority 11"):
        assert line in told.err
    assert told.err.index("line 2") < told.err.index("line 3") < told.err.index("line 4")
    assert not door.app.task_views


async def test_faults_that_only_the_daemon_finds_have_their_lines(door: Door) -> None:
    told = await door.ctl(*BATCH, "--file", "-", stdin="# heading\nTea\n\n" + "x" * 501 + "\n")
    assert told.code == USAGE
    assert "line 4: The topic has 501 characters" in told.err
    assert not door.app.task_views


async def test_bad_lines_can_be_skipped(door: Door) -> None:
    made = await door.ctl(*BATCH, "--file", "-", "--format", "jsonl", "--skip-bad", stdin=BAD)
    assert made.code == OK
    assert [view.topic for view in door.app.task_views.values()] == ["Tea"]
    assert all(f"Skipped line {number}: " in made.err for number in (2, 3, 4))
    none = await door.ctl(*BATCH, "--file", "-", "--format", "jsonl", "--skip-bad", stdin="nonsense\n")
    assert none.code == USAGE
    assert "no line of - is acceptable" in none.err


@pytest.mark.parametrize("more", [[], ["--dry-run"]])
async def test_a_placeholder_that_stays_is_told_once(door: Door, more: list[str]) -> None:
    told = await door.ctl(*BATCH, "--file", "-", *more, stdin="Tea\nNews of {date}\nNews of {today}\n")
    assert told.code == OK
    assert told.err.count("{date} is not replaced: only schedules have a placeholder, {date}.") == 1
    assert "replaced" not in (await door.ctl(*BATCH, "--file", "-", *more, stdin="Tea {a}\n")).err


async def test_a_dry_run_submits_nothing(door: Door) -> None:
    shown = await door.ctl(*BATCH, "--file", "-", "--dry-run", stdin="Tea\n\nMate\n")
    assert shown.code == OK
    assert shown.out.split() == ["LINE", "TOPIC", "1", "Tea", "3", "Mate"]
    for_programs = json.loads((await door.ctl(*BATCH, "--file", "-", "--dry-run", "--json", stdin="Tea\n")).out)
    task = {"id": None, "state": "pending", "topic": "Tea", "created": False, "already_submitted": False, "line": 1}
    assert for_programs["tasks"] == [task]
    bad = await door.ctl(*BATCH, "--file", "-", "--dry-run", "--format", "jsonl", stdin=BAD)
    assert bad.code == USAGE
    assert not door.app.task_views


async def test_what_concerns_the_whole_is_told_as_it_is(door: Door) -> None:
    unknown = await door.ctl("content", "batch-generate", "--account", "nobody", "--file", "-", stdin="Tea\n")
    assert unknown.code == NOT_FOUND
    assert "There is no account 'nobody'." in unknown.err
    empty = await door.ctl(*BATCH, "--file", "-", stdin="# nothing\n\n")
    assert empty.code == USAGE
    assert "Standard input contains no topics." in empty.err


async def test_without_a_daemon_the_files_own_faults_are_told(door: Door) -> None:
    await door.close()
    told = await door.ctl(*BATCH, "--file", "-", "--format", "jsonl", stdin=BAD)
    assert told.code == USAGE
    assert "line 3: Not JSON" in told.err


async def test_ten_thousand_lines(door: Door) -> None:
    made = await door.ctl(*BATCH, "--file", "-", "-o", "name", stdin="".join(f"topic {n}\n" for n in range(10_000)))
    assert made.code == OK, made.err
    assert len(door.app.task_views) == 10_000


def test_an_empty_cell_leaves_the_option(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("topic,keywords\nTea,\nMate,a、b\n", encoding="utf-8")
    args = parse(build_parser(), [*BATCH, "--file", str(path), "--keywords", "茶，健康"])
    order = _order(args, read(str(path), None).requests)
    assert [one["keywords"] for one in order["requests"]] == [["茶", "健康"], ["a", "b"]]


async def test_lines_in_another_encoding_are_never_submitted(door: Door, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    for name in ("t.txt", "t.csv"):
        path = tmp_path / name
        path.write_bytes("topic\n模漏\n春季养生\n".encode("gbk"))
        for more in ((), ("--skip-bad",), ("--dry-run",)):
            told = await door.ctl(*BATCH, "--file", str(path), *more)
            assert told.code == USAGE
            assert "--encoding gb18030" in told.err
            assert not door.app.task_views
    assert (await door.ctl(*BATCH, "--file", str(path), "--encoding", "gb18030")).code == OK
    assert [view.topic for view in door.app.task_views.values()] == ["模漏", "春季养生"]
