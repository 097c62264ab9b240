"""The creator that takes no time, and the bare loop that runs its commands with nothing around them."""

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

HERE = Path(__file__).parent
ID = "00000000-0000-4000-8000-000000000000"
CONCURRENCY = 5


async def build(folder: Path) -> Path:
    """The creator as a program: compiled where there is a compiler, else a bash script."""
    program = folder / "instant-creator"
    compiler = shutil.which("cc")
    if compiler is None:
        shutil.copy(HERE / "creator.bash", program)
        program.chmod(0o755)
        return program
    process = await asyncio.create_subprocess_exec(compiler, "-O2", "-o", str(program), str(HERE / "creator.c"))
    if await process.wait():
        raise RuntimeError("the instant creator could not be compiled")
    return program


async def command(program: Path, folder: Path, *arguments: str) -> None:
    """One command, started as the daemon starts it: a session of its own, output into temporary files."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = await asyncio.create_subprocess_exec(
            str(program), *arguments, stdin=asyncio.subprocess.DEVNULL, stdout=out.fileno(), stderr=err.fileno(),
            cwd=folder, env={"PATH": os.environ["PATH"]}, start_new_session=True,
        )  # fmt: skip
        if await process.wait():
            raise RuntimeError(f"the instant creator refused {arguments[0]}")


async def create(program: Path, folder: Path, topic: str) -> None:
    """The command that makes an article."""
    await command(program, folder, "create", f"--topic={topic}", "--requirements=Bare.", "--mode=sync")


async def bare_loop(program: Path, folder: Path, count: int) -> float:
    """``count`` tasks' commands, five tasks at once; the seconds it took."""
    numbers = iter(range(count))

    async def work() -> None:
        for number in numbers:
            await create(program, folder, f"Topic {number}")
            await command(program, folder, "result", f"--task-id={ID}", "--format=text")

    return await timed(lambda: at_once(work, CONCURRENCY))


async def at_once(work: Callable[[], Awaitable[None]], count: int) -> None:
    """Run ``work`` so many times side by side."""
    async with asyncio.TaskGroup() as group:
        for _ in range(count):
            group.create_task(_awaited(work))


async def timed(work: Callable[[], Awaitable[None]]) -> float:
    """The seconds that ``work`` took."""
    began = time.perf_counter()
    await work()
    return time.perf_counter() - began


async def _awaited(work: Callable[[], Awaitable[None]]) -> None:
    await work()
