"""No option is dropped without a word: beside any other one it changes what happens, or the command is refused."""

import argparse
import asyncio
import io
import itertools
import re
import subprocess
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from copy import copy
from pathlib import Path
from typing import Any

import pytest

from contenthubd.control import wire
from contenthubd.control.peer import Peer
from contenthubd.ctl import run
from contenthubd.ctl.arguments import Parser, common_options, leaves, period, seconds
from contenthubd.ctl.client import Client
from contenthubd.ctl.main import build_parser, main
from contenthubd.domain.task import TaskState
from tests.control.conftest import US, Door, submitted_ids
from tests.control.memory_application import MemoryApplication

LEAVES = list(leaves(build_parser()))
COMMON = set(common_options().options())
"""They may stand in an alias for every command; where there is nothing for them to do they do nothing."""
WISHES = frozenset({
    "keywords", "requirements", "category", "tone", "audience", "min_chars", "max_chars", "priority", "max_retries",
    "timeout_seconds", "auto_approve",
})  # fmt: skip
"""Each is one field of the request, so they are tried beside all others but not beside each other."""
FORMS = [("-o", "json"), ("-o", "jsonl"), ("-o", "name"), ("-o", "wide"), ("-q",)]
SILENT = {
    ("--exit-status", "--wait"): "waiting has this exit code anyway, as the help says",
    ("--exit-status", "task wait"): "as above",
    ("--exit-status", "wait"): "as above",
    ("--reconnect", "*"): "matters when the daemon goes away, see test_ctl_watch",
    ("--skip-bad", "*"): "matters when a line is bad, see test_ctl_batch",
    ("--reason", "--dry-run"): "a rehearsal has the words of the command",
    ("--origin", "json"): "JSON always tells where values come from",
    ("--origin", "jsonl"): "as above",
}
"""What changes nothing visible here, and why that is right."""


class Asking(Client):
    """Remembers every request."""

    asked: list[Any]

    def get(self, path: str, query: dict[str, Any] | None = None, timeout: float = 30.0) -> Any:
        """Ask, and remember it."""
        self.asked.append((path, {name: str(value)[:17] for name, value in (query or {}).items()}, round(timeout)))
        return super().get(path, query, timeout)

    def post(self, path: str, payload: dict[str, Any] | None = None, timeout: float = 30.0) -> Any:
        """Ask, and remember it."""
        self.asked.append((path, repr(payload)))
        return super().post(path, payload, timeout)


class Failing(MemoryApplication):
    """Every task that is submitted fails at once."""

    async def submit(self, order: wire.SubmitRequest, *, peer: Peer) -> wire.Submitted:
        """As any other, but it has failed."""
        told = await super().submit(order, peer=peer)
        for one in told.tasks:
            if one.id:
                self.move(one.id, TaskState.FAILED, error="It broke.")
        return told


class Trial:
    """Runs commands against a door that is the same each time."""

    def __init__(self, door: Door, folder: Path, task: str, content: str) -> None:
        self._door = door
        self._before = {name: copy(value) for name, value in vars(door.app).items() if isinstance(value, dict)}
        self._seen: dict[frozenset[tuple[str, ...]], Any] = {}
        self._file = folder / "topics.txt"
        self._file.write_text("Tea\n茶\n", encoding="utf-8")
        self.task, self.content = task, content
        self.handed_on: list[Any] = []

    def base(self, leaf: Parser) -> list[tuple[str, ...]]:
        """Command lines without options but those that are needed."""
        words = leaf.prog.split()[1:]
        for action in leaf._actions:
            if action.option_strings and action.required:
                words += [action.option_strings[0], self.value(action)]
            elif not action.option_strings and action.nargs in (None, "+"):
                words.append(self.value(action))
        some = next((one for one in leaf._actions if not one.option_strings and one.nargs in ("*", "?")), None)
        other = next((o for o in ("--batch", "--cron") if some and o in leaf.options()), None)
        if some is None or other is None:
            return [tuple(words)]
        batch = next(one for one in leaf._actions if other in one.option_strings)
        return [(*words, self.value(some)), (*words, other, self.value(batch))]

    def value(self, action: argparse.Action) -> str:
        """One that differs from every default."""
        by_type = {seconds: "0.001s", period: "7m", int: "7"}
        by_name = {
            "ids": self.content if "article" in str(action.help) else self.task, "id": self.task, "batch": "last",
            "file": str(self._file), "cron": "* * * * *", "time_zone": "Europe/Berlin", "encoding": "gb18030",
            "name": "studio", "account": "studio", "min_chars": "900", "max_chars": "2000",
            "status": "failed" if "failed" in str(action.help) else "approved",
        }  # fmt: skip
        if action.choices:
            return [str(one) for one in action.choices][-1]
        return by_name.get(action.dest) or by_type.get(action.type) or "x"

    def words(self, action: argparse.Action) -> tuple[str, ...]:
        """An option as it is given."""
        return (action.option_strings[0],) if action.nargs == 0 else (action.option_strings[0], self.value(action))

    async def seen(self, base: tuple[str, ...], *options: tuple[str, ...]) -> Any:
        """All that can be observed of a command."""
        key = frozenset([base, *options])
        if key not in self._seen:
            for name, value in self._before.items():
                setattr(self._door.app, name, copy(value))
            Asking.asked, self.handed_on[:] = [], []
            out, err = io.StringIO(), io.StringIO()
            with redirect_stdout(out), redirect_stderr(err):
                code = await asyncio.to_thread(main, [*base, *itertools.chain(*options)])
            told = re.sub(r"[0-9a-f]{8}(-[0-9a-f-]{27})?|\d+:\d\d", "…", f"{out.getvalue()}\n{err.getvalue()}")
            self._seen[key] = (code, told, re.sub(r"[0-9a-f-]{36}", "…", repr(Asking.asked)), str(self.handed_on))
        return self._seen[key]


