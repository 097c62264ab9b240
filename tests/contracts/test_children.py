"""What commands start and leave behind is found and ended, whatever it does to be forgotten.

Each grandchild writes its pid down and then sleeps. They leave the group, their parent, the session, the environment,
and what a daemon that was killed had started is found by its successor, which knows nothing but its own directory.
"""

import asyncio
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from contenthubd.adapters.creator.command import Commands, Cut, Finished
from contenthubd.adapters.creator.process import LIMIT, Family, child_of, kill_group, lives
from contenthubd.domain.attempt import Child
from tests.contracts.creator_kit import ROOT, python_env, script, settings_for, until

ENV = {"PATH": os.environ["PATH"]}
LONG = timedelta(seconds=120)
SOON = timedelta(seconds=1)
DEAF = "trap '' TERM INT HUP;"
ESCAPES = {
    "same group": "sh -c '{deaf} {sleep}' &",
    "own session": "setsid sh -c '{deaf} {sleep}' &",
    "lost parent": "(setsid sh -c '{deaf} {sleep}' &)",
    "lost environment": "(env -i setsid /bin/sh -c '{deaf} {sleep}' &)",
    "lost output": "(env -i setsid /bin/sh -c '{deaf} {sleep}' >/dev/null 2>&1 </dev/null &)",
}
DAEMON = """
import asyncio, sys
from datetime import timedelta
from pathlib import Path
from tests.contracts import test_children
commands = test_children.commands(Path(sys.argv[1]), (sys.argv[2],))
asyncio.run(commands.run([], env=test_children.ENV, timeout=timedelta(seconds=600)))
"""


def commands(folder: Path, command: tuple[str, ...], **changes: object) -> Commands:
    settings = settings_for(folder, command, **changes)
    settings.workdir.mkdir(exist_ok=True)
    return Commands(settings)


def runaway(folder: Path, kinds: list[str], then: str) -> tuple[str, ...]:
    """A program that starts grandchildren, waits until all have written their pid, and goes on with ``then``."""
    lines = []
    for number, kind in enumerate(kinds):
        path = folder / f"pid{number}"
        body = ESCAPES[kind].format(deaf=DEAF.replace("''", '""'), sleep=f"echo $$ >{path}.new; mv {path}.new {path}; "
                                    "while :; do sleep 600; done")  # fmt: skip
        lines += [body, f"until [ -e {path} ]; do sleep 0.01; done"]
    return script(folder, "\n".join([*lines, f"touch {folder}/all", then]))


def grandchildren(folder: Path) -> list[Child]:
    return [child_of(int(path.read_text())) for path in sorted(folder.glob("pid[0-9]"))]


@pytest.fixture(autouse=True)
def nothing_stays(tmp_path: Path) -> Iterator[None]:
    yield
    Family(str(tmp_path)).kill_others([])


async def all_gone(children: list[Child]) -> None:
    await until(lambda: not any(lives(child) for child in children), "all are gone")


@pytest.mark.parametrize("kind", ESCAPES)
async def test_a_cancelled_command_leaves_no_descendant_and_frees_its_slot(tmp_path: Path, kind: str) -> None:
    runner = commands(tmp_path, runaway(tmp_path, [kind], f"{DEAF} while :; do sleep 600; done"))
    ended = asyncio.create_task(runner.run([], env=ENV, timeout=LONG))
    await until((tmp_path / "all").exists, "the grandchild runs")
    children = grandchildren(tmp_path)
    assert all(lives(child) for child in children)
    ended.cancel()
    with pytest.raises(asyncio.CancelledError):
        await ended
    await all_gone(children)
    assert runner.slots.taken == 0


async def test_a_deadline_that_passes_does_the_same(tmp_path: Path) -> None:
    runner = commands(tmp_path, runaway(tmp_path, list(ESCAPES), f"{DEAF} while :; do sleep 600; done"))
    ended = await runner.run([], env=ENV, timeout=SOON)
    assert isinstance(ended, Finished)
    assert ended.cut is Cut.DEADLINE
    await all_gone(grandchildren(tmp_path))
    assert runner.sweep() == 0
    assert runner.slots.taken == 0


