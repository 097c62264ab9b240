"""Reads arguments as strictly as the original's parser: no abbreviations, the last duplicate wins, no stray words.

`--name value`, `--name=value`, `-n value` and `-nvalue` are the same; a value may begin with dashes. Faults end in one
line `error: …` and exit code 1.
"""

import re
from collections import namedtuple

PROGRAM = "content-creator"
Values = dict[str, str]

# flags as printed, the key in Values, whether a value follows, the default, whether it must be given, what help says
Option = namedtuple("Option", "flags key takes default required text")
Command = namedtuple("Command", "name text options")


class Usage(Exception):
    """The command ends here: what to print where, and the exit code."""

    def __init__(self, code: int, stdout: str = "", stderr: str = "") -> None:
        super().__init__(stderr or stdout)
        self.code, self.stdout, self.stderr = code, stdout, stderr


def option(flags: str, text: str, default: str = "", required: bool = False) -> Option:
    """An option from the flags as help prints them, such as `-t, --topic <topic>`."""
    key = flags.partition("--")[2].partition(" ")[0]
    return Option(flags, key, "<" in flags, default, required, text)


TASK_ID = option("-t, --task-id <taskId>", "任务ID", required=True)
COMMANDS = {
    command.name: command
    for command in (
        Command(
            "create",
            "创建内容创作任务",
            (
                option("-t, --topic <topic>", "文章主题"),
                option("-r, --requirements <requirements>", "创作要求"),
                option("-a, --audience <audience>", "目标受众", "普通读者"),
                option("--keywords <keywords>", "关键词（逗号分隔）"),
                option("--tone <tone>", "语气风格", "专业"),
                option("--min-words <number>", "最小字数", "500"),
                option("--max-words <number>", "最大字数", "2000"),
                option("--type <type>", "工作流类型 (content-creator|translation)", "content-creator"),
                option("--mode <mode>", "执行模式 (sync|async)", "sync"),
                option("--priority <priority>", "优先级 (low|normal|high|urgent)", "normal"),
                option("--sync", "同步执行（等待结果）"),
            ),
        ),
        Command(
            "list",
            "列出历史任务",
            (
                option("-s, --status <status>", "筛选状态 (pending, running, completed, failed, cancelled)"),
                option("-m, --mode <mode>", "筛选执行模式 (sync, async)"),
                option("-l, --limit <number>", "显示数量", "20"),
                option("-o, --offset <number>", "偏移量（用于分页）", "0"),
                option("--json", "以 JSON 格式输出"),
            ),
        ),
        Command(
            "retry",
            "重新执行任务",
            (
                option("-t, --task-id <id>", "重新执行指定任务"),
                option("-a, --all", "重新执行所有等待中的任务"),
                option("-s, --status <status>", "按状态筛选任务 (pending, failed, cancelled)", "pending"),
                option("-l, --limit <number>", "处理数量限制", "10"),
                option("--dry-run", "模拟运行，不实际执行"),
            ),
        ),
        Command("status", "查询任务状态", (TASK_ID,)),
        Command("result", "获取任务结果", (TASK_ID, option("--format <format>", "输出格式 (text|json)", "text"))),
        Command("cancel", "取消任务执行", (TASK_ID,)),
    )
}
WORKER = Command(
    "start",
    "启动 Worker",
    (option("-w, --worker-id <id>", "Worker ID"), option("-c, --concurrency <number>", "并发数", "2")),
)


def parse(arguments: list[str]) -> tuple[str, Values]:
    """The command and its options. Raises Usage for help, the version and every fault."""
    words = list(arguments)
    while words and words[0] in ("-v", "--verbose"):
        words.pop(0)
    if not words:
        raise Usage(1, stderr=program_help())
    if words[0] in ("-V", "--version"):
        raise Usage(0, stdout="0.1.0")
    if words[0] in ("-h", "--help") or words == ["help"]:
        raise Usage(0, stdout=program_help())
    if words[0] == "help":
        raise Usage(0, stdout=command_help(find(words[1])))
    command = find(words[0])
    return command.name, read(command, words[1:])


