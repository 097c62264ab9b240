"""From what a person asks to what the creator is told: checked, resolved and composed once, at submit.

Audience and tone reach no prompt of the creator when they are given as its options, so they are written into the
requirements. The result travels as one argument of a command line: Linux allows 131,071 bytes for one, counted
here in the final composed form, option name and mark included.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from contenthubd.domain import invisible
from contenthubd.domain.account import Account
from contenthubd.domain.attempt import MARK_LENGTH
from contenthubd.domain.errors import InvalidInput
from contenthubd.domain.task import Mode

MAX_TOPIC_CHARS: Final = 500
MAX_ARGUMENT_BYTES: Final = 131_071
MAX_KEYWORDS: Final = 20
MOST_RETRIES: Final = 100
MOST_CHARS: Final = 100_000
MAX_IDEMPOTENCY_KEY_CHARS: Final = 200
DEFAULT_MIN_CHARS: Final = 800
DEFAULT_MAX_CHARS: Final = 3000
DEFAULT_PRIORITY: Final = 5
_LINE_BREAK: Final = re.compile(r"[\n\r\x85\u2028\u2029]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One topic as asked for; None means "as the account or the configuration says"."""

    topic: str
    keywords: Sequence[str] = ()
    requirements: str = ""
    category: str = ""
    tone: str | None = None
    audience: str | None = None
    min_chars: int = DEFAULT_MIN_CHARS
    max_chars: int = DEFAULT_MAX_CHARS
    priority: int = DEFAULT_PRIORITY
    mode: Mode | None = None
    auto_approve: bool | None = None
    max_retries: int | None = None
    timeout_seconds: float | None = None
    idempotency_key: str | None = None


def check(request: Request) -> list[str]:
    """Every fault of a request, one sentence each; an empty list means it is acceptable."""
    faults = [*_topic_faults(request.topic), *_number_faults(request), *_keyword_faults(request.keywords)]
    texts = {
        "requirements": request.requirements,
        "tone": request.tone or "",
        "audience": request.audience or "",
        "category": request.category,
        "keywords": " ".join(request.keywords),
    }
    faults += [fault for name, text in texts.items() if (fault := invisible.named_fault(name, text))]
    return faults + _key_faults(request.idempotency_key)


def check_key(key: str | None) -> None:
    """InvalidInput for an idempotency key of a whole batch that is not acceptable."""
    if faults := _key_faults(key):
        raise InvalidInput(faults[0])


def cleaned(request: Request) -> Request:
    """The request without byte order marks, which editors and spreadsheets leave in texts."""
    clean = invisible.cleaned
    return replace(
        request,
        topic=clean(request.topic),
        keywords=tuple(clean(word) for word in request.keywords),
        requirements=clean(request.requirements),
        category=clean(request.category),
        tone=request.tone if request.tone is None else clean(request.tone),
        audience=request.audience if request.audience is None else clean(request.audience),
        idempotency_key=None if request.idempotency_key is None else clean(request.idempotency_key),
    )


def compose(request: Request, account: Account) -> str:
    """The requirements the creator will see, without the mark; InvalidInput if they do not fit into one argument."""
    tone = request.tone if request.tone is not None else account.tone
    audience = request.audience if request.audience is not None else account.audience
    parts = (
        ("", account.requirements),
        ("", request.requirements),
        ("分类：", request.category),
        ("目标读者：", audience),
        ("语气：", tone),
        ("篇幅：", f"{request.min_chars}–{request.max_chars} 字"),
    )
    text = "\n".join(label + part.strip() for label, part in parts if part.strip())
    size = len(f"--requirements={text}\n".encode()) + MARK_LENGTH
    if size > MAX_ARGUMENT_BYTES:
        raise InvalidInput(
            f"The requirements take {size:,} bytes together with the account's defaults.",
            why=f"One argument of a command line can have at most {MAX_ARGUMENT_BYTES:,} bytes.",
            fix="Shorten the requirements.",
        )
    return text


def resolve_auto_approve(request: Request, account: Account, configured: bool) -> bool:
    """Task before account before configuration."""
    for value in (request.auto_approve, account.auto_approve):
        if value is not None:
            return value
    return configured


def resolve_mode(request: Request, account: Account, configured: Mode) -> Mode:
    """Task before account before configuration."""
    return request.mode or account.mode or configured


def _topic_faults(topic: str) -> list[str]:
    faults = []
    if not topic.strip():
        faults.append("The topic is empty.")
    if len(topic) > MAX_TOPIC_CHARS:
        faults.append(f"The topic has {len(topic):,} characters; the maximum is {MAX_TOPIC_CHARS}.")
    if _LINE_BREAK.search(topic):
        faults.append(
            "The topic contains a line break. A topic is one line; put longer instructions into the requirements."
        )
    fault = invisible.named_fault("topic", re.sub(r"[\r\x85]", "", topic))
    return faults + ([fault] if fault else [])


def _keyword_faults(keywords: Sequence[str]) -> list[str]:
    faults = []
    if len(keywords) > MAX_KEYWORDS:
        faults.append(f"There are {len(keywords)} keywords; the maximum is {MAX_KEYWORDS}.")
    for word in keywords:
        if "," in word or not word.strip():
            faults.append(f"The keyword {word[:40]!r} is empty or contains a comma, which separates keywords.")
        if _LINE_BREAK.search(word):
            faults.append(f"The keyword {word[:40]!r} contains a line break.")
        if word.strip() and invisible.blank(word):
            faults.append(f"The keyword {word[:40]!r} contains only invisible characters.")
    size = len(f"--keywords={','.join(keywords)}".encode(errors="surrogatepass"))
    if size > MAX_ARGUMENT_BYTES:
        faults.append(f"The keywords take {size:,} bytes; one argument can have at most {MAX_ARGUMENT_BYTES:,}.")
    return faults


def _key_faults(key: str | None) -> list[str]:
    if key is None:
        return []
    if not 1 <= len(key) <= MAX_IDEMPOTENCY_KEY_CHARS:
        return [f"The idempotency key must have 1 to {MAX_IDEMPOTENCY_KEY_CHARS} characters."]
    if not key.strip():
        return ["The idempotency key is empty."]
    fault = invisible.key_fault(key)
    return [f"The idempotency key {fault}"] if fault else []


def _number_faults(request: Request) -> list[str]:
    faults = []
    if not 1 <= request.priority <= 10:
        faults.append(f"The priority {request.priority} is not between 1 (first) and 10 (last).")
    for name, chars in (
        ("shortest length (min_chars)", request.min_chars),
        ("longest length (max_chars)", request.max_chars),
    ):
        if not 1 <= chars <= MOST_CHARS:
            faults.append(f"The {name} of {chars} characters is not between 1 and {MOST_CHARS:,}.")
    if 1 <= request.max_chars < request.min_chars <= MOST_CHARS:
        faults.append(
            f"The shortest length (min_chars) of {request.min_chars:,} characters exceeds the longest (max_chars), "
            f"{request.max_chars:,}; the defaults are {DEFAULT_MIN_CHARS} and {DEFAULT_MAX_CHARS:,}."
        )
    if request.max_retries is not None and not 0 <= request.max_retries <= MOST_RETRIES:
        faults.append(f"The number of retries {request.max_retries} is not between 0 and {MOST_RETRIES}.")
    if request.timeout_seconds is not None and not 1 <= request.timeout_seconds <= 86_400:
        faults.append(
            f"The time limit (timeout_seconds) of {request.timeout_seconds:,.10g} s is not between 1 and 86,400 s."
        )
    return faults
