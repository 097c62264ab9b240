"""Watching tasks until they are finished and published.

Watching changes nothing: Ctrl-C, a lost daemon or a timeout ends the watch, never the task, and each says how to come
back. The daemon is asked by long polls, so a change shows at once. If it goes away (a restart, say), the watch
continues when it comes back within the time of --reconnect.
"""

import gc
import time
from argparse import Namespace
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from contenthubd import streams
from contenthubd.ctl.client import Client, quote
from contenthubd.ctl.failure import FAILED, INTERRUPTED, NOT_FOUND, OK, TIMED_OUT, Failure, Unheard, Unreachable
from contenthubd.ctl.listing import pages
from contenthubd.ctl.output import Output, short
from contenthubd.ctl.progress import Progress, progress_for
from contenthubd.ctl.times import duration
from contenthubd.ctl.words import counted, publication, reason, stuck, tries, unpublished, why

POLL_SECONDS = 25.0
MARGIN_SECONDS = 10.0
LOOK_SECONDS = 0.25
WHOLE_ID = 32
"""Hexadecimal digits of a UUID."""


@dataclass(frozen=True)
class Target:
    """What is watched: some ids, or a batch; ``submitted`` is the reply that made them, if we made them."""

    ids: tuple[str, ...] = ()
    batch: str | None = None
    submitted: dict[str, Any] | None = None

    @property
    def command(self) -> str:
        """How to watch it again."""
        words = ["--batch", _part(self.batch)] if self.batch else [_part(one) for one in self.ids]
        return " ".join(("contenthubctl task wait", *words))


def _part(given: str) -> str:
    """The end of a whole id; a part of one as it was given, since the end of a beginning finds nothing."""
    whole = len(given.strip().replace("-", "")) == WHOLE_ID
    return short(given.strip()) if whole else given.strip()


@dataclass(frozen=True)
class Patience:
    """Seconds: for the whole watch (None: forever), and for a daemon that went away."""

    timeout: float | None
    reconnect: float


RECONNECT_SECONDS = 30.0


def patience(args: Namespace) -> Patience:
    """As the options say."""
    return Patience(args.timeout, RECONNECT_SECONDS if args.reconnect is None else args.reconnect)


@dataclass
class Watch:
    """One watch over one target."""

    target: Target
    client: Client
    output: Output
    patience: Patience
    met: bool = False
    """Whether the daemon has answered: before that, waiting for it would only hide a wrong socket."""
    started: float = field(default_factory=time.monotonic)

    def run(self) -> None:
        """Until everything is settled. Failure with code 7, Unreachable."""
        cursor = ""
        with progress_for(self.output) as progress:
            while True:
                reply = self.asked(partial(self._poll, progress, cursor), progress)
                progress.show(reply)
                if streams.unheard():
                    raise Unheard
                if reply["settled"]:
                    return
                cursor = reply["cursor"]
                self._check_time()

    def asked(self, ask: Callable[[], Any], progress: Progress | None = None) -> Any:
        """An answer; while the daemon is away, try again for ``patience.reconnect`` seconds."""
        say = progress.say if progress else self.output.say
        lost: float | None = None
        while True:
            try:
                answer = ask()
            except Unreachable as failure:
                lost = self._connection_lost(failure, lost, say)
                time.sleep(LOOK_SECONDS)
                continue
            if lost is not None:
                say("The daemon is back.")
            self.met = True
            return answer

    def results(self) -> list[dict[str, Any]]:
        """The tasks as they are now, in the order of submission (which is how a batch is listed)."""
        if self.target.batch:
            query = {"batch": self.target.batch}
            page: dict[str, list[dict[str, Any]]] = self.asked(
                lambda: pages(self.client, "/v1/tasks", "tasks", query, None)
            )
            return page["tasks"]
        tasks = [self.asked(partial(self.client.get, f"/v1/tasks/{quote(one)}")) for one in self.target.ids]
        return list({task["id"]: task for task in tasks}.values())  # one task may be named by several parts of its id

    def _poll(self, progress: Progress, cursor: str) -> Any:
        left = self._left()
        seconds = min(POLL_SECONDS, progress.every, POLL_SECONDS if left is None else max(left, 0.0))
        query = {"id": self.target.ids, "batch": self.target.batch, "timeout": round(seconds, 3), "since": cursor}
        return self.client.get("/v1/wait", query, timeout=seconds + MARGIN_SECONDS)

    def _left(self) -> float | None:
        return None if self.patience.timeout is None else self.started + self.patience.timeout - time.monotonic()

    def _check_time(self) -> None:
        left = self._left()
        if left is not None and left <= 0:
            raise Failure(
                f"Not finished after {duration(self.patience.timeout)}.",
                why="The time given with --timeout has passed; the tasks continue.",
                fix=f"Watch again with: {self.target.command}", exit_code=TIMED_OUT,
            )  # fmt: skip

    def _connection_lost(self, failure: Unreachable, lost: float | None, say: Callable[[str], None]) -> float:
        if not self.met and self.target.submitted is None:
            raise failure
        now = time.monotonic()
        if lost is None:
            lost = now
            say(f"{failure.what} Trying again for {self.patience.reconnect:g} s.")
        if now - lost >= self.patience.reconnect:
            raise Unreachable(
                f"Lost the connection to the daemon: {failure.what}", why=failure.why,
                fix="The tasks are kept and continue when the daemon runs again. "
                f"Watch again with: {self.target.command}",
            ) from None  # fmt: skip
        self._check_time()
        return lost


