"""The mark goes out exactly, and the title is found."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contenthubd.domain.article import MAX_TITLE_CHARS, title_of, without_mark
from contenthubd.domain.attempt import mark_of

MARK = mark_of(UUID("0190a000-0000-7000-8000-0123456789ab"), 1)
OTHER = mark_of(UUID("0190a000-0000-7000-8000-0123456789ab"), 2)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("\n\r []#"))
LINES = st.lists(TEXTS.map(lambda text: text.replace("\n", " ")), min_size=1)


@given(TEXTS)
def test_an_article_without_the_mark_is_left_as_it_is(article: str) -> None:
    assert without_mark(article, MARK) == (article, False)


@given(LINES, st.data())
def test_a_line_that_is_the_mark_goes_as_a_whole(lines: list[str], data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(lines)))
    around = data.draw(st.sampled_from(["", " ", "\r", "\t"]))
    marked = [*lines[:place], around + MARK + around, *lines[place:]]
    assert without_mark("\n".join(marked), MARK) == ("\n".join(lines), True)


@given(TEXTS, TEXTS)
def test_a_mark_among_words_goes_alone(before: str, after: str) -> None:
    """``a`` and ``b`` keep the line from being only the mark, which would go with its line break."""
    assert without_mark(f"{before}a{MARK}b{after}", MARK) == (f"{before}ab{after}", True)


@given(LINES, st.integers(1, 5))
def test_every_echo_goes(lines: list[str], times: int) -> None:
    article = "\n".join(lines)
    echoed = article + f"\n{MARK}" * times
    assert without_mark(echoed, MARK) == (article, True)


def test_the_mark_of_another_attempt_stays() -> None:
    assert without_mark(f"a\n{OTHER}\n{MARK}\nb", MARK) == (f"a\n{OTHER}\nb", True)


@pytest.mark.parametrize(
    ("article", "title"),
    [
        ("# 面包\n\n正文", "面包"),
        ("intro\n\n#  Ten Breads  ##  \n", "Ten Breads"),
        ("## Not this\n# This\n# Nor this", "This"),
        ("# Windows\r\ntext", "Windows"),
        ("```sh\n# a comment\n```\n# Title", "Title"),
        ("~~~\n# a comment\n~~~\n# Title", "Title"),
        ("#NoSpace\n", "topic"),
        ("#   \n", "topic"),
        ("#   \n# Second", "Second"),
        ("no heading", "topic"),
        ("", "topic"),
        ("# C# and F#", "C# and F"),
        ("#\tTab", "Tab"),
    ],
)
def test_titles(article: str, title: str) -> None:
    assert title_of(article, " topic ") == title


@given(TEXTS, TEXTS.filter(str.strip))
def test_a_title_is_one_line_neither_empty_nor_endless(article: str, topic: str) -> None:
    title = title_of(article, topic.replace("\n", " ").strip() or "topic")
    assert 1 <= len(title) <= MAX_TITLE_CHARS
    assert "\n" not in title


def test_a_long_title_is_cut() -> None:
    assert title_of("# " + "长" * 500, "topic") == "长" * MAX_TITLE_CHARS
