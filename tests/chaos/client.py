"""The one who submits: again and again with the same keys, until the door answers.

What was acknowledged is written down here, outside the system: it is the truth that nothing may be lost from.
"""

import asyncio
from typing import Any

import aiohttp

from tests.chaos.place import Place
from tests.chaos.plan import ACCOUNTS, Order
from tests.running import Refused

ANSWER_SECONDS = 5.0
AGAIN_SECONDS = 0.2
TRANSIENT = ("database_unavailable", "unavailable", "internal", "stopping")
"""Problems after which a client tries again; every other one is a fault of the run."""


class Client:
    """Submits orders to the daemon of a place."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self.acknowledged: dict[str, str] = {}
        """Topic → task id."""
        self.repeats = 0

    async def accounts(self) -> None:
        """Create the accounts; one that is there already was made by an attempt whose answer was lost."""
        for name, values in ACCOUNTS.items():
            try:
                await self._insist("/accounts", {"name": name, **values})
            except Refused as refused:
                if refused.problem["code"] != "conflict":
                    raise

    async def submit(self, order: Order) -> None:
        """Insist on an order. Raises AssertionError if it answers with other tasks than an earlier time."""
        answer = await self._insist("/tasks", order.body)
        for task in answer["tasks"]:
            known = self.acknowledged.setdefault(task["topic"], task["id"])
            assert known == task["id"], f"{task['topic']} was acknowledged as {known}, then as {task['id']}"

    async def _insist(self, path: str, body: dict[str, object]) -> Any:
        while True:
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    return await self._post(path, body)
            except (aiohttp.ClientError, OSError, TimeoutError):
                self.repeats += 1
            except Refused as refused:
                if refused.problem["code"] not in TRANSIENT:
                    raise
                self.repeats += 1
            await asyncio.sleep(AGAIN_SECONDS)

    async def _post(self, path: str, body: dict[str, object]) -> Any:
        connector = aiohttp.UnixConnector(str(self._place.daemon.socket))
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.post(f"http://contenthubd/v1{path}", json=body) as answer,
        ):
            told = await answer.json(content_type=None)
            if answer.status >= 400:
                raise Refused(told)
            return told
