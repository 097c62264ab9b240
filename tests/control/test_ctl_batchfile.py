"""Files of topics: what is read, and what is told about lines that cannot be."""

import shlex
import time
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

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
    assert [line for line, _ in batch.faults] == [2]
    assert batch.faults[0][1].startswith("Not UTF-8: byte 4 of the line is 0xe9; the file looks like Windows-1252")
    assert read(written(tmp_path, "t.txt", b"Tea\nCaf\xe9\n"), None, "cp1252").requests[1] == {"topic": "Café"}


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
    assert batch.requests[1] == {"topic": "Mate"}


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
    ('{"topic": 1}', "'topic' is not a string."),
    ('{"topic": null}', "'topic' is not a string."),
    ('{"topic": "Tea", "priority": true}', "'priority' is not a whole number."),
    ('{"topic": "Tea", "priority": 1.5}', "'priority' is not a whole number."),
    ('{"topic": "Tea", "keywords": "a"}', "'keywords' is not a list of strings."),
    ('{"topic": "Tea", "auto_approve": "yes"}', "'auto_approve' is not true or false."),
    ('{"topic": "Tea", "timeout_seconds": "1"}', "'timeout_seconds' is not a number."),
    ('{"topic": "Tea", "timeout_seconds": NaN}', "Not a request: NaN is not a number in JSON."),
    ('{"topic": "Tea", "topic": "Mate"}', "Not a request: the field 'topic' is given twice."),
    ('{"topic": "Tea", "topik": 1}', "Unknown field 'topik'. Did you mean 'topic'?"),
    ('{"topic": "\\ud800"}', "It contains an unpaired surrogate, which is not valid text."),
    (
        '{"topic": "Tea", "priority": ' + "9" * 5000 + "}",
        "Not a request: the number 99999999999999999999… ",
    ),
    (
        '{"topic": "Tea", "priority": 9223372036854775808}',
        "Not a request: the number 9223372036854775808 ",
    ),
    ('{"topic": "Tea", "timeout_seconds": 1e999}', "Not a request: the number 1e999 is too large."),
    ('{"topic": "Tea", "keywords": [' + '"a",' * 1000 + '"a"]}', "It has more than 1,000 keywords."),
    ('{"topic": "Te\0a"}', "Not JSON: Invalid control character at column 14."),
    ("[" * 100_000, "Not a request: it is nested too deeply."),
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
    with pytest.raises(Failure, match="Unknown file format"):
        read(path, None)
    assert read(path, "txt").requests == [{"topic": "Tea"}]
    with pytest.raises(Failure, match="cannot be read"):
        read(str(tmp_path / "missing.txt"), None)


TABLE = "topic,keywords,priority\n春季养生,养生,2\n秋天的茶,,\n"
ROWS = [
    {"topic": "春季养生", "keywords": ["养生"], "priority": 2},
    {"topic": "秋天的茶"},
]
CERTAIN = {
    "utf-8": TABLE.encode(),
    "mark": b"\xef\xbb\xbf" + TABLE.encode(),
    "two marks": b"\xef\xbb\xbf" * 2 + TABLE.encode(),
    "utf-16": TABLE.encode("utf-16"),
    "utf-16-be": b"\xfe\xff" + TABLE.encode("utf-16-be"),
    "utf-32": TABLE.encode("utf-32"),
    "gb18030 with a mark": b"\x84\x31\x95\x33" + TABLE.encode("gb18030"),
    "cr lf": TABLE.replace("\n", "\r\n").encode(),
    "cr": TABLE.replace("\n", "\r").encode(),
    "end mark of DOS": TABLE.encode() + b"\x1a",
    "empty columns": TABLE.replace("\n", ",,\n").encode() + b",,,,\n",
    "rows with more empty cells": TABLE.replace(",2\n", ",2,,,,\n").encode(),
    "blank lines": TABLE.replace("\n", "\n\n , ,\n").encode(),
    "headings with spaces": TABLE.replace("topic,keywords,priority", ' Topic ,"KEYWORDS" , Priority ').encode(),
    "full-width headings": TABLE.replace("topic", "\uff54\uff4f\uff50\uff49\uff43").encode(),
    "Chinese headings": TABLE.replace("topic,keywords,priority", "主题,关键词,优先级").encode(),
    "traditional headings": TABLE.replace("topic,keywords,priority", "標題,關鍵詞,優先級").encode(),
    "decimal": TABLE.replace(",2\n", ",2.0\n").encode(),
    "space after quotes": TABLE.replace("春季养生,养生,2", '"春季养生" ,"养生"  ,"2" ').encode(),
    "space before quotes": TABLE.replace("春季养生,养生,2", '"春季养生", "养生", "2"').encode(),
    **{f"separator {one!r}": TABLE.replace(",", one).encode() for one in ";\t|，；"},
    **{f"line sep={one!r}": f"sep={one}\r\n".encode() + TABLE.replace(",", one).encode() for one in ",;\t:|"},
    "line sep in UTF-16": ("sep=\t\n" + TABLE.replace(",", "\t")).encode("utf-16"),
}


