"""Which rows a person means: fragments of ids, names, "the last batch"."""

from typing import Final
from uuid import UUID

from contenthubd.control import ids, wire
from contenthubd.domain.errors import NotFound
from contenthubd.ports.accounts import AccountStore
from contenthubd.ports.views import Listing, Views

LISTS: Final = {
    "task": "List tasks with: contenthubctl task list",
    "content": "List contents with: contenthubctl content list",
    "batch": "List tasks with: contenthubctl task list",
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

    async def listing(self, noun: str, wanted: wire.TaskFilter | wire.ContentFilter) -> Listing:
        """What a list is asked for, every name and id resolved."""
        if wanted.account:
            await self._accounts.by_name(wanted.account)
        return Listing(
            limit=wanted.limit,
            states=wanted.status,
            account=wanted.account,
            batch_id=await self.batch(wanted.batch) if wanted.batch else None,
            since=wanted.since,
            after=await self.one(noun, wanted.after) if wanted.after else None,
        )