async def test_what_finished_commands_left_is_swept_and_what_runs_is_not(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    running = commands(tmp_path / "other", runaway(tmp_path / "other", ["lost environment"], "sleep 600"))
    left = commands(tmp_path, runaway(tmp_path, list(ESCAPES), "exit 0"))
    task = asyncio.create_task(running.run([], env=ENV, timeout=LONG))
    await until((tmp_path / "other" / "all").exists, "the other command runs")
    await left.run([], env=ENV, timeout=LONG)
    left.sweep()
    await all_gone(grandchildren(tmp_path))
    assert running.sweep() == 0, "it belongs to a command that runs"
    assert all(lives(child) for child in grandchildren(tmp_path / "other"))
    task.cancel()
    await asyncio.wait([task])
    await all_gone(grandchildren(tmp_path / "other"))


async def test_what_the_last_command_left_is_swept_although_none_follows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = commands(tmp_path, runaway(tmp_path, ["own session", "lost environment"], "exit 0"))
    left.sweep()
    await left.run([], env=ENV, timeout=LONG)
    left.sweep_if_due()
    assert all(lives(child) for child in grandchildren(tmp_path)), "it is too early"
    monkeypatch.setattr("contenthubd.adapters.creator.command._SWEEP_SECONDS", 0.0)
    left.sweep_if_due()
    await all_gone(grandchildren(tmp_path))


def as_nobody(kill: Callable[[], object]) -> int:
    """What a process of another user comes to that tries this: 0, or 1 if it raises."""
    child = os.fork()
    if child == 0:
        try:
            os.setuid(65534)
            kill()
        except BaseException:  # noqa: BLE001 - the fork of a test must not go on as one
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1]


async def test_a_command_of_another_user_ends_like_any_other(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can start a process of another user")
    family = Family(str(tmp_path))
    ended, running = family.spawn(1, ["true"], ENV), family.spawn(2, ["sleep", "600"], ENV)
    await ended.ended()
    assert as_nobody(lambda: kill_group(ended.pid)) == 0
    assert as_nobody(lambda: kill_group(running.pid)) == 0
    assert (ended.reap(), running.over) == (0, False)
    family.kill(2)
    await running.ended()
    assert running.reap() == -9


@pytest.mark.parametrize("limited", [False, True], ids=["marked by the limit", "marked by the environment"])
async def test_the_successor_of_a_killed_daemon_ends_everything_of_its_directory(tmp_path: Path, limited: bool) -> None:
    """Where the limit is not ours to set, the variable does what it can: an empty environment then hides a process."""
    kinds = [kind for kind in ESCAPES if not (limited and kind.startswith("lost environment"))]
    kinds = [kind for kind in kinds if not (limited and kind == "lost output")]
    (program,) = runaway(tmp_path, kinds, f"{DEAF} while :; do sleep 600; done")
    before = (lambda: resource.setrlimit(LIMIT, (1000, 1000))) if limited else None
    daemon = subprocess.Popen(  # noqa: ASYNC220 - it only has to be started
        [sys.executable, "-c", DAEMON, str(tmp_path), program],
        cwd=ROOT, env=ENV | python_env(), preexec_fn=before,
    )  # fmt: skip
    try:
        await until((tmp_path / "all").exists, "the grandchildren run")
    finally:
        daemon.kill()
        daemon.wait()
    children = grandchildren(tmp_path)
    assert all(lives(child) for child in children), "a killed daemon leaves them behind"
    (tmp_path / "stranger").mkdir()
    assert commands(tmp_path / "stranger", ("true",)).sweep() == 0, "the same instance, another directory"
    assert all(lives(child) for child in children)
    assert commands(tmp_path, ("true",)).sweep() >= len(kinds) + 1
    await all_gone(children)


def test_the_limit_is_ours_only_while_a_command_is_started(tmp_path: Path) -> None:
    usual = resource.getrlimit(LIMIT)
    family = Family(str(tmp_path))
    spawned = family.spawn(1, ["sleep", "600"], ENV)
    assert resource.getrlimit(LIMIT) == usual
    assert resource.prlimit(spawned.pid, LIMIT)[0] != usual[0]
    with pytest.raises(FileNotFoundError):
        family.spawn(2, [str(tmp_path / "absent")], ENV)
    assert resource.getrlimit(LIMIT) == usual
    assert (family.kill(2), family.kill(1)) == (0, 1)
    assert os.waitid(os.P_PID, spawned.pid, os.WEXITED | os.WNOWAIT)
    assert (spawned.over, spawned.reap()) == (True, -9)
