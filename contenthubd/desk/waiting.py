"""What tasks wait for: one answer for every view, so that no two of them contradict each other."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from contenthubd.control.wire_parts import WaitingFor
from contenthubd.desk.shapes import shown
from contenthubd.domain.outcome import ErrorKind, Sick
from contenthubd.domain.task import Mode, TaskState
from contenthubd.ports.clock import Clock
from contenthubd.ports.views import OpenAttempts, Row
from contenthubd.stages.pause import Pause
from contenthubd.stages.slots import Slots

_LACKING: Final[Mapping[ErrorKind, str]] = {
    ErrorKind.CREATOR_MISSING: "content-creator: command not found",
    ErrorKind.CREATOR_DIRECTORY: "content-creator: its working directory cannot be used",
    ErrorKind.DATABASE_MISSING: "content-creator: its database cannot be opened",
    ErrorKind.API_KEYS_MISSING: "content-creator: API keys are not set",
    ErrorKind.OUTPUT_UNREADABLE: "content-creator: its output cannot be read",
    ErrorKind.WORKER_GONE: "content-creator's worker: not running",
    ErrorKind.WORKER_DEAF: "content-creator's worker: not responding",
    ErrorKind.CREATOR_REDIS_DOWN: "content-creator's Redis: no answer",
    ErrorKind.NO_PROCESS: "a child process: the system cannot start one",
}
_HEALTH: Final = "See: contenthubctl health"
_STOPPING: Final = WaitingFor(code="stopping", what="the daemon to start again: it is stopping")
_DATABASE: Final = WaitingFor(
    code="database",
    what="PostgreSQL: the daemon's lease is not confirmed",
    hint=f"Work resumes automatically. {_HEALTH}",
)


@dataclass(frozen=True, slots=True)
class Glance:
    """What keeps tasks from starting, as it was at one moment."""

    by_mode: Mapping[Mode, WaitingFor | None]

    def reason(self, row: Row, position: int | None = None) -> WaitingFor | None:
        """What this task waits for; None unless it is pending or retrying."""
        if row["state"] == TaskState.RETRYING:
            return WaitingFor(code="retry", what="the next retry", until=shown(row["run_at"]))
        if row["state"] != TaskState.PENDING:
            return None
        found = self.by_mode[Mode(row["mode"])]
        if found is not None:
            return found
        before = (position or 1) - 1
        tasks = f"{before:,} task{'s' * (before > 1)} ahead of it in the queue" if before else "its turn"
        return WaitingFor(code="turn", what=tasks)


class Waiting:
    """Looks at what dispatch needs: a lease, a creator that can work, a free slot."""

    def __init__(
        self,
        pause: Pause,
        slots: Slots,
        attempts: OpenAttempts,
        clock: Clock,
        *,
        leased: Callable[[], bool],
        draining: Callable[[], bool],
        instance: str,
    ) -> None:
        self._pause = pause
        self.slots = slots
        self._attempts = attempts
        self._clock = clock
        self._leased = leased
        self._draining = draining
        self._instance = instance

    async def glance(self) -> Glance:
        """What keeps tasks of each mode from starting just now."""
        full = None if self.slots.free else await self._full()
        return Glance({mode: self._reason(mode) or full for mode in Mode})

    def _reason(self, mode: Mode) -> WaitingFor | None:
        if self._draining():
            return _STOPPING
        if not self._leased():
            return _DATABASE
        sick = self._pause.lacking.get(mode) or (self._pause.sick if self._pause.left else None)
        return self._sick(sick) if sick else None

    def _sick(self, sick: Sick) -> WaitingFor:
        until: datetime | None = self._clock.now() + self._pause.left if self._pause.left else None
        return WaitingFor(
            code="creator",
            what=_LACKING.get(sick.kind, f"content-creator: {sick.cause.rstrip('.')}"),
            until=shown(until),
            kind=sick.kind.value,
            cause=sick.cause,
            hint=sick.hint,
        )

    async def _full(self) -> WaitingFor:
        """Every slot is taken, some perhaps by attempts that timed out or were cancelled here and go on there."""
        used, total = self.slots.used, self.slots.total
        left = min(await self._attempts.abandoned(self._instance), used)
        what = f"a free slot: {used} of {total} in use"
        if not left:
            return WaitingFor(code="slot", what=what)
        runs = "an attempt that timed out or was" if left == 1 else "attempts that timed out or were"
        return WaitingFor(
            code="slot",
            what=f"{what}, {left} of them by {runs} cancelled",
            hint="content-creator cannot stop a task, so it keeps its slot until it ends there, at the latest until "
            "[creator] abandon_seconds have passed.",
        )
