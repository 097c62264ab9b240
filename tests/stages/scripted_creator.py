"""A creator whose every answer a test chooses: an implementation of the ports in memory, honest about rows and marks.

What is not scripted goes well: ``create`` stores a pending row and accepts, ``generate`` answers with an article.
A row moves only when a test moves it.
"""

from collections import Counter, deque
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import uuid4

import anyio

from contenthubd.domain.attempt import Child, with_mark
from contenthubd.domain.outcome import Accepted, CreatorRow, Outcome, RowState, Sick, Succeeded
from contenthubd.domain.task import Mode, Task

CHILD = Child(pid=4242, started=17, boot_id="boot")


@dataclass(frozen=True)
class Create:
    """One scripted answer of ``create`` or ``generate``; ``stored`` says whether a row is there afterwards."""

    outcome: Outcome
    stored: bool = False
    row: RowState = RowState.PENDING


class ScriptedCreator:
    """Ports ``Creator`` and ``CreatorWatch``; ``calls`` counts the questions by name."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.script: deque[Create] = deque()
        self.sick: dict[Mode, Sick] = {}
        self.sick_rows: deque[Sick] = deque()
        self.sick_finds: deque[Sick] = deque()
        self.table: dict[str, CreatorRow] = {}
        self.results: dict[str, Outcome] = {}
        self.causes: dict[str, str] = {}
        self.default_result: Succeeded | None = None
        self.without_job: set[str] = set()
        self.workers: dict[str, bool] = {}
        self.gate: anyio.Event | None = None
        self.entered = anyio.Event()
        self.tasks: list[Task] = []
        self.left: list[timedelta] = []
        self.children_end = True
        self.orphans_end = True
        self.in_flight_told = 0
        self._version = 0

    # ------------------------------------------------------------------------------------------------- what tests do

    def finish(self, creator_task_id: str, article: str = "# 标题\n\n正文", at: datetime | None = None) -> None:
        """The worker is done with a row."""
        self.move(creator_task_id, state=RowState.COMPLETED, completed_at=at)
        self.results[creator_task_id] = Succeeded(article, (), creator_task_id)

    def add_result(self, article: str) -> None:
        """What ``result`` answers for rows that are stored from now on."""
        self.default_result = Succeeded(article)

    def move(self, creator_task_id: str, **changes: object) -> None:
        """Change a row, as the worker would."""
        self.table[creator_task_id] = replace(self.table[creator_task_id], **changes)  # type: ignore[arg-type]  # a test names the fields
        self._version += 1

    def forget(self, creator_task_id: str) -> None:
        """The row is gone."""
        del self.table[creator_task_id]
        self._version += 1

    def add(self, requirements: str, state: RowState = RowState.PENDING) -> str:
        """A new row; its id."""
        creator_task_id = str(uuid4())
        self.table[creator_task_id] = CreatorRow(creator_task_id, state, requirements)
        self._version += 1
        return creator_task_id

    # ------------------------------------------------------------------------------------------------- port Creator

    async def ready(self, mode: Mode) -> Sick | None:
        self.calls["ready"] += 1
        return self.sick.get(mode)

    async def create(self, task: Task, mark: str) -> Outcome:
        self.calls["create"] += 1
        return await self._work(task, mark, lambda creator_task_id: Accepted(creator_task_id))

    async def generate(
        self, task: Task, mark: str, timeout: timedelta, started: Callable[[Child], Awaitable[None]]
    ) -> Outcome:
        self.calls["generate"] += 1
        self.left.append(timeout)
        await started(CHILD)
        return await self._work(task, mark, lambda _: Succeeded("# 同步\n\n正文"))

    async def rows(self, wanted: Collection[str]) -> dict[str, CreatorRow] | Sick:
        self.calls["rows"] += 1
        if self.sick_rows:
            return self.sick_rows.popleft()
        return {one: self.table[one] for one in wanted if one in self.table}

    async def find(self, marks: Collection[str]) -> dict[str, CreatorRow] | Sick:
        self.calls["find"] += 1
        if self.sick_finds:
            return self.sick_finds.popleft()
        return {
            mark: row for mark in marks for row in self.table.values() if row.requirements.splitlines()[-1:] == [mark]
        }

    async def result(self, creator_task_id: str) -> Outcome:
        self.calls["result"] += 1
        if creator_task_id not in self.results and self.default_result is not None:
            return replace(self.default_result, creator_task_id=creator_task_id)
        return self.results[creator_task_id]

    async def cause(self, creator_task_id: str) -> str | None:
        return self.causes.get(creator_task_id)

    async def requeue(self, creator_task_id: str) -> bool:
        self.calls["requeue"] += 1
        lost = creator_task_id in self.without_job
        self.without_job.discard(creator_task_id)
        return lost

    # -------------------------------------------------------------------------------------------- port CreatorWatch

    def fingerprint(self) -> object:
        return self._version

    def worker_alive(self, worker_id: str) -> bool | None:
        return self.workers.get(worker_id)

    def in_flight(self, count: int) -> None:
        self.in_flight_told = count

    def end_child(self, child: Child) -> bool:
        self.calls["end_child"] += 1
        return self.children_end

    def orphans_gone(self) -> bool:
        self.calls["orphans_gone"] += 1
        return self.orphans_end

    async def _work(self, task: Task, mark: str, well: Callable[[str], Outcome]) -> Outcome:
        self.tasks.append(task)
        if self.gate is not None:
            self.entered.set()
            await self.gate.wait()
        if not self.script:
            return well(self.add(with_mark(task.requirements, mark)))
        step = self.script.popleft()
        if step.stored:
            self.add(with_mark(task.requirements, mark), step.row)
        return step.outcome
