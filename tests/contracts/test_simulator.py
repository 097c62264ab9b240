"""The simulator and the real content-creator answer alike.

Every test here runs on both; the real package is left out, with its one reason, where it cannot be installed.
"""

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from tests.contracts.creator_driver import (
    BASE_ENV,
    SECONDS,
    Answer,
    Creator,
    make_folder,
    rows,
    simulator,
    state,
    wait_until,
)
from tests.contracts.creator_facts import FACTS, LISTED_KEYS, Fact
from tests.real import package
from tests.real.services import Services
from tests.real.valkey import Valkey, free_port

PIPE_BYTES = 65536
UNKNOWN = "00000000-0000-4000-8000-000000000000"
MISSING = package.missing()
REAL = pytest.param("real", marks=pytest.mark.skipif(MISSING is not None, reason=f"real content-creator: {MISSING}"))


@pytest.fixture(params=["simulator", REAL], scope="module")
def creator(request: pytest.FixtureRequest) -> Iterator[Creator]:
    """The simulator, or the real package with a Redis and its services; its commands start from one joined file."""
    if request.param == "simulator":
        yield simulator()
        return
    found = package.find_or_install()
    with Services(latency=0.05) as services, Valkey() as valkey:
        env = BASE_ENV | services.env() | {"PATH": os.environ["PATH"], "REDIS_URL": valkey.url}
        yield Creator(found.joined, found.joined_worker, env, found.command)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A working directory for a creator."""
    return make_folder(tmp_path / "work")


def overwritten(folder: Path, task_id: str) -> bool:
    """Whether the last of a failed task's three tries is over."""
    text, version = rows(folder, "SELECT coalesce(error_message, ''), version FROM tasks WHERE id = ?", task_id)[0]
    return str(text).startswith("Failed to claim") and version == 5


def prepare(creator: Creator, folder: Path) -> dict[str, str]:
    """Tasks in every state the facts speak of."""
    ids = {"completed": creator.create(folder, "云计算"), "failed": creator.create(folder, "FAIL 异步")}
    with creator.started(folder, "start", "-c", "3", "-w", "w-1", worker=True) as worker:
        ids["sync"] = creator.create(folder, "同步", mode="sync")
        ids["sync_failed"] = creator.create(folder, "FAIL 同步", mode="sync")
        wait_until(lambda: state(folder, ids["completed"]) == "completed", "a task completes")
        wait_until(lambda: overwritten(folder, ids["failed"]), "all tries of a failed task are over")
        worker.terminate()
        assert worker.wait(SECONDS) == 0
    return ids | {"pending": creator.create(folder, "等待"), "unknown": UNKNOWN}


def deviations(fact: Fact, answer: Answer, ids: dict[str, str]) -> list[str]:
    """Where an answer differs from the fact."""
    found = [] if answer.code == fact.code else [f"{fact.name}: exit code {answer.code}, not {fact.code}"]
    for name, marks, text in (("stdout", fact.stdout, answer.out), ("stderr", fact.stderr, answer.err)):
        for mark in marks:
            if not re.search(filled(mark, ids), text, re.MULTILINE):
                found.append(f"{fact.name}: {name} has no {mark!r}: {text[-400:]!r}")
    for mark in fact.absent:
        if re.search(filled(mark, ids), answer.out, re.MULTILINE):
            found.append(f"{fact.name}: stdout has {mark!r}")
    if fact.silent and (answer.body or answer.err):
        found.append(f"{fact.name}: not silent: {answer.body!r} {answer.err!r}")
    return found


def filled(text: str, ids: dict[str, str]) -> str:
    """The text with the ids in place of the words in braces."""
    for name, task_id in ids.items():
        text = text.replace(f"{{{name}}}", task_id)
    return text


def test_every_command_answers_as_measured(creator: Creator, tmp_path: Path) -> None:
    folders = {"shared": make_folder(tmp_path / "shared"), "other": make_folder(tmp_path / "other")}
    folders["corrupt"] = make_folder(tmp_path / "corrupt")
    (folders["corrupt"] / "data" / "content-creator.db").write_bytes(b"this is no database" * 100)
    folders["no_data"] = tmp_path / "no_data"
    folders["no_data"].mkdir()
    ids = prepare(creator, folders["shared"])

    def check(asked: Creator, fact: Fact) -> list[str]:
        arguments = [filled(word, ids) for word in fact.arguments]
        return deviations(fact, asked.run(folders[fact.folder], *arguments, without=fact.without), ids)

    cases = [(creator, fact) for fact in FACTS]
    if creator.installed:
        installed = replace(creator, command=creator.installed)
        cases += [(installed, fact) for fact in {fact.arguments[:1]: fact for fact in FACTS}.values()]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        assert [text for found in pool.map(check, *zip(*cases, strict=True)) for text in found] == []
    assert "directory does not exist" in (folders["no_data"] / "logs" / "app.exceptions.log").read_text()


def test_the_listing_has_the_same_keys_in_the_same_order(creator: Creator, folder: Path) -> None:
    task_id = creator.create(folder, "清单", "--keywords=云, 边缘", "--max-words=900")
    with creator.started(folder, "start", worker=True):
        wait_until(lambda: state(folder, task_id) == "completed", "the task completes")
    listed = json.loads(creator.run(folder, "list", "--json").body)
    assert [list(row) for row in listed] == [LISTED_KEYS]
    constraints = {"minWords": 500, "maxWords": 900, "keywords": ["云", "边缘"]}
    assert (listed[0]["hardConstraints"], listed[0]["requirements"]) == (constraints, "要求\nref-1")
    assert (listed[0]["type"], listed[0]["priority"], listed[0]["version"]) == ("article", 2, 3)
    article = str(rows(folder, "SELECT content FROM results WHERE result_type = 'article'")[0][0])
    assert article.startswith("# 清单\n") and "云" in article and "边缘" in article
    assert 500 <= len(article.encode("utf-16-le")) // 2 <= 900


