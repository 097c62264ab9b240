"""The minding of the worker: whatever ends or deafens it, another one takes its place, and none outlives its daemon."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from structlog.testing import capture_logs

from contenthubd.adapters.creator.directory import Directory
from contenthubd.adapters.creator.process import child_of, lives
from contenthubd.adapters.creator.redis_probe import RedisDown, RedisWatch, ping, queued_jobs
from contenthubd.adapters.creator.settings import CreatorSettings, WorkerTimes
from contenthubd.adapters.creator.worker import Worker
from contenthubd.adapters.creator.worker_process import worker_alive
from contenthubd.domain.outcome import Accepted, CreatorRow, ErrorKind, RowState, Sick
from contenthubd.domain.task import Mode
from tests.contracts.creator_kit import (
    INSTANCE,
    NOON,
    ROOT,
    FixedClock,
    mark_for,
    python_env,
    script,
    settings_for,
    site_of,
    task_of,
    until,
    until_async,
)
from tests.real.valkey import Valkey

QUICK = WorkerTimes(look=0.05, idle_look=0.05, redis_away=0.1, waits_too_long=0.1, patience=0.2, first_backoff=0.01)
GRACE = timedelta(seconds=60)


def settings_with(folder: Path, body: str, **changes: object) -> CreatorSettings:
    """A worker that is a shell program; it is given: start -c N -w ID."""
    program = script(folder, body, "worker")
    return settings_for(
        folder, worker_command=program, manage_worker=True, worker_times=QUICK, command=("unused",), **changes
    )


@asynccontextmanager
async def minded(settings: CreatorSettings) -> AsyncIterator[Worker]:
    directory, clock = Directory(settings.workdir), FixedClock()
    assert directory.prepare() is None
    worker = Worker(settings, directory, RedisWatch(settings.redis_url, clock), clock)
    await worker.start()
    minding = asyncio.create_task(worker.run())
    try:
        yield worker
    finally:
        minding.cancel()
        await asyncio.wait([minding])
        await worker.stop(timedelta(seconds=1))


def running(worker: Worker) -> str:
    """The id of the worker that runs now."""
    report = worker.report()
    return str(report["worker_id"]) if report["state"] == "running" and not report["deaf"] else ""


async def replaced(worker: Worker, before: str) -> str:
    await until(lambda: running(worker) not in ("", before), "another worker runs")
    return running(worker)


WAITS = "trap 'exit 0' TERM\nwhile :; do sleep 0.02; done"


class TestLife:
    async def test_it_is_started_with_its_options_and_drained_at_the_end(self, tmp_path: Path) -> None:
        said = tmp_path / "said"
        body = f"echo \"$@\" >> {said}\ntrap 'echo drained >> {said}; exit 0' TERM\necho up >> {said}\n"
        async with minded(settings_with(tmp_path, body + "while :; do sleep 0.02; done", concurrency=3)) as worker:
            await until(lambda: said.exists() and "up" in said.read_text(), "the worker runs")
            name = running(worker)
            assert said.read_text().splitlines()[0] == f"start -c 3 -w {name}"
            assert worker.alive(name) is True
            assert worker.sick() is None
            assert worker.report()["since"] == NOON
            await worker.stop(GRACE)
            assert said.read_text().endswith("drained\n")
            await until(lambda: worker.alive(name) is False, "what it had started is gone too")
            assert worker.report()["pid"] is None

    async def test_one_that_ends_is_replaced(self, tmp_path: Path) -> None:
        async with minded(settings_with(tmp_path, WAITS)) as worker:
            before = running(worker)
            await until(lambda: worker.alive(before), "it holds its lock")
            pid = worker.report()["pid"]
            assert isinstance(pid, int)
            os.kill(pid, signal.SIGKILL)
            await replaced(worker, before)
            await until(lambda: worker.alive(before) is False, "what it had started is gone too")
            assert worker.report()["restarts"] == 1
            assert "-9" in str(worker.report()["last_end"])

    async def test_one_that_keeps_ending_is_tried_at_longer_and_longer_times(self, tmp_path: Path) -> None:
        with capture_logs() as logs:
            async with minded(settings_with(tmp_path, "exit 1")):
                await until(lambda: sum(one["event"] == "creator_worker_ended" for one in logs) >= 4, "it ended again")
        waits = [one["again_in_seconds"] for one in logs if one["event"] == "creator_worker_ended"]
        assert waits[:4] == [0.01, 0.02, 0.04, 0.08]

    async def test_one_that_cannot_be_started_is_told(self, tmp_path: Path) -> None:
        settings = replace(settings_with(tmp_path, ""), worker_command=(str(tmp_path / "absent"),))
        async with minded(settings) as worker:
            await until(lambda: worker.report()["restarts"], "it was tried")
            sick = await until_sick(worker)
            assert sick.kind is ErrorKind.WORKER_GONE

    async def test_a_command_that_cannot_be_told_is_told(self, tmp_path: Path) -> None:
        async with minded(replace(settings_with(tmp_path, ""), worker_command=())) as worker:
            sick = worker.sick()
            assert sick
            assert "worker_command" in sick.cause

    async def test_one_that_ignores_sigterm_is_killed_with_its_group(self, tmp_path: Path) -> None:
        path = tmp_path / "pid"
        body = f"trap '' TERM\nsleep 600 &\necho $! > {path}\nwhile :; do sleep 0.02; done"
        async with minded(settings_with(tmp_path, body)) as worker:
            await until(lambda: path.exists() and path.read_text().endswith("\n"), "the worker runs")
            child = child_of(int(path.read_text()))
            await worker.stop(timedelta(seconds=0.1))
            await until(lambda: not lives(child), "its children are gone")

    async def test_a_worker_minded_elsewhere_is_left_alone(self, tmp_path: Path) -> None:
        async with minded(replace(settings_with(tmp_path, "exit 1"), manage_worker=False)) as worker:
            await worker.run()
            assert (worker.report()["state"], worker.sick()) == ("off", None)

    async def test_its_log_stays_small(self, tmp_path: Path) -> None:
        settings = settings_with(tmp_path, WAITS)
        directory = Directory(settings.workdir)
        assert directory.prepare() is None
        with directory.worker_log.open("wb") as file:
            file.truncate(6 * 1024 * 1024)
        async with minded(settings):
            assert directory.worker_log.stat().st_size < 1024 * 1024

    async def test_its_log_stays_small_while_it_runs(self, tmp_path: Path) -> None:
        settings = settings_with(tmp_path, f"head -c {6 * 1024 * 1024} /dev/zero\ntouch {tmp_path}/written\n{WAITS}")
        log = Directory(settings.workdir).worker_log
        async with minded(settings):
            await until((tmp_path / "written").exists, "it wrote more than is kept")
            await until(lambda: log.stat().st_size < 1024 * 1024, "it is cut")

    async def test_old_locks_are_removed_at_start(self, tmp_path: Path) -> None:
        settings = settings_with(tmp_path, WAITS)
        directory = Directory(settings.workdir)
        assert directory.prepare() is None
        old = directory.workers / "contenthubd-test-0.lock"
        old.touch()
        async with minded(settings):
            assert not old.exists()


async def until_sick(worker: Worker) -> Sick:
    await until(worker.sick, "it is told")
    return worker.sick() or pytest.fail("it was well again")


class TestNames:
    def test_only_names_of_this_instance_are_known(self, tmp_path: Path) -> None:
        directory = Directory(tmp_path)
        assert worker_alive(directory, INSTANCE, f"contenthubd-{INSTANCE}-{uuid4().hex}") is False
        for name in (f"contenthubd-other-{uuid4().hex}", "worker-1", f"contenthubd-{INSTANCE}-../../x", ""):
            assert worker_alive(directory, INSTANCE, name) is None


class TestDeaf:
    async def test_one_that_says_it_gave_up_is_replaced(self, tmp_path: Path) -> None:
        once = tmp_path / "once"
        say = "[Redis] Max reconnection attempts reached"
        body = f'[ -e {once} ] || {{ touch {once}; echo "{say}"; }}\n{WAITS}'
        async with minded(settings_with(tmp_path, body)) as worker:
            worker.busy(True)
            await until(lambda: worker.report()["restarts"] == 1, "it was replaced")
            await replaced(worker, "")
            assert "accepted no tasks" in str(worker.report()["last_end"])

    async def test_a_task_that_waits_beside_a_worker_with_room(self, tmp_path: Path) -> None:
        async with minded(settings_with(tmp_path, WAITS)) as worker:
            before = running(worker)
            row = CreatorRow(str(uuid4()), RowState.PENDING, "")

            async def noticed() -> bool:
                await worker.saw([row])
                return running(worker) not in ("", before)

            await until_async(noticed, "it was replaced")

    async def test_a_task_that_waits_beside_a_busy_worker_is_no_sign(self, tmp_path: Path) -> None:
        impatient = replace(settings_with(tmp_path, WAITS), worker_times=replace(QUICK, waits_too_long=0.0))
        async with minded(impatient) as worker:
            rows = [CreatorRow(str(uuid4()), state, "") for state in (RowState.PENDING, RowState.RUNNING)]
            for _ in range(3):
                await worker.saw(rows)
            assert worker.sick() is None
            for _ in range(3):
                await worker.saw(rows[:1])
            sick = worker.sick()
            assert sick
            assert sick.kind is ErrorKind.WORKER_DEAF


class TestRedis:
    @pytest.fixture
    def queue(self) -> Iterator[Valkey]:
        with Valkey() as server:
            yield server

    async def test_it_waits_for_redis(self, tmp_path: Path, queue: Valkey) -> None:
        queue.stop()
        async with minded(settings_with(tmp_path, WAITS, redis_url=queue.url)) as worker:
            assert worker.report()["state"] == "waiting for redis"
            queue.start()
            assert await replaced(worker, "")

    async def test_after_an_outage_it_is_replaced(self, tmp_path: Path, queue: Valkey) -> None:
        async with minded(settings_with(tmp_path, WAITS, redis_url=queue.url)) as worker:
            before = running(worker)
            queue.stop()
            await until(lambda: worker.report()["state"] == "waiting for redis", "the worker was ended")
            queue.start()
            assert await replaced(worker, before)

    async def test_up_down_and_frozen(self, queue: Valkey) -> None:
        watch = RedisWatch(queue.url, FixedClock())
        assert await watch.down() is None
        queue.pause()
        assert await watch.down(max_age=0)
        assert watch.away_seconds() == 0.0, "a worker survives a Redis that only hangs"
        queue.resume()
        assert await watch.down(max_age=0) is None
        queue.stop()
        assert await watch.down(max_age=0)
        assert await watch.down(max_age=3600)
        assert watch.away_seconds() > 0.0
        assert await RedisWatch("", FixedClock()).down() is None

    @pytest.mark.parametrize("url", ["redis://127.0.0.1:1", "redis://no-such-host.invalid:6379", "http://x", ":"])
    async def test_addresses_where_nothing_is(self, url: str) -> None:
        with pytest.raises(RedisDown):
            await ping(url)
        with pytest.raises(RedisDown):
            await queued_jobs(url)


class TestQueue:
    async def test_a_lost_job_is_queued_again_and_no_other(self, tmp_path: Path) -> None:
        with site_of("real", tmp_path) as site:
            assert site.queue
            creator = site.creator()
            await creator.start()
            task = task_of()
            accepted = await creator.create(task, mark_for(task))
            assert isinstance(accepted, Accepted)
            number = accepted.creator_task_id
            assert await creator.requeue(number) is False, "its job waits"
            site.queue.stop()
            assert await creator.requeue(number) is False, "nobody knows"
            outcome = await creator.create(task, mark_for(task))
            assert isinstance(outcome, Sick)
            assert outcome.kind is ErrorKind.CREATOR_REDIS_DOWN
            site.queue.start()
            assert await creator.requeue(number) is True, "its job was lost"
            assert number in (await queued_jobs(site.queue.url)).waiting
            assert await creator.requeue(str(uuid4())) is False

            async def well() -> bool:
                return await creator.ready(Mode.ASYNC) is None

            await until_async(well, "Redis is noticed")

    async def test_without_a_redis_nothing_is_queued_again(self, tmp_path: Path) -> None:
        with site_of("simulator", tmp_path) as site:
            assert await site.creator().requeue(str(uuid4())) is False


DAEMON = """
import asyncio, sys
from pathlib import Path
from contenthubd.adapters.creator.directory import Directory
from contenthubd.adapters.creator.redis_probe import RedisWatch
from contenthubd.adapters.creator.worker import Worker
from tests.contracts.creator_kit import FixedClock
from tests.contracts.test_creator_worker import settings_with

async def main():
    settings = settings_with(Path(sys.argv[1]), sys.argv[2])
    directory, clock = Directory(settings.workdir), FixedClock()
    directory.prepare()
    worker = Worker(settings, directory, RedisWatch("", clock), clock)
    await worker.start()
    await worker.run()

asyncio.run(main())
"""


def test_a_killed_daemon_leaves_no_idle_worker(tmp_path: Path) -> None:
    said = tmp_path / "said"
    body = f"trap 'echo drained >> {said}; exit 0' TERM\necho up >> {said}\nwhile :; do sleep 0.02; done"
    environ = {"PATH": os.environ["PATH"], **python_env()}
    daemon = subprocess.Popen([sys.executable, "-c", DAEMON, str(tmp_path), body], env=environ, cwd=ROOT)
    try:
        asyncio.run(until(lambda: said.exists() and "up" in said.read_text(), "the worker runs"))
    finally:
        daemon.kill()
        daemon.wait()
    asyncio.run(until(lambda: "drained" in said.read_text(), "the worker was asked to finish"))