@pytest.fixture
async def trial(door: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Trial:
    """A failed task in a batch, an article for review, a daemon that is degraded."""
    door.app = Failing()
    await door.close()
    await door.open()
    await door.app.create_account(wire.NewAccount(name="studio"), peer=US)
    order = wire.SubmitRequest(account="studio", requests=[wire.TopicRequest(topic="Tea")] * 2, batch=True)
    failed, written = submitted_ids(await door.app.submit(order, peer=US))
    door.app.finish(written, "On tea", None)
    door.app.status = "degraded"
    made = Trial(door, tmp_path, failed, next(iter(door.app.content_views)))

    def handed_on(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        made.handed_on.append(command[1:])
        return subprocess.CompletedProcess(command, 0, "done\n")

    monkeypatch.setattr(subprocess, "run", handed_on)
    monkeypatch.setattr(run, "Client", Asking)
    monkeypatch.setenv("CONTENTHUBD_SOCKET", str(door.socket))
    return made


def own(leaf: Parser) -> Iterator[argparse.Action]:
    for action in leaf._actions:
        if action.option_strings and not action.required and not (COMMON | {"--help"}) & set(action.option_strings):
            yield action


def excused(option: str, others: tuple[str, ...], leaf: Parser) -> bool:
    return any((option, one) in SILENT for one in ("*", leaf.prog.partition(" ")[2], *others))


@pytest.mark.parametrize("leaf", [leaf for leaf in LEAVES if list(own(leaf))], ids=lambda leaf: leaf.prog)
async def test_an_option_changes_something_beside_any_other(trial: Trial, leaf: Parser) -> None:
    dropped = []
    options = list(own(leaf))
    for base in trial.base(leaf):
        for action in options:
            given = trial.words(action)
            if given[0] in base:
                continue
            beside = [
                trial.words(other)
                for other in options
                if other.dest != action.dest
                and not {action.dest, other.dest} <= WISHES
                and other.option_strings[0] not in base
            ]
            for context in ((), *beside, *FORMS):
                before = await trial.seen(base, *filter(None, [context]))
                after = await trial.seen(base, *filter(None, [context]), given)
                if before == after and before[0] != 2 and not excused(given[0], (*base, *context), leaf):
                    dropped.append(" ".join((*base, *context, *given)))
    assert dropped == [], "\n".join(dropped)


@pytest.mark.parametrize("option", ["--wait", "--timeout=3s", "--reconnect=3s", "--exit-status"])
@pytest.mark.parametrize(
    "command", ["content generate --topic Tea", "content batch-generate --file -", "submit --topic t"]
)
def test_waiting_needs_something_to_wait_for(command: str, option: str, capsys: pytest.CaptureFixture[str]) -> None:
    words, name = [*command.split(), "--account", "studio", option], option.partition("=")[0]
    if "batch" in command:
        assert main([*words, "--dry-run"]) == 2
        assert f"{name} has no effect with --dry-run" in capsys.readouterr().err
    if option != "--wait":
        for more in ([], ["--no-wait"], ["--wait", "--no-wait"]):
            assert main([*words, *more]) == 2
            assert f"{name} has no effect without --wait" in capsys.readouterr().err
