"""What the creator's processes are given: their environment, their directory, their keys."""

import json
import os
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from contenthubd.adapters.creator.directory import Directory
from contenthubd.adapters.creator.environment import environment, parse_env_file, read_keys, redis_database
from contenthubd.adapters.creator.worker_process import find_worker
from contenthubd.domain.outcome import ErrorKind
from tests.contracts.creator_kit import settings_for

TASK = str(uuid4())


class TestKeyFile:
    def test_what_is_understood(self) -> None:
        text = "# a comment\n\nA=1\nexport B = two words \nC='x # y'\nD=\"q\\\"\nE=v # comment\nF=\nG=a=b#c\n"
        keys = parse_env_file(text, "file")
        assert keys.values == {"A": "1", "B": "two words", "C": "x # y", "D": "q\\", "E": "v", "F": "", "G": "a=b#c"}
        assert keys.faults == ()

    def test_faults_are_told_without_the_values(self) -> None:
        keys = parse_env_file("OK=1\nsecret without a name\nREDIS_URL=redis://secret\nFORCE_COLOR=1\n", "file")
        assert keys.values == {"OK": "1"}
        assert len(keys.faults) == 3
        assert "secret" not in " ".join(keys.faults)

    def test_a_file_from_windows_is_understood(self, tmp_path: Path) -> None:
        path = tmp_path / "keys"
        path.write_bytes(
            b'\xef\xbb\xbfLLM_API_KEY=abc\r\nLLM_BASE_URL="http://x/v1" # c\r\nexport A = "b" # "c"\r\nB=#none\rC=d\r\n'
        )
        keys = read_keys(replace(settings_for(tmp_path), env_file=path))
        assert keys.faults == ()
        wanted = {"LLM_API_KEY": "abc", "LLM_BASE_URL": "http://x/v1", "A": "b", "B": "", "C": "d"}
        assert keys.values == wanted

    @pytest.mark.parametrize(
        ("data", "fault"),
        [
            ("A=b\n".encode("utf-16"), "it is UTF-16-LE text; save it as UTF-8"),
            ("A=b\n".encode("utf-16-le"), "it looks like UTF-16-LE text"),
            ("A=b\n# 春季养生指南\n".encode("gbk"), "line 2 is not UTF-8 text, the file looks like GB18030"),
            (b"A=b\nC=\xff\n", "line 2 is not UTF-8 text"),
            (bytes(1_000_001), "more than 1,000,000 bytes"),
        ],
    )
    def test_another_encoding_is_named(self, tmp_path: Path, data: bytes, fault: str) -> None:
        path = tmp_path / "keys"
        path.write_bytes(data)
        keys = read_keys(replace(settings_for(tmp_path), env_file=path))
        assert keys.values == {}
        assert len(keys.faults) == 1
        assert fault in keys.faults[0]

    @pytest.mark.parametrize(
        ("line", "fault"),
        [
            ('A="secret', 'the value of A begins with " but does not end with it'),
            ("A=“secret”", "is in typographic quotes"),
            ("A=secret\u200b", "contains the invisible character U+200B"),
            ("A=sec\x00ret", "contains the control character U+0000"),
            ("set A=secret", "is not KEY=VALUE"),
            ("A: secret", "is not KEY=VALUE"),
        ],
    )
    def test_a_value_in_doubt_is_told_by_its_line(self, line: str, fault: str) -> None:
        keys = parse_env_file(f"B=1\n{line}\nC=2\n", "file")
        assert keys.values == {"B": "1", "C": "2"}
        assert len(keys.faults) == 1
        assert keys.faults[0].startswith("Line 2 of file")
        assert fault in keys.faults[0]
        assert "secret" not in keys.faults[0]

    def test_a_name_that_is_set_again_is_told(self) -> None:
        keys = parse_env_file("A=1\nB=2\nA=1\nA=3\n", "file")
        assert keys.values == {"A": "3", "B": "2"}
        assert keys.faults == ("Line 4 of file sets A again; this value is used.",)

    def test_what_no_process_can_be_given_is_told(self) -> None:
        keys = parse_env_file("A=" + "x" * 33_000 + "\n" + "x\n" * 100, "file")
        assert not keys.values
        assert keys.faults[0] == "Line 1 of file: the value of A is longer than 32,000 bytes."
        assert keys.faults[-1] == "file has 81 more faults."

    def test_a_pipe_is_not_waited_for(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "keys.env")
        keys = read_keys(replace(settings_for(tmp_path), env_file=tmp_path / "keys.env"))
        assert "it is a pipe; name a regular file" in keys.faults[0]

    def test_a_file_that_cannot_be_read_is_told(self, tmp_path: Path) -> None:
        for name, content in (("absent", None), ("bytes", b"\xff\xfe=1")):
            path = tmp_path / name
            if content is not None:
                path.write_bytes(content)
            keys = read_keys(replace(settings_for(tmp_path), env_file=path))
            assert len(keys.faults) == 1
            assert str(path) in keys.faults[0]

    def test_the_file_wins_over_credentials(self, tmp_path: Path) -> None:
        (tmp_path / "credentials").mkdir()
        (tmp_path / "credentials" / "creator.env").write_text("A=credential\nB=credential\n")
        (tmp_path / "file").write_text("B=file\n")
        settings = replace(
            settings_for(tmp_path),
            env_file=tmp_path / "file",
            environ={"CREDENTIALS_DIRECTORY": str(tmp_path / "credentials")},
        )
        assert read_keys(settings).values == {"A": "credential", "B": "file"}
        assert read_keys(replace(settings, env_file=None)).values == {"A": "credential", "B": "credential"}


