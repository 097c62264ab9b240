"""The creator's table of tasks, read through ``list --json``: page by page, newest first.

New rows appear in front while we read, so a row may be seen twice but never missed; an id that was not seen is asked
for by name before it counts as absent. A page that is too much to print is asked for again in smaller pieces.
"""

from collections.abc import AsyncGenerator, Collection
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Final

from contenthubd.adapters.creator import output
from contenthubd.adapters.creator.command import Commands, Cut, Finished
from contenthubd.adapters.creator.directory import Directory
from contenthubd.adapters.creator.environment import environment
from contenthubd.adapters.creator.settings import CreatorSettings
from contenthubd.adapters.creator.verdict import answered, sickness, story
from contenthubd.domain.attempt import MARK_PREFIX
from contenthubd.domain.outcome import CreatorRow, ErrorKind, RowState, Sick

_OLDER_BY: Final = timedelta(days=1)
_TIME_DIGITS: Final = 12
_BEST_FIRST: Final = (RowState.COMPLETED, RowState.RUNNING, RowState.WAITING, RowState.PENDING)


class CreatorTable:
    """Reads rows; changes nothing."""

    def __init__(self, settings: CreatorSettings, commands: Commands) -> None:
        self._settings = settings
        self._commands = commands
        self._directory = Directory(settings.workdir)

    async def rows(self, wanted: Collection[str]) -> dict[str, CreatorRow] | Sick:
        """The rows of the wanted ids; an id that is not there is not in the answer."""
        missing = set(wanted)
        found: dict[str, CreatorRow] = {}
        if not missing:
            return found
        async with aclosing(self._pages()) as pages:
            async for page in pages:
                if isinstance(page, Sick):
                    return page
                seen = {row.creator_task_id: row for row in page.rows if row.creator_task_id in missing}
                found |= seen
                missing -= seen.keys()
                if not missing:
                    return found
        for creator_task_id in missing:
            row = await self.status(creator_task_id)
            if isinstance(row, Sick):
                return row
            if row:
                found[creator_task_id] = row
        return found

    async def find(self, marks: Collection[str]) -> dict[str, CreatorRow] | Sick:
        """The rows by the mark their requirements end with; rows older than every mark's task are not read."""
        found: dict[str, CreatorRow] = {}
        oldest = _earliest(marks)
        if not marks:
            return found
        async with aclosing(self._pages()) as pages:
            async for page in pages:
                if isinstance(page, Sick):
                    return page
                _collect(page, marks, found)
                if len(found) == len(set(marks)) or (oldest and page.oldest and page.oldest < oldest):
                    break
        return found

    async def status(self, creator_task_id: str) -> CreatorRow | Sick | None:
        """One row by name; None if the creator does not know it."""
        ended = await self._commands.run(
            ["status", f"--task-id={creator_task_id}"], env=environment(self._settings, redis=False)
        )
        if isinstance(ended, Finished) and output.unknown_task(ended.stderr_tail):
            return None
        sick = sickness(ended, self._directory)
        if sick:
            return sick
        if isinstance(ended, Finished) and answered(ended):
            try:
                return output.status_row(ended.stdout, creator_task_id)
            except output.Unreadable as error:
                return Sick(ErrorKind.OUTPUT_UNREADABLE, f"What status printed cannot be read: {error}. {story(ended)}")
        return Sick(ErrorKind.OUTPUT_UNREADABLE, f"status: {story(ended)}")

    async def probe(self) -> Sick | None:
        """The cheapest command that needs keys, directory and database."""
        page = await self._page(1, 0)
        return page if isinstance(page, Sick) else None

    async def _pages(self) -> AsyncGenerator[output.Page | Sick, None]:
        size, offset = self._settings.page_size, 0
        while True:
            page = await self._page(size, offset)
            if page is None:
                size = max(1, size // 4)
                continue
            yield page
            if isinstance(page, Sick) or len(page.rows) < size:
                return
            offset += len(page.rows)

    async def _page(self, limit: int, offset: int) -> output.Page | Sick | None:
        """None if it was too much to print and can be asked for in smaller pieces."""
        ended = await self._commands.run(
            ["list", "--json", f"--limit={limit}", f"--offset={offset}"], env=environment(self._settings, redis=False)
        )
        sick = sickness(ended, self._directory)
        if sick:
            return sick
        if isinstance(ended, Finished) and ended.cut is Cut.FLOOD and limit > 1:
            return None
        if isinstance(ended, Finished) and answered(ended):
            try:
                return output.page(ended.stdout, limit)
            except output.Unreadable as error:
                return Sick(ErrorKind.OUTPUT_UNREADABLE, f"What list printed cannot be read: {error}. {story(ended)}")
        return Sick(ErrorKind.OUTPUT_UNREADABLE, f"list: {story(ended)}")


def _collect(page: output.Page, marks: Collection[str], found: dict[str, CreatorRow]) -> None:
    for row in page.rows:
        ending = row.requirements.rstrip()
        for mark in marks:
            if ending.endswith(mark) and _better(row, found.get(mark)):
                found[mark] = row


def _better(row: CreatorRow, other: CreatorRow | None) -> bool:
    """Of several rows with one mark the one that is furthest counts; of equals the newest, which was seen first."""
    if other is None:
        return True
    rank = {state: place for place, state in enumerate(_BEST_FIRST)}
    return rank.get(row.state, len(rank)) < rank.get(other.state, len(rank))


def _earliest(marks: Collection[str]) -> datetime | None:
    """A day before the oldest task of these marks was made; None if a mark does not tell (it holds a UUIDv7)."""
    times = []
    for mark in marks:
        digits = mark.removeprefix(MARK_PREFIX)
        if len(digits) <= _TIME_DIGITS or digits[_TIME_DIGITS] != "7":
            return None
        times.append(int(digits[:_TIME_DIGITS], 16) / 1000)
    return datetime.fromtimestamp(min(times), UTC) - _OLDER_BY if times else None
