"""Which rows a person means: fragments of ids, names, "the last batch"."""

from dataclasses import replace
from typing import Final
from uuid import UUID

from contenthubd.control import ids, wire
from contenthubd.domain.errors import InvalidInput, NotFound
from contenthubd.domain.task import FINAL, TaskState
from contenthubd.ports.accounts import AccountStore
from contenthubd.ports.views import Listing, Views

LISTS: Final = {
    "task": "List tasks with: contenthubctl task list",
    "content": "List contents with: contenthubctl content list",
    "batch": "List tasks with their batches: contenthubctl task list -o wide",
}


class Search:
    """Finds what is meant; NotFound, AmbiguousId, InvalidInput."""

    def __init__(self, views: Views, accounts: AccountStore) -> None:
        self._views = views
        self._accounts = accounts

    async def one(self, noun: str, fragment: str) -> UUID:
        """The one task, content or batch whose id begins or ends like this."""
        found = await self._views.find_ids(noun, ids.pattern(fragment))
        if not found:
            raise NotFound(f"There is no {noun} {fragment!r}.", fix=LISTS[noun])
        if len(found) > 1:
            raise ids.ambiguous(noun, fragment, [str(one) for one in found])
        return found[0]

    async def batch(self, fragment: str) -> UUID:
        """A batch by its id, or the last one."""
        if fragment != wire.LAST_BATCH:
            return await self.one("batch", fragment)
        last = await self._views.last_batch()
        if last is None:
            fix = "Submit one with: contenthubctl content batch-generate"
            raise NotFound("Nothing was submitted as a batch yet.", fix=fix)
        return last

    async def tasks(self, wanted: wire.TaskFilter) -> Listing:
        """Which tasks are asked for, every name and id resolved, in an order that an index has."""
        sort = _order(wanted)
        states = wanted.status
        if sort == "finished":
            states = states or ("cancelled", "completed", "failed", "timeout")
        return replace(
            await self.listing("task", wanted),
            states=states,
            sort=sort,
            finished_since=wanted.finished_since,
            finished_until=wanted.finished_until,
        )

    async def listing(self, noun: str, wanted: wire.TaskFilter | wire.ContentFilter) -> Listing:
        """What a list is asked for, every name and id resolved."""
        if wanted.account is not None:
            await self._accounts.by_name(wanted.account)
        return Listing(
            limit=wanted.limit,
            states=wanted.status,
            account=wanted.account,
            batch_id=await self.batch(wanted.batch) if wanted.batch is not None else None,
            since=wanted.since,
            after=await self.one(noun, wanted.after) if wanted.after is not None else None,
        )


def _order(wanted: wire.TaskFilter) -> str:
    """``created`` unless something else is asked for; InvalidInput for an order that the asked states do not have."""
    by_end = wanted.finished_since is not None or wanted.finished_until is not None
    sort = wanted.sort or ("finished" if by_end else "created")
    if by_end and sort != "finished":
        raise InvalidInput(
            f"sort={sort} cannot be combined with finished_since or finished_until.",
            why="Tasks that are selected by their finish time are sorted by it, the latest first.",
            fix="Leave out sort, or use sort=finished.",
        )
    fits = {"finished": FINAL, "priority": frozenset({TaskState.PENDING})}.get(sort)
    wrong = sorted(state for state in wanted.status if fits is not None and state not in fits)
    if wrong and fits is not None:
        raise InvalidInput(
            f"Tasks in state {wrong[0]!r} cannot be sorted by {'finish time' if sort == 'finished' else 'priority'}.",
            why=f"Only tasks in these states have such an order: {', '.join(sorted(fits))}.",
            fix="Leave out that state, or sort by created.",
        )
    return sort
