"""A fault of our own in a handler: the caller is told as usual, the log has the traceback, the door goes on."""

from structlog.testing import capture_logs

from contenthubd.control import wire
from tests.control.conftest import Door


async def test_a_fault_of_ours_is_one_problem_and_one_line(door: Door) -> None:
    async def broken() -> wire.Health:
        raise ZeroDivisionError("a fault of ours")

    door.app.health = broken  # type: ignore[method-assign]  # a bug, as only a test can order one
    with capture_logs() as logs:
        status, headers, problem = await door.request("GET", "/v1/health")
    assert (status, headers["Content-Type"]) == (500, "application/problem+json")
    assert (problem["code"], problem["why"]) == ("internal_error", "ZeroDivisionError")
    assert "a fault of ours" not in str(problem), "what a bug says is for the log"
    assert "request_failed" in problem["fix"]
    [told] = [entry for entry in logs if entry["log_level"] == "error"]
    assert (told["event"], told["method"], told["path"]) == ("request_failed", "GET", "/v1/health")
    assert isinstance(told["exc_info"], ZeroDivisionError)
    assert (await door.request("GET", "/v1/version"))[0] == 200
