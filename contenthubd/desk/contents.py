"""The desk for contents: look and decide."""

from uuid import UUID

from contenthubd.control import wire
from contenthubd.control.peer import Peer
from contenthubd.desk.search import Search
from contenthubd.desk.shapes import content_view, unpublished
from contenthubd.domain.content import ContentEvent, ContentState, content_step
from contenthubd.domain.errors import Conflict
from contenthubd.ports.views import Listing, Views
from contenthubd.stages.review import Review


class ContentDesk:
    """What people do with contents (``control.routes.Contents``)."""

    def __init__(self, review: Review, views: Views, search: Search) -> None:
        self._review = review
        self._views = views
        self._search = search

    async def contents(self, wanted: wire.ContentFilter) -> list[wire.ContentView]:
        """See the protocol."""
        rows = await self._views.contents(await self._search.listing("content", wanted))
        return [content_view(row) for row in rows]

    async def content(self, fragment: str, *, with_body: bool) -> wire.ContentView:
        """See the protocol."""
        return await self._content(await self._search.one("content", fragment), with_body=with_body)

    async def approve(self, fragment: str, *, peer: Peer, reason: str, dry_run: bool = False) -> wire.ContentView:
        """See the protocol."""
        return await self._decide(fragment, ContentEvent.APPROVED, peer, None if dry_run else reason)

    async def reject(self, fragment: str, *, peer: Peer, reason: str, dry_run: bool = False) -> wire.ContentView:
        """See the protocol."""
        return await self._decide(fragment, ContentEvent.REJECTED, peer, None if dry_run else reason)

    async def _content(self, content_id: UUID, *, with_body: bool) -> wire.ContentView:
        rows = await self._views.contents(Listing(limit=1, only=content_id))
        body = await self._views.body(content_id) if with_body else None
        return content_view({**rows[0], "body": body})

    async def _decide(self, fragment: str, event: ContentEvent, peer: Peer, reason: str | None) -> wire.ContentView:
        """Decide, or (without a reason, not even an empty one) only see whether the state allows it."""
        content_id = await self._search.one("content", fragment)
        seen = await self._content(content_id, with_body=False)
        try:
            if reason is None:
                content_step(ContentState(seen.state), event, content_id)
            else:
                await self._review(content_id, ContentState(seen.state), event, by=peer.by, reason=reason)
        except Conflict as refusal:
            raise (unpublished(seen) if event is ContentEvent.APPROVED else None) or refusal from None
        return await self._content(content_id, with_body=False)
