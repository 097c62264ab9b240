"""contenthubctl queue status, and the route behind it."""

from tests.control.conftest import Door


async def test_queue_status_says_which_queue_and_why(door: Door) -> None:
    told = await door.ctl("queue", "status")
    assert told.code == 0
    assert "degraded: it replaces Redis until Redis answers" in told.out
    assert "Redis is away." in told.out
    assert (await door.ctl("queue", "status", "-o", "name")).out == "memory\n"


async def test_the_route_tells_every_field(door: Door) -> None:
    status, _, queue = await door.request("GET", "/v1/queue")
    assert status == 200
    assert queue == {
        "kind": "memory", "since": "2026-01-31T07:00:00.000Z", "why": "Redis is away.", "degraded": True, "waiting": 3,
    }  # fmt: skip
