"""Places of images in an article: files take theirs, and nothing is left of the others."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contenthubd.domain.placeholders import placed, positions

LOST = "image-placeholder-2"
NAMES = {1: "image-1.png", 12: "image-12.png"}
WORDS = st.text(st.characters(exclude_characters="\r\n`~[]()<>\\", exclude_categories=["Cs", "Cc"]), max_size=20)


@pytest.mark.parametrize(
    ("body", "published"),
    [
        ("![a](image-placeholder-1)", "![a](image-1.png)"),
        ("![a](image-placeholder-12)", "![a](image-12.png)"),
        ("![a](./image-placeholder-1.png)", "![a](./image-1.png)"),
        ("![a](<image-placeholder-1> 'title')", "![a](<image-1.png> 'title')"),
        ("<img src='image-placeholder-1' alt='a'>", "<img src='image-1.png' alt='a'>"),
        ("a\n\n![b](image-placeholder-2)\n\nc", "a\n\n\nc"),
        ("> ![b](image-placeholder-2)\n> c", "> c"),
        ("- ![b](image-placeholder-2)\n- c", "- c"),
        ("**![b](image-placeholder-2)**", ""),
        ("As ![the chart](image-placeholder-2) shows, …", "As the chart shows, …"),
        ('As ![the chart](image-placeholder-2 "t") shows', "As the chart shows"),
        ("As ![](image-placeholder-2) shows", "As  shows"),
        ("[the picture](image-placeholder-2) shows", "the picture shows"),
        ("[![b](image-placeholder-2)](https://x)", "[b](https://x)"),
        ("<img src='image-placeholder-2' alt='a cat'> sleeps", "a cat sleeps"),
        ('<IMG ALT="a cat" SRC="image-placeholder-2"/> sleeps', "a cat sleeps"),
        ("<img src=image-placeholder-2>", ""),
        ("![b][i] shows\n\n[i]: image-placeholder-2 'x'\n", "b shows\n\n"),
        ("![i] shows\n\n[I]: <image-placeholder-2>\n", "i shows\n\n"),
        ("# Tea ![b](image-placeholder-2)", "# Tea b"),
        ("IMAGE-PLACEHOLDER-2", ""),
        ("(image_placeholder_2)", "()"),
        ("![never closed](image-placeholder-2", "![never closed]("),
        ("see image-placeholder-2.", "see ."),
        ("image-placeholder-99999", "image-placeholder-99999"),
        ("my-image-placeholder-2", "my-image-placeholder-2"),
        ("```\n![a](image-placeholder-2)\n```\n", "```\n![a](image-placeholder-2)\n```\n"),
        (f"~~~~ md\n{LOST}\n~~~\n{LOST}\n~~~~\nx", f"~~~~ md\n{LOST}\n~~~\n{LOST}\n~~~~\nx"),
        ("```\nimage-placeholder-2\n```\nimage-placeholder-2\nx", "```\nimage-placeholder-2\n```\nx"),
        ("a\r\n![b](image-placeholder-2)\r\nc", "a\r\nc"),
    ],
)  # fmt: skip
def test_what_is_published(body: str, published: str) -> None:
    assert placed(body, NAMES) == published


@given(st.lists(WORDS, max_size=8))
def test_an_article_without_places_is_published_as_it_is(lines: list[str]) -> None:
    body = "\n".join(lines)
    assert placed(body, {}) == body


@given(WORDS, st.integers(1, 9999), WORDS)
def test_no_number_is_left(before: str, number: int, after: str) -> None:
    assert f"image-placeholder-{number}" not in placed(f"{before} ![x](image-placeholder-{number}) {after}", {})


def test_positions_are_those_outside_of_code() -> None:
    assert positions("![a](image-placeholder-3)\n```\nimage-placeholder-4\n```\nimage-placeholder-12") == {3, 12}
