"""The creator's command line behind the ports Creator and CreatorWatch.

``create`` hands a task over, ``generate`` waits for it in one child, ``rows`` and ``find`` look at the creator's
table page by page, ``result`` fetches what came out. Nothing here is charged or decided: the outcome says what is
known, and Unknown where the creator may have the task all the same.
"""

from collections.abc import Awaitable, Callable, Collection
from dataclasses import replace
from datetime import timedelta
from typing import Final

import anyio
import structlog

from contenthubd import faultpoints
from contenthubd.adapters.creator import output
from contenthubd.adapters.creator.command import Commands, Ended, Finished, NotStarted
from contenthubd.adapters.creator.directory import Directory
from contenthubd.adapters.creator.environment import environment
from contenthubd.adapters.creator.forms import Forms
from contenthubd.adapters.creator.given import GivenIds
from contenthubd.adapters.creator.health import CreatorHealth
from contenthubd.adapters.creator.offloop import off_loop
from contenthubd.adapters.creator.process import end_child, lives
from contenthubd.adapters.creator.reading import Misread, Results, traces
from contenthubd.adapters.creator.redis_probe import RedisDown, RedisWatch, queued_jobs
from contenthubd.adapters.creator.settings import CreatorSettings
from contenthubd.adapters.creator.table import CreatorTable
from contenthubd.adapters.creator.verdict import answered, out_of_time, refusal, sickness, story
from contenthubd.adapters.creator.version import named
from contenthubd.adapters.creator.worker import Worker
from contenthubd.domain.attempt import Child, with_mark
from contenthubd.domain.outcome import (
    Accepted,
    CreatorRow,
    ErrorKind,
    Failed,
    Outcome,
    RowState,
    Sick,
    Succeeded,
    TimedOut,
    Unknown,
)
from contenthubd.domain.task import Mode, Task
from contenthubd.ports.clock import Clock

_FETCH_SECONDS: Final = 60.0
_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 15.0
_ANOTHERS: Final = "The creator gave this task the id {}, which belongs to another task."

log = structlog.get_logger()


