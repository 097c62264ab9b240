"""Forms: tell a program whose answers have another form from one task whose answer cannot be read.

One answer says nothing of the program, so others are asked for: those about other tasks, since every attempt of one
task may fail for the same cause. A result that cannot be read is compared with the results of other tasks' finished
rows, those first that were read before: if one of them can be read, the fault is that one task's; if none can, the
program has changed. Where no other task is finished, or only one row has an unknown state, another version than the
one expected decides; else an article that cannot be read is its task's fault, and an answer without anything that
``result`` prints is nobody's until another task is finished. While the program counts as changed nothing is given to
it; it counts so until one of the answers that were compared can be read, or, where the version alone decided, until
nothing of ours is in flight.
"""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Iterable
from typing import Final

import anyio

from contenthubd.adapters.creator.reading import Misread, Results
from contenthubd.adapters.creator.settings import CreatorSettings
from contenthubd.adapters.creator.table import CreatorTable
from contenthubd.adapters.creator.version import is_another, named
from contenthubd.domain.attempt import marked_task
from contenthubd.domain.outcome import CreatorRow, ErrorKind, Failed, Outcome, RowState, Sick, Succeeded, Unknown

_COMPARED: Final = 3
_LISTED: Final = 50
_MOST_GOOD: Final = 20
_MOST_UNDECIDED: Final = 1000
_SAME_FAULT: Final = 2
"""So many tasks whose state cannot be read for the same reason are the program's fault."""
_LOOK_PAUSE: Final = 10
"""The answers that were compared are asked for again so many times more rarely than a sick creator is."""


