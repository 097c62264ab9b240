"""What the door says while the daemon still waits for its database: why, and 503 to everything else."""

from collections.abc import Callable
from typing import Any, cast

from contenthubd.control import wire
from contenthubd.control.routes import Application
from contenthubd.control.wire_queue import QueueStatus
from contenthubd.domain.errors import ContentHubError, DatabaseUnavailable


class Starting:
    """The application of a daemon that is starting; ``finish`` puts the real one behind the same door."""

    def __init__(
        self, version: wire.Version, config: Callable[[], list[wire.ConfigEntry]], uptime: Callable[[], float]
    ):
        self._version = version
        self._config = config
        self._uptime = uptime
        self._waiting = "starting: waiting for PostgreSQL"
        self._fault: ContentHubError | None = None
        self._desks = [_Later(self._refusal) for _ in range(5)]
        tasks, contents, accounts, schedules, condition = (cast(Any, desk) for desk in self._desks)
        self.application = Application(
            tasks=tasks, contents=contents, accounts=accounts, schedules=schedules, condition=condition
        )
        self._desks[-1].desk = self

    def waits(self, place: str, fault: ContentHubError) -> None:
        """What is waited for, and why it is not there."""
        self._waiting, self._fault = f"starting: waiting for PostgreSQL at {place}", fault

    def finish(self, real: Application) -> None:
        """From here on the door leads to the daemon itself."""
        desks = (real.tasks, real.contents, real.accounts, real.schedules, real.condition)
        for later, desk in zip(self._desks, desks, strict=True):
            later.desk = desk

    async def health(self) -> wire.Health:
        """See ``control.routes.Condition``."""
        why, hint = (self._fault.why, self._fault.fix) if self._fault else ("", "")
        what = f"{self._waiting}. {why}".strip()
        return wire.Health(
            status="starting",
            version=self._version.version,
            uptime_seconds=self._uptime(),
            database={"kind": "server", "reachable": False},
            faults=[wire.HealthFault(part="database", what=what, hint=hint)],
        )

    async def version(self) -> wire.Version:
        """See ``control.routes.Condition``."""
        return self._version

    async def config(self) -> list[wire.ConfigEntry]:
        """See ``control.routes.Condition``."""
        return self._config()

    async def queue(self) -> QueueStatus:
        """See ``control.routes.Condition``."""
        raise self._refusal()

    def _refusal(self) -> ContentHubError:
        why, fix = (self._fault.why, self._fault.fix) if self._fault else ("", "")
        return DatabaseUnavailable(f"contenthubd is {self._waiting}.", why=why, fix=fix)


class _Later:
    """Stands where a desk will be; until then whatever is asked of it is refused."""

    def __init__(self, refusal: Callable[[], ContentHubError]) -> None:
        self.desk: object | None = None
        self._refusal = refusal

    def __getattr__(self, name: str) -> Any:
        if self.desk is None:
            raise self._refusal()
        return getattr(self.desk, name)