class TestEnvironment:
    def test_nothing_is_inherited_by_accident(self, tmp_path: Path) -> None:
        inherited = {
            "PATH": "/p",
            "HOME": "/h",
            "FORCE_COLOR": "1",
            "NODE_OPTIONS": "--inspect",
            "NODE_ENV": "production",
            "HTTPS_PROXY": "http://theirs",
            "CREATOR_SIMULATOR_SEED": "7",
            "REDIS_URL": "redis://theirs",
            "SECRET": "x",
        }
        env = environment(replace(settings_for(tmp_path), environ=inherited, env_file=None), redis=True)
        assert (env["PATH"], env["HOME"], env["CREATOR_SIMULATOR_SEED"]) == ("/p", "/h", "7")
        assert env["NODE_ENV"] == "development"
        assert not {"FORCE_COLOR", "NODE_OPTIONS", "HTTPS_PROXY", "REDIS_URL", "SECRET"} & env.keys()

    def test_redis_only_for_what_needs_it(self, tmp_path: Path) -> None:
        settings = replace(settings_for(tmp_path), redis_url="redis://:pw@127.0.0.1:6380/3", proxy="http://proxy:1")
        env = environment(settings, redis=True)
        assert (env["REDIS_URL"], env["REDIS_DB"], env["HTTPS_PROXY"]) == (settings.redis_url, "3", "http://proxy:1")
        assert "REDIS_URL" not in environment(settings, redis=False)
        assert redis_database("redis://host") == "0"

    def test_a_new_key_needs_no_restart(self, tmp_path: Path) -> None:
        settings = settings_for(tmp_path)
        assert settings.env_file
        settings.env_file.write_text("LLM_API_KEY=new\nNODE_OPTIONS=--max-old-space-size=512\n")
        env = environment(settings, redis=False)
        assert (env["LLM_API_KEY"], env["NODE_OPTIONS"]) == ("new", "--max-old-space-size=512")


class TestDirectory:
    def test_it_is_made_and_made_again(self, tmp_path: Path) -> None:
        directory = Directory(tmp_path / "a" / "b")
        assert directory.prepare() is None
        assert directory.data.is_dir() and directory.logs.is_dir()
        assert directory.prepare() is None

    def test_a_dotenv_file_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / ".env").write_text("NODE_ENV=production")
        sick = Directory(tmp_path).prepare()
        assert sick
        assert (sick.kind, ".env" in sick.cause) == (ErrorKind.CREATOR_DIRECTORY, True)

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
    def test_a_directory_that_is_read_only(self, tmp_path: Path) -> None:
        directory = Directory(tmp_path / "creator")
        assert directory.prepare() is None
        directory.data.chmod(0o500)
        sick = directory.fault()
        assert sick and sick.kind is ErrorKind.CREATOR_DIRECTORY

    def test_a_directory_that_cannot_be_made(self) -> None:
        sick = Directory(Path("/proc/creator")).prepare()
        assert sick and sick.kind is ErrorKind.CREATOR_DIRECTORY

    def test_huge_crash_logs_are_dropped_and_others_stay(self, tmp_path: Path) -> None:
        directory = Directory(tmp_path)
        assert directory.prepare() is None
        huge, small = directory.logs / "app.exceptions.log", directory.logs / "app.rejections.log"
        with huge.open("wb") as file:
            file.truncate(6 * 1024 * 1024)
        small.write_text("kept")
        assert directory.prepare() is None
        assert (huge.exists(), small.exists()) == (False, True)


