"""Files of topics: what is read, and what is told about lines that cannot be."""

from pathlib import Path

import pytest

from contenthubd.ctl.batchfile import read
from contenthubd.ctl.failure import USAGE, Failure


def written(folder: Path, name: str, data: str | bytes) -> str:
    path = folder / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return str(path)


def test_text_one_topic_a_line(tmp_path: Path) -> None:
    batch = read(written(tmp_path, "t.txt", "\ufeff# comment\nTea\r\n\n  京都的秋天  \n--odd\n"), None)
    assert batch.requests == [{"topic": "Tea"}, {"topic": "京都的秋天"}, {"topic": "--odd"}]
    assert batch.lines == [2, 4, 5]
    assert batch.faults == []


def test_text_that_is_not_utf8_names_line_and_byte(tmp_path: Path) -> None:
    batch = read(written(tmp_path, "t.txt", b"Tea\nCaf\xe9\nMate\n"), None)
    assert batch.lines == [1, 3]
    assert batch.faults == [(2, "Not UTF-8: byte 4 of the line is 0xe9.")]


def test_csv_with_every_column(tmp_path: Path) -> None:
    text = (
        "\ufefftopic,keywords,requirements,category,tone,audience,priority,min_chars,max_chars,idempotency_key\r\n"
        'Tea,"green;black, white","two\nlines",food,warm,all,1,500,900,k1\r\n'
        "Mate,,,,,,,,,\n"
    )
    batch = read(written(tmp_path, "t.csv", text), None)
    assert batch.lines == [2, 4]
    assert batch.requests[0] == {
        "topic": "Tea", "keywords": ["green", "black", "white"], "requirements": "two\nlines", "category": "food",
        "tone": "warm", "audience": "all", "priority": 1, "min_chars": 500, "max_chars": 900, "idempotency_key": "k1",
    }  # fmt: skip
    assert batch.requests[1] == {"topic": "Mate", "keywords": []}


def test_csv_bad_lines(tmp_path: Path) -> None:
    text = "topic,priority\nTea,high\nMate,1,2\nCocoa,3\n" + "Huge," + "9" * 5000 + '\nBroken,"1\n'
    batch = read(written(tmp_path, "t.csv", text), None)
    assert batch.lines == [4]
    assert [line for line, _ in batch.faults] == [2, 3, 5, 6]
    assert batch.faults[0][1] == "priority is not a whole number: 'high'."
    assert "3 cells; the header names 2" in batch.faults[1][1]
    assert "Not CSV" in batch.faults[3][1]


@pytest.mark.parametrize(
    ("header", "why"),
    [("topik,priority", "Did you mean 'topic'?"), ("keywords", "topic is missing"), ("topic,topic", "named twice")],
)
def test_csv_header_must_be_right(tmp_path: Path, header: str, why: str) -> None:
    with pytest.raises(Failure, match="Line 1 must name the columns") as failed:
        read(written(tmp_path, "t.csv", header + "\nTea,1\n"), None)
    assert why in failed.value.why
    assert failed.value.exit_code == USAGE


BAD_JSON = [
    ('{"topic": "Tea"', "Not JSON: Expecting ',' delimiter at column 16."),
    ('["Tea"]', 'A JSON object is expected, not ["Tea"].'),
    ("{}", "There is no 'topic'."),
    ('{"topic": 1}', "'topic' is not a text."),
    ('{"topic": null}', "'topic' is not a text."),
    ('{"topic": "Tea", "priority": true}', "'priority' is not a whole number."),
    ('{"topic": "Tea", "priority": 1.5}', "'priority' is not a whole number."),
    ('{"topic": "Tea", "keywords": "a"}', "'keywords' is not a list of texts."),
    ('{"topic": "Tea", "auto_approve": "yes"}', "'auto_approve' is not true or false."),
    ('{"topic": "Tea", "timeout_seconds": "1"}', "'timeout_seconds' is not a number."),
    ('{"topic": "Tea", "timeout_seconds": NaN}', "Not a request: NaN is not a number in JSON."),
    ('{"topic": "Tea", "topik": 1}', "Unknown field 'topik'. Did you mean 'topic'?"),
    ('{"topic": "\\ud800"}', "It holds half a character (a lone surrogate), which is no text."),
    ('{"topic": "Tea", "priority": ' + "9" * 5000 + "}", "Not a request: Exceeds the limit"),
    ("[" * 100_000, "Not a request: maximum recursion depth"),
]


@pytest.mark.parametrize(("line", "reason"), BAD_JSON, ids=[str(number) for number in range(len(BAD_JSON))])
def test_jsonl_bad_lines(tmp_path: Path, line: str, reason: str) -> None:
    batch = read(
        written(tmp_path, "t.jsonl", f'{{"topic": "Tea"}}\n\n{line}\n{{"topic": "Mate", "tone": null}}\n'), None
    )
    assert batch.lines == [1, 4]
    assert len(batch.faults) == 1
    assert batch.faults[0][0] == 3
    assert batch.faults[0][1].startswith(reason)


def test_the_form_must_be_known(tmp_path: Path) -> None:
    path = written(tmp_path, "topics.md", "Tea\n")
    with pytest.raises(Failure, match="The form of"):
        read(path, None)
    assert read(path, "txt").requests == [{"topic": "Tea"}]
    with pytest.raises(Failure, match="cannot be read"):
        read(str(tmp_path / "missing.txt"), None)
