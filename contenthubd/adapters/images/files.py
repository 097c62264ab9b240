"""The directory of images, seen by who tidies it: ``<content id>/<position>.<ext>``."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from anyio import to_thread


class ImageDirectory:
    """Files below ``root`` (port ``ImageFiles``)."""

    def __init__(self, root: Path) -> None:
        self._root = root

    async def remove(self, paths: Sequence[str]) -> None:
        """See the port; a folder that gets empty goes too."""
        await to_thread.run_sync(_remove, self._root, paths)


def _remove(root: Path, paths: Sequence[str]) -> None:
    for path in paths:
        (root / path).unlink(missing_ok=True)
    for folder in {(root / path).parent for path in paths}:
        with suppress(OSError):  # not empty, or gone already: both are fine
            folder.rmdir()
