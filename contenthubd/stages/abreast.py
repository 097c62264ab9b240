"""Abreast: several pieces of work at a time, so that one that hangs holds up none behind it."""

from collections.abc import Awaitable, Callable, Sequence

import anyio

from contenthubd.domain.errors import Unavailable


async def abreast(works: Sequence[Callable[[], Awaitable[object]]], most: int) -> None:
    """Do all of them, at most ``most`` at a time, begun in their order.

    A database that is away is passed on when all have ended, as one Unavailable; it ends no work that can go on.
    """
    faults: list[Unavailable] = []
    limit = anyio.CapacityLimiter(most)

    async def one(work: Callable[[], Awaitable[object]]) -> None:
        async with limit:
            try:
                await work()
            except Unavailable as fault:
                faults.append(fault)

    async with anyio.create_task_group() as group:
        for work in works:
            group.start_soon(one, work)
    if faults:
        raise faults[0]