@pytest.mark.parametrize("data", CERTAIN.values(), ids=CERTAIN.keys())
def test_csv_that_is_certain_is_read(tmp_path: Path, data: bytes) -> None:
    batch = read(written(tmp_path, "t.csv", data), None)
    assert batch.faults == []
    assert batch.requests == ROWS


CHINESE = ("gb18030", "gbk", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")


@pytest.mark.parametrize("name", ["t.txt", "t.jsonl", "t.csv"])
@pytest.mark.parametrize("encoding", [*CHINESE, "big5", "shift_jis", "euc_jp", "euc_kr"])
def test_another_encoding_is_named_with_the_command_that_reads_it(tmp_path: Path, name: str, encoding: str) -> None:
    topics = {"big5": ["春天的養生茶", "秋天的茶"], "shift_jis": ["日本のお茶について", "お茶"]}
    topics |= {"euc_jp": ["日本のお茶について", "秋のお茶"], "euc_kr": ["가을에마시는차", "겨울에마시는차"]}
    wanted = topics.get(encoding, ["“茶”——一种生活", "秋天的茶"])
    form = {"t.txt": "{}", "t.jsonl": '{{"topic": "{}"}}', "t.csv": "{}"}[name]
    lines = (["topic"] if name == "t.csv" else ["# Tea"] if name == "t.txt" else []) + [
        form.format(one) for one in wanted
    ]
    path = written(tmp_path, name, "\n".join(lines).encode(encoding))
    with pytest.raises(Failure, match=r"is not (certainly )?UTF-8 text; nothing was submitted") as failed:
        read(path, None, account="studio")
    assert failed.value.exit_code == USAGE
    command = shlex.split(failed.value.fix.splitlines()[0])
    assert command[:5] == ["contenthubctl", "content", "batch-generate", "--account", "studio"]
    assert [one["topic"] for one in read(path, None, command[-1]).requests] == wanted


def test_text_that_both_encodings_can_read_is_not_guessed(tmp_path: Path) -> None:
    path = written(tmp_path, "t.txt", "模漏\n".encode("gbk"))
    with pytest.raises(Failure, match="is ambiguous"):
        read(path, None)
    assert read(path, None, "gbk").requests == [{"topic": "模漏"}]
    assert read(path, None, "utf-8").requests == [{"topic": "ģ©"}]


@pytest.mark.parametrize(
    "text", ["Café au lait", "Чай и кофе", "Öl für Möbel", "ελληνικά", "naïve – “quoted”", "茶", "🍵"]
)
def test_ordinary_text_is_not_doubted(tmp_path: Path, text: str) -> None:
    assert read(written(tmp_path, "t.txt", text), None).requests == [{"topic": text}]


@pytest.mark.parametrize("encoding", ["no-such", "base64", "utf-7", "unicode_escape", "idna", "\x00", "rot13"])
def test_an_encoding_that_is_none_of_text_is_refused(tmp_path: Path, encoding: str) -> None:
    with pytest.raises(Failure, match="for --encoding") as failed:
        read(written(tmp_path, "t.txt", "Tea"), None, encoding)
    assert failed.value.exit_code == USAGE


def test_an_encoding_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    chinese = "春季养生指南\n".encode()
    for data, encoding in ((chinese, "gbk"), (b"\xef\xbb\xbf" + chinese, "gbk"), (b"Caf\xe9\n", "utf-8")):
        with pytest.raises(Failure, match=f"is not {encoding}"):
            read(written(tmp_path, "t.txt", data), None, encoding)


def test_a_damaged_line_of_utf8_leaves_the_others(tmp_path: Path) -> None:
    batch = read(
        written(tmp_path, "t.txt", "春季养生\n秋天的茶\n".encode() * 3 + b"\xe6\x98\nTea\n\xc4\xa3\xc2\xa9\n"), None
    )
    assert batch.lines == [1, 2, 3, 4, 5, 6, 8]
    assert [line for line, _ in batch.faults] == [7, 9]


@pytest.mark.parametrize("mark", ",，、;；\n")
def test_keywords_may_have_chinese_commas(tmp_path: Path, mark: str) -> None:
    batch = read(written(tmp_path, "t.csv", f'topic,keywords\nTea,"茶{mark} 健康{mark}"\n'), None)
    assert batch.requests == [{"topic": "Tea", "keywords": ["茶", "健康"]}]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("topic,\nTea,x\n", "Column 2 has no name in the header, but contains 'x'."),
        ("topic\nTea,x\n", "It has 2 cells; the header names 1 columns."),
        ('topic,tone\n"Tea" x,warm\n', "Not CSV: after the closing quote"),
        ('topic,tone\nTea,"warm\nMate,\n', "Not CSV: a quote that is opened in line 2 is never closed"),
        ("topic,priority\nTea,1.5\n", "priority is not a whole number: '1.5'."),
    ],
)
def test_csv_rows_that_are_not_certain(tmp_path: Path, text: str, fault: str) -> None:
    batch = read(written(tmp_path, "t.csv", text), None)
    assert [line for line, _ in batch.faults] == [2]
    assert batch.faults[0][1].startswith(fault)
    assert batch.requests == []


