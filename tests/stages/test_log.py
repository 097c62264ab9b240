"""A log that cannot be written ends nobody's work, and says so when it can be written again."""

import json
import os
import re
import resource
from pathlib import Path

import pytest
import structlog

from contenthubd.runtime.log import Lines, configure


def test_a_reader_that_is_gone_is_not_missed() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    lines = Lines(writer)
    lines.info("one")
    lines.error("two")
    os.close(writer)
    assert lines.lost == 2


def test_lost_lines_are_told_once_and_a_torn_one_spoils_no_other(tmp_path: Path) -> None:
    path = tmp_path / "log"
    writer = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    lines = Lines(writer)
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20, usual[1]))
        for number in range(3):
            lines.info(json.dumps({"event": f"what_happened_{number}"}))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
    for number in range(2):
        lines.info(json.dumps({"event": f"afterwards_{number}"}))
    os.close(writer)
    torn, *whole = path.read_text(encoding="utf-8").splitlines()
    assert torn == '{"event": "what_happ'
    assert [json.loads(line) for line in whole] == [
        {"event": "log_lines_lost", "level": "error", "lines": 3},
        {"event": "afterwards_0"},
        {"event": "afterwards_1"},
    ]


def test_half_a_character_is_written_as_what_it_is(capfd: pytest.CaptureFixture[str]) -> None:
    Lines(2).info("half \ud83d")
    assert capfd.readouterr().err == "half \\ud83d\n"


def test_a_reader_that_stopped_reading_blocks_nobody_and_gets_its_lines_in_order() -> None:
    reader, writer = os.pipe()
    lines = Lines(writer)
    sent = [f"{number} {'x' * 1000}" for number in range(2000)]
    for line in sent:  # two megabytes: a pipe holds 64 KiB, the rest waits, and what waits is bounded
        lines.info(line)
    assert lines.lost > 0
    assert not lines.flush(0.01)
    told = b""
    while not lines.flush(0.0):
        told += os.read(reader, 65536)
    lines.info("the end")
    while not told.endswith(b"the end\n"):
        told += os.read(reader, 65536)
    got = [line for line in told.decode().splitlines() if "log_lines_lost" not in line]
    assert all(line == sent[int(line.partition(" ")[0])] for line in got[:-1]), "whole"
    assert got[:-1] == sorted(got[:-1], key=sent.index), "in order"
    assert lines.lost == 0
    counted = [int(count) for count in re.findall(r'"lines": (\d+)', told.decode())]
    assert sum(counted) == len(sent) - len(got) + 1
    os.close(reader)
    os.close(writer)


def test_foreign_text_in_a_log_steers_no_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    usual = structlog.get_config()
    try:
        configure("info", "console")
        structlog.get_logger().info("told", title="京都\x1b]0;owned\x07\x9b2J")
    finally:
        structlog.configure(**usual)
    shown = capfd.readouterr().err
    assert "京都␛]0;owned␇\\u009b2J" in shown
