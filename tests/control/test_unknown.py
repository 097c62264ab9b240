"""Names that a request does not have, and numbers that are out of their range."""

import json

import pytest

from tests.control.conftest import Door

UNKNOWN = [
    ("POST", "/v1/tasks", {"account": "a", "requests": [{"topic": "T"}], "acount": 1, "zzz": 2},
     "Unknown fields: acount, zzz.",
     {(None, "Unknown field 'acount'. Did you mean 'account'?"),
      (None, "Unknown field 'zzz'. Valid names: account, requests, batch, idempotency_key, dry_run.")}),
    ("POST", "/v1/tasks", {"account": "a", "requests": [{"topic": "T"}, {"topik": "T", "dry_run": True}], "topic": "T"},
     "Unknown fields: topic, requests[1].topik, requests[1].dry_run.",
     {(None, "Unknown field 'topic'. topic is a field of each entry of requests."),
      (1, "requests[1]: Unknown field 'topik'. Did you mean 'topic'?"),
      (1, "requests[1]: Unknown field 'dry_run'. dry_run is a field of the whole request.")}),
    ("POST", "/v1/schedules", {"name": "n", "account": "a", "cron": "x", "request": {"topik": "T"}, "tz": "UTC"},
     "Unknown fields: tz, request.topik.",
     {(None, "Unknown field 'tz'. Valid names: name, account, cron, request, time_zone, catch_up, overlap."),
      (None, "request: Unknown field 'topik'. Did you mean 'topic'?")}),
    ("GET", "/v1/tasks?stat=failed&limt=3", None, "Unknown fields: stat, limt.",
     {(None, "Unknown field 'stat'. Did you mean 'status'?"), (None, "Unknown field 'limt'. Did you mean 'limit'?")}),
    ("POST", "/v1/accounts", {"name": "b", **{f"x{n}": 1 for n in range(9)}},
     "Unknown fields: x0, x1, x2, x3, x4, ….", None),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path", "body", "detail", "faults"), UNKNOWN, ids=[one[3] for one in UNKNOWN])
async def test_all_unknown_fields_are_told_at_once(
    door: Door, method: str, path: str, body: object, detail: str, faults: set[tuple[int | None, str]] | None
) -> None:
    status, _, problem = await door.request(method, path, None if body is None else json.dumps(body).encode())
    assert (status, problem["detail"]) == (422, detail)
    told = {(fault.get("index"), fault["detail"]) for fault in problem["faults"]}
    assert told == faults or (faults is None and len(told) == 9)
    assert not door.app.task_views


@pytest.mark.parametrize("name", ["x" * 100_000, "\u202e", "", "a\u0000b", "`", "topic\u200b"])
async def test_a_strange_unknown_name_is_told_in_short(door: Door, name: str) -> None:
    body = json.dumps({"account": "studio", "requests": [{"topic": "T", name: 1}]}).encode()
    status, _, problem = await door.request("POST", "/v1/tasks", body)
    assert (status, problem["detail"].startswith("requests[0]: Unknown field '")) == (422, True)
    assert len(problem["detail"]) < 200
    assert problem["detail"].isprintable()


async def test_an_unknown_name_before_deep_nesting_is_no_internal_error(door: Door) -> None:
    body = b'{"account": "studio", "x": ' + b"[" * 100_000 + b"]" * 100_000 + b', "requests": []}'
    status, _, problem = await door.request("POST", "/v1/tasks", body)
    assert (status, problem["code"]) in ((422, "invalid_input"), (400, "malformed_json"))


@pytest.mark.parametrize(
    ("path", "detail"),
    [
        ("tasks?limit=0", "limit: must be at least 1 and at most 1,000."),
        ("tasks?limit=1001", "limit: must be at least 1 and at most 1,000."),
        ("contents?limit=-5", "limit: must be at least 1 and at most 1,000."),
        ("wait?id=abcd&timeout=99", "timeout: must be at least 0 and at most 25."),
        ("wait?id=abcd&timeout=-1", "timeout: must be at least 0 and at most 25."),
        ("stats?since_seconds=0", "since_seconds: must be more than 0 and at most 3,153,600,000."),
        ("stats?since_seconds=1e12", "since_seconds: must be more than 0 and at most 3,153,600,000."),
        ("preview?cron=0%201%20*%20*%20*&count=101", "count: must be at least 1 and at most 100."),
    ],
)
async def test_a_number_out_of_range_is_told_with_both_ends(door: Door, path: str, detail: str) -> None:
    status, _, problem = await door.request("GET", f"/v1/{path}")
    assert (status, problem["detail"]) == (422, detail)


async def test_a_time_that_cannot_be_read_is_told_with_an_example(door: Door) -> None:
    _, _, problem = await door.request("GET", "/v1/tasks?since=yesterday")
    assert problem["fix"] == "Write a time with its offset, such as 2026-01-31T07:00:00Z."
