"""The desk for questions about the daemon itself."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from contenthubd.control import wire
from contenthubd.control.wire_queue import QueueStatus


@dataclass(frozen=True, slots=True)
class ConditionDesk:
    """How the daemon is (``control.routes.Condition``)."""

    _health: Callable[[], Awaitable[wire.Health]]
    _version: wire.Version
    _config: Callable[[], list[wire.ConfigEntry]]
    _queue: Callable[[], Awaitable[QueueStatus]]

    async def health(self) -> wire.Health:
        """See the protocol."""
        return await self._health()

    async def version(self) -> wire.Version:
        """See the protocol."""
        return self._version

    async def config(self) -> list[wire.ConfigEntry]:
        """See the protocol."""
        return self._config()

    async def queue(self) -> QueueStatus:
        """See the protocol."""
        return await self._queue()
