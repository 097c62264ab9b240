"""The types of what comes from outside, each no larger than PostgreSQL and a reader can bear.

A field of a request takes its type from here, so a value that could not be stored is refused where it is decoded, at
every route alike: text without U+0000, whole numbers of 64 bits, finite numbers, instants that exist in every zone.
"""

from datetime import UTC, datetime
from typing import Annotated, Final

from msgspec import Meta

NO_NUL: Final = r"^[^\x00]*\Z"
CURSOR: Final = r"^([0-9]+(-[a-z]*)?)?\Z"
MAX_NAME_CHARS: Final = 200
MAX_LINE_CHARS: Final = 1_000
MAX_TEXT_CHARS: Final = 20_000
MAX_IDS: Final = 1000
MAX_SECONDS: Final = 36_500 * 86_400
EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(9000, 1, 1, tzinfo=UTC)
_INT64: Final = 2**63

Name = Annotated[str, Meta(max_length=MAX_NAME_CHARS, pattern=NO_NUL)]
"""A name, a fragment of an id, an idempotency key, a cron expression."""
Line = Annotated[str, Meta(max_length=MAX_LINE_CHARS, pattern=NO_NUL)]
"""A title, a tone, a reason: what a person writes in one breath."""
Text = Annotated[str, Meta(max_length=MAX_TEXT_CHARS, pattern=NO_NUL)]
"""Instructions that every task of an account gets; beside them a task's own must still fit into one argument."""
Cursor = Annotated[str, Meta(max_length=32, pattern=CURSOR)]
"""What a reply gave out (digits, perhaps with a word behind them), or nothing."""
Whole = Annotated[int, Meta(ge=-_INT64, le=_INT64 - 1)]
"""A whole number; the domain says from where to where."""
RowNumber = Annotated[int, Meta(ge=0, le=_INT64 - 1)]
Seconds = Annotated[float, Meta(gt=0, le=MAX_SECONDS)]
Instant = Annotated[datetime, Meta(tz=True)]
"""A time with its offset; ``instant_fault`` says whether it exists."""
Names = Annotated[tuple[Name, ...], Meta(max_length=MAX_IDS)]


def instant_fault(value: datetime) -> str:
    """Why this time cannot be used, or nothing: near the ends of the calendar, UTC may have no name for it."""
    try:
        exists = EARLIEST <= value.astimezone(UTC) <= LATEST
    except OverflowError:
        exists = False
    return "" if exists else f"The time is not between the years {EARLIEST.year} and {LATEST.year}"
