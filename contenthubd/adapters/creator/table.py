"""The creator's table of tasks, read through ``list --json``: page by page, newest first.

New rows appear in front while we read, so a row may be seen twice but never missed; an id that was not seen is asked
for by name before it counts as absent. A page that is too much to print is asked for again in smaller pieces, down to
one row: a row that is too much alone is skipped and told, like any other that cannot be read.
"""

from collections import OrderedDict
from collections.abc import AsyncGenerator, Collection, Iterable
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import anyio
import structlog

from contenthubd.adapters.creator import listing, output
from contenthubd.adapters.creator.command import Commands, Cut, Finished
from contenthubd.adapters.creator.directory import Directory
from contenthubd.adapters.creator.environment import environment
from contenthubd.adapters.creator.frame import text_of
from contenthubd.adapters.creator.offloop import off_loop
from contenthubd.adapters.creator.settings import CreatorSettings
from contenthubd.adapters.creator.usage import CREATE_OPTIONS, options_in, required_in
from contenthubd.adapters.creator.verdict import answered, is_unknown_task, sickness, story
from contenthubd.domain.attempt import MARK_PREFIX
from contenthubd.domain.foreign import Unreadable
from contenthubd.domain.outcome import CreatorRow, ErrorKind, RowState, Sick

_OLDER_BY: Final = timedelta(days=1)
_TIME_DIGITS: Final = 12
_BEST_FIRST: Final = (RowState.COMPLETED, RowState.RUNNING, RowState.WAITING, RowState.PENDING)
_PAGES_AT_LEAST: Final = 5
_MOST_PAGES: Final = 2000
_MOST_REPEATS: Final = 2
_PAGE_GROWS: Final = 4
_WIDE_PAGE: Final = 64
_MOST_LONG_ROWS: Final = 50
_MOST_DOUBTED: Final = 50
"""So many rows of which none can be read are the creator's fault."""
_NO_END: Final = "it appears to ignore --offset, or its rows are too long to be read"
_PROBED: Final = 5
_TOLD_AT_MOST: Final = 1000
_VERSION_READ: Final = 4096

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Doubted:
    """A page of which no row can be read: another program's, or these rows' own fault."""

    page: listing.Page
    sick: Sick


