"""Who asks: numbers from the kernel at once, names from a directory that may be silent."""

import asyncio
import os
import pwd
import socket
import threading
from collections.abc import Callable

import anyio

from contenthubd.control.peer import MOST_ASKED, MOST_KNOWN, Peer, Users, hung_up, user_name
from tests.control.conftest import Door
from tests.running import PATIENCE_SECONDS


def someone(uid: int) -> Peer:
    return Peer(uid=uid, gid=1, pid=1)


def directory() -> tuple[Callable[[int], str], list[int]]:
    """A directory that answers at once, and whom it was asked for."""
    asked: list[int] = []

    def look_up(uid: int) -> str:
        asked.append(uid)
        return f"user{uid}"

    return look_up, asked


def test_a_name_is_that_of_the_machine() -> None:
    assert user_name(os.getuid()) == pwd.getpwuid(os.getuid()).pw_name
    assert user_name(70_000_000) == ""
    assert user_name(2**32 - 1) == ""


async def test_a_name_is_looked_up_once() -> None:
    look_up, asked = directory()
    users = Users(look_up, patience=PATIENCE_SECONDS)
    names = [(await users.named(someone(uid))).by for uid in (1, 2, 1, 2)]
    assert names == ["uid:1(user1)", "uid:2(user2)"] * 2
    assert asked == [1, 2]


async def test_many_who_ask_at_once_share_one_look() -> None:
    look_up, asked = directory()
    users = Users(look_up, patience=PATIENCE_SECONDS)
    named = await asyncio.gather(*(users.named(someone(7)) for _ in range(50)))
    assert {peer.user for peer in named} == {"user7"}
    assert asked == [7]


async def test_a_silent_directory_holds_up_no_one_and_takes_few_threads() -> None:
    released, inside = threading.Event(), threading.Semaphore(0)

    def silent(uid: int) -> str:
        inside.release()
        assert released.wait(PATIENCE_SECONDS)
        return f"user{uid}"

    users = Users(silent, patience=0.01)
    before = threading.active_count()
    try:
        for uid in range(3 * MOST_ASKED):
            assert (await users.named(someone(uid))).by == f"uid:{uid}"
        assert threading.active_count() - before <= MOST_ASKED
    finally:
        released.set()
    with anyio.fail_after(PATIENCE_SECONDS):
        while (await users.named(someone(0))).user != "user0":  # noqa: ASYNC110 - the look is in a thread; what came late is used from then on
            await asyncio.sleep(0)


async def test_only_so_many_names_are_kept() -> None:
    look_up, asked = directory()
    users = Users(look_up, patience=PATIENCE_SECONDS)
    for uid in range(MOST_KNOWN + 1):
        await users.named(someone(uid))
    await users.named(someone(MOST_KNOWN))
    await users.named(someone(0))
    assert len(asked) == MOST_KNOWN + 2


def test_one_who_only_stopped_sending_is_still_there() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours:
        assert not hung_up(ours)
        theirs.shutdown(socket.SHUT_WR)
        assert not hung_up(ours)
        theirs.close()
        assert hung_up(ours)
    assert hung_up(ours), "and a connection that we closed ourselves is over"


async def test_a_door_whose_directory_is_silent_answers(door: Door) -> None:
    released = threading.Event()
    users = Users(lambda _uid: str(released.wait(PATIENCE_SECONDS)), patience=0.01)
    door.server.connections.users = users
    try:
        order = b'{"account": "studio", "requests": [{"topic": "Tea"}]}'
        assert (await door.request("POST", "/v1/tasks", order))[0] == 201
        assert door.app.peers[-1].by == f"uid:{os.getuid()}"
    finally:
        released.set()