class Forms:
    """The last word on the form of the creator's answers about its rows."""

    def __init__(self, settings: CreatorSettings, table: CreatorTable, results: Results) -> None:
        self._table = table
        self._results = results
        self._pause = settings.look_again.total_seconds() * _LOOK_PAUSE
        self._good: OrderedDict[str, None] = OrderedDict()
        self._compared: list[str] = []
        self._by_version = False
        self._undecided: set[str] = set()
        self._result: Sick | None = None
        self._states: Sick | None = None
        self._looked_at = float("-inf")
        self._lock = asyncio.Lock()

    @property
    def sick(self) -> Sick | None:
        """Why the program counts as changed; None if it does not."""
        return self._result or self._states

    async def looked(self) -> Sick | None:
        """The same, after a look at the answers that were compared, if one is due."""
        if self._result is None:
            return self._states
        async with self._lock:
            if anyio.current_time() - self._looked_at >= self._pause:
                self._looked_at = anyio.current_time()
                await self._look()
        return self.sick

    async def prove(self) -> None:
        """After a start: whether results of earlier tasks can be read, before anything is created."""
        async with self._lock:
            unread: list[str] = []
            for one in await self._others(""):
                answer = await self._results.read(one)
                if not isinstance(answer, Misread | Sick) or not _is_of_program(answer):
                    if _is_read(answer):
                        self._understood(one)
                    return
                unread.append(one)
                if len(unread) == _SAME_FAULT or isinstance(answer, Sick):
                    self._changed(unread, answer, await self._table.version())
                    return

    async def _look(self) -> None:
        gone = 0
        for creator_task_id in self._compared:
            answer = await self._results.read(creator_task_id)
            gone += _is_lost(answer)
            if _is_read(answer):
                self._understood(creator_task_id)
                return
        if gone == len(self._compared) or (self._by_version and not is_another(await self._table.version())):
            self._result = None

    def idle(self) -> None:
        """Nothing of ours is at the creator: no state is unknown, and what only the version said is tried anew."""
        self._states = None
        if self._by_version:
            self._result, self._by_version = None, False

    async def saw(self, rows: Iterable[CreatorRow]) -> None:
        """The rows of what is in flight."""
        tasks = {(_task_of(row), row.unread) for row in rows if row.unread}
        whys = Counter(why for _, why in tasks)
        found = whys.most_common(1)
        if not found:
            self._states = None
            return
        (why, count), version = found[0], await self._table.version()
        if count >= _SAME_FAULT or is_another(version):
            of_whom = f"{count} tasks" if count > 1 else "a task"
            cause = f"content-creator reports a state of {of_whom} that contenthubd does not know: {why}."
            self._states = Sick(ErrorKind.CREATOR_CHANGED, f"{cause} {named(version)}")
        else:
            self._states = None

    async def judged(self, creator_task_id: str, answer: Outcome | Misread) -> Outcome:
        """What an answer of ``result`` comes to: the creator's sickness if its form has changed for everybody."""
        self._undecided.discard(creator_task_id)
        if _is_read(answer):
            self._understood(creator_task_id)
        if not isinstance(answer, Misread) and not (isinstance(answer, Sick) and _is_refusal(answer)):
            return answer
        async with self._lock:
            known = None if self._by_version else self._result
            return known or await self._compare(creator_task_id, answer)

    def undecided(self, creator_task_id: str) -> bool:
        """Whether nobody knows yet whose fault the last answer about it was."""
        return creator_task_id in self._undecided

    async def _compare(self, creator_task_id: str, answer: Sick | Misread) -> Outcome:
        unread = []
        for other in await self._others(creator_task_id):
            compared = await self._results.read(other)
            if _is_read(compared):
                self._understood(other)
                return _own(answer, creator_task_id)
            if isinstance(compared, Unknown) or (isinstance(compared, Sick) and not _is_refusal(compared)):
                return Unknown(f"{_why(answer)} No other result could be read just now: {compared.cause}")
            if not _is_lost(compared):
                unread.append(other)
        version = await self._table.version()
        if not unread and isinstance(answer, Misread) and not is_another(version):
            return self._unjudged(creator_task_id, answer) if answer.whole else answer.own
        sick = self._changed([*unread, creator_task_id], answer, version)
        self._by_version = not unread and isinstance(answer, Misread)
        return Unknown(sick.cause) if self._by_version else sick

    def _changed(self, compared: list[str], answer: Sick | Misread, version: str | None) -> Sick:
        self._compared, self._by_version = compared, False
        self._looked_at = anyio.current_time()
        self._result = sick = Sick(answer.kind, f"{_why(answer)} {named(version)}")
        return sick

    def _unjudged(self, creator_task_id: str, answer: Misread) -> Unknown:
        if len(self._undecided) >= _MOST_UNDECIDED:
            self._undecided.clear()
        self._undecided.add(creator_task_id)
        return Unknown(f"{answer.why} No other task is finished whose result could be compared.")

    async def _others(self, creator_task_id: str) -> list[str]:
        """Finished rows of other tasks, one of each: those that were read before, then the newest of the table."""
        page = await self._table.newest(_LISTED)
        tasks = {row.creator_task_id: _task_of(row) for row in page}
        listed = [row.creator_task_id for row in page if row.state is RowState.COMPLETED]
        before = [one for one in reversed(self._good) if one != creator_task_id][: _COMPARED - 1]
        chosen = {tasks.get(creator_task_id, creator_task_id): creator_task_id}
        for one in [*before, *listed[: _COMPARED - 1], *listed[-1:], *listed]:  # the oldest, should the newest be alike
            chosen.setdefault(tasks.get(one, one), one)
        return list(chosen.values())[1 : _COMPARED + 1]

    def _understood(self, creator_task_id: str) -> None:
        self._result, self._by_version = None, False
        self._good[creator_task_id] = None
        self._good.move_to_end(creator_task_id)
        if len(self._good) > _MOST_GOOD:
            self._good.popitem(last=False)


def _task_of(row: CreatorRow) -> str:
    """What rows of one task of ours have in common; another's row stands for itself."""
    return marked_task(row.requirements) or row.creator_task_id


def _why(answer: Misread | Sick) -> str:
    return answer.why if isinstance(answer, Misread) else answer.cause


def _own(answer: Misread | Sick, creator_task_id: str) -> Outcome:
    """What the attempt comes to when ``result`` works for other tasks."""
    if isinstance(answer, Misread):
        return answer.own
    return Failed(ErrorKind.OUTPUT_UNREADABLE, answer.cause, creator_task_id=creator_task_id)


def _is_of_program(answer: Misread | Sick) -> bool:
    """Whether no article alone can be the cause of this answer."""
    return answer.whole if isinstance(answer, Misread) else _is_refusal(answer)


def _is_refusal(answer: Sick) -> bool:
    return answer.kind is ErrorKind.CREATOR_CHANGED


def _is_lost(answer: Outcome | Misread) -> bool:
    return isinstance(answer, Failed) and answer.kind is ErrorKind.LOST


def _is_read(answer: Outcome | Misread) -> bool:
    """Whether the answer had the form that is known, whatever it said."""
    if isinstance(answer, Failed):
        return answer.kind in (ErrorKind.GENERATION_FAILED, ErrorKind.ARTICLE_EMPTY)
    return isinstance(answer, Succeeded)