class CommandCreator:
    """One creator instance, driven through its command line."""

    def __init__(self, settings: CreatorSettings, clock: Clock) -> None:
        self._settings = settings
        self._directory = Directory(settings.workdir)
        self._commands = Commands(settings)
        redis = RedisWatch(settings.redis_url, clock)
        self._worker = Worker(settings, self._directory, redis, clock)
        self._table = CreatorTable(settings, self._commands)
        self._results = Results(settings, self._commands, self._directory)
        self._forms = Forms(settings, self._table, self._results)
        self._health = CreatorHealth(settings, self._directory, self._table, self._worker, redis, self._forms)
        self._given = GivenIds()

    async def start(self) -> None:
        """Make the working directory, end what a killed daemon left behind, start the worker. Never raises for the
        creator's own troubles: those are told by ``ready`` and ``health``."""
        unusable = self._directory.prepare()
        if unusable:
            self._health.note(unusable)
        self._commands.sweep()
        await self._worker.start()

    async def run(self) -> None:
        """Mind the worker until cancelled."""
        await self._worker.run()

    async def stop(self, grace: timedelta) -> None:
        """Let the worker finish what it has for at most ``grace``, then end it."""
        await self._worker.stop(grace)

    def close(self) -> None:
        """The very end: kill what commands that ended long ago have left behind in sessions of their own."""
        self._commands.sweep()

    def in_flight(self, count: int) -> None:
        """How many async tasks the creator works on for us: while there are some, one slot is kept for asking."""
        self._commands.slots.keep_one(count > 0)
        self._commands.sweep_if_due()
        self._worker.busy(count > 0)
        if count == 0:
            self._forms.idle()

    @property
    def sick(self) -> Sick | None:
        """Why its last answers were of no use, to whomever; None if they were."""
        return self._health.sick

    def health(self) -> dict[str, object]:
        """The worker's state and pid, the Redis, the last sickness, the children now; no secrets."""
        return self._health.report() | {"children": self._commands.slots.taken}

    async def ready(self, mode: Mode) -> Sick | None:
        """None if work can be given to the creator in this mode, else why not."""
        return await self._health.ready(mode)

    async def create(self, task: Task, mark: str) -> Outcome:
        """Async mode: Accepted, Failed, Unknown or Sick. Redis is asked first, since without it ``create`` hangs."""
        down = await self._health.redis_down()
        if down:
            return replace(down, spawned=False)
        faultpoints.reached("create.unspawned")
        ended = await self._commands.run(
            _create_arguments(task, mark),
            env=environment(self._settings, redis=True),
            asking=False,
            started=_create_spawned,
        )
        wrong = await self._wrong(ended)
        if wrong:
            return wrong
        if answered(ended) and isinstance(ended, Finished) and ended.exit_code == 0:
            accepted = await off_loop(output.accepted_id, ended.stdout, mark)
            if isinstance(accepted, str):
                self._health.understood()
                if self._given.claimed_by_another(accepted, task.task_id):
                    return Failed(ErrorKind.LOST, _ANOTHERS.format(accepted), *traces(ended))
                return Accepted(accepted)
            cause = f"The output of create is unreadable: {accepted.why}. {named(await self._table.version())}"
            return Unknown(cause, ended.exit_code, ended.stderr_tail)
        return Unknown(f"create: {story(ended)}", *traces(ended))

    async def generate(
        self, task: Task, mark: str, timeout: timedelta, started: Callable[[Child], Awaitable[None]]
    ) -> Outcome:
        """Sync mode: the whole article in one child. Cancelling it kills and reaps the child's group."""

        async def spawned(child: Child) -> None:
            faultpoints.reached("generate.spawned")
            await started(child)

        deadline = anyio.current_time() + timeout.total_seconds()
        ended = await self._commands.run(
            _create_arguments(task, mark),
            env=environment(self._settings, redis=False),
            timeout=timeout,
            asking=False,
            article=True,
            started=spawned,
        )
        if out_of_time(ended):
            return TimedOut(f"The creator did not finish within {timeout.total_seconds():g} seconds.")
        wrong = await self._wrong(ended)
        if wrong:
            return wrong
        if isinstance(ended, Finished) and answered(ended):
            end = await off_loop(output.sync_end, ended.stdout, mark)
            if isinstance(end, output.SyncEnd):
                self._health.understood()
                if self._given.claimed_by_another(end.creator_task_id, task.task_id):
                    return Failed(ErrorKind.LOST, _ANOTHERS.format(end.creator_task_id), *traces(ended))
                return await self._settled(end, ended, deadline)
            log.info("creator_output_unreadable", command="create", cause=end.why)
        return await self._looked_up(mark, ended, deadline)

    async def _settled(self, end: output.SyncEnd, ended: Finished, deadline: float) -> Outcome:
        """A sync run that told its end."""
        if end.state is RowState.COMPLETED:
            return await self._fetched(end.creator_task_id, deadline)
        cause = await off_loop(output.sync_cause, ended.stdout, end.creator_task_id)
        cause = cause or await self._status_error(end.creator_task_id)
        return Failed(
            ErrorKind.GENERATION_FAILED,
            cause or "The creator gave no reason.",
            ended.exit_code,
            ended.stderr_tail,
            end.creator_task_id,
        )

    async def _looked_up(self, mark: str, ended: Ended, deadline: float) -> Outcome:
        """A sync run that did not tell its end: its row may. A row that is still ``running`` is nobody's now."""
        found = await self.find([mark])
        if isinstance(found, Sick):
            return Unknown(f"{story(ended)} It could not be looked up: {found.cause}", *traces(ended))
        row = found.get(mark)
        if row and row.state is RowState.COMPLETED:
            return await self._fetched(row.creator_task_id, deadline)
        creator_task_id = row.creator_task_id if row else None
        if row and row.state is RowState.FAILED:
            return Failed(ErrorKind.GENERATION_FAILED, row.error or story(ended), *traces(ended), creator_task_id)
        killed = isinstance(ended, Finished) and ended.exit_code < 0 and ended.cut is None
        if killed:
            return Failed(ErrorKind.CHILD_KILLED, story(ended), *traces(ended), creator_task_id)
        cause = f"{story(ended)} {named(await self._table.version())}" if answered(ended) else story(ended)
        return Failed(ErrorKind.OUTPUT_UNREADABLE, cause, *traces(ended), creator_task_id)

    async def _fetched(self, creator_task_id: str, deadline: float) -> Outcome:
        """The article of a run that is over, asked for until the attempt's time is: it is there, and was paid for."""
        deadline = max(deadline, anyio.current_time() + _FETCH_SECONDS)
        pause = _FIRST_PAUSE
        while True:
            outcome = await self.result(creator_task_id)
            if not isinstance(outcome, Sick | Unknown):
                return outcome
            if anyio.current_time() + pause > deadline:
                cause = f"The article is finished, but could not be fetched: {outcome.cause}"
                if isinstance(outcome, Sick) or self._forms.sick or self._forms.undecided(creator_task_id):
                    return Failed(ErrorKind.CREATOR_UNAVAILABLE, cause)  # without its id, so that it is looked for
                return Failed(ErrorKind.OUTPUT_UNREADABLE, cause, creator_task_id=creator_task_id)
            log.warning("result_postponed", creator_task_id=creator_task_id, cause=outcome.cause)
            await anyio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _status_error(self, creator_task_id: str) -> str | None:
        row = await self._table.status(creator_task_id)
        return row.error if isinstance(row, CreatorRow) else None

    async def rows(self, wanted: Collection[str]) -> dict[str, CreatorRow] | Sick:
        """The creator's rows for the wanted ids; absent ids are absent (``status`` was asked too)."""
        found = await self._noted(await self._table.rows(wanted))
        if not isinstance(found, Sick):
            await self._worker.saw(found.values())
            await self._forms.saw(found.values())
        return found

    async def find(self, marks: Collection[str]) -> dict[str, CreatorRow] | Sick:
        """The rows whose requirements end with one of the marks, by mark."""
        return await self._noted(await self._table.find(marks))

    async def _noted(self, found: dict[str, CreatorRow] | Sick) -> dict[str, CreatorRow] | Sick:
        if isinstance(found, Sick):
            found = await self._health.explained(found)
        self._health.note(found if isinstance(found, Sick) else None)
        return found

    async def result(self, creator_task_id: str) -> Succeeded | Outcome:
        """The article and images of a completed row; Unknown if the creator did not answer (ask again).

        Sick if it answers in another form about every task; Failed if only about this one.
        """
        answer = await self._results.read(creator_task_id)
        if isinstance(answer, Sick) and answer.kind is not ErrorKind.CREATOR_CHANGED:
            answer = await self._health.explained(answer)
            self._health.note(answer)
        elif not isinstance(answer, Misread | Unknown):
            self._health.note(None)
        return await self._forms.judged(creator_task_id, answer)

    async def cause(self, creator_task_id: str) -> str | None:
        """The true cause of a failure, from the worker's error log; None if it is not there."""
        return await anyio.to_thread.run_sync(self._directory.cause, creator_task_id)

    async def requeue(self, creator_task_id: str) -> bool:
        """Queue a pending row again if, and only if, no job for it exists; True if that was done.

        With a job still queued ``retry`` would destroy the task, and it can only harm one that is not pending, so
        without both answers nothing is done. Redis is asked last: jobs vanish for good, rows do not become pending.
        """
        if not self._settings.redis_url:
            return False
        row = await self._table.status(creator_task_id)
        if not isinstance(row, CreatorRow) or row.state is not RowState.PENDING:
            return False
        try:
            if (await queued_jobs(self._settings.redis_url)).may_hold(creator_task_id):
                return False
        except RedisDown as down:
            log.warning("creator_queue_not_read", cause=str(down), creator_task_id=creator_task_id)
            return False
        ended = await self._commands.run(
            ["retry", f"--task-id={creator_task_id}"], env=environment(self._settings, redis=True)
        )
        done = isinstance(ended, Finished) and output.requeued(ended.stdout)
        log.info("creator_task_requeued", creator_task_id=creator_task_id, done=done)
        return done

    def fingerprint(self) -> object:
        """Changes whenever the creator's database does."""
        return self._directory.fingerprint()

    def worker_alive(self, worker_id: str) -> bool | None:
        """Whether a worker of ours still lives; None if it is not one of ours."""
        return self._worker.alive(worker_id)

    def end_child(self, child: Child) -> bool:
        """Kill what an earlier daemon left behind, if it still is the same process; True once it is gone."""
        end_child(child)
        return not lives(child)

    def orphans_gone(self) -> bool:
        """Kill every command that an earlier daemon left behind; True once none of them lives."""
        return self._commands.sweep() == 0

    async def _wrong(self, ended: Ended) -> Sick | Failed | None:
        """A sickness (remembered until a command works) or a refusal."""
        sick = sickness(ended, self._directory)
        sick = await self._health.explained(sick) if sick else None
        if sick or (isinstance(ended, Finished) and ended.exit_code == 0):
            self._health.note(sick)
        wrong = sick or refusal(ended)
        return replace(wrong, spawned=False) if wrong and isinstance(ended, NotStarted) else wrong


async def _create_spawned(_child: Child) -> None:
    faultpoints.reached("create.spawned")


def _create_arguments(task: Task, mark: str) -> list[str]:
    """Always ``--name=value``, which takes any text; priority is the same for all, since the order is ours."""
    keywords = ",".join(" ".join(word.split()) for word in task.keywords)
    return [
        "create",
        f"--topic={task.topic}",
        f"--requirements={with_mark(task.requirements, mark)}",
        f"--mode={task.mode}",
        *([f"--keywords={keywords}"] if keywords else []),
        f"--min-words={task.min_chars}",
        f"--max-words={task.max_chars}",
        "--priority=normal",
    ]