class CreatorTable:
    """Reads rows; changes nothing."""

    def __init__(self, settings: CreatorSettings, commands: Commands) -> None:
        self._settings = settings
        self._commands = commands
        self._directory = Directory(settings.workdir)
        self._told: OrderedDict[tuple[str, str], None] = OrderedDict()

    async def rows(self, wanted: Collection[str]) -> dict[str, CreatorRow] | Sick:
        """The rows of the wanted ids; an id that is not there is not in the answer.

        Ids that are not among the newest rows are asked for by name as soon as that costs no more than reading on.
        """
        missing = set(wanted)
        found: dict[str, CreatorRow] = {}
        pages_read = 0
        if not missing:
            return found
        async with aclosing(self._pages()) as pages:
            async for page in pages:
                if isinstance(page, Sick):
                    return page
                if page is None:
                    break
                seen: dict[str, CreatorRow] = {}
                for row in page.rows:
                    if row.creator_task_id in missing and _better(row, seen.get(row.creator_task_id)):
                        seen[row.creator_task_id] = row
                found |= seen
                missing -= seen.keys()
                pages_read += 1
                if pages_read >= max(_PAGES_AT_LEAST, len(missing)) or not missing:
                    break
        by_name = await self._by_name(missing)
        return by_name if isinstance(by_name, Sick) else found | by_name

    async def _by_name(self, wanted: Collection[str]) -> dict[str, CreatorRow] | Sick:
        """Side by side: one that hangs holds up nobody else. One that cannot be read is there, its state unknown."""
        found: dict[str, CreatorRow] = {}
        sick: list[Sick] = []

        async def ask(creator_task_id: str) -> None:
            row = await self.status(creator_task_id)
            if isinstance(row, Unreadable):
                self._tell(creator_task_id, row.why)
                row = CreatorRow(creator_task_id, RowState.UNKNOWN, requirements="", unread=row.why)
            if isinstance(row, Sick):
                sick.append(row)
            elif row:
                found[creator_task_id] = row

        async with anyio.create_task_group() as group:
            for creator_task_id in sorted(wanted):
                group.start_soon(ask, creator_task_id)
        return sick[0] if sick else found

    async def find(self, marks: Collection[str]) -> dict[str, CreatorRow] | Sick:
        """The rows by the mark their requirements end with; rows older than every mark's task are not read."""
        found: dict[str, CreatorRow] = {}
        oldest = _earliest(marks)
        if not marks:
            return found
        async with aclosing(self._pages()) as pages:
            async for page in pages:
                if page is None:
                    return Sick(ErrorKind.CREATOR_CHANGED, f"content-creator list did not end: {_NO_END}.")
                if isinstance(page, Sick):
                    return page
                _collect(page, marks, found)
                if len(found) == len(set(marks)) or (oldest and page.newest and page.newest < oldest):
                    break
        return found

    async def status(self, creator_task_id: str) -> CreatorRow | Sick | Unreadable | None:
        """One row by name; None if the creator does not know it, Unreadable if it says nothing that can be read."""
        ended = await self._commands.run(
            ["status", f"--task-id={creator_task_id}"], env=environment(self._settings, redis=False)
        )
        if is_unknown_task(ended):
            return None
        sick = sickness(ended, self._directory)
        if sick:
            return sick
        if isinstance(ended, Finished) and answered(ended):
            row = await off_loop(output.status_row, ended.stdout, creator_task_id)
            if isinstance(row, CreatorRow):
                return row
            return Unreadable(f"the output of status is unreadable: {row.why}. {story(ended)}")
        return Unreadable(f"status: {story(ended)}")

    async def newest(self, limit: int) -> list[CreatorRow]:
        """The newest rows; none if they cannot be read."""
        page = await self._page(limit, 0)
        return page.rows if isinstance(page, listing.Page) else []

    async def probe(self) -> Sick | list[CreatorRow]:
        """The cheapest command that needs keys, directory and database: the newest few rows."""
        async with aclosing(self._pages(_PROBED)) as pages:
            page = await anext(pages)
        if isinstance(page, Sick):
            return page
        return page.rows if page else []

    async def refuses(self, because: str) -> Sick | None:
        """Whether ``create`` refuses our options, read from its help; ``because``: how it refused them, if it did."""
        ended = await self._commands.run(["create", "--help"], env=environment(self._settings, redis=False))
        sick = sickness(ended, self._directory)
        if sick or not isinstance(ended, Finished) or not answered(ended):
            silent = Sick(ErrorKind.CREATOR_CHANGED, f"create --help: {story(ended)}")
            return (sick or silent) if because else None
        known = options_in(ended.stdout)
        lost = [option for option in CREATE_OPTIONS if option not in known]
        if lost and len(lost) < len(CREATE_OPTIONS):  # a help that names none of them says nothing
            return Sick(ErrorKind.CREATOR_CHANGED, f"content-creator create has no option {', '.join(lost)}.")
        asked = required_in(because)
        if asked in known:
            return Sick(ErrorKind.CREATOR_CHANGED, f"content-creator create needs the option {asked}.")
        return None

    async def version(self) -> str | None:
        """What ``--version`` says, which is its last line; None if it says nothing."""
        ended = await self._commands.run(["--version"], env=environment(self._settings, redis=False))
        if not isinstance(ended, Finished) or not answered(ended):
            return None
        lines = [line.strip() for line in text_of(ended.stdout[-_VERSION_READ:]).splitlines() if line.strip()]
        return lines[-1] if lines else None

    async def _pages(self, size: int = 0) -> AsyncGenerator[listing.Page | Sick | None, None]:
        """Page by page (``size``: of the first one) to the last row; None at the end if there seems to be none.

        A page of which no row can be read, which may be a page of one row, is held back until one can be read: then
        it is these rows' own fault. At the end, or with too many of them, it is the creator's.
        """
        held: list[_Doubted] = []
        async with aclosing(self._every_page(size or self._settings.page_size)) as pages:
            async for page in pages:
                if isinstance(page, _Doubted):
                    held.append(page)
                    if sum(one.page.size for one in held) >= _MOST_DOUBTED:
                        break
                elif isinstance(page, listing.Page) and not page.rows:
                    yield page
                else:
                    for one in held:
                        yield one.page
                    held.clear()
                    yield page
        if held:
            yield held[0].sick

    async def _every_page(self, size: int) -> AsyncGenerator[listing.Page | _Doubted | Sick | None, None]:
        """Page by page to the last row; those of which no row can be read are in doubt until one was read.

        A page may bring nothing new because as many rows appeared in front meanwhile: larger pages outrun these. Only
        if those bring nothing new either does --offset have no effect.
        """
        offset, repeats, long, readable = 0, 0, 0, False
        seen: set[str] = set()
        for _ in range(_MOST_PAGES):
            answer = await self._page(size, offset)
            if answer is None:
                size = max(1, size // _PAGE_GROWS)
                continue
            page = answer.page if isinstance(answer, _Doubted) else answer
            yield page if readable else answer
            if isinstance(page, Sick) or page.size < size:
                return
            readable = readable or (isinstance(answer, listing.Page) and bool(page.rows))
            offset += page.size
            new = {*(row.creator_task_id for row in page.rows), *(bad.key for bad in page.bad)} - seen
            seen |= new
            most = self._settings.page_size if new else max(self._settings.page_size, _WIDE_PAGE)
            repeats = 0 if new or size < most else repeats + 1
            long = 0 if page.rows else long + 1
            size = min(size * _PAGE_GROWS, most) if page.rows else size
            if repeats == _MOST_REPEATS or long == _MOST_LONG_ROWS:
                break
        self._tell("list", f"`list` did not end after {offset} rows: {_NO_END}")
        yield None

    async def _page(self, limit: int, offset: int) -> listing.Page | _Doubted | Sick | None:
        """None if it was too much to print and can be asked for in smaller pieces."""
        ended = await self._commands.run(
            ["list", "--json", f"--limit={limit}", f"--offset={offset}"], env=environment(self._settings, redis=False)
        )
        sick = sickness(ended, self._directory)
        if sick:
            return sick
        if isinstance(ended, Finished) and ended.cut is Cut.FLOOD:
            if limit > 1:
                return None
            bad = listing.long_row(ended.head)
            if bad:
                self._tell_bad([bad])
                return listing.Page([], None, (bad,), 1)
        if isinstance(ended, Finished) and answered(ended):
            page = await off_loop(listing.page, ended.stdout, limit)
            if isinstance(page, listing.Page):
                self._tell_bad(page.bad)
                return page
            sick = Sick(ErrorKind.OUTPUT_UNREADABLE, f"The output of list is unreadable: {page.why}. {story(ended)}")
            return _Doubted(page.page, sick) if isinstance(page, listing.OtherForm) else sick
        return Sick(ErrorKind.OUTPUT_UNREADABLE, f"list: {story(ended)}")

    def _tell_bad(self, rows: Iterable[listing.BadRow]) -> None:
        for row in rows:
            self._tell(row.key, row.why)

    def _tell(self, key: str, why: str) -> None:
        """Once for each row and reason, as long as it is remembered."""
        if (key, why) not in self._told:
            log.warning("creator_row_unreadable", row=key, cause=why)
        self._told[key, why] = None
        self._told.move_to_end((key, why))
        while len(self._told) > _TOLD_AT_MOST:
            self._told.popitem(last=False)


def _collect(page: listing.Page, marks: Collection[str], found: dict[str, CreatorRow]) -> None:
    for row in page.rows:
        ending = row.requirements.rstrip()
        for mark in marks:
            if ending.endswith(mark) and _better(row, found.get(mark)):
                found[mark] = row


def _better(row: CreatorRow, other: CreatorRow | None) -> bool:
    """Of several rows with one mark or id the furthest counts; of equals the newest, which was seen first."""
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
