"""In which words a command line refuses: an option, a command or a value that it does not take.

Each parser has words of its own (commander, yargs, oclif, click, argparse, clap, cobra, getopt …), and a program may
change its parser with its next version. A line counts when it begins with such words, behind what programs put in front
of an error; where they are words of every day, it must name an option or a command as well. A text of a task that is
quoted in the middle of a line is no refusal.
"""

import re
from collections.abc import Iterator
from typing import Final

LONGEST_LINE: Final = 300
_MOST_LINES: Final = 200
_COMMANDS: Final = ("create", "list", "status", "result", "retry")
_OPTIONS: Final = (
    "topic", "requirements", "mode", "keywords", "min-words", "max-words", "priority",
    "task-id", "format", "json", "limit", "offset",
)  # fmt: skip
_OF_THE_TASK: Final = ("topic", "requirements", "keywords", "min-words", "max-words")
_THING: Final = r"(?:options?|flags?|arguments?|switch(?:es)?|(?:sub-?)?commands?)"
_FRONT: Final = re.compile(
    r"[^\w'\"`-]{0,20}"
    r"(?:(?!argument|option)[\w./-]{1,60}(?: [\w-]{1,30})?: "
    r"(?=error|un|bad|invalid|illegal|no such|missing|option|flag|required))?"
    r"(?:(?:[\w ]{0,30}error|fatal|错误)\]?(?: \[\w{1,60}\])?[:： ]\s{0,4})?",
    re.IGNORECASE,
)
_SURE: Final = re.compile(
    rf"missing (?:required )?(?:{_THING}|positional)|required {_THING}|too many (?:positional )?arguments"
    r"|option\b.{1,200}(?:missing|invalid|required|requires|not specified|allow|cannot|argument ')"
    r"|not enough (?:non-option )?arguments|flag provided but not defined"
    r"|(?:the )?following (?:required )?arguments (?:are required|were not provided)"
    r"|(?:error: )?unknown (?:option|command|flag)s? ['\"`]"
    r"|(?:未知|无法识别|不支持|无效|非法|多余)的?(?:选项|参数|命令|子命令)|缺少.{0,6}(?:选项|参数|命令)",
    re.IGNORECASE,
)
_PERHAPS: Final = re.compile(
    r"(?:unknown|unrecogni[sz]ed|unexpected|bad|unsupported|invalid|illegal|non-?existent|extraneous|no such)"
    rf" (?:[\w-]{{1,20}} ){{0,2}}(?:{_THING}|parameters?|choice|values?)\b"
    r"|['\"`]?--?\w[\w-]{0,40}['\"`]? (?:is|was) (?:not|un)"
    rf"|(?:the |found )?{_THING}[: ].{{0,200}}"
    r"(?:not found|expected|recogni[sz]ed|unknown|invalid|does not exist|given:|not a)",
    re.IGNORECASE,
)
_NAMED: Final = re.compile(
    rf"(?<![\w-])(?:--?[a-z][\w-]{{0,40}}|-- |(?:{'|'.join((*_COMMANDS, *_OPTIONS))})(?![\w-]))", re.IGNORECASE
)
_VALUE: Final = re.compile(
    r"argument '|invalid (?:[\w-]{1,20} )?value|invalid choice|, given: |is not (?:a|one)\b|out of range|无效的值",
    re.IGNORECASE,
)
_TASKS: Final = re.compile(rf"(?:--|argument: )(?:{'|'.join(_OF_THE_TASK)})(?![\w-])", re.IGNORECASE)


def usage_fault(said: str) -> str | None:
    """The first line in which a command line parser refuses; what follows may be a text of the task's."""
    lines = list(_lines(said))
    for number, line in enumerate(lines):
        found = _FRONT.match(line)
        words = line[found.end() :] if found else line
        following = lines[number + 1] if number + 1 < len(lines) else ""
        if _SURE.match(words):
            return _told(words, following)
        if _PERHAPS.match(words) and (_NAMED.search(words) or following.startswith("--")):
            return _told(words, following)
    return None


def of_the_task(line: str) -> bool:
    """Whether it is a value that was refused, and one that differs from task to task."""
    return bool(_VALUE.search(line)) and bool(_TASKS.search(line))


def _told(words: str, following: str) -> str:
    """With the line behind it where the words alone name nothing."""
    unnamed = words.rstrip().endswith(":") or not _NAMED.search(words)
    told = f"{words.rstrip()} {following.strip()}" if unnamed and following.strip().startswith("-") else words
    return told[:LONGEST_LINE].strip(" \t│.")


def _lines(said: str) -> Iterator[str]:
    for line in said.splitlines()[:_MOST_LINES]:
        short = line.strip()[:LONGEST_LINE]
        if short:
            yield short
