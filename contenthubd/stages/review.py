"""Review: a person approves a content, which puts it into the pool, or rejects it, which takes it out again."""

from collections.abc import Sequence
from uuid import UUID

import structlog

from contenthubd import faultpoints
from contenthubd.domain import invisible
from contenthubd.domain.content import ContentEvent, ContentState, content_step
from contenthubd.domain.errors import Conflict, InvalidInput
from contenthubd.ports.clock import Clock
from contenthubd.ports.contents import PublicationStore
from contenthubd.ports.stage import Stage, Wake

log = structlog.get_logger(__name__)


class Review:
    """Decisions about contents."""

    def __init__(self, pool: PublicationStore, clock: Clock, wake: Wake, *, targets: Sequence[str]) -> None:
        self._pool = pool
        self._clock = clock
        self._wake = wake
        self.targets = targets
        """Where approved contents go; none where people put them into the pool."""

    async def __call__(
        self, content_id: UUID, state: ContentState, event: ContentEvent, *, by: str, reason: str
    ) -> None:
        """Decide about a content that was seen in ``state``; Conflict if the state does not allow it (any more).

        InvalidInput for a reason that cannot be read.
        """
        if fault := invisible.fault(reason):
            raise InvalidInput(f"The reason {fault}")
        content_step(state, event, content_id)
        pool = [(self._clock.new_id(), target) for target in self.targets] if event is ContentEvent.APPROVED else []
        reason = invisible.cleaned(reason)
        won = await self._pool.review(content_id, event, by=by, reason=reason, now=self._clock.now(), pool=pool)
        if not won:
            raise Conflict("The content changed in the meantime.", fix=f"See: contenthubctl content show {content_id}")
        faultpoints.reached("review.written")
        log.info("content_reviewed", content_id=str(content_id), decision=event, by=by)
        self._wake(Stage.PUBLISH)
