"""Topics from a file: text, CSV or JSON lines, each request with the line it came from, each fault with its line.

Only the form is judged here (is it a line, a column, a number); whether a topic is acceptable is the daemon's to say.
"""

import csv
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from contenthubd.ctl.failure import USAGE, Failure

TEXTS = frozenset({"topic", "requirements", "category", "tone", "audience", "mode", "idempotency_key"})
WHOLE = frozenset({"priority", "min_chars", "max_chars", "max_retries"})
FIELDS = (*sorted(TEXTS), *sorted(WHOLE), "keywords", "timeout_seconds", "auto_approve")
CSV_COLUMNS = (
    "topic", "keywords", "requirements", "category", "tone", "audience", "priority", "min_chars", "max_chars",
    "idempotency_key",
)  # fmt: skip


@dataclass
class Batch:
    """What a file holds. Lines count from 1."""

    requests: list[dict[str, Any]] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    faults: list[tuple[int, str]] = field(default_factory=list)

    def add(self, line: int, request: dict[str, Any]) -> None:
        """A request that has the right form."""
        self.requests.append(request)
        self.lines.append(line)

    def drop(self, indexes: set[int]) -> None:
        """Leave out the requests at these places."""
        self.requests = [one for index, one in enumerate(self.requests) if index not in indexes]
        self.lines = [one for index, one in enumerate(self.lines) if index not in indexes]


def read(path: str, form: str | None) -> Batch:
    """The batch in a file, ``-`` for stdin. Failure if it cannot be read or its form is unknown."""
    form = form or _form_of(path)
    try:
        raw = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
    except OSError as error:
        fix = "Name a file that is there and may be read; - is standard input."
        raise Failure(f"{path} cannot be read.", why=f"{error.strerror}.", fix=fix, exit_code=USAGE) from None
    batch = Batch()
    lines = list(_decoded(raw.removeprefix(b"\xef\xbb\xbf"), batch))
    {"txt": _text, "csv": _csv, "jsonl": _jsonl}[form](lines, batch)
    _one_key_one_line(batch)
    batch.faults.sort()
    return batch


def _one_key_one_line(batch: Batch) -> None:
    """A key that an earlier line has is a fault: the second topic would be taken for the first one."""
    first: dict[str, int] = {}
    repeated: set[int] = set()
    for index, (line, request) in enumerate(zip(batch.lines, batch.requests, strict=True)):
        key = request.get("idempotency_key")
        if key and first.setdefault(key, line) != line:
            repeated.add(index)
            batch.faults.append((line, f"The idempotency key {key[:60]!r} is already used in line {first[key]}."))
    batch.drop(repeated)


def _form_of(path: str) -> str:
    if path == "-":
        return "txt"
    ending = Path(path).suffix.lower().removeprefix(".")
    if ending in ("txt", "csv", "jsonl"):
        return ending
    raise Failure(
        f"The form of {path} is not known.", why="Its name ends neither in .txt nor in .csv nor in .jsonl.",
        fix="Give --format txt, csv or jsonl.", exit_code=USAGE,
    )  # fmt: skip


def _decoded(raw: bytes, batch: Batch) -> Iterator[tuple[int, str]]:
    """Lines as text; one that is not UTF-8 is a fault."""
    for number, line in enumerate(raw.split(b"\n"), 1):
        try:
            yield number, line.decode()
        except UnicodeDecodeError as error:
            found = f"0x{line[error.start]:02x}"
            batch.faults.append((number, f"Not UTF-8: byte {error.start + 1} of the line is {found}."))


def _text(lines: list[tuple[int, str]], batch: Batch) -> None:
    for number, line in lines:
        topic = line.strip()
        if topic and not topic.startswith("#"):
            batch.add(number, {"topic": topic})


