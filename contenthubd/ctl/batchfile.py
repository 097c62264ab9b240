"""Topics from a file: text, CSV or JSON lines, each request with the line it came from, each fault with its line.

Only the form is judged here (is it a line, a column, a number); whether a topic is acceptable is the daemon's to say.
"""

import json
from collections import Counter
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any

from contenthubd.ctl import decoding, spreadsheet
from contenthubd.ctl.arguments import nearest
from contenthubd.ctl.failure import USAGE, Failure

TEXTS = frozenset({"topic", "requirements", "category", "tone", "audience", "mode", "idempotency_key"})
NUMBERS = spreadsheet.WHOLE | {"max_retries"}
FIELDS = (*sorted(TEXTS), *sorted(NUMBERS), "keywords", "timeout_seconds", "auto_approve")

MOST_KEYWORDS = 1000
_INT64 = 2**63


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


def read(path: str, form: str | None, encoding: str | None = None, account: str = "ACCOUNT") -> Batch:
    """The batch in a file, ``-`` for stdin. Failure if it cannot be read, or its form or encoding is not certain."""
    form = form or _form_of(path)
    batch = Batch()
    lines, unread = decoding.lines(decoding.content(path), encoding, path, account)
    batch.faults += unread
    {"txt": _text, "csv": _csv, "jsonl": _jsonl}[form](lines, batch)
    _few_keywords(batch)
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


def _few_keywords(batch: Batch) -> None:
    """More of them than the daemon takes are a fault of their line alone, not of the whole file."""
    many = {index for index, one in enumerate(batch.requests) if len(one.get("keywords") or ()) > MOST_KEYWORDS}
    batch.faults += [(batch.lines[index], f"It has more than {MOST_KEYWORDS:,} keywords.") for index in many]
    batch.drop(many)


def _form_of(path: str) -> str:
    if path == "-":
        return "txt"
    ending = Path(path).suffix.lower().removeprefix(".")
    if ending in ("txt", "csv", "jsonl", "tsv"):
        return ending.replace("tsv", "csv")
    if ending in ("xlsx", "xls", "ods", "numbers", "et"):
        raise decoding.workbook(path)
    raise Failure(
        f"Unknown file format: {path}.", why="Valid extensions: .txt, .csv, .tsv, .jsonl.",
        fix="Give --format txt, csv or jsonl.", exit_code=USAGE,
    )  # fmt: skip


def _text(lines: list[tuple[int, str]], batch: Batch) -> None:
    for number, line in lines:
        topic = line.replace("\ufeff", "").strip()
        if topic and not topic.startswith("#"):
            batch.add(number, {"topic": topic})


def _jsonl(lines: list[tuple[int, str]], batch: Batch) -> None:
    for number, line in lines:
        if not line.replace("\ufeff", "").strip():
            continue
        try:
            request = json.loads(
                line.strip("\ufeff"),
                parse_constant=_refused,
                parse_float=_finite,
                parse_int=_whole,
                object_pairs_hook=_once,
            )
            json.dumps(request, ensure_ascii=False).encode()
        except json.JSONDecodeError as error:
            batch.faults.append((number, f"Not JSON: {error.msg.removesuffix(' at')} at column {error.colno}."))
            continue
        except UnicodeEncodeError:
            batch.faults.append((number, "It contains an unpaired surrogate, which is not valid text."))
            continue
        except RecursionError:
            batch.faults.append((number, "Not a request: it is nested too deeply."))
            continue
        except ValueError as error:
            batch.faults.append((number, f"Not a request: {error}."))
            continue
        faults = _request_faults(request)
        batch.faults += [(number, fault) for fault in faults]
        if not faults:
            batch.add(number, request)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object; a field that is given twice is refused, since one of the values would be dropped."""
    made = dict(pairs)
    if len(made) < len(pairs):
        twice = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        raise ValueError(f"the field {twice[:40]!r} is given twice")
    return made


def _refused(constant: str) -> Any:
    raise ValueError(f"{constant} is not a number in JSON")


def _whole(text: str) -> int:
    if len(text) > 20 or not -_INT64 <= int(text) < _INT64:
        raise ValueError(f"the number {text[:20]}{'…' if len(text) > 20 else ''} is too large")
    return int(text)


def _finite(text: str) -> float:
    if not isfinite(number := float(text)):
        raise ValueError(f"the number {text[:20]} is too large")
    return number


def _request_faults(request: Any) -> list[str]:
    if not isinstance(request, dict):
        return [f"A JSON object is expected, not {json.dumps(request, ensure_ascii=False)[:40]}."]
    faults = [f"Unknown field {name!r}. {nearest(name, FIELDS)}".rstrip() for name in request if name not in FIELDS]
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
        "a string": name in TEXTS and not isinstance(value, str),
        "a whole number": name in NUMBERS and not number,
        "a number": name == "timeout_seconds" and not (number or isinstance(value, float)),
        "true or false": name == "auto_approve" and not isinstance(value, bool),
        "a list of strings": name == "keywords"
        and not (isinstance(value, list) and all(isinstance(word, str) for word in value)),
    }
    return next((words for words, is_so in wrong.items() if is_so), "")


def _csv(lines: list[tuple[int, str]], batch: Batch) -> None:
    spreadsheet.rows(lines, batch.add, lambda number, fault: batch.faults.append((number, fault)))
