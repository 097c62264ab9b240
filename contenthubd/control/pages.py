"""Pages of a list: one row more than asked for is read, so that the last page says that it is the last."""

from collections.abc import Sequence
from typing import TypeVar

from msgspec.structs import replace

from contenthubd.control import wire

W = TypeVar("W", bound=wire.Refusing)
T = TypeVar("T")


def one_more(wanted: W, limit: int) -> W:
    """The same query for a page and the row behind it."""
    return replace(wanted, limit=limit + 1)


def page(found: Sequence[T], limit: int) -> tuple[list[T], T | None]:
    """The rows of the page, and the one after which the next page begins; None on the last page."""
    rows = list(found[:limit])
    return rows, rows[-1] if len(found) > limit else None
