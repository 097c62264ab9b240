"""Nobody answers: a daemon that is starting, one that was killed, one that systemd knows about, none at all."""

import fcntl
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from contenthubd.ctl.absent import unreachable
from contenthubd.ctl.client import Client
from contenthubd.ctl.failure import Unreachable
from contenthubd.runtime import lifecycle
from contenthubd.runtime.clock import SystemClock
from tests.running import short_directory


@pytest.fixture
def folder() -> Iterator[Path]:
    made = short_directory()
    yield made
    for path in made.iterdir():
        path.unlink()
    made.rmdir()


def asked(folder: Path) -> Unreachable:
    with pytest.raises(Unreachable) as found:
        Client(str(folder / "control.sock")).get("/v1/health")
    return found.value


def test_without_a_daemon_it_is_to_be_started(folder: Path) -> None:
    told = asked(folder)
    assert told.why == "The socket does not exist."
    assert told.fix.startswith("Start it with")


def test_a_socket_that_was_left_is_told(folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(folder / "control.sock"))
    assert "no process listens" in asked(folder).why


def test_one_that_is_starting_is_waited_for(folder: Path) -> None:
    with lifecycle.owned(folder, SystemClock().new_id()):
        told = asked(folder)
        assert f"Process {os.getpid()} is starting or stopping" in told.why
        assert "Start it" not in told.fix
        assert "contenthubctl health --wait" in told.fix
    assert asked(folder).why == "The socket does not exist."


def test_asking_takes_no_lock_away(folder: Path) -> None:
    (folder / "daemon.lock").write_text("")
    asked(folder)
    with (folder / "daemon.lock").open("rb+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


@pytest.mark.parametrize(
    ("state", "why", "fix"),
    [
        ("activating", "is starting it", "health --wait"),
        ("deactivating", "is stopping it", "systemctl start"),
        ("failed", "has failed", "journalctl -u contenthubd"),
        ("inactive", "is not running", "systemctl start contenthubd"),
        ("something new", "does not exist", "Start it with"),
    ],
)
def test_what_systemd_knows_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str, why: str, fix: str
) -> None:
    systemctl = tmp_path / "systemctl"
    systemctl.write_text(f'#!/bin/sh\n[ "$1" = show ] && echo "{state}"\n')
    systemctl.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    told = unreachable("/run/contenthubd/control.sock", FileNotFoundError(2, "No such file or directory"))
    assert why in told.why
    assert fix in told.fix


def test_a_full_door_is_asked_again(folder: Path) -> None:
    told = unreachable(str(folder / "control.sock"), BlockingIOError(11, "Resource temporarily unavailable"))
    assert "backlog is full" in told.why
    assert told.fix == "Try again in a moment."
