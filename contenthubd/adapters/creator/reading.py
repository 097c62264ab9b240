"""Reading ``result``: one command, and whether what it printed has the form that contenthubd knows.

An answer in another form may be the fault of one article or of the whole program; that is decided in ``forms``.
"""

from dataclasses import dataclass
from typing import Final

import anyio
import structlog

from contenthubd.adapters.creator.command import Commands, Cut, Ended, Finished
from contenthubd.adapters.creator.directory import Directory
from contenthubd.adapters.creator.environment import environment
from contenthubd.adapters.creator.offloop import off_loop
from contenthubd.adapters.creator.result import Result, Unframed, result
from contenthubd.adapters.creator.settings import CreatorSettings
from contenthubd.adapters.creator.verdict import answered, is_unknown_task, refusal, sickness, story
from contenthubd.domain.outcome import ErrorKind, Failed, Outcome, RowState, Succeeded, Unknown

_PAUSES: Final = (0.0, 0.1, 0.3, 0.9)
"""Seconds between two looks."""
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Misread:
    """An answer in another form: ``why``, as a sentence, and what the attempt comes to if it is this task's fault."""

    why: str
    own: Outcome
    kind: ErrorKind = ErrorKind.CREATOR_CHANGED
    """What the creator suffers from if it answers so about every task."""
    whole: bool = False
    """Nothing of what the command prints is there: no article can be the cause of that, though something else about
    its task may."""


class Results:
    """Asks for the results of finished rows; changes nothing."""

    def __init__(self, settings: CreatorSettings, commands: Commands, directory: Directory) -> None:
        self._settings = settings
        self._commands = commands
        self._directory = directory

    async def read(self, creator_task_id: str) -> Outcome | Misread:
        """What ``result`` says; what cannot be read is asked for several times, since the article is paid for."""
        for pause in _PAUSES:
            answer = await self._read(creator_task_id)
            if not _is_unreadable(answer):
                return answer
            await anyio.sleep(pause)
        return await self._read(creator_task_id)

    async def _read(self, creator_task_id: str) -> Outcome | Misread:
        ended = await self._commands.run(
            ["result", f"--task-id={creator_task_id}", "--format=text"],
            env=environment(self._settings, redis=False),
            article=True,
        )
        if is_unknown_task(ended):
            return Failed(ErrorKind.LOST, "The creator does not know the task.", creator_task_id=creator_task_id)
        wrong = sickness(ended, self._directory) or refusal(ended)
        if wrong:
            return wrong
        if isinstance(ended, Finished) and ended.cut is Cut.FLOOD:
            return _unreadable(story(ended).rstrip("."), ended, creator_task_id)
        if not isinstance(ended, Finished) or not answered(ended):
            return Unknown(f"result: {story(ended)}", *traces(ended))
        read = await off_loop(result, ended.stdout, creator_task_id)
        if isinstance(read, Result):
            return _outcome_of(read, creator_task_id)
        failed = _unreadable(read.why, ended, creator_task_id)
        if ended.exit_code == 0:
            return Misread(failed.cause, failed, whole=isinstance(read, Unframed))
        return Misread(f"result: {story(ended)}", failed, ErrorKind.OUTPUT_UNREADABLE, whole=True)


def traces(ended: Ended) -> tuple[int | None, str]:
    """Exit code and end of stderr, where there are any."""
    return (ended.exit_code, ended.stderr_tail) if isinstance(ended, Finished) else (None, "")


def _is_unreadable(answer: Outcome | Misread) -> bool:
    return isinstance(answer, Misread) or (isinstance(answer, Failed) and answer.kind is ErrorKind.OUTPUT_UNREADABLE)


def _unreadable(why: str, ended: Finished, creator_task_id: str) -> Failed:
    cause = f"The output of result is unreadable: {why}."
    return Failed(
        ErrorKind.OUTPUT_UNREADABLE, cause, ended.exit_code, ended.stderr_tail, creator_task_id=creator_task_id
    )


def _outcome_of(result: Result, creator_task_id: str) -> Outcome | Misread:
    for why in result.unread:
        log.warning("creator_image_unreadable", creator_task_id=creator_task_id, cause=why)
    if result.state is RowState.FAILED:
        return Failed(
            ErrorKind.GENERATION_FAILED, "The creator reports that the task failed.", creator_task_id=creator_task_id
        )
    if result.state is not RowState.COMPLETED:
        unfinished = Unknown(f"The creator reports the state of the task as {result.state}.")
        known = result.state is not RowState.UNKNOWN
        return unfinished if known else Misread("The output of result names a state that is not known.", unfinished)
    if not result.article or not result.article.strip():
        empty = Failed(
            ErrorKind.ARTICLE_EMPTY, "The creator finished without an article.", creator_task_id=creator_task_id
        )
        return Misread("The output of result has images and no article.", empty) if result.doubtful else empty
    return Succeeded(result.article, result.pictures, creator_task_id)