def test_a_long_article_is_whole_in_a_file_and_cut_in_a_pipe(creator: Creator, folder: Path) -> None:
    task_id = creator.create(folder, "LONG 长文", "--max-words=30000", mode="sync")
    stored = str(
        rows(folder, "SELECT content FROM results WHERE task_id = ? AND result_type = 'article'", task_id)[0][0]
    )
    assert len(stored.encode()) > PIPE_BYTES
    out = creator.run(folder, "result", f"--task-id={task_id}").out
    assert f"\n内容:\n{stored}\n字数: {len(stored.encode('utf-16-le')) // 2}\n{'─' * 40}\n2. IMAGE\n" in out
    command = [*creator.command, "result", f"--task-id={task_id}"]
    with subprocess.Popen(
        command, cwd=folder, env=creator.env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as child:
        assert child.wait(SECONDS) == 0  # nobody has read yet: what the pipe does not hold is lost
        assert child.stdout is not None
        assert len(child.stdout.read()) <= PIPE_BYTES < len(out.encode())


def test_an_article_can_repeat_the_last_line_of_the_requirements(creator: Creator, folder: Path) -> None:
    creator.create(folder, "ECHO 回声", mode="sync")
    assert "\n\nref-1\n\n" in str(rows(folder, "SELECT content FROM results WHERE result_type = 'article'")[0][0])


def test_the_true_cause_stays_in_the_error_log_with_the_task_id(creator: Creator, folder: Path) -> None:
    task_id = creator.create(folder, "FAIL 原因")
    with creator.started(folder, "start", worker=True):
        wait_until(lambda: overwritten(folder, task_id), "the cause is overwritten")
    lines = [json.loads(line) for line in (folder / "logs" / "app.error.log").read_text().splitlines()]
    jobs = [line for line in lines if line.get("taskId") == task_id and line["context"] == "TaskWorker"]
    assert jobs[0]["error"] == "Request failed with status code 400"
    assert jobs[-1]["error"].startswith("Failed to claim task")


def test_retry_of_a_queued_task_destroys_it(creator: Creator, folder: Path) -> None:
    task_id = creator.create(folder, "SLOW1 重复")
    assert "✅ 任务已添加到队列！" in creator.run(folder, "retry", f"--task-id={task_id}").out
    with creator.started(folder, "start", "-c", "2", worker=True):
        articles = "SELECT content FROM results WHERE task_id = ? AND result_type = 'article'"
        wait_until(lambda: len(rows(folder, articles, task_id)) == 1, "the article is stored")
        wait_until(lambda: state(folder, task_id) == "failed", "the task is marked failed")
    assert "任务尚未完成" in creator.run(folder, "result", f"--task-id={task_id}").out


def test_a_worker_told_to_stop_finishes_what_it_has_begun(creator: Creator, folder: Path) -> None:
    begun = creator.create(folder, "SLOW1 已经开始")
    with creator.started(folder, "start", "-c", "1", worker=True) as worker:
        wait_until(lambda: state(folder, begun) == "running", "the task is running")
        worker.terminate()
        assert worker.wait(SECONDS) == 0
    assert state(folder, begun) == "completed"


def test_a_killed_worker_leaves_its_task_running(creator: Creator, folder: Path) -> None:
    task_id = creator.create(folder, "HANG 没有结果")
    with creator.started(folder, "start", "-w", "w-9", worker=True) as worker:
        wait_until(lambda: state(folder, task_id) == "running", "the task is running")
        worker.kill()
        worker.wait(SECONDS)
    assert rows(folder, "SELECT status, worker_id FROM tasks") == [("running", "w-9")]
    assert "任务正在运行中，无需重新执行" in creator.run(folder, "retry", f"--task-id={task_id}").out


def test_a_terminated_synchronous_create_leaves_its_task_running(creator: Creator, folder: Path) -> None:
    creator.run(folder, "list")  # makes the tables
    with creator.started(folder, "create", "--topic=HANG 同步", "--requirements=r") as child:
        wait_until(lambda: rows(folder, "SELECT status FROM tasks") == [("running",)], "the task is running")
        child.terminate()
        assert child.wait(SECONDS) == -signal.SIGTERM
    assert rows(folder, "SELECT status FROM tasks") == [("running",)]


def test_create_waits_for_a_redis_that_is_away_and_goes_on_when_it_comes(creator: Creator, folder: Path) -> None:
    creator.run(folder, "list")  # makes the tables
    with ExitStack() as stack:
        valkey = Valkey()
        stack.callback(valkey.stop)
        waiting = Creator(creator.command, creator.worker_command, creator.env | {"REDIS_URL": valkey.url})
        child = stack.enter_context(waiting.started(folder, "create", "-t等待队列", "-rr", "--mode=async"))
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(2)
        assert rows(folder, "SELECT * FROM tasks") == []
        valkey.start()
        assert child.wait(SECONDS) == 0
    assert rows(folder, "SELECT topic, status FROM tasks") == [("等待队列", "pending")]


def test_reading_needs_no_redis(creator: Creator, folder: Path) -> None:
    task_id = creator.create(folder, "只读")
    away = creator.env | {"REDIS_URL": f"redis://127.0.0.1:{free_port()}"}
    reader = Creator(creator.command, creator.worker_command, away)
    assert "⏳ 待处理" in reader.run(folder, "status", f"--task-id={task_id}").out
    assert json.loads(reader.run(folder, "list", "--json").body)[0]["id"] == task_id
