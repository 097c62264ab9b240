"""The register of creator instances: which daemon each belongs to, and since when nobody has seen it."""

from datetime import datetime, timedelta
from typing import Protocol


class InstanceStore(Protocol):
    """Who has which creator instance. Time is the database's own here: the one clock that all daemons share."""

    async def hold(self, name: str, state_id: str, alive: timedelta) -> bool:
        """Say that the instance is this state directory's for ``alive`` from now; False while it is another's."""

    async def held_for(self, name: str) -> timedelta:
        """How long the instance is still somebody's; zero when it is nobody's."""

    async def release(self, name: str, state_id: str) -> None:
        """Say that the instance is this state directory's no longer; nothing happens if it was not."""

    async def lost(self, own: str, after: timedelta) -> list[str]:
        """The other instances whose daemon has not been alive for ``after``.

        An instance that has open attempts and is not in the register is entered, so that its time begins to run.
        """

    async def forget(self, name: str, after: timedelta, now: datetime) -> bool:
        """Strike out an instance that is lost and has no open attempt left, with a fact of ``now``.

        What its daemon was just publishing becomes ``unknown``: the target may have it. False if it is not lost.
        """
