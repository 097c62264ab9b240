"""How long a status answer takes on the command line, against the interpreter alone."""

import asyncio
import os
import sys
import time
from pathlib import Path

from tests.bench import place
from tests.bench.table import Line, middle
from tests.running import CHECKOUT, RunningDaemon

COUNT = 40
CALL = "import sys; from contenthubd.ctl.main import main; sys.exit(main())"


async def measure(folder: Path) -> list[Line]:
    """The command, the bare interpreter and the bare round trip in turn."""
    commands, starts, trips = [], [], []
    async with place.daemon(folder, place.NOBODY) as running:
        task_id = (await running.submit("A topic"))[0]
        for _ in range(COUNT):
            commands.append(await _timed(*_contenthubctl(), "--socket", str(running.socket), "task", "status", task_id))
            starts.append(await _timed(sys.executable, "-I", "-c", "pass"))
            trips.append(await _trip(running, task_id))
    command, start, trip = middle(commands), middle(starts), middle(trips)
    ratio = (command - trip) / start
    return [
        Line(
            what="`contenthubctl task status ID`", ours=f"{command:.1f} ms",
            reference=f"{start:.1f} ms `python3 -I -c pass`, {trip:.1f} ms round trip", ratio=ratio,
            target="≤ 2.5 (round trip taken off)", met=ratio <= 2.5,
        )
    ]  # fmt: skip


def _contenthubctl() -> list[str]:
    """The installed command; where there is none, what it would do."""
    installed = Path(sys.executable).with_name("contenthubctl")
    return [str(installed)] if installed.exists() else [sys.executable, "-c", CALL]


async def _timed(*words: str) -> float:
    began = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        *words, stdout=asyncio.subprocess.DEVNULL, cwd=CHECKOUT, env={"PATH": os.environ["PATH"]}
    )
    code = await process.wait()
    took = (time.perf_counter() - began) * 1000
    if code:
        raise RuntimeError(f"{words} ended with {code}")
    return took


async def _trip(running: RunningDaemon, task_id: str) -> float:
    began = time.perf_counter()
    reader, writer = await asyncio.open_unix_connection(running.socket)
    writer.write(f"GET /v1/tasks/{task_id} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.read()
    took = (time.perf_counter() - began) * 1000
    writer.close()
    await writer.wait_closed()
    if b" 200 " not in answer.partition(b"\r\n")[0]:
        raise RuntimeError(f"the daemon answered {answer[:80]!r}")
    return took
