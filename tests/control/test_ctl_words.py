"""The words that every view shares: counts, times in sentences, reasons, the timeline."""

from typing import Any

import pytest

from contenthubd.ctl import timeline
from contenthubd.ctl.failure import from_problem
from contenthubd.ctl.tasks import row
from contenthubd.ctl.times import instants
from contenthubd.ctl.words import counted, flat, why
from tests.control.conftest import zone

AT = "2026-01-31T07:00:00Z"
TASK: dict[str, Any] = {
    "id": "0" * 32, "state": "failed", "account": "studio", "created_at": AT, "topic": "Tea", "retry_count": 1,
    "attempt": 1, "max_retries": 0, "mode": "async", "priority": 5, "finished_at": AT, "batch": None, "location": None,
    "waiting_for": None, "content_state": None, "publications": [], "hold_reason": None,
}  # fmt: skip


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 retries"), (1, "1 retry"), (2, "2 retries"), (1000, "1,000 retries"), (-1, "-1 retries")]
)
def test_a_count_has_its_number(count: int, text: str) -> None:
    assert counted(count, "retry", "retries") == text
    assert counted(count, "task") == text.replace("retries", "tasks").replace("retry", "task")


@pytest.mark.parametrize(("value", "text"), [(True, "yes"), (False, "no"), (None, ""), (0, "0"), (["a", "b"], "a, b")])
def test_a_value_is_shown_as_people_read_it(value: object, text: str) -> None:
    assert flat(value) == text


def test_times_in_a_sentence_of_the_daemon_are_local(monkeypatch: pytest.MonkeyPatch) -> None:
    with zone("Asia/Shanghai", monkeypatch):
        said = "The queue is degraded since 2026-01-31T07:00:00Z, until 2026-01-31T07:00:00.5Z at the latest; 7Z, T07Z."
        assert instants(said) == (
            "The queue is degraded since 2026-01-31 15:00:00+08:00, until 2026-01-31 15:00:00+08:00 at the latest; "
            "7Z, T07Z."
        )
        refused = from_problem(503, {"detail": f"since {AT}", "why": f"it is {AT}.", "fix": f"after {AT}"})
        assert refused.text().count("2026-01-31 15:00:00+08:00") == 3


@pytest.mark.parametrize("state", ["failed", "timeout"])
def test_the_reason_comes_without_its_kind(state: str) -> None:
    task = {**TASK, "state": state, "error_kind": "generation_failed", "error": "The model answered with status 400."}
    assert why(task) == "The model answered with status 400."
    assert row(task)[5] == why(task), "the column WHY"
    assert why({**task, "error": None}) == "generation_failed", "a kind is better than nothing"


def test_the_reason_of_a_retrying_task_comes_without_its_kind_too(monkeypatch: pytest.MonkeyPatch) -> None:
    with zone("UTC", monkeypatch):
        waits = {"code": "retry", "what": "the next retry", "until": AT, "cause": "", "hint": ""}
        task = {**TASK, "state": "retrying", "error_kind": "llm", "error": "No answer.", "waiting_for": waits}
        assert why(task) == "No answer; waiting for the next retry at 2026-01-31 07:00:00+00:00"


@pytest.mark.parametrize(
    ("name", "data", "text"),
    [
        ("task_submitted", {}, "task submitted"),
        ("task_claimed", {"attempt": 1, "owner": "0f3a/77bc"}, "task claimed  attempt 1"),
        ("task_accepted", {"attempt": 1, "creator_task_id": "t-7"}, "task accepted  attempt 1, creator task t-7"),
        ("task_completed", {"attempt": 1, "late": False, "chars": 1}, "task completed  attempt 1, 1 character"),
        ("task_completed", {"attempt": 2, "late": True, "chars": 1200},
            "task completed  attempt 2, late, 1,200 characters"),
        (
            "attempt_failed",
            {"attempt": 1, "kind": "llm", "cause": "No answer.", "charged": True,
             "run_at": "2026-01-31 07:00:00.248245+00:00"},
            "attempt failed  attempt 1, llm, No answer, counts as a retry, next try at 2026-01-31 15:00:00+08:00",
        ),
        (
            "task_gave_up", {"attempt": 2, "kind": "x", "cause": "y", "charged": False, "run_at": None},
            "task gave up  attempt 2, x, y, does not count as a retry",
        ),
        ("schedule_fired", {"schedule": "daily", "slot": "2026-01-31T07:00:00+00:00", "slots": 3},
         "schedule fired  schedule daily, due 2026-01-31 15:00:00+08:00, for 3 runs"),
        ("content_approved", {"by": "auto"}, "content approved  automatically"),
        ("content_approved", {"by": "uid:1000(anna)", "reason": None}, "content approved  by anna"),
        ("content_approved", {"by": "uid:1000"}, "content approved  by uid:1000"),
        ("attempt_ended", {"attempt": 1, "outcome": "late_success_dropped"},
         "attempt ended  attempt 1, late success dropped"),
        ("publication_failed", {"target": "directory", "attempt": 3, "location": None, "error": "Full."},
         "publication failed  attempt 3, to directory, Full"),
        ("image_fetched", {"position": 0}, "image fetched  position 0"),
        ("images_missing", {"positions": [1, 3]}, "images missing  positions 1, 3"),
    ],
)  # fmt: skip
def test_the_timeline_is_told_in_words(
    name: str, data: dict[str, Any], text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with zone("Asia/Shanghai", monkeypatch):
        assert timeline.line({"at": AT, "name": name, "data": data}) == f"2026-01-31 15:00:00+08:00  {text}"
