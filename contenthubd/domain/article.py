"""From the creator's text to ours: the mark taken out again, wrapping taken off, the title found.

An article is foreign text. Reading one is linear in its length and raises nothing; what is only likely is not changed
but held back for a person.
"""

import re
from dataclasses import dataclass
from typing import Final

from contenthubd.domain.attempt import NUMBER_LENGTH, task_part
from contenthubd.domain.markdown import Beginning
from contenthubd.domain.placeholders import named
from contenthubd.domain.plain import one_line
from contenthubd.domain.wrapping import Unwrapped, unwrap

MAX_TITLE_CHARS: Final = 200
MAX_IMAGES: Final = 100
UNTITLED: Final = "Untitled"


@dataclass(frozen=True, slots=True)
class Article:
    """What an answer of the creator comes to; ``body`` is empty if nobody would see anything of it."""

    body: str
    title: str
    hold_reason: str = ""
    """Why a person should look before it is published; empty: no reason."""
    echoed: bool = False
    """Whether the mark of the attempt stood in it."""
    removed: tuple[str, ...] = ()
    """What was taken off around the article, in words."""
    front_matter: str = ""
    """Front matter that was taken off."""
    missing_images: tuple[int, ...] = ()
    """Images that the article names and the creator did not deliver."""


def read_article(text: str, mark: str, topic: str, images: int) -> Article:
    """The article in an answer of the creator that came with so many ``images``."""
    unmarked, echoed = without_mark(text, mark)
    seen = unwrap(unmarked)
    beginning = Beginning(seen.text)
    if not beginning.reads():
        return Article("", "", echoed=echoed)
    return Article(
        body=seen.text.lstrip("\ufeff"),
        title=_title(beginning, seen, topic),
        hold_reason=" ".join(seen.doubts),
        echoed=echoed,
        removed=seen.removed,
        front_matter=seen.front_matter,
        missing_images=_missing(seen.text, images),
    )


def without_mark(article: str, mark: str) -> tuple[str, bool]:
    """The article without the mark, and whether it was there: a line that is only the mark goes as a whole.

    The marks of the task's other attempts go too: an attempt may have adopted what an earlier one left.
    """
    common = task_part(mark)
    if common not in article:
        return article, False
    marks = re.compile(re.escape(common) + f"[0-9a-f]{{{NUMBER_LENGTH}}}\\]")
    lines = [line for line in article.split("\n") if not marks.fullmatch(line.strip())]
    unmarked, count = marks.subn("", "\n".join(lines))
    return unmarked, count > 0 or len(unmarked) != len(article)


def _title(beginning: Beginning, seen: Unwrapped, topic: str) -> str:
    """The first first-level heading that shows anything, else the title of its front matter, else the topic."""
    for candidate in (*beginning.headings(), seen.front_title, topic):
        title = one_line(candidate, MAX_TITLE_CHARS)
        if title:
            return title
    return UNTITLED


def _missing(body: str, images: int) -> tuple[int, ...]:
    """The numbers above those that came; places without a number follow behind them."""
    places = named(body)
    missing = sorted(number for number in places.positions if number > images)[:MAX_IMAGES]
    free = max([images, *missing]) + 1
    return (*missing, *range(free, free + min(places.without_number, MAX_IMAGES - len(missing))))
