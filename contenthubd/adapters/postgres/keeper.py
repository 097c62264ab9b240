"""Keeping the private PostgreSQL alive: started again whenever it ends, without a storm if it keeps ending."""

from datetime import timedelta
from typing import Final

import anyio
import structlog

from contenthubd.adapters.postgres.embedded import EmbeddedPostgres
from contenthubd.domain.errors import ContentHubError
from contenthubd.ports.clock import Clock

FIRST_PAUSE: Final = timedelta(seconds=1)
LONGEST_PAUSE: Final = timedelta(seconds=30)
STEADY: Final = timedelta(seconds=60)
"""Who lived that long did not end because of how it was started."""
log = structlog.get_logger(__name__)


async def keep(embedded: EmbeddedPostgres, clock: Clock) -> None:
    """Start the server again at every end, until cancelled; its address stays what it was.

    The first time at once, then with pauses that grow from 1 to 30 seconds as long as it does not live for a minute.
    """
    pause = timedelta()
    while True:
        began = clock.uptime()
        exit_code = await embedded.wait()
        if clock.uptime() - began >= STEADY:
            pause = timedelta()
        log.error("database_ended", exit_code=exit_code)
        told, started = "", False
        while not started:
            await anyio.sleep(pause.total_seconds())
            pause = min(max(pause * 2, FIRST_PAUSE), LONGEST_PAUSE)
            told = await _restarted(embedded, told)
            started = not told


async def _restarted(embedded: EmbeddedPostgres, told: str) -> str:
    """One try; why it failed, if it did. The same reason is not told twice.

    It may well have ended because the machine is out of memory or descriptors: then nothing can be started just now.
    """
    try:
        await embedded.stop()
        await embedded.start()
    except (ContentHubError, OSError) as fault:
        if str(fault) != told:
            log.error("database_not_started", error=str(fault))
        embedded.fault = fault
        return str(fault)
    embedded.fault = None
    log.info("database_restarted")
    return ""
