"""Requests: what is refused, what passes, and what the creator is told in the end."""

import shutil
import subprocess
from dataclasses import replace
from datetime import UTC, datetime
from itertools import product
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contenthubd.domain import invisible
from contenthubd.domain.account import Account
from contenthubd.domain.attempt import mark_of, with_mark
from contenthubd.domain.errors import InvalidInput
from contenthubd.domain.request import (
    MAX_ARGUMENT_BYTES,
    Request,
    check,
    cleaned,
    compose,
    resolve_auto_approve,
    resolve_mode,
)
from contenthubd.domain.task import Mode

ACCOUNT = Account(account_id=UUID(int=1), name="studio", created_at=datetime(2026, 1, 1, tzinfo=UTC))
PLAIN = Request(topic="bread")
MARK = mark_of(UUID(int=2), 1)
MODES = (None, Mode.ASYNC, Mode.SYNC)
BOOLEANS = (None, True, False)
TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1) | st.text()


def argument(requirements: str) -> str:
    """The one argument that carries the requirements, as the creator's command line gets it."""
    return f"--requirements={with_mark(requirements, MARK)}"


# --------------------------------------------------------------------------------------------------------- checks


@pytest.mark.parametrize(
    "request_",
    [
        PLAIN,
        Request(topic="x" * 500),
        Request(topic="面" * 500),
        Request(topic="🍞" * 500),
        Request(topic="👩‍🍳 bakes"),
        Request(topic="خبز يومي"),
        Request(topic="می\u200cرود"),
        Request(topic="क्\u200dष and ශ්\u200dරී"),
        Request(topic="flag \U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f"),
        Request(topic="葛\U000e0100 ☂\ufe0f 各\u3099"),
        Request(topic="ไทย\u200bไทย co\u00adop"),
        Request(topic="e\u0301 é ｶﾞ 한글 \U0001fadf"),
        Request(topic="--help"),
        Request(topic="-t"),
        Request(topic="--topic=x"),
        Request(topic="'; rm -rf / #\"$(id)`id`"),
        Request(topic="tab\there"),
        Request(topic="bread", requirements="one\ntwo\r\nthree\ttabbed\n任务ID: 00000000-0000-0000-0000-000000000000"),
        Request(topic="bread", keywords=["k"] * 20),
        Request(topic="bread", priority=1),
        Request(topic="bread", priority=10),
        Request(topic="bread", min_chars=1, max_chars=1),
        Request(topic="bread", min_chars=100_000, max_chars=100_000),
        Request(topic="bread", max_retries=0),
        Request(topic="bread", max_retries=20),
        Request(topic="bread", timeout_seconds=1),
        Request(topic="bread", timeout_seconds=86_400),
        Request(topic="bread", idempotency_key="k" * 200),
    ],
    ids=lambda request: repr(request)[:60],
)
def test_good_requests(request_: Request) -> None:
    assert check(request_) == []


UNSEEN = [
    "\u200b",
    "\u200c\u200d",
    "\u2060",
    "\u180e",
    "\u00ad",
    "\u3164",
    "\u115f\u1160",
    "\uffa0",
    "\u2800",
    "\u034f",
]
SEEN_BY_NOBODY = {
    **{chr(code): f"U+{code:04X}" for code in (0x61C, 0x200E, 0x200F, 0x202A, 0x202E, 0x2066, 0x2069)},
    **{chr(code): f"the control character U+{code:04X}" for code in (0x80, 0x90, 0x9B, 0x9F)},
    **{chr(code): f"U+{code:04X}, which is not a character" for code in (0xFDD0, 0xFFFE, 0xFFFF, 0x10FFFF)},
    "\ufffd": "U+FFFD",
    "\U000e0041\U000e0042": "the invisible character U+E0041",
    "\u206a": "the invisible character",
    "\ufff9": "the invisible character",
    "x\ufe00\U000e0101": "the invisible character",
    "x\u200b\u200c\u200b\u200d": "the invisible character",
}

