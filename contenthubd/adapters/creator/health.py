"""Whether the creator can be given work, and if not, why: asked before every dispatch, so it must cost next to nothing.

A command that ran well proves keys, directory and database; a sickness is remembered and looked at again by the
cheapest command there is, at most every few seconds. Redis is pinged at most once a second.
"""

import asyncio
from typing import Final

import anyio
import structlog

from contenthubd.adapters.creator.directory import Directory
from contenthubd.adapters.creator.environment import read_keys
from contenthubd.adapters.creator.forms import Forms
from contenthubd.adapters.creator.redis_probe import RedisWatch
from contenthubd.adapters.creator.settings import CreatorSettings
from contenthubd.adapters.creator.table import CreatorTable
from contenthubd.adapters.creator.version import EXPECTED, is_another, named
from contenthubd.adapters.creator.worker import Worker
from contenthubd.domain.outcome import ErrorKind, RowState, Sick
from contenthubd.domain.task import Mode

_OTHERS: Final = frozenset({ErrorKind.CREATOR_REDIS_DOWN, ErrorKind.WORKER_GONE, ErrorKind.WORKER_DEAF})
"""Kinds that have a watch of their own."""

_CHANGED_PAUSE: Final = 10
"""A program that refused is asked so many times more rarely: what its help does not say, only a task finds out."""

log = structlog.get_logger()


class CreatorHealth:
    """The last word on keys, directory, database and program; asks Redis and worker for theirs."""

    def __init__(
        self,
        settings: CreatorSettings,
        directory: Directory,
        table: CreatorTable,
        worker: Worker,
        redis: RedisWatch,
        forms: Forms,
    ) -> None:
        self._settings = settings
        self._directory = directory
        self._table = table
        self._worker = worker
        self._redis = redis
        self._forms = forms
        self._compared_once = False
        self._form_told: Sick | None = None
        self._sick: Sick | None = None
        self._proven = False
        self._looked_at = float("-inf")
        self._lock = asyncio.Lock()

    @property
    def sick(self) -> Sick | None:
        """What the last answers say: of the program, or of their form."""
        return self._sick or self._forms.sick

    def note(self, sick: Sick | None) -> None:
        """A command said the creator is sick, or (None) it worked."""
        if sick and sick.kind in _OTHERS:
            return
        if sick and (self._sick is None or sick.gist != self._sick.gist):
            log.warning("creator_unusable", kind=sick.kind, cause=sick.cause, hint=sick.hint)
        if sick is None and self._changed:
            return  # a list that can be read says nothing of the command that was refused
        if sick is None and self._sick:
            log.info("creator_recovered", kind=self._sick.kind)
        self._sick, self._proven = sick, sick is None
        if sick:
            self._looked_at = anyio.current_time()

    async def explained(self, sick: Sick) -> Sick:
        """With what a person needs to know beside: faults of the keys, or the version found and the one expected."""
        if sick.kind is ErrorKind.API_KEYS_MISSING:
            return Sick(sick.kind, " ".join((sick.cause, *read_keys(self._settings).faults)))
        if sick.kind not in (ErrorKind.CREATOR_CHANGED, ErrorKind.OUTPUT_UNREADABLE) or EXPECTED in sick.cause:
            return sick
        return Sick(sick.kind, f"{sick.cause} {named(await self._table.version())}")

    def understood(self) -> None:
        """A command was accepted that another version refuses."""
        if self._changed:
            self._sick = None

    @property
    def _changed(self) -> bool:
        return self._sick is not None and self._sick.kind is ErrorKind.CREATOR_CHANGED

    async def ready(self, mode: Mode) -> Sick | None:
        """None if work can be given in this mode."""
        sick = await self._program() or await self._form()
        if sick or mode is Mode.SYNC:
            return sick
        return await self.redis_down() or self._worker.sick()

    async def _form(self) -> Sick | None:
        """Why its answers are not understood; told when that begins, changes and ends."""
        sick = await self._forms.looked()
        if sick and sick != self._form_told:
            log.warning("creator_unusable", kind=sick.kind, cause=sick.cause, hint=sick.hint)
        if self._form_told and not sick:
            log.info("creator_recovered", kind=self._form_told.kind)
        self._form_told = sick
        return sick

    async def redis_down(self) -> Sick | None:
        """Why nothing can be queued at the creator."""
        if not self._redis.used:
            if self._settings.simulated:
                return None
            return Sick(ErrorKind.CREATOR_REDIS_DOWN, "No [creator] redis_url is set, which async mode needs.")
        cause = await self._redis.down()
        if not cause:
            return None
        return Sick(ErrorKind.CREATOR_REDIS_DOWN, f"The creator's Redis cannot be used: {cause.rstrip('.')}.")

    async def _program(self) -> Sick | None:
        if self._proven:
            return None
        async with self._lock:
            if self._look_is_due():
                sick = self._directory.prepare() or await self._probed()
                if sick is None and self._sick is not None and self._changed:
                    sick = await self._table.refuses(self._sick.cause)
                sick = await self.explained(sick) if sick else None
                self.understood()
                self.note(sick)
        return self._sick

    async def _probed(self) -> Sick | None:
        """Once after the start also whether it became another program meanwhile, before a task finds that out."""
        rows = await self._table.probe()
        if isinstance(rows, Sick):
            return rows
        if self._compared_once:
            return None
        self._compared_once = True
        if any(row.state is RowState.COMPLETED for row in rows):
            await self._forms.prove()
        if self._settings.simulated or not is_another(await self._table.version()):
            return None
        return await self._table.refuses("")

    def _look_is_due(self) -> bool:
        """Asked again under the lock: somebody else may just have looked."""
        waited = anyio.current_time() - self._looked_at
        pause = self._settings.look_again.total_seconds() * (_CHANGED_PAUSE if self._changed else 1)
        return not self._proven and waited >= pause

    def report(self) -> dict[str, object]:
        """For people: no secrets, no ids of tasks."""
        since = self._redis.since
        redis = {
            "state": "not used" if not self._redis.used else "unknown" if since is None else self._redis_word(),
            "since": since,
            "cause": self._redis.cause,
        }
        sick = self.sick or self._worker.sick()
        return {
            "worker": self._worker.report(),
            "redis": redis,
            "sick": {"kind": str(sick.kind), "cause": sick.cause, "hint": sick.hint} if sick else None,
            "key_faults": list(read_keys(self._settings).faults),
        }

    def _redis_word(self) -> str:
        return "down" if self._redis.cause else "up"
