"""Where a document of docs/ lies: below share/ of the environment after an installation, else in the checkout."""

import sys
from pathlib import Path
from typing import Final

INSTALLED: Final = Path("share", "contenthubd", "docs")
"""Below the environment's prefix; pyproject.toml puts them there."""


def document(name: str) -> str:
    """The path of ``name`` (``configuration.md``) as it can be opened on this machine."""
    checkout = Path(__file__).resolve().parent.parent
    own = checkout / "docs" / name
    if (checkout / "pyproject.toml").is_file() and own.is_file():
        return str(own)
    return str(Path(sys.prefix) / INSTALLED / name)
