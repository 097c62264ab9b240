"""Which options a program takes, read from the help it prints, and which one it asked for when it refused."""

import re
from typing import Final

from contenthubd.adapters.creator.frame import text_of

HELP_READ: Final = 65_536
CREATE_OPTIONS: Final = (
    "--topic", "--requirements", "--mode", "--keywords", "--min-words", "--max-words", "--priority",
)  # fmt: skip
"""What a task is handed over with."""
_OPTION: Final = re.compile(r"--[a-z][a-z-]{0,60}")
_REQUIRED: Final = re.compile(
    r"(?:(?:required|missing|needs the) (?:required )?(?:option|flag|argument)s?(?:\(s\))?:?(?! were| are)"
    r"|(?:are required|not provided):) ['\"`]?(?:-\w, )?(?:--)?([a-z][a-z-]{0,60})",
    re.IGNORECASE,
)


def options_in(printed: bytes) -> frozenset[str]:
    """The long options that the beginning of a help names."""
    return frozenset(_OPTION.findall(text_of(printed[:HELP_READ])))


def required_in(said: str) -> str:
    """The option that a refusal asks for; empty if it asks for none."""
    found = _REQUIRED.search(said[:HELP_READ])
    return f"--{found[1]}" if found else ""
