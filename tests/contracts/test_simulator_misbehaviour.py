"""What the simulator does wrong when told to, and what else can be set from outside."""

import json
import os
import re
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.contracts.creator_driver import SECONDS, Creator, make_folder, rows, simulator, state, wait_until

CREATE = ("create", "--topic=主题", "--requirements=第一行\nref-1", "--mode=async")
PIPE_BYTES = 65536


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A working directory whose tables exist."""
    path = make_folder(tmp_path / "work")
    assert simulator().run(path, "list").code == 0
    return path


def settle(folder: Path, **settings: object) -> None:
    """Write simulator.json, in one step."""
    partial = folder / "simulator.json.new"
    partial.write_text(json.dumps(settings), encoding="utf-8")
    partial.rename(folder / "simulator.json")


def topics(folder: Path) -> list[str]:
    return [str(row[0]) for row in rows(folder, "SELECT topic FROM tasks")]


@pytest.mark.parametrize(("kind", "created"), [("hang", 0), ("hang_after", 1)])
def test_a_hanging_command_ignores_sigterm(folder: Path, kind: str, created: int) -> None:
    settle(folder, misbehaviour=kind)
    with simulator().started(folder, *CREATE) as child:
        wait_until(lambda: ignores(child.pid, signal.SIGTERM), "it ignores SIGTERM")
        child.terminate()
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(0.2)
        assert len(topics(folder)) == created


def ignores(pid: int, number: int) -> bool:
    """Whether a process ignores a signal, from /proc."""
    found = re.search(r"^SigIgn:\s*([0-9a-f]+)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return found is not None and bool(int(found.group(1), 16) >> (number - 1) & 1)


@pytest.mark.parametrize(("kind", "created"), [("crash", 0), ("crash_after", 1)])
def test_a_crashing_command_dies_by_a_signal(folder: Path, kind: str, created: int) -> None:
    answer = simulator(misbehaviour=kind).run(folder, *CREATE)
    assert (answer.code, "任务ID" in answer.out, len(topics(folder))) == (-signal.SIGKILL, False, created)


@pytest.mark.parametrize(("kind", "printed"), [("empty", b""), ("garbage", bytes(range(256)))])
def test_work_is_done_and_the_answer_is_useless(folder: Path, kind: str, printed: bytes) -> None:
    out = folder / "out"
    with out.open("wb") as file:
        done = subprocess.run(
            [*simulator().command, *CREATE], cwd=folder, env=simulator(misbehaviour=kind).env, stdout=file,
            stderr=subprocess.DEVNULL, timeout=SECONDS,
        )  # fmt: skip
    assert (done.returncode, len(topics(folder))) == (0, 1)
    assert out.read_bytes()[:256] == printed


def test_a_flood_goes_on_until_it_is_killed(folder: Path) -> None:
    creator = simulator(misbehaviour="flood")
    with subprocess.Popen(
        [*creator.command, "list"], cwd=folder, env=creator.env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as child:
        assert child.stdout is not None
        assert len(child.stdout.read(4_000_000)) == 4_000_000
        child.kill()


def test_cut_output_is_cut_in_a_file_too(folder: Path) -> None:
    creator = simulator(long_article="yes", latency_seconds=0)
    task_id = creator.create(folder, "长文", mode="sync")
    whole = creator.run(folder, "result", f"--task-id={task_id}")
    assert len(whole.out.encode()) > PIPE_BYTES
    settle(folder, misbehaviour="cut_output")
    command = [*creator.command, "result", f"--task-id={task_id}"]
    with (folder / "out").open("wb") as file:
        assert subprocess.run(command, cwd=folder, env=creator.env, stdout=file, timeout=SECONDS).returncode == 0
    assert (folder / "out").read_bytes() == whole.out.encode()[:PIPE_BYTES]


def test_exit0_on_failure_hides_every_failure(folder: Path) -> None:
    settle(folder, misbehaviour="exit0_on_failure")
    answer = simulator().run(folder, "status", "--task-id=unknown")
    assert (answer.code, "未找到任务" in answer.err) == (0, True)


def test_fork_leaves_a_child_outside_the_group_that_holds_stdout(folder: Path) -> None:
    creator = simulator(misbehaviour="fork", hang_seconds=120)
    read_end, write_end = os.pipe()
    with open(read_end, "rb") as reader:
        child = subprocess.Popen(
            [*creator.command, "list"], cwd=folder, env=creator.env, stdout=write_end, start_new_session=True
        )
        os.close(write_end)
        assert child.wait(SECONDS) == 0
        [left] = [pid for pid in processes() if holds(pid, read_end)]
        wait_until(lambda: os.getsid(left) == left, "it has a session of its own")  # the last that it does at its start
        assert left != child.pid
        os.kill(left, signal.SIGKILL)
        assert "历史任务列表" in reader.read().decode()  # ends, since nobody holds the other side any more


def processes() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def holds(pid: int, descriptor: int) -> bool:
    """Whether another process has the pipe behind our descriptor as its stdout."""
    try:
        return pid != os.getpid() and os.stat(f"/proc/{pid}/fd/1").st_ino == os.fstat(descriptor).st_ino
    except OSError:
        return False  # it has ended, or is not ours to look into


def test_misbehaviour_can_be_limited_to_some_commands(folder: Path) -> None:
    settle(folder, misbehaviour="crash", misbehaviour_on=["list", "result"])
    assert simulator().run(folder, *CREATE).code == 0
    assert simulator().run(folder, "list").code == -signal.SIGKILL


@pytest.mark.parametrize("settings", [{"no_such": 1}, {"misbehaviour": "dance"}])
def test_an_unknown_setting_is_told(folder: Path, settings: dict[str, object]) -> None:
    settle(folder, **settings)
    answer = simulator().run(folder, "list")
    assert (answer.code, answer.err.startswith("simulator: unknown setting ")) == (2, True)


def test_a_broken_settings_file_is_told(folder: Path) -> None:
    (folder / "simulator.json").write_text("{", encoding="utf-8")
    assert "is no JSON" in simulator().run(folder, "list").err


def test_a_deaf_worker_lives_and_takes_nothing_until_told_otherwise(folder: Path) -> None:
    settle(folder, deaf=True)
    creator = simulator(latency_seconds=0)
    with creator.started(folder, "start", "-w", "w-1", worker=True) as worker:
        task_id = creator.create(folder, "等待")
        wait_until(lambda: not ignores(worker.pid, signal.SIGTERM) and catches(worker.pid), "the worker runs")
        assert (worker.poll(), state(folder, task_id)) == (None, "pending")
        settle(folder, deaf=False)
        wait_until(lambda: state(folder, task_id) == "completed", "the task completes")


def catches(pid: int) -> bool:
    """Whether the worker's own SIGTERM handler is in place."""
    found = re.search(r"^SigCgt:\s*([0-9a-f]+)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return found is not None and bool(int(found.group(1), 16) >> (signal.SIGTERM - 1) & 1)


def test_a_dead_workers_task_fails_after_a_while_under_the_next_worker(folder: Path) -> None:
    creator = simulator(abandoned_seconds=2)
    task_id = creator.create(folder, "CRASH 中途")
    with creator.started(folder, "start", worker=True) as worker:
        assert worker.wait(SECONDS) == -signal.SIGKILL
    assert state(folder, task_id) == "running"
    with creator.started(folder, "start", worker=True):
        wait_until(lambda: state(folder, task_id) == "failed", "the next worker gives it up")
    error = rows(folder, "SELECT error_message FROM tasks")[0][0]
    assert str(error).startswith("Failed to claim task")


def test_chance_is_repeatable_with_a_seed(tmp_path: Path) -> None:
    creator = simulator(failure_rate=0.5, seed=7, latency_seconds=0)
    outcomes = []
    for number in range(2):
        folder = make_folder(tmp_path / str(number))
        for topic in range(8):
            creator.create(folder, f"主题 {topic}", mode="sync")
        outcomes.append(rows(folder, "SELECT topic, status FROM tasks ORDER BY topic"))
    assert outcomes[0] == outcomes[1]
    assert {status for _, status in outcomes[0]} == {"completed", "failed"}


def test_a_flaky_topic_fails_the_first_times_only(folder: Path) -> None:
    creator = simulator(latency_seconds=0)
    ids = [creator.create(folder, "FLAKY2 偶发", mode="sync") for _ in range(3)]
    assert [state(folder, task_id) for task_id in ids] == ["failed", "failed", "completed"]


def test_a_hanging_task_fails_at_the_time_limit_of_its_node(folder: Path) -> None:
    task_id = simulator(node_timeout_seconds=0.2).create(folder, "HANG", mode="sync")
    assert rows(folder, "SELECT error_message FROM tasks WHERE id = ?", task_id) == [
        ("Node timeout: organize exceeded 200ms",)
    ]


def test_pictures_are_data_or_come_from_a_server(folder: Path) -> None:
    simulator(latency_seconds=0, images=1).create(folder, "图片", mode="sync")
    served = simulator(latency_seconds=0, image_base_url="http://127.0.0.1:1/i/").create(folder, "图片", mode="sync")
    first, second = (
        json.loads(str(row[0])) for row in rows(folder, "SELECT content FROM results WHERE result_type='image'")
    )
    assert [item["url"].partition(",")[0] for item in first] == ["data:image/png;base64"]
    assert [item["url"] for item in second] == [f"http://127.0.0.1:1/i/{served}-{n}.png" for n in (1, 2)]


@pytest.mark.parametrize("topic", ["云计算", "Cloud computing", "🚀 emoji"])
@pytest.mark.parametrize(("low", "high"), [(300, 600), (500, 2000), (3000, 5000)])
def test_an_article_has_the_asked_length_and_parts(folder: Path, topic: str, low: int, high: int) -> None:
    creator = simulator(latency_seconds=0, echo_mark="yes")
    creator.create(folder, topic, f"--min-words={low}", f"--max-words={high}", mode="sync")
    article = str(rows(folder, "SELECT content FROM results WHERE result_type = 'article'")[0][0])
    assert low <= len(article.encode("utf-16-le")) // 2 <= high
    assert article.startswith(f"# {topic}\n\n") and article.count("\n## ") >= 2
    assert "\n\nref-1\n\n" in article


def test_keys_are_asked_for_unless_told_not_to(folder: Path) -> None:
    creator = simulator()
    bare = {name: value for name, value in creator.env.items() if not name.endswith(("_KEY", "_URL"))}
    assert Creator(creator.command, creator.worker_command, bare).run(folder, "list").code == 1
    allowed = bare | {"CREATOR_SIMULATOR_KEYS": "off"}
    assert Creator(creator.command, creator.worker_command, allowed).run(folder, "list").code == 0


@pytest.mark.parametrize(("name", "value"), [("LOG_LEVEL", "loud"), ("DATABASE_TYPE", "postgres")])
def test_an_environment_it_cannot_play_is_refused(folder: Path, name: str, value: str) -> None:
    creator = simulator()
    refused = Creator(creator.command, creator.worker_command, creator.env | {name: value})
    assert refused.run(folder, "list").code == 1


def test_many_first_commands_at_once_make_the_tables_once(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "fresh")
    with ThreadPoolExecutor(8) as pool:
        codes = [answer.code for answer in pool.map(lambda _: simulator().run(folder, *CREATE), range(8))]
    assert (codes, len(topics(folder))) == ([0] * 8, 8)


def test_without_a_redis_that_answers_a_synchronous_task_fails_in_its_search(folder: Path) -> None:
    creator = simulator(latency_seconds=0)
    away = Creator(creator.command, [], creator.env | {"REDIS_URL": "redis://u:p@127.0.0.1:1/3"})
    with away.started(folder, "create", "-t主题", "-rr", "--mode=sync"):
        wait_until(lambda: rows(folder, "SELECT status FROM tasks") == [("running",)], "the task is running")


def test_retry_in_bulk_and_help_texts(folder: Path) -> None:
    creator = simulator()
    ids = [creator.create(folder, f"主题 {number}") for number in range(2)]
    trial = creator.run(folder, "retry", "--all", "--dry-run").out
    assert "限制: 10 个" in trial and "去掉 --dry-run 参数" in trial
    done = creator.run(folder, "retry", "-a", "--limit=5").out
    assert "成功: 2 个" in done and all(f"✅ {task_id}" in done for task_id in ids)
    assert "没有找到需要重新执行的任务" in creator.run(folder, "retry", "--all", "--status=cancelled").out
    refused = simulator(redis_hang_seconds=0)
    refused.env["REDIS_URL"] = "redis://127.0.0.1:1"
    assert "重新执行失败" in refused.run(folder, "retry", "--all").err


@pytest.mark.parametrize(
    ("arguments", "code", "mark"),
    [
        (("help",), 0, "Usage: content-creator [options] [command]"),
        (("help", "list"), 0, "Usage: content-creator list [options]"),
        (("-v", "list", "-h"), 0, "--offset <number>"),
        (("--bogus",), 1, "error: unknown option '--bogus'"),
        (("list", "-x"), 1, "error: unknown option '-x'"),
        (("worker",), 1, "Usage: content-creator start [options]"),
        (("worker", "stop"), 1, "error: unknown command 'stop'"),
        (("worker", "start", "--help"), 0, "--concurrency <number>"),
    ],
)
def test_help_and_usage(folder: Path, arguments: tuple[str, ...], code: int, mark: str) -> None:
    answer = simulator().run(folder, *arguments)
    assert (answer.code, mark in answer.out + answer.err) == (code, True)


def test_a_slow_start_comes_before_everything(folder: Path) -> None:
    began = time.monotonic()
    assert simulator(start_seconds=0.5).run(folder, "list").code == 0
    assert time.monotonic() - began >= 0.5


def test_old_tasks_are_listed_with_their_age(folder: Path) -> None:
    creator = simulator(latency_seconds=0)
    creator.create(folder, "旧任务", mode="sync")
    creator.create(folder, "新任务")
    text = creator.run(folder, "list").out
    assert re.search(
        r"1\. 新任务\n.*\n   状态:      等待中\n   模式:      异步\n   创建时间:  \d+秒前\n   耗时:      -\n", text
    )