def _jsonl(lines: list[tuple[int, str]], batch: Batch) -> None:
    for number, line in lines:
        if not line.strip():
            continue
        try:
            request = json.loads(line, parse_constant=_refused)
            json.dumps(request, ensure_ascii=False).encode()
        except json.JSONDecodeError as error:
            batch.faults.append((number, f"Not JSON: {error.msg} at column {error.colno}."))
            continue
        except UnicodeEncodeError:
            batch.faults.append((number, "It holds half a character (a lone surrogate), which is no text."))
            continue
        except (RecursionError, ValueError) as error:
            batch.faults.append((number, f"Not a request: {error}."))
            continue
        faults = _request_faults(request)
        batch.faults += [(number, fault) for fault in faults]
        if not faults:
            batch.add(number, request)


def _refused(constant: str) -> Any:
    raise ValueError(f"{constant} is not a number in JSON")


def _request_faults(request: Any) -> list[str]:
    if not isinstance(request, dict):
        return [f"A JSON object is expected, not {json.dumps(request, ensure_ascii=False)[:40]}."]
    faults = [f"Unknown field {name!r}.{_nearest(name, FIELDS)}" for name in request if name not in FIELDS]
    if "topic" not in request:
        faults.append("There is no 'topic'.")
    for name, value in request.items():
        expected = _expected(name, value)
        if expected:
            faults.append(f"{name!r} is not {expected}.")
    return faults


def _expected(name: str, value: Any) -> str:
    """What the value should be, nothing if it is."""
    if value is None and name != "topic":
        return ""
    number = isinstance(value, int) and not isinstance(value, bool)
    wrong = {
        "a text": name in TEXTS and not isinstance(value, str),
        "a whole number": name in WHOLE and not number,
        "a number": name == "timeout_seconds" and not (number or isinstance(value, float)),
        "true or false": name == "auto_approve" and not isinstance(value, bool),
        "a list of texts": name == "keywords"
        and not (isinstance(value, list) and all(isinstance(word, str) for word in value)),
    }
    return next((words for words, is_so in wrong.items() if is_so), "")


def _csv(lines: list[tuple[int, str]], batch: Batch) -> None:
    numbers = [number for number, _ in lines]
    reader = csv.reader((line + "\n" for _, line in lines), strict=True)
    header: list[str] | None = None
    begun = 0
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as error:
            batch.faults.append((numbers[min(begun, len(numbers) - 1)], f"Not CSV: {error}."))
            return
        if cells is None:
            return
        number, begun = numbers[begun], reader.line_num
        cells = [cell.strip() for cell in cells]
        if not any(cells):
            continue
        if header is None:
            header = _header(cells, number)
        else:
            _csv_row(header, cells, number, batch)


def _header(cells: list[str], number: int) -> list[str]:
    header = [cell.lower() for cell in cells]
    unknown = [name for name in header if name not in CSV_COLUMNS]
    what = f"Line {number} must name the columns."
    fix = f"Columns are {', '.join(CSV_COLUMNS)}; only topic is needed."
    if unknown:
        why = f"There is no column {unknown[0]!r}.{_nearest(unknown[0], CSV_COLUMNS)}"
        raise Failure(what, why=why, fix=fix, exit_code=USAGE)
    if "topic" not in header or len(set(header)) < len(header):
        why = "The column topic is missing." if "topic" not in header else "A column is named twice."
        raise Failure(what, why=why, fix=fix, exit_code=USAGE)
    return header


def _csv_row(header: list[str], cells: list[str], number: int, batch: Batch) -> None:
    if len(cells) > len(header):
        batch.faults.append((number, f"It has {len(cells)} cells; the header names {len(header)} columns."))
        return
    request: dict[str, Any] = {"topic": ""}
    faults = []
    for name, cell in zip(header, cells, strict=False):
        if name == "keywords":
            request[name] = [word.strip() for word in cell.replace(";", ",").split(",") if word.strip()]
        elif name in WHOLE and cell:
            if re.fullmatch(r"[+-]?\d{1,15}", cell):
                request[name] = int(cell)
            else:
                faults.append((number, f"{name} is not a whole number: {cell[:40]!r}."))
        elif cell:
            request[name] = cell
    batch.faults += faults
    if not faults:
        batch.add(number, request)


def _nearest(word: str, choices: tuple[str, ...]) -> str:
    import difflib  # only for mistakes

    near = difflib.get_close_matches(word, choices, n=1)
    return f" Did you mean {near[0]!r}?" if near else ""
