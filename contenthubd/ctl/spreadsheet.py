"""CSV as spreadsheet programs write it: the separator, the columns, the rows.

The header decides: its words come from a fixed list, so a separator between them that yields only known columns is
certain. Spreadsheets leave empty columns and rows behind, which mean nothing.
"""

from __future__ import annotations

import csv
import re
import unicodedata
from collections.abc import Callable, Iterator

from contenthubd.ctl.arguments import keywords, nearest
from contenthubd.ctl.decoding import MAX_BYTES
from contenthubd.ctl.failure import USAGE, Failure

TYPE_CHECKING = False  # typing itself takes two milliseconds to import
if TYPE_CHECKING:
    from typing import Any

COLUMNS = (
    "topic", "keywords", "requirements", "category", "tone", "audience", "priority", "min_chars", "max_chars",
    "idempotency_key",
)  # fmt: skip
CHINESE = {
    "topic": "主题 主題 话题 話題 选题 選題 标题 標題 题目 題目 文章标题 文章標題 文章主题 文章主題",
    "keywords": "关键词 關鍵詞 关键字 關鍵字 关键词列表",
    "requirements": "要求 写作要求 寫作要求 文章要求 需求 说明 說明",
    "category": "分类 分類 类别 類別 栏目 欄目 类型 類型",
    "tone": "语气 語氣 风格 風格 文风 文風",
    "audience": "受众 受眾 读者 讀者 目标读者 目標讀者 目标受众 目標受眾",
    "priority": "优先级 優先級 优先度",
    "min_chars": "最少字数 最少字數 最小字数 最小字數 字数下限 字數下限",
    "max_chars": "最多字数 最多字數 最大字数 最大字數 字数上限 字數上限",
    "idempotency_key": "幂等键 冪等鍵 幂等 唯一键 唯一鍵",
}
_MEANT = {word: column for column, words in CHINESE.items() for word in words.split()} | {one: one for one in COLUMNS}
SEPARATORS = ",;\t|，；、"
_NAMED = {"\t": "tab", ",": "comma", ";": "semicolon", "|": "vertical bar"}
_WHOLE_NUMBER = re.compile(r"[+-]?\d{1,15}(?:\.0{1,6})?")
WHOLE = frozenset({"priority", "min_chars", "max_chars"})
Add = Callable[[int, "dict[str, Any]"], None]
Refuse = Callable[[int, str], None]


def rows(lines: list[tuple[int, str]], add: Add, refuse: Refuse) -> None:
    """Hand each row to ``add`` as a request, or to ``refuse`` with what is wrong. Failure for an unusable header."""
    told = _sep(_first(lines))
    if told:
        lines = lines[next(index for index, one in enumerate(lines) if one[1].strip()) + 1 :]
    header: list[str] | None = None
    separator = told or _separator(_first(lines))
    for number, cells in _cells(lines, separator, refuse):
        if not any(cells):
            continue
        if header is None:
            header = _header(cells, number, separator)
        else:
            _row(header, cells, number, add, refuse)


def _first(lines: list[tuple[int, str]]) -> str:
    return next((line for _, line in lines if line.strip()), "")


def _sep(line: str) -> str:
    """The character of a line ``sep=;``, with which Excel names the separator."""
    found = re.fullmatch(r'\s*"?sep=(.)"?[,;\t]*', line.lstrip("\ufeff"), re.IGNORECASE)
    return found[1] if found else ""


def _cells(lines: list[tuple[int, str]], separator: str, refuse: Refuse) -> Iterator[tuple[int, list[str]]]:
    """Rows with the number of their first line; a row that is no CSV is refused and the next one is read."""
    csv.field_size_limit(MAX_BYTES)
    numbers = [number for number, _ in lines]
    reader = csv.reader((f"{line}\n" for _, line in lines), strict=True, delimiter=separator, skipinitialspace=True)
    begun = 0
    while begun < len(numbers):
        try:
            cells = next(reader, None)
        except csv.Error as error:
            if reader.line_num == begun + 1 and _spaced(lines[begun][1], separator):
                loose = csv.reader([lines[begun][1]], delimiter=separator, skipinitialspace=True)
                yield numbers[begun], [cell.strip().strip("\ufeff") for cell in next(loose)]
                begun += 1
                continue
            last = numbers[min(reader.line_num, len(numbers)) - 1]
            refuse(numbers[begun], _no_csv(str(error), numbers[begun], last))
            begun = reader.line_num
            continue
        if cells is None:
            return
        yield numbers[begun], [cell.strip().strip("\ufeff") for cell in cells]
        begun = reader.line_num