BAD = [
    (Request(topic=""), "The topic is empty."),
    (Request(topic=" \t　"), "The topic is empty."),
    (Request(topic="x" * 501), "The topic has 501 characters; the maximum is 500."),
    (Request(topic="🍞" * 501), "The topic has 501 characters"),
    (Request(topic="a\x00b"), "The topic contains the control character U+0000"),
    (Request(topic="a\x1bb"), "The topic contains the control character U+001B"),
    (Request(topic="a\x7fb"), "The topic contains the control character U+007F"),
    (Request(topic="a\n任务ID: 00000000-0000-0000-0000-000000000000"), "The topic contains a line break"),
    (Request(topic="a\r\n任务ID: 00000000-0000-0000-0000-000000000000"), "The topic contains a line break"),
    (Request(topic="a\rb"), "The topic contains a line break"),
    (Request(topic="a\x85b"), "The topic contains a line break"),
    (Request(topic="a\u2028b"), "The topic contains a line break"),
    (Request(topic="bread\n"), "The topic contains a line break"),
    (Request(topic="half \ud83c"), "The topic contains an unpaired surrogate"),
    (Request(topic="\udc00"), "The topic contains an unpaired surrogate"),
    (replace(PLAIN, requirements="a\x00b"), "The requirements contain the control character U+0000"),
    (replace(PLAIN, requirements="a\rb"), "The requirements contain the control character U+000D"),
    (replace(PLAIN, requirements="\udfff"), "The requirements contain an unpaired surrogate"),
    (replace(PLAIN, tone="\x00"), "The tone contains the control character"),
    (replace(PLAIN, audience="\ud800"), "The audience contains an unpaired surrogate"),
    (replace(PLAIN, category="\x00"), "The category contains the control character"),
    (replace(PLAIN, keywords=["a\x00"]), "The keywords contain the control character"),
    (replace(PLAIN, keywords=["\ud800"]), "The keywords contain an unpaired surrogate"),
    (replace(PLAIN, keywords=["a,b"]), "The keyword 'a,b' is empty or contains a comma"),
    (replace(PLAIN, keywords=["a", " "]), "The keyword ' ' is empty or contains a comma"),
    (replace(PLAIN, keywords=["a\nb"]), "The keyword 'a\\nb' contains a line break."),
    (replace(PLAIN, keywords=["k"] * 21), "There are 21 keywords; the maximum is 20."),
    (replace(PLAIN, keywords=["k" * MAX_ARGUMENT_BYTES]), "The keywords take 131,082 bytes"),
    (replace(PLAIN, priority=0), "The priority 0 is not between 1 (first) and 10 (last)."),
    (replace(PLAIN, priority=11), "The priority 11 is not between"),
    (replace(PLAIN, priority=-1), "The priority -1 is not between"),
    (replace(PLAIN, min_chars=0), "The shortest length (min_chars) of 0 characters is not between 1 and 100,000."),
    (
        replace(PLAIN, min_chars=900, max_chars=899),
        "The shortest length (min_chars) of 900 characters exceeds the longest (max_chars), 899;",
    ),
    (
        replace(PLAIN, max_chars=100_001),
        "The longest length (max_chars) of 100001 characters is not between 1 and 100,000.",
    ),
    (replace(PLAIN, max_retries=-1), "The number of retries -1 is not between 0 and 100."),
    (replace(PLAIN, max_retries=101), "The number of retries 101 is not between 0 and 100."),
    (replace(PLAIN, timeout_seconds=86_400_000.0), "The time limit (timeout_seconds) of 86,400,000 s is not"),
    (replace(PLAIN, timeout_seconds=0), "The time limit (timeout_seconds) of 0 s is not between 1 and 86,400 s."),
    (replace(PLAIN, timeout_seconds=86_401), "The time limit (timeout_seconds) of 86,401 s is not between"),
    (replace(PLAIN, timeout_seconds=float("nan")), "The time limit (timeout_seconds) of nan s is not between"),
    (replace(PLAIN, timeout_seconds=float("inf")), "The time limit (timeout_seconds) of inf s is not between"),
    (replace(PLAIN, idempotency_key=""), "The idempotency key must have 1 to 200 characters."),
    (replace(PLAIN, idempotency_key="k" * 201), "The idempotency key must have 1 to 200 characters."),
    (replace(PLAIN, idempotency_key="\x00"), "The idempotency key contains the control character"),
    (replace(PLAIN, idempotency_key="  "), "The idempotency key is empty."),
    (replace(PLAIN, idempotency_key="k\u200b"), "The idempotency key contains the invisible character U+200B"),
    (Request(topic="a\u2029b"), "The topic contains a line break"),
    *((Request(topic=text), "The topic contains only invisible characters.") for text in UNSEEN),
    *((replace(PLAIN, keywords=["tea", text]), f"The keyword {text!r}") for text in UNSEEN),
    *((replace(PLAIN, tone=text), "The tone contains only invisible characters.") for text in UNSEEN),
    *((Request(topic=f"tea {text} tea"), f"The topic contains {told}") for text, told in SEEN_BY_NOBODY.items()),
    *(
        (replace(PLAIN, requirements=f"a\n{text} b"), f"The requirements contain {told}")
        for text, told in SEEN_BY_NOBODY.items()
    ),
]


@pytest.mark.parametrize(("request_", "fault"), BAD, ids=[fault[:60] for _, fault in BAD])
def test_bad_requests_have_one_fault_that_names_it(request_: Request, fault: str) -> None:
    (only,) = check(request_)
    assert only.startswith(fault)


