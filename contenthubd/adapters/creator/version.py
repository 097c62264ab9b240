"""Which version of the program contenthubd is made for, and whether the one that was found is another."""

from typing import Final

from contenthubd.domain.foreign import quoted

_EXPECTED_VERSION: Final = "0.1.0"
EXPECTED: Final = f"contenthubd is made for llm-content-creator 0.2.0, whose --version says '{_EXPECTED_VERSION}'"
_PARTS: Final = (2, 4)


def named(version: str | None) -> str:
    """The version found and the one expected, for people."""
    said = f"says {quoted(version)}" if version else "could not be read"
    return f"content-creator --version {said}; {EXPECTED}."


def is_another(version: str | None) -> bool:
    """Whether it surely is not the version expected; a program that says no number is not known to be."""
    if version is None or version == _EXPECTED_VERSION:
        return False
    parts = version.partition("-")[0].split(".", _PARTS[1])
    return _PARTS[0] <= len(parts) <= _PARTS[1] and all(part.isascii() and part.isdigit() for part in parts)
