"""What the tests of the configuration share: a home, a writer of files, and loads that succeed or tell their faults."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from contenthubd.config.loader import Loaded, load
from contenthubd.domain.errors import InvalidConfig

ROOT = Path(__file__).parents[1]
HOME = {"HOME": "/home/ada"}

Write = Callable[..., Path]


def writer(folder: Path) -> Write:
    """A function that writes a configuration file into ``folder`` and returns its path."""

    def write(text: str | bytes, name: str = "config.toml") -> Path:
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def from_environment(**environ: str) -> Loaded:
    """What these variables and a home alone come to."""
    return load(None, environ=HOME | environ)


def faults_of(
    path: Path | None = None,
    flags: Mapping[str, object] | None = None,
    environ: Mapping[str, str] | None = None,
    **variables: str,
) -> list[str]:
    """All faults of a configuration that must not load."""
    with pytest.raises(InvalidConfig) as caught:
        load(path, environ={**HOME, **(environ or {}), **variables}, flags=flags or {})
    return caught.value.faults


def fault_of(
    path: Path | None = None,
    flags: Mapping[str, object] | None = None,
    environ: Mapping[str, str] | None = None,
    **variables: str,
) -> str:
    """The only fault of a configuration that must not load."""
    faults = faults_of(path, flags, environ, **variables)
    assert len(faults) == 1, faults
    return faults[0]