def until_done(target: Target, client: Client, output: Output, patience: Patience) -> int:
    """Watch, then show what came out. 0 if all is well, 1 if anything failed, 130 after Ctrl-C.

    An article that waits for a person, was rejected, or is kept out of the pool by the configuration has not failed.
    """
    gc.enable()
    watch = Watch(target, client, output, patience)
    try:
        if target.batch == "last":
            newest = watch.asked(lambda: client.get("/v1/tasks", {"batch": "last", "limit": 1}))["tasks"]
            if newest:
                watch.target = replace(target, batch=newest[0]["batch"])
        watch.run()
        tasks = watch.results()
    except KeyboardInterrupt:
        output.say(f"\nStopped watching; the tasks continue. Watch again with: {watch.target.command}")
        return INTERRUPTED
    if not tasks:
        fix = "List tasks with their batches: contenthubctl task list -o wide"
        raise Failure(f"The batch {target.batch} has no tasks.", fix=fix, exit_code=NOT_FOUND)
    _show(tasks, watch.target, output)
    return OK if all(task["state"] == "completed" and not _needs_attention(task) for task in tasks) else FAILED


def _show(tasks: list[dict[str, Any]], target: Target, output: Output) -> None:
    page = {**(target.submitted or {}), "tasks": tasks}
    if len(tasks) == 1 and output.form == "table" and not target.batch:
        output.one(tasks[0], lambda: _lines(tasks[0]), tasks[0]["id"])
        return
    output.many(page, tasks, ("TASK", "STATE", "TITLE", "RESULT"), _row, "id")
    completed = sum(task["state"] == "completed" for task in tasks)
    published = sum(task["location"] is not None for task in tasks)
    doubtful = sum(_failed_or_unknown(one) for task in tasks if _needs_attention(task) for one in task["publications"])
    told = f", {counted(doubtful, 'publication')} failed or unknown" if doubtful else ""
    output.say(f"{completed} of {len(tasks)} completed, {published} published{told}.")


def _needs_attention(task: dict[str, Any]) -> bool:
    """Whether a publication came to nothing, or may have: both need a person."""
    return bool(task["content_state"] != "rejected" and any(map(_failed_or_unknown, task["publications"])))


def _failed_or_unknown(one: dict[str, Any]) -> bool:
    return one["state"] in ("failed", "unknown")


def _row(task: dict[str, Any]) -> tuple[str, ...]:
    last = why(task) or task["location"] or unpublished(task)
    return short(task["id"]), task["state"], task["title"] or task["topic"], last


def _lines(task: dict[str, Any]) -> Iterable[tuple[str, Any]]:
    yield "task", task["id"]
    yield "state", task["state"]
    yield "title", task["title"]
    yield "location", task["location"]
    if not task["location"]:
        yield "publication", "\n".join(map(publication, task["publications"])) or unpublished(task)
    trouble = stuck(task)
    yield "next step", trouble["next_step"] if trouble else None
    yield "tries", tries(task) if task["error"] else None
    yield "error", reason(task)
    yield "hint", task["hint"] if task["error"] else None
    yield "review", f"contenthubctl content approve {short(task['content_id'])}" if _waits(task) else None


def _waits(task: dict[str, Any]) -> bool:
    return bool(task["content_state"] == "pending_review")
