"""Output without end, without sense or without room; children that ignore SIGTERM or cannot be started.

One daemon meets them all. Each attempt ends with its own reason, the daemon's memory stays where it was, and the next
task is an article again.
"""

from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.hostile import ARTICLE, creator, daemon_on, forget_peak, peak_mb
from tests.running import RunningDaemon

MOST_MB = 20
GOOD = 'good "$3"'
CREATE = r"""
case "$2" in
  *one-line*) head -c 100000000 /dev/zero | tr '\0' x; exit 0 ;;
  *long-line*) head -c 50000000 /dev/zero | tr '\0' x; exit 0 ;;
  *endless*) exec yes ;;
  *complaints*) yes >&2 ;;
  *garbage*) head -c 100000 /dev/urandom; exit 0 ;;
  *nothing*) exit 0 ;;
  *stubborn*) trap '' TERM INT HUP; while :; do sleep 1; done ;;
  *killed*) kill -9 $$ ;;
  *) good "$3" ;;
esac
"""
ENDS = {
    "one-line": ("failed", "output_unreadable"),
    "long-line": ("failed", "output_unreadable"),
    "endless": ("failed", "output_unreadable"),
    "complaints": ("failed", "output_unreadable"),
    "garbage": ("failed", "output_unreadable"),
    "nothing": ("failed", "output_unreadable"),
    "stubborn": ("timeout", "timed_out"),
    "killed": ("failed", "child_killed"),
}


UNENDED = ARTICLE.partition("字数")[0] + "'" + " $rule" * 3
# Each answer that is small enough to be read is the one that takes the most memory to read.
EMOJI = "yes 😀 | head -c 2090000"
ROWS = """yes '{"taskId":"a","status":"completed"},' | head -n 45000"""
RESULTS = {
    "one line": "head -c 100000000 /dev/zero | tr '\\0' x",
    "endless": "exec yes",
    "wide letters": EMOJI,
    "one wide letter": "yes 1234567 | head -c 8300000; echo 😀",
    "an article without end": f"{UNENDED}; yes 1234567 | head -c 8300000; echo 😀",
    "nothing": ":",
}
LISTINGS = {
    "one line": "head -c 100000000 /dev/zero | tr '\\0' x",
    "endless": "exec yes",
    "more rows than asked": f"echo '['; {ROWS}; echo '{{}}'; echo ']'",
}
SKIPPED = {
    "one row of wide letters": f"""echo '['; printf '{{"taskId":"'; {EMOJI} | tr -d '\\n'; echo '"}}'; echo ']'""",
    "one deep row": "printf '['; head -c 1000000 /dev/zero | tr '\\0' '['; head -c 1000001 /dev/zero | tr '\\0' ']'",
}
"""One row that cannot be read is nobody's; the list itself is well."""


def only_newest(result: str) -> str:
    """Only the newest task's result is bad: if every result were, the creator would be at fault."""
    return f'\nif [ "$2" = "--task-id=$(cat "$0.newest")" ]; then {result}\nelse {ARTICLE}\nfi\n'


async def ended(daemon: RunningDaemon, topic: str, **values: Any) -> tuple[str, str | None]:
    """State and reason of a task that came to its end."""
    (task,) = await daemon.submit(topic, batch=True, **values)
    (found,) = await daemon.settled()
    assert found["id"] == task
    return found["state"], found.get("error_kind")


async def well(daemon: RunningDaemon) -> bool:
    """Whether health says nothing of the creator."""
    return not await told(daemon, "")


async def told(daemon: RunningDaemon, word: str) -> bool:
    """Whether health says this of the creator."""
    faults = (await daemon.get("/health"))["faults"]
    return any(fault["part"] == "creator" and word in fault["what"] for fault in faults)


async def test_every_bad_child_has_its_own_end_and_costs_no_memory(state_dir: Path) -> None:
    async with daemon_on(state_dir, CREATE) as daemon:
        await daemon.account()
        for _ in range(20):
            assert await ended(daemon, "good") == ("completed", None)
        forget_peak(daemon.pid)
        before = peak_mb(daemon.pid)
        for topic, end in ENDS.items():
            limit = {"timeout_seconds": 5.0} if topic == "stubborn" else {}
            assert (topic, *await ended(daemon, topic, **limit)) == (topic, *end)
            assert await ended(daemon, "good") == ("completed", None)
            assert peak_mb(daemon.pid) - before <= MOST_MB, topic


async def test_every_bad_answer_to_a_question_costs_no_memory(state_dir: Path) -> None:
    async with daemon_on(state_dir, GOOD) as daemon:
        await daemon.account()
        for _ in range(20):
            assert await ended(daemon, "good") == ("completed", None)
        forget_peak(daemon.pid)
        before = peak_mb(daemon.pid)
        for name, result in RESULTS.items():
            creator(state_dir.parent, GOOD, result=only_newest(result))
            assert (name, *await ended(daemon, name)) == (name, "failed", "output_unreadable")
            assert peak_mb(daemon.pid) - before <= MOST_MB, name
        creator(state_dir.parent, GOOD)
        for name, listing in LISTINGS.items():
            creator(state_dir.parent, "exit 0", listing=f"\n{listing}\n")
            (task,) = await daemon.submit(name, batch=True)
            await daemon.until(lambda: told(daemon, "list"))
            assert peak_mb(daemon.pid) - before <= MOST_MB, name
            creator(state_dir.parent, GOOD)  # it can be asked again, and has no such task
            (found,) = await daemon.settled()
            assert (found["id"], found["error_kind"]) == (task, "create_unanswered"), name
            assert await ended(daemon, "good") == ("completed", None)
            await daemon.until(lambda: well(daemon))
        for name, listing in SKIPPED.items():
            creator(state_dir.parent, "exit 0", listing=f"\n{listing}\n")
            assert (name, *await ended(daemon, name)) == (name, "failed", "output_unreadable")
            assert peak_mb(daemon.pid) - before <= MOST_MB, name
            assert await well(daemon), name
            creator(state_dir.parent, GOOD)
            assert await ended(daemon, "good") == ("completed", None)


@pytest.mark.parametrize(("mode", "word"), [(0o644, "Permission denied"), (None, "No such file")])
async def test_a_child_that_cannot_be_started_costs_no_try_and_work_goes_on_when_it_can(
    state_dir: Path, mode: int | None, word: str
) -> None:
    daemon = daemon_on(state_dir, GOOD)
    (program,) = (Path(part) for part in daemon.settings["creator"]["command"])
    program.unlink() if mode is None else program.chmod(mode)

    async with daemon:
        await daemon.account()
        await daemon.submit("later")
        await daemon.until(lambda: told(daemon, word))
        creator(state_dir.parent, GOOD)
        (task,) = await daemon.settled()
        assert (task["state"], task["retry_count"]) == ("completed", 0)