@given(TEXTS)
def test_a_text_without_byte_order_marks_is_judged_alike_everywhere(text: str) -> None:
    clean = cleaned(replace(PLAIN, topic=text, requirements=text, keywords=[text], tone=text, idempotency_key=text))
    assert "\ufeff" not in clean.topic + clean.requirements + "".join(clean.keywords) + (clean.tone or "")
    assert (not invisible.fault(clean.requirements)) == (not check(replace(PLAIN, requirements=clean.requirements)))


def test_all_faults_are_told_at_once() -> None:
    faults = check(Request(topic="", priority=0, keywords=[""], requirements="\x00", max_retries=101))
    assert len(faults) == 5


@given(
    st.builds(
        Request,
        topic=TEXTS,
        requirements=TEXTS,
        keywords=st.lists(TEXTS, max_size=3),
        tone=st.none() | TEXTS,
        priority=st.integers(1, 10) | st.integers(),
    )
)
def test_a_request_is_refused_in_sentences_or_can_be_written_as_arguments(request_: Request) -> None:
    if faults := check(request_):
        assert all(fault[0].isupper() and fault.endswith(".") for fault in faults)
        return
    for text in (request_.topic, *request_.keywords, compose(request_, ACCOUNT)):
        assert b"\x00" not in text.encode()
    assert len(request_.topic.splitlines()) == 1


# ---------------------------------------------------------------------------------------------------- composition


def test_a_plain_request_asks_for_its_length_only() -> None:
    assert compose(PLAIN, ACCOUNT) == "篇幅：800–3000 字"


def test_everything_asked_for_is_in_the_requirements() -> None:
    request = replace(
        PLAIN, requirements=" with photos\n", category="food", tone="warm", audience="bakers", min_chars=1, max_chars=2
    )
    assert compose(request, replace(ACCOUNT, requirements="no adverts")) == (
        "no adverts\nwith photos\n分类：food\n目标读者：bakers\n语气：warm\n篇幅：1–2 字"
    )


def test_the_account_speaks_where_the_request_is_silent() -> None:
    account = replace(ACCOUNT, tone="dry", audience="engineers")
    assert compose(PLAIN, account) == "目标读者：engineers\n语气：dry\n篇幅：800–3000 字"
    assert compose(replace(PLAIN, tone="warm"), account) == "目标读者：engineers\n语气：warm\n篇幅：800–3000 字"


def test_an_empty_wish_overrules_the_account() -> None:
    account = replace(ACCOUNT, tone="dry", audience="engineers")
    assert compose(replace(PLAIN, tone="", audience=" "), account) == "篇幅：800–3000 字"


@pytest.mark.parametrize("letter", ["x", "é", "面", "🍞"])
def test_the_limit_counts_the_bytes_of_the_whole_argument(letter: str) -> None:
    size = len(letter.encode())
    room = MAX_ARGUMENT_BYTES - len(argument(compose(PLAIN, ACCOUNT)).encode()) - len("\n")
    filling = letter * (room // size) + "x" * (room % size)
    full = compose(replace(PLAIN, requirements=filling), ACCOUNT)
    assert len(argument(full).encode()) == MAX_ARGUMENT_BYTES == 131_071
    with pytest.raises(InvalidInput, match="131,072 bytes"):
        compose(replace(PLAIN, requirements=filling + "x"), ACCOUNT)


def test_the_account_counts_too() -> None:
    with pytest.raises(InvalidInput, match="together with the account's defaults") as refusal:
        compose(PLAIN, replace(ACCOUNT, requirements="x" * MAX_ARGUMENT_BYTES))
    assert "131,071" in refusal.value.why
    assert refusal.value.fix


def test_the_limit_is_the_one_of_this_kernel() -> None:
    program = shutil.which("true")
    assert program
    subprocess.run([program, "x" * MAX_ARGUMENT_BYTES], check=True)
    with pytest.raises(OSError, match="Argument list too long"):
        subprocess.run([program, "x" * (MAX_ARGUMENT_BYTES + 1)], check=True)


# ----------------------------------------------------------------------------------------------------- resolution


@pytest.mark.parametrize(("task", "account", "configured"), [*product(BOOLEANS, BOOLEANS, (True, False))])
def test_automatic_approval_goes_by_task_then_account_then_configuration(
    task: bool | None, account: bool | None, configured: bool
) -> None:
    if task is not None:
        expected = task
    elif account is not None:
        expected = account
    else:
        expected = configured
    request = replace(PLAIN, auto_approve=task)
    assert resolve_auto_approve(request, replace(ACCOUNT, auto_approve=account), configured) is expected


@pytest.mark.parametrize(("task", "account", "configured"), [*product(MODES, MODES, Mode)])
def test_the_mode_goes_by_task_then_account_then_configuration(
    task: Mode | None, account: Mode | None, configured: Mode
) -> None:
    if task is not None:
        expected = task
    elif account is not None:
        expected = account
    else:
        expected = configured
    assert resolve_mode(replace(PLAIN, mode=task), replace(ACCOUNT, mode=account), configured) is expected
