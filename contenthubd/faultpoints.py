"""Named places where contenthubd can be made to die, so that tests can prove that its death costs nothing there.

CONTENTHUBD_FAULT_POINT=name ends our own process by SIGKILL at the first time that place is reached; ``name:3`` at the
third. A place is chosen where something was done that nobody knows of yet: a row written and nobody woken, a child
started and its answer not read. Unarmed, a place costs one comparison.
"""

import os
import re
import signal
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import structlog

from contenthubd.domain.errors import InvalidConfig

VARIABLE: Final = "CONTENTHUBD_FAULT_POINT"
POINTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "submit.stored": "Tasks are stored, their ids are not in the queue.",
        "submit.queued": "Tasks are stored and queued, the caller has no answer.",
        "schedule.decided": "A slot and its task are stored, its id is not in the queue.",
        "dispatch.taken": "Ids were taken from the queue, nothing is claimed.",
        "dispatch.claimed": "Tasks are claimed, no attempt has begun.",
        "create.unspawned": "An async attempt has begun, its child is not started.",
        "create.spawned": "The child of an async attempt runs, its output is not read.",
        "create.answered": "The creator answered an async attempt, its id is not stored.",
        "generate.spawned": "The child of a sync attempt runs, its process is not noted.",
        "generate.noted": "The child of a sync attempt runs, its process is noted.",
        "generate.ended": "The child of a sync attempt ended, nothing is settled.",
        "settle.accepted": "The creator's id is stored, polling is not woken.",
        "settle.written": "A result is stored, no other stage is woken.",
        "poll.finish_seen": "The creator says that a task is completed, its result is not fetched.",
        "poll.result_fetched": "A result was fetched from the creator, nothing is settled.",
        "promote.written": "Tasks that are due again are pending, their ids are not in the queue.",
        "rescue.looked_up": "Marks of a dead daemon's attempts were looked up, none is taken over.",
        "rescue.taken_over": "An attempt of a dead daemon is taken over, what became of it is not written.",
        "fetch.fetched": "The file of an image is stored, its row does not say so.",
        "publish.claimed": "Publications are claimed, none is sent.",
        "publish.sent": "A content is at its target, its publication does not say so.",
        "review.written": "A decision about a content is stored, publishing is not woken.",
        "cancel.written": "A task is cancelled, its id and its child are still there.",
        "revive.written": "A revived task is pending, its id is not in the queue.",
        "heartbeat.renewed": "Our leases are renewed, we do not know it.",
        "upgrade.locked": "The tables are locked for an upgrade, nothing is changed.",
        "upgrade.step": "The tables were brought to the next version, nothing is committed.",
        "upgrade.done": "All tables have the newest version, nothing is committed.",
        "upgrade.committed": "The tables have the newest version, the caller has no answer.",
        "backup.table": "The rows of the next table are in the unfinished backup.",
        "backup.image": "The next image is in the unfinished backup.",
        "backup.finished": "The backup is complete and synced, it has not got its name.",
        "backup.renamed": "The backup has its name, the caller has no answer.",
        "restore.checked": "A backup was read and found complete, nothing is changed.",
        "restore.cleared": "The tables that were there are dropped, nothing is committed.",
        "restore.made": "The tables of the backup's version are made, they are empty.",
        "restore.table": "The rows of the next table are copied, nothing is committed.",
        "restore.image": "The next image is in its place, nothing is committed.",
        "restore.filled": "All rows and images are there, the tables are not upgraded yet.",
        "restore.done": "The backup is restored and upgraded, nothing is committed.",
        "restore.committed": "The backup is restored, images of rows that were replaced are still there.",
    }
)
"""Every place and what has happened when it is reached."""

log = structlog.get_logger(__name__)
_armed: str | None = None
_left = 0


def reached(name: str) -> None:
    """Die here if this place is armed."""
    if name == _armed:
        _count_down(name)


def arm(wanted: str | None) -> None:
    """Arm the place that is named (``name`` or ``name:times``), or none. InvalidConfig if there is none such."""
    global _armed, _left
    _armed, _left = None, 0
    if not wanted:
        return
    name, _, times = wanted.partition(":")
    if name not in POINTS or not re.fullmatch(r"([1-9]\d{0,8})?", times, re.ASCII) or wanted.endswith(":"):
        raise InvalidConfig(
            [f"environment {VARIABLE}: {wanted[:80]!r} is no fault point."],
            fix=f"Unset it, or set it to one of {', '.join(POINTS)}; add :3 to mean the third time.",
        )
    _armed, _left = name, int(times or 1)
    log.warning("fault_point_armed", name=name, times=_left, meaning=POINTS[name])


def _count_down(name: str) -> None:
    global _left
    _left -= 1
    if _left == 0:
        log.warning("fault_point_reached", name=name)
        os.kill(os.getpid(), signal.SIGKILL)
