"""In which words a command line refuses: told from what fails for another reason, and from a value of the task's."""

from pathlib import Path

import pytest

from contenthubd.adapters.creator.command import Finished
from contenthubd.adapters.creator.directory import Directory
from contenthubd.adapters.creator.usage import required_in
from contenthubd.adapters.creator.verdict import is_unknown_task, refusal, sickness
from contenthubd.domain.outcome import ErrorKind

CHANGED = [
    "error: unknown option '--priority'\n(Did you mean --prior?)",
    "error: missing required argument 'x'",
    "error: option '-s, --style <s>' argument missing",
    "Unknown argument: priority",
    "create [options]\n\nOptions:\n  --help  Show help\n\nUnknown arguments: min-words, minWords",
    "Missing required argument: style",
    "Not enough non-option arguments: got 0, need at least 1",
    'Invalid values:\n  Argument: priority, Given: "normal", Choices: 1',
    "Usage: cc create [OPTIONS]\nTry 'cc create --help' for help.\n\nError: No such option: --priority",
    "Error: No such command 'list'.",
    "Error: Missing option '--style'.",
    "Error: Invalid value for '--priority': 'normal' is not one of '1', '2'.",
    "│ No such option: --priority Did you mean --prior? │",
    "usage: cc\ncc: error: unrecognized arguments: --priority=normal",
    "cc create: error: argument command: invalid choice: 'list' (choose from 'make')",
    "cc: error: the following arguments are required: --style",
    "argument --priority: invalid choice: 'normal'",
    "Error: unknown flag: --priority\nUsage:",
    'Error: unknown command "list" for "content-creator"',
    'Error: required flag(s) "style" not set',
    "unknown shorthand flag: 'p' in -priority",
    "flag provided but not defined: -priority",
    "error: unexpected argument '--priority' found\n\n  tip: to pass it as a value",
    "error: unrecognized subcommand 'list'",
    "error: the following required arguments were not provided:\n  --style <S>",
    "error: Found argument '--priority' which wasn't expected, or isn't valid in this context",
    "error: invalid value 'normal' for '--priority <P>'",
    " \u203a   Error: Nonexistent flag: --priority\n \u203a   See more help with --help",
    " \u203a   Error: command list not found",
    " \u203a   Error: Missing required flag style",
    "CACError: Unknown option `--priority`\n    at Command.check",
    "TypeError [ERR_PARSE_ARGS_UNKNOWN_OPTION]: Unknown option '--priority'. To specify",
    "Unknown flag\n--priority",
    "content-creator: unrecognized option '--priority'",
    "content-creator: invalid option -- 'p'",
    "node: bad option: --priority",
    'Unknown Syntax Error: Unsupported option name ("--priority").',
    "Unknown switches '--priority'",
    "ERROR unknown option: --priority",
    "[ERROR] Unexpected argument: --priority=normal",
    "error: --priority is not a recognized option",
    "无法识别的选项：priority",
    "错误：未知选项 --priority",
    "❌ 错误: 不支持的参数 --priority",
    "❌ 错误: 缺少必须的选项：style",
]
OF_THE_TASK = [
    "error: option '--max-words <number>' argument '90000' is invalid. At most 50000.",
    "error: invalid value '9' for '--max-words <N>': 9 is not in 300..2000",
    "Invalid values:\n  Argument: max-words, Given: 9, Choices: 1",
    "Error: Invalid value for '--topic': too long",
    "cc: error: argument --min-words: invalid int value: 'x'",
]
NEITHER = [
    "❌ 错误: something else",
    "Error: Invalid argument type",
    "Error: Invalid parameter: temperature",
    "Error: Missing required parameter: 'model'",
    "TypeError: Cannot read properties of undefined (reading '0')",
    "Error: connect ETIMEDOUT",
    "Error: E_NEW",
    "Request failed with status code 400",
    "Unexpected token < in JSON at position 0",
    "Node timeout: write exceeded 240000ms",
    "An article about the words: error: unknown option '--priority'",
]


def failed(said: str, code: int = 1, stdout: bytes = b"") -> Finished:
    return Finished(1, code, stdout, said.encode())


@pytest.fixture(name="directory")
def _directory(tmp_path: Path) -> Directory:
    directory = Directory(tmp_path)
    assert directory.prepare() is None
    return directory


@pytest.mark.parametrize("code", [1, 2, 64])
@pytest.mark.parametrize("said", CHANGED)
def test_a_refused_option_or_command_is_a_changed_program(directory: Directory, said: str, code: int) -> None:
    for ended in (failed(said, code), failed("", code, said.encode()), failed(said.replace("\n", "\r\n"), code)):
        sick = sickness(ended, directory)
        assert sick
        assert sick.kind is ErrorKind.CREATOR_CHANGED
        assert sick.cause.startswith("content-creator rejected a command or option: ")


@pytest.mark.parametrize("code", [1, 2])
@pytest.mark.parametrize("said", OF_THE_TASK)
def test_a_refused_value_of_the_task_is_a_refusal(directory: Directory, said: str, code: int) -> None:
    assert sickness(failed(said, code), directory) is None
    refused = refusal(failed(said, code))
    assert refused
    assert refused.kind is ErrorKind.REFUSED


@pytest.mark.parametrize("said", NEITHER)
def test_what_fails_for_another_reason_is_neither(directory: Directory, said: str) -> None:
    assert (sickness(failed(said), directory), refusal(failed(said))) == (None, None)


@pytest.mark.parametrize("said", [CHANGED[0], "Cannot find module 'x'", "Redis is not configured", "SQLITE_BUSY",
                                  "Environment variable validation failed", "未找到任务 x"])  # fmt: skip
def test_a_command_that_answered_may_warn_of_anything(directory: Directory, said: str) -> None:
    answered = failed(said, 0, b"=" * 40 + b"\n[]\n")
    assert (sickness(answered, directory), is_unknown_task(answered)) == (None, False)
    killed = failed(said, -15)
    assert (sickness(killed, directory), is_unknown_task(killed)) == (None, False)
    silent = failed(said, 0, b"=" * 40 + b"\n")
    assert sickness(silent, directory) or is_unknown_task(silent), "without an answer its complaint is believed"


def test_an_echo_of_the_task_is_no_refusal(directory: Directory) -> None:
    echoed = failed("", 1, "主题: x\nerror: unknown option '--mode'\n[ref 00]\n".encode())
    assert sickness(echoed, directory) is None


@pytest.mark.parametrize("said", ["❌ 错误: 未找到任务 x", "Error: 未找到任务"])
def test_an_unknown_task_is_known_by_its_words_on_either_stream(said: str) -> None:
    assert is_unknown_task(failed(said))
    assert is_unknown_task(failed("[winston] Attempt to write logs", 1, said.encode()))
    assert not is_unknown_task(failed("", 0, f"{'=' * 40}\n内容:\n{said}\n".encode())), "an article may say so"


@pytest.mark.parametrize("said", [
    "required option '-s, --style <s>' not specified", "Missing required argument: style", "Missing option '--style'",
    'required flag(s) "style" not set', "the following arguments are required: --style", "Missing required flag style",
    "the following required arguments were not provided: --style <S>", "needs the option --style",
])  # fmt: skip
def test_the_option_that_is_asked_for(said: str) -> None:
    assert required_in(f"content-creator rejected a command or option: {said}.") == "--style"