def parse_worker(arguments: list[str]) -> Values:
    """The options of `worker start`."""
    if arguments[:1] != ["start"]:
        raise Usage(1, stderr=f"error: unknown command '{arguments[0]}'" if arguments else command_help(WORKER))
    return read(WORKER, arguments[1:])


def find(name: str) -> Command:
    """The command of this name."""
    if name.startswith("-"):
        raise Usage(1, stderr=f"error: unknown option '{name}'")
    if name not in COMMANDS:
        raise Usage(1, stderr=f"error: unknown command '{name}'")
    return COMMANDS[name]


def read(command: Command, words: list[str]) -> Values:
    """The options of one command, with their defaults; faults in the original's order."""
    found, unknown, stray = scan(command, words)
    if "-h" in unknown or "--help" in unknown:
        raise Usage(0, stdout=command_help(command))
    for known in command.options:
        if known.required and known.key not in found:
            raise Usage(1, stderr=f"error: required option '{known.flags}' not specified")
    if unknown:
        raise Usage(1, stderr=f"error: unknown option '{unknown[0]}'")
    if stray:
        fault = f"error: too many arguments for '{command.name}'. Expected 0 arguments but got {len(stray)}."
        raise Usage(1, stderr=fault)
    return {known.key: known.default for known in command.options} | found


def scan(command: Command, words: list[str]) -> tuple[Values, list[str], list[str]]:
    """Sort the words into options found, unknown options and stray words."""
    found: Values = {}
    unknown: list[str] = []
    stray: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == "--":
            stray += rest
            break
        if not word.startswith("-") or word == "-":
            stray.append(word)
            continue
        known, value = match(command, word)
        if known is None:
            unknown.append(word.partition("=")[0])
        elif not known.takes:
            found[known.key] = "yes"
        elif value is not None:
            found[known.key] = value
        elif rest:
            found[known.key] = rest.pop(0)
        else:
            raise Usage(1, stderr=f"error: option '{known.flags}' argument missing")
    return found, unknown, stray


def match(command: Command, word: str) -> tuple[Option | None, str | None]:
    """The option a word names, and the value if the same word carries it."""
    name, equals, value = word.partition("=")
    for known in command.options:
        short, long = known.flags[:2], f"--{known.key}"
        if word == long or (not long.startswith(short) and word == short):
            return known, None
        if known.takes and equals and name == long:
            return known, value
        if known.takes and not long.startswith(short) and word[:2] == short:
            return known, word[2:]
    return None, None


def program_help() -> str:
    """What `--help` prints."""
    rows = [(f"{command.name} [options]", command.text) for command in COMMANDS.values()]
    lines = [f"Usage: {PROGRAM} [options] [command]", "", "AI 驱动的内容创作工具", "", "Options:"]
    lines += table([("-V, --version", "output the version number"), ("-v, --verbose", "显示详细日志"), HELP], 16)
    return "\n".join([*lines, "", "Commands:", *table([*rows, ("help [command]", HELP[1])], 16)])


def command_help(command: Command) -> str:
    """What `COMMAND --help` prints."""
    rows = [(known.flags, known.text + shown_default(known)) for known in command.options]
    width = max(len(flags) for flags, _ in rows)
    lines = [f"Usage: {PROGRAM} {command.name} [options]", "", command.text, "", "Options:"]
    return "\n".join([*lines, *table([*rows, HELP], width)])


def shown_default(known: Option) -> str:
    """The default as help shows it."""
    return f' (default: "{known.default}")' if known.default else ""


def table(rows: list[tuple[str, str]], width: int) -> list[str]:
    """Two columns, the way help sets them."""
    return [f"  {left.ljust(width)}  {right}" for left, right in rows]


HELP = ("-h, --help", "display help for command")


def whole_number(text: str) -> int | None:
    """What JavaScript's parseInt makes of a text."""
    found = re.match(r"\s*([+-]?\d+)", text)
    return int(found.group(1)) if found else None