def _spaced(line: str, separator: str) -> bool:
    """Whether nothing but spaces stands between the closing quotes of a line and its separators."""
    apart = re.escape(separator)
    cell = rf'(?: *+"(?>(?:[^"]|"")*)" *+|[^"{apart}]*+)'
    return re.fullmatch(rf"{cell}(?>(?:{apart}{cell})*)", line) is not None


def _no_csv(message: str, first: int, last: int) -> str:
    if "unexpected end" in message:
        return (
            f"Not CSV: a quote that is opened in line {first} is never closed; lines {first} to {last} were not read."
        )
    if "expected after" in message:
        return "Not CSV: after the closing quote of a cell there is something else; write a quote inside a cell twice."
    return f"Not CSV: {message}."


def _separator(line: str) -> str:
    """The separator of a header: the one that yields known columns, and most of them."""

    def known(separator: str) -> tuple[bool, int]:
        if separator not in line:
            return False, 0
        cells = [_meant(cell) for cell in line[:10_000].split(separator) if cell.strip(' "')]
        found = sum(cell in COLUMNS for cell in cells)
        return found == len(cells), found

    best = max(SEPARATORS, key=known)
    return best if known(best)[1] else ","


def _meant(cell: str) -> str:
    """The column that a heading names, in English or Chinese, or the heading in lowercase."""
    plain = unicodedata.normalize("NFKC", cell[:200]).replace("\ufeff", "").strip(' \t"*:').lower()
    return (
        _MEANT.get(plain) or _MEANT.get(re.sub(r"[\s_-]+", "_", plain)) or _MEANT.get(re.sub(r"\s", "", plain), plain)
    )


def _header(cells: list[str], number: int, separator: str) -> list[str]:
    header = [_meant(cell) for cell in cells]
    named = [name for name in header if name]
    unknown = [name for name in named if name not in COLUMNS]
    if not unknown and "topic" in header and len(set(named)) == len(named):
        return header
    why = "A column is named twice." if "topic" in header else "The column topic is missing."
    if unknown:
        why = f"There is no column {unknown[0][:60]!r}. {nearest(unknown[0][:60], COLUMNS)}".rstrip()
        if separator != ",":
            why += f" The separator looks like a {_NAMED.get(separator, separator)}."
        elif other := re.search(r"(?i)\btopic\b\s*([^\w\s,])", unknown[0][:200]):
            why += f" The separator looks like {other[1]!r}; put the line sep={other[1]} before the header."
    raise Failure(f"Line {number} must name the columns.", why=why, exit_code=USAGE,
                  fix=f"Columns are {', '.join(COLUMNS)}, or Chinese words for them such as 主题 and 关键词; "
                      "only topic is needed.")  # fmt: skip


def _row(header: list[str], cells: list[str], number: int, add: Add, refuse: Refuse) -> None:
    filled = len(cells)
    while filled and not cells[filled - 1]:
        filled -= 1
    if filled > len(header):
        refuse(number, f"It has {filled} cells; the header names {len([one for one in header if one])} columns.")
        return
    request: dict[str, Any] = {"topic": ""}
    faults = []
    for place, (name, cell) in enumerate(zip(header, cells, strict=False), 1):
        if not cell:
            continue
        if not name:
            faults.append(f"Column {place} has no name in the header, but contains {cell[:40]!r}.")
        elif name in WHOLE and not _WHOLE_NUMBER.fullmatch(cell):
            faults.append(f"{name} is not a whole number: {cell[:40]!r}.")
        else:
            request[name] = _value(name, cell)
    for fault in faults:
        refuse(number, fault)
    if not faults:
        add(number, request)


def _value(name: str, cell: str) -> Any:
    if name in WHOLE:
        return int(cell.partition(".")[0])
    return (keywords(cell) or None) if name == "keywords" else cell
