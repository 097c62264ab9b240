"""The creator's table, read page by page while it changes: every row is found, one that is too long harms no other.

The table is a program of the test's own that knows --limit and --offset; between two looks rows appear in front.
"""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from contenthubd.adapters.creator.creator import CommandCreator
from contenthubd.domain.attempt import mark_of
from contenthubd.domain.outcome import CreatorRow, ErrorKind, RowState, Sick
from contenthubd.domain.task import Mode
from tests.contracts.creator_kit import FixedClock, script, settings_for

PROGRAM = r"""
import json, pathlib, sys
here = pathlib.Path(sys.argv[1])
command, options = sys.argv[2], dict(word.lstrip("-").split("=") for word in sys.argv[3:] if "=" in word)
(here / "calls").open("a").write(command + "\n")
rows, rules = json.loads((here / "rows").read_text()), json.loads((here / "rules").read_text())
if command == "list":
    begin = 0 if rules["ignores_offset"] else int(options["offset"])
    sys.stdout.write("banner\n" + json.dumps(rows[begin : begin + int(options["limit"])], ensure_ascii=False) + "\n")
    new = [{"taskId": f"new-{len(rows) + place}", "status": "pending"} for place in range(rules["in_front"])]
    if new:
        (here / "rows").write_text(json.dumps(new + rows))
elif command == "status":
    sys.stderr.write("未找到任务\n")
    sys.exit(1)
"""
HUGE = "长" * 100_000
MOST_BYTES = 256 * 1024
MARK = "[ours]"


def table(
    folder: Path, rows: list[dict[str, Any]], *, in_front: int = 0, ignores: bool = False, page: int = 200
) -> CommandCreator:
    """A creator with these rows, newest first."""
    (folder / "rows").write_text(json.dumps(rows))
    (folder / "rules").write_text(json.dumps({"in_front": in_front, "ignores_offset": ignores}))
    (folder / "calls").touch()
    (folder / "program.py").write_text(PROGRAM)
    command = script(folder, f'exec {sys.executable} {folder}/program.py {folder} "$@"')
    return CommandCreator(settings_for(folder, command, page_size=page, max_output_bytes=MOST_BYTES), FixedClock())


def row(name: str, **values: str) -> dict[str, Any]:
    return {"taskId": name, "status": "completed", "requirements": "x", **values}


async def finds_the_last(creator: CommandCreator) -> bool:
    found = await creator.find([MARK])
    return not isinstance(found, Sick) and found[MARK].creator_task_id == "last"


def calls(folder: Path) -> int:
    return len((folder / "calls").read_text().split())


@pytest.mark.parametrize("field", ["requirements", "errorMessage"])
@pytest.mark.parametrize("place", [0, 1, 5])
async def test_a_row_that_is_too_long_to_be_printed_is_skipped(tmp_path: Path, field: str, place: int) -> None:
    rows = [row(f"r{number}") for number in range(5)]
    rows.insert(place, row("huge", **{field: HUGE}))
    rows.append(row("last", requirements=f"x\n{MARK}"))
    creator = table(tmp_path, rows)
    await creator.start()
    assert await finds_the_last(creator)
    named = await creator.rows(["r0", "r4", "last"])
    assert not isinstance(named, Sick)
    assert {one.state for one in named.values()} == {RowState.COMPLETED}
    assert named.keys() == {"r0", "r4", "last"}


async def test_many_of_them_are_skipped_and_pages_grow_again(tmp_path: Path) -> None:
    rows = [row(f"huge-{number}", errorMessage=HUGE) for number in range(12)]
    rows += [row(f"r{number}") for number in range(400)]
    rows.append(row("last", requirements=f"x\n{MARK}"))
    creator = table(tmp_path, rows)
    await creator.start()
    assert await finds_the_last(creator)
    assert calls(tmp_path) < 12 + 12


async def test_nothing_but_such_rows_is_another_program(tmp_path: Path) -> None:
    creator = table(tmp_path, [row("huge", errorMessage=HUGE)] * 80)
    await creator.start()
    found = await creator.find([MARK])
    assert isinstance(found, Sick)
    assert found.kind is ErrorKind.CREATOR_CHANGED


@pytest.mark.parametrize(
    ("page", "in_front", "above"), [(1, 1, 5), (2, 2, 6), (12, 12, 40), (2, 1, 6), (200, 100, 700)]
)
async def test_rows_that_appear_in_front_hide_none(tmp_path: Path, page: int, in_front: int, above: int) -> None:
    rows = [row(f"r{number}") for number in range(above)]
    rows.append(row("last", requirements=f"x\n{MARK}"))
    creator = table(tmp_path, rows, in_front=in_front, page=page)
    await creator.start()
    found = await creator.find([MARK])
    assert not isinstance(found, Sick)
    assert isinstance(found.get(MARK), CreatorRow)


@pytest.mark.parametrize("page", [2, 200])
async def test_a_table_whose_end_is_never_seen_does_not_say_that_a_row_is_absent(tmp_path: Path, page: int) -> None:
    creator = table(tmp_path, [row(f"r{number}") for number in range(300)], ignores=True, page=page)
    await creator.start()
    found = await creator.find([MARK])
    assert isinstance(found, Sick)
    assert "--offset" in found.cause
    named = await creator.rows(["r0", "nobody"])
    assert not isinstance(named, Sick), "who is asked for by name is answered by name"
    assert named.keys() == {"r0"}
    assert calls(tmp_path) < 30


async def test_a_row_with_a_wrong_time_at_the_end_of_a_page_hides_no_page_behind_it(tmp_path: Path) -> None:
    mark = mark_of(FixedClock().new_id(), 1)
    rows = [row("new"), row("odd", createdAt="1970-01-01T00:00:00Z"), row("last", requirements=f"x\n{mark}")]
    for one in (rows[0], rows[2]):
        one["createdAt"] = "2999-01-01T00:00:00Z"
    creator = table(tmp_path, rows, page=2)
    await creator.start()
    found = await creator.find([mark])
    assert not isinstance(found, Sick)
    assert found[mark].creator_task_id == "last"


@pytest.mark.parametrize("page", [1, 2, 200])
@pytest.mark.parametrize("odd", [{"taskId": "x" * 300}, {"taskId": 7}, {"version": float("nan")}])
async def test_rows_of_ours_that_cannot_be_read_hide_nobody(tmp_path: Path, odd: dict[str, Any], page: int) -> None:
    """Not even where they fill pages of their own, at the beginning, in the middle or at the end."""
    bad = [row("odd", requirements=f"x\n{mark_of(FixedClock().new_id(), 1)}") | odd for _ in range(4)]
    last = row("last", requirements=f"x\n{MARK}", status="running")
    rows = [*bad[:2], row("first", status="running"), bad[2], last, bad[3]]
    creator = table(tmp_path, rows, page=page)
    await creator.start()
    assert await creator.ready(Mode.SYNC) is None
    assert await finds_the_last(creator)
    assert await creator.find(["[nobody's]"]) == {}
    named = await creator.rows(["first"])
    assert not isinstance(named, Sick)
    assert named.keys() == {"first"}


@pytest.mark.parametrize("page", [1, 2, 200])
async def test_where_no_row_of_ours_can_be_read_it_is_the_creator(tmp_path: Path, page: int) -> None:
    rows = [row("odd", requirements=f"x\n{mark_of(FixedClock().new_id(), 1)}") | {"taskId": 7} for _ in range(60)]
    creator = table(tmp_path, rows, page=page)
    await creator.start()
    assert isinstance(await creator.find([MARK]), Sick)