def test_a_row_that_is_no_csv_leaves_the_next_one(tmp_path: Path) -> None:
    batch = read(written(tmp_path, "t.csv", 'topic,tone\n"Tea" x,warm\nMate,cool\n'), None)
    assert batch.requests == [{"topic": "Mate", "tone": "cool"}]


@pytest.mark.parametrize(
    ("header", "why"),
    [
        ("topic;taste", "looks like a semicolon"),
        ("topic:tone", "sep=:"),
        ("主题,主题", "named twice"),
        ("主题,topic", "named twice"),
    ],
)
def test_csv_headers_that_are_not_certain(tmp_path: Path, header: str, why: str) -> None:
    with pytest.raises(Failure, match="must name the columns") as failed:
        read(written(tmp_path, "t.csv", header + "\nTea,1\n"), None)
    assert why in failed.value.why


@pytest.mark.parametrize("name", ["t.xlsx", "t.csv"])
def test_a_workbook_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(Failure, match="is a workbook"):
        read(written(tmp_path, name, b"PK\x03\x04" + bytes(100)), None)


@pytest.mark.parametrize(
    "data", [b"%PDF-1.4\n\xe2\xe3", b"\x1f\x8b\x08", b"\x89PNG\r\n", b"{\\rtf1 Tea}", bytes(range(32)) * 9]
)
def test_what_is_no_text_is_told_so(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(Failure, match="is not a text file"):
        read(written(tmp_path, "t.txt", data), None)


def test_few_bytes_of_another_encoding_do_not_make_utf8_chinese(tmp_path: Path) -> None:
    batch = read(written(tmp_path, "t.txt", "Tea\nété\n".encode() + "forêt\n".encode("latin-1")), None)
    assert [one["topic"] for one in batch.requests] == ["Tea"]
    assert [line for line, _ in batch.faults] == [2, 3]


LARGE = {
    "one long line": b"topic\n" + b"x" * 10_000_000 + b"\n",
    "a million columns": b"topic" + b"," * 1_000_000 + b"\nTea" + b"," * 1_000_000 + b"\n",
    "a million headings": b"topic" + b",a" * 1_000_000 + b"\nTea\n",
    "quotes": b"topic\n" + b'"' * 5_000_001 + b"\n",
    "separators": b"topic\n" + b"Tea;" * 1_000_000 + b"\n",
    "another encoding": b"topic\n" + "春季养生\n".encode("gbk") * 1_000_000,
    "line ends": b"topic" + b"\r" * 5_000_000 + b"Tea",
    "zeros": bytes(10_000_000),
}


@pytest.mark.parametrize("data", LARGE.values(), ids=LARGE.keys())
def test_large_files_take_linear_work(tmp_path: Path, data: bytes) -> None:
    path = written(tmp_path, "t.csv", data)
    begun = time.process_time()
    with suppress(Failure):
        assert len(read(path, None).requests) <= 1
    assert time.process_time() - begun < 30


def test_a_file_without_end_is_refused() -> None:
    with pytest.raises(Failure, match="is too large"):
        read("/dev/zero", "csv")


PIECES = [
    *(
        b"topic",
        b"keywords",
        b",",
        b";",
        b"\t",
        b"\n",
        b"\r",
        b'"',
        b'""',
        b" ",
        b"sep=",
        b"{}",
        b"\0",
        b"\x1a",
        b"\xe9",
    ),
    *(b"\xef\xbb\xbf", b"\xff\xfe", "主题".encode(), "，".encode(), "茶".encode("gbk"), "茶".encode("utf-16-le")),
]
BYTES = st.one_of(st.binary(max_size=60), st.lists(st.sampled_from(PIECES), max_size=14).map(b"".join))


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=BYTES, name=st.sampled_from(["t.csv", "t.txt", "t.jsonl"]), encoding=st.sampled_from([None, "gbk", "utf-16"])
)
def test_any_file_is_read_or_refused(tmp_path: Path, data: bytes, name: str, encoding: str | None) -> None:
    with suppress(Failure):
        batch = read(written(tmp_path, name, data), None, encoding)
        assert len(batch.requests) == len(batch.lines)
        assert all(fault for _, fault in batch.faults)
