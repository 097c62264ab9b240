"""The configuration as a person or a program may see it: plain values in the order of the model, passwords masked."""

from contenthubd.config.keys import KEYS
from contenthubd.config.loader import Loaded, value_of
from contenthubd.config.values import plain


def describe(loaded: Loaded, show_origin: bool) -> list[dict[str, object]]:
    """One entry per key: ``key``, ``value`` and, if wanted, ``origin``."""
    entries: list[dict[str, object]] = []
    for path in KEYS:
        entry: dict[str, object] = {"key": path, "value": plain(value_of(loaded.config, path))}
        if show_origin:
            entry["origin"] = loaded.origins[path]
        entries.append(entry)
    return entries
