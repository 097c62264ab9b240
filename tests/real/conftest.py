"""The real content-creator for the tests here: installed once, started anew for each of them."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.real.package import Package, find_or_install
from tests.real.realrun import RealRun

StartRun = Callable[..., Awaitable[RealRun]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """These tests take longest, so they come first: side by side with all others, not after them."""
    items.sort(key=lambda item: item.path.parent != Path(__file__).parent)


@pytest.fixture(scope="session")
def package() -> Package:
    """The installed package. All tests of a run share it, and a cache keeps it for the next run."""
    return find_or_install()


@pytest.fixture
async def start_run(package: Package, state_dir: Path) -> AsyncIterator[StartRun]:
    """Starts a run: ``await start_run(mode="sync", poll_interval_seconds=2)``; all its processes end with the test.

    ``as_installed``: with the command line as npm installs it, in many files, beside which the daemon finds the worker.
    """
    async with AsyncExitStack() as stack:

        async def start(daemon: dict[str, Any] | None = None, *, as_installed: bool = False, **tasks: Any) -> RealRun:
            creator: dict[str, Any] = {"command": package.joined, "worker_command": package.joined_worker}
            if as_installed:
                creator = {"command": package.command}
            return await stack.enter_async_context(RealRun(creator, state_dir, tasks, daemon or {}))

        yield start