class TestCause:
    @pytest.fixture
    def directory(self, tmp_path: Path) -> Directory:
        directory = Directory(tmp_path)
        assert directory.prepare() is None
        return directory

    @staticmethod
    def write(directory: Directory, *entries: dict[str, object], name: str = "app.error.log") -> Path:
        path = directory.logs / name
        path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
        return path

    def test_what_failed_the_job_wins_over_what_came_before(self, directory: Directory) -> None:
        self.write(
            directory,
            {"message": "[CheckText] Check failed", "taskId": TASK, "error": "try 1"},
            {"message": "[TaskWorker] Job failed", "taskId": str(uuid4()), "error": "theirs"},
            {"message": "[TaskWorker] Job failed", "taskId": TASK, "error": "the true cause"},
            {"message": "[TaskWorker] Job failed", "taskId": TASK, "error": f"Failed to claim task {TASK}"},
        )
        assert directory.cause(TASK) == "the true cause"

    def test_an_early_line_is_better_than_none(self, directory: Directory) -> None:
        self.write(
            directory,
            {"message": "[Organize] failed", "taskId": TASK, "error": {"message": "deep"}},
            {"message": "[TaskWorker] Job failed", "taskId": TASK, "error": f"Failed to claim task {TASK}"},
        )
        assert directory.cause(TASK) == "deep"

    def test_it_is_found_in_the_log_before(self, directory: Directory) -> None:
        old = self.write(directory, {"message": "[TaskWorker] Job failed", "taskId": TASK, "error": "old"})
        new = self.write(directory, {"message": "x", "taskId": str(uuid4()), "error": "y"}, name="app.error1.log")
        os.utime(old, (1, 1))
        os.utime(new, (2, 2))
        assert directory.cause(TASK) == "old"

    def test_garbage_is_passed_over(self, directory: Directory) -> None:
        (directory.logs / "app.error.log").write_bytes(b"\xff" + TASK.encode() + b"\n[1]\n" + f'["{TASK}"]\n'.encode())
        assert directory.cause(TASK) is None

    def test_no_log_no_cause(self, directory: Directory) -> None:
        assert directory.cause(TASK) is None


class TestWorkerCommand:
    @staticmethod
    def package(folder: Path) -> tuple[Path, Path]:
        cli = folder / "lib/llm-content-creator/dist/presentation/cli/index.js"
        cli.parent.mkdir(parents=True)
        cli.write_text("#!/usr/bin/env node\n")
        cli.chmod(0o755)
        worker = cli.parents[1] / "worker-cli.js"
        worker.write_text("")
        (folder / "bin").mkdir()
        (folder / "bin/content-creator").symlink_to(cli)
        return cli, worker

    def test_beside_the_command_in_path(self, tmp_path: Path) -> None:
        _, worker = self.package(tmp_path)
        found = find_worker(settings_for(tmp_path, ("content-creator",)), {"PATH": f"/none:{tmp_path / 'bin'}"})
        assert found == ("node", str(worker))

    def test_with_the_node_it_was_given(self, tmp_path: Path) -> None:
        cli, worker = self.package(tmp_path)
        found = find_worker(settings_for(tmp_path, ("/opt/node", "--x", str(cli))), {})
        assert found == ("/opt/node", "--x", str(worker))

    def test_as_configured(self, tmp_path: Path) -> None:
        assert find_worker(settings_for(tmp_path, ("x",), worker_command=("a", "b")), {}) == ("a", "b")

    def test_of_the_simulator(self, tmp_path: Path) -> None:
        settings = settings_for(tmp_path, ("/venv/bin/content-creator-simulator",))
        assert find_worker(settings, {}) == ("/venv/bin/content-creator-simulator", "worker")

    def test_unknown(self, tmp_path: Path) -> None:
        assert find_worker(settings_for(tmp_path, ("content-creator",)), {"PATH": "/none"}) == ()
