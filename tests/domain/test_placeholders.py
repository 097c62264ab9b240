"""Places of images in an article: files take theirs, and nothing is left of the others."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contenthubd.domain.code import WINDOW_CHARS
from contenthubd.domain.placeholders import Named, named, placed, positions

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
        ("(image_placeholder_2)", ""),
        ("see image-placeholder-2.", "see ."),
        ("my-image-placeholder-2", "my-image-placeholder-2"),
        ("```\n![a](image-placeholder-2)\n```\n", "```\n![a](image-placeholder-2)\n```\n"),
        (f"~~~~ md\n{LOST}\n~~~\n{LOST}\n~~~~\nx", f"~~~~ md\n{LOST}\n~~~\n{LOST}\n~~~~\nx"),
        ("```\nimage-placeholder-2\n```\nimage-placeholder-2\nx", "```\nimage-placeholder-2\n```\nx"),
        ("a\r\n![b](image-placeholder-2)\r\nc", "a\r\nc"),
    ],
)  # fmt: skip
def test_what_is_published(body: str, published: str) -> None:
    assert placed(body, NAMES) == published


SPELLINGS = [
    "image-placeholder-2", "IMAGE_PLACEHOLDER_2", "Image-Placeholder-2", "image_placeholder_2", "imageplaceholder2",
    "image–placeholder–2", "image-placeholder-02", "image-placeholder-002.PNG", "image-placeholder-\uff12",
    "image%2Dplaceholder%2D2", "image%20placeholder%202", "./image-placeholder-2.png", "/a/image-placeholder-2.jpg",
    "https://x.example/a/image-placeholder-2.png", "image-placeholder-2?x=1", "image-placeholder-2.svg#a",
    "img-placeholder-2", "image-place-holder-2", "image-placeholder-#2", "image-placeholder:2", "图片占位符2",
    "圖片佔位符-2", "image-placeholder-2-tea.png", "image placeholder 2", "Image Placeholder 2", "Image Placeholder-2",
    "image placeholder #2",
]  # fmt: skip
NUMBERLESS = [
    "image-placeholder", "image-placeholder-", "image-placeholder-N", "image-placeholder-0",
    "image-placeholder-cat.png", "image-placeholder-12345", "image-placeholder-" + "9" * 400, "图片占位符",
]  # fmt: skip
AROUND = [
    ("A ![b]({}) c", "A b c"),
    ("![b]({})\n\nc", "\nc"),
    ("> x\n> ![b]({})\n", "> x\n"),
    ("1. ![b]({})\n2. c", "2. c"),
    ("![b]( {} )", ""),
    ("![b]({} 'title')", ""),
    ('![b]({}\n"title")', ""),
    ("![b]({} a title without quotes) c", "b c"),
    ("![b\nc]({}) d", "b\nc d"),
    ("![a [b] c]({}) d", "a [b] c d"),
    ("![" + "b" * 1500 + "]({})", ""),
    ("![never closed]({}", ""),
    ("![never closed]({}\nmore", "more"),
    ("![b]({}){{width=50%}}\nc", "c"),
    ("![b] ({})", ""),
    ("！[b]（{}）", ""),
    (r"\![b]({})", ""),
    ("<img\n src='{}'\n alt='a > b'>", ""),
    ("a <img alt='b'\nsrc=\"{}\"\n/> c", "a b c"),
    ("a <img alt='b' src='{}'", "a b"),
    ("<figure>\n<img src='{}' alt='b'>\n<figcaption>c</figcaption>\n</figure>\nd", "d"),
    ("a <picture><source srcset='{}'><img src='{}' alt='b'></picture> c", "a b c"),
    ("<p align=\"center\">\n  <img src='{}' alt='b'>\n</p>\nc", "c"),
    ("[the chart]({}) shows" , "the chart shows"),
    ("![b][i] c\n\n[i]:\n  {}\n", "b c\n\n"),
    ("![b][i]\n\n[i]: {} 'title'\n", "\n"),
    ("[b][i] c\n\n[I]: <{}>\n", "b c\n\n"),
    ("![b]({})\n===\n\nc", "\nc"),
    ("![b]({})\n---\n\nc", "\nc"),
    ("## ![b]({})\n\nc", "\nc"),
    ("| a | ![b]({}) |\n|--|--|", "| a | b |\n|--|--|"),
    ("![b]({}) ![c]({})", ""),
    ("a ![b]({}) ![c]({}) d", "a b c d"),
]  # fmt: skip


@pytest.mark.parametrize("spelling", SPELLINGS + NUMBERLESS)
def test_a_lost_image_leaves_no_markup_however_it_is_spelt(spelling: str) -> None:
    for around, published in AROUND:
        if "://" in spelling and around.startswith("[the"):
            continue
        body = around.format(*[spelling] * 2)
        if " " not in spelling or ("![" in around and "<" not in around and ":" not in around):
            assert placed(body, NAMES) == published, body


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling_is_told_and_takes_its_image(spelling: str) -> None:
    body = f"a ![b]({spelling}) c"
    assert named(body) == Named(frozenset({2}), 0)
    assert placed(body, {2: "image-2.png"}).replace("./", "") == "a ![b](image-2.png) c"


@pytest.mark.parametrize("spelling", NUMBERLESS)
def test_a_place_without_a_number_is_told(spelling: str) -> None:
    assert named(f"a ![b]({spelling}) c") == Named(frozenset(), 1)


@pytest.mark.parametrize(
    ("body", "published"),
    [
        ("![b](image-placeholder-2", "![b](i.png)"),
        ("![b](image-placeholder-2\nmore", "![b](i.png)\nmore"),
        ("![b](image-placeholder-2 a title)", "![b](i.png)"),
        ("！[b]（image-placeholder-2）", "![b](i.png)"),
        ("![b\nc](image placeholder 2)", "![b\nc](i.png)"),
        ("![b](https://x.example/image-placeholder-2.png?x=1 't')", "![b](i.png 't')"),
        ("<img\n src='image-placeholder-2'\n alt='cat'>", "<img\n src='i.png'\n alt='cat'>"),
        ("<picture><source srcset='image-placeholder-2'><img src=i>", "<picture><source srcset='i.png'><img src=i>"),
        ("[i]:\n  image-placeholder-2\n", "[i]:\n  i.png\n"),
        ("image-placeholder-2", "![](i.png)"),
        ("Image Placeholder 2: a cat", "![a cat](i.png)"),
        ("see [image-placeholder-2: a cat] now", "see ![a cat](i.png) now"),
        ("![image-placeholder-2](https://x.example/a.png)", "![](i.png)"),
        ("![image-placeholder-2]", "![](i.png)"),
        ("<!-- image-placeholder-2 -->", "![](i.png)"),
        ("{{ image-placeholder-2 }}", "![](i.png)"),
        ("**image-placeholder-2**", "![](i.png)"),
        ("![b][image-placeholder-2]", "![b](i.png)"),
        ("![][image-placeholder-2]", "![](i.png)"),
        ("![b]\n(image-placeholder-2)", "![b](i.png)"),
        ("![b] (image-placeholder-2)", "![b](i.png)"),
        ("！[b](image-placeholder-2)", "![b](i.png)"),
        (r"![b]\(image-placeholder-2\)", "![b](i.png)"),
        ("![[image-placeholder-2]]", "![](i.png)"),
        ("![[image-placeholder-2.png|300]]", "![](i.png)"),
        ("![b](placeholder_image_2.png)", "![b](i.png)"),
        ("[Placeholder Image 2: b]", "![b](i.png)"),
        ('{{< figure src="image-placeholder-2" caption="b" >}}', '{{< figure src="i.png" caption="b" >}}'),
        ("{% image image-placeholder-2 %}", "{% image i.png %}"),
        ("{{< image-placeholder-2 >}}", "![](i.png)"),
        ("<div style='background: url(image-placeholder-2)'>", "<div style='background: url(i.png)'>"),
        ("[![b](image-placeholder-2)](image-placeholder-9)", "[![b](i.png)](image-placeholder-9)"),
    ],
)  # fmt: skip
def test_an_image_that_came_takes_a_place_in_broken_markdown(body: str, published: str) -> None:
    assert placed(body, {2: "i.png", 9: "image-placeholder-9"}) == published
    assert positions(body) >= {2}


@pytest.mark.parametrize(
    ("body", "published"),
    [
        ("see [image-placeholder-2], c", "see , c"),
        ("【image-placeholder-2】", ""),
        ("【图片：image-placeholder-2】", ""),
        ("[Image: image-placeholder-2]", ""),
        ("{{image-placeholder-2}}", ""),
        ("<!-- image-placeholder-2: a cat -->\nb", "b"),
        ("Image Placeholder 2\n\nb", "\nb"),
        ("![b][image-placeholder-2]\n\nc", "\nc"),
        ("![[image-placeholder-2.png|300]]\nc", "c"),
        ('{{< figure src="image-placeholder-2" caption="b" >}}\nc', "c"),
        ("a {% image image-placeholder-2 %} c", "a  c"),
        ("![b] (image-placeholder-2)\nc", "c"),
        ("![b](placeholder-image-2)\nc", "c"),
        ("*(Image placeholder 2: a cat)*\nb", "b"),
        ("see **image-placeholder-2** now", "see  now"),
        ("图image-placeholder-2图", "图图"),
        ("![b](image-placeholder-2) ![c](image-placeholder-1)", "b ![c](image-1.png)"),
        ("<img src=image-placeholder-2 alt=b><img src='image-placeholder-1'>", "<img src='image-1.png'>"),
        ("![](image-placeholder-2)\n<img src='https://x/real.png'>", "<img src='https://x/real.png'>"),
        ("[![image-placeholder-2](image-placeholder-2)](https://x)", "[](https://x)"),
    ],
)
def test_other_places_of_a_lost_image(body: str, published: str) -> None:
    assert placed(body, NAMES) == published


@pytest.mark.parametrize(
    "body",
    [
        "Use `image-placeholder-2` here",
        "``a `![a](image-placeholder-2)` b`` c",
        "two\n`lines ![a](image-placeholder-2)\nof` code",
        "> a `![a](image-placeholder-2)\n> b` c",
        "- # `image-placeholder-2`",
        "    ![a](image-placeholder-2)\n\ntext",
        "text\n\n\t![a](image-placeholder-2)\n",
        "> ```\n> ![a](image-placeholder-2)\n> ```",
        "> - ~~~\n>   image-placeholder-2\n>   ~~~",
        "- ```\n  image-placeholder-2\n  ```",
        "1. x\n\n    ```\n    image-placeholder-2\n    ```",
        "- x\n\n      image-placeholder-2\n",
        "```\nopen image-placeholder-2\n",
        "```\r\nimage-placeholder-2\r\n```\r\n",
        "a\r```\rimage-placeholder-2\r```\r",
        "<pre>\n![a](image-placeholder-2)\n\nimage-placeholder-2</pre>",
        "a <code>image-placeholder-2</code> b",
        "my-image-placeholder-2",
        "[docs](https://example.com/image-placeholder-2)",
        "see https://example.com/image-placeholder-2",
        "An image placeholder 2 pixels wide is a trick.",
        "The image placeholder is a grey box.",
        "![a grey image placeholder](box.png)",
        "<img src='box.png' alt='image placeholder 2'>",
        "## Image placeholders in CSS",
    ],
)
def test_code_and_other_words_are_left_alone(body: str) -> None:
    assert placed(body, NAMES) == body
    assert named(body) == Named(frozenset(), 0)
    assert placed(body, {2: "image-2.png"}) == body


def test_code_behind_the_parsers_window_is_code_all_the_same() -> None:
    filling = "Words that make a paragraph.\n\n" * (WINDOW_CHARS // 29)
    code = "> ```\n> image-placeholder-2\n> ```\n\nUse `image-placeholder-2` here.\n\n"
    assert placed(f"{filling}{code}![a](image-placeholder-2)\n", {}) == f"{filling}{code}"
    assert placed(f"```\n{filling}\n![a](image-placeholder-2)\n```\n", {}).count("image-placeholder-2") == 1


def test_an_escaped_backtick_is_no_code() -> None:
    assert placed(r"\`![a](image-placeholder-2)\` b", {}) == r"\`a\` b"
    assert placed(r"\\`![a](image-placeholder-2)` b", {}) == r"\\`![a](image-placeholder-2)` b"


@given(st.lists(WORDS, max_size=8))
def test_an_article_without_places_is_published_as_it_is(lines: list[str]) -> None:
    body = "\n".join(lines)
    assert placed(body, {}) == body
    kept = f"{body}\n\n```\nimage-placeholder-1\n```\n"
    assert placed(kept, {}) == kept, "so too when it has to be taken apart"


@given(WORDS, st.integers(1, 9999), WORDS)
def test_no_number_is_left(before: str, number: int, after: str) -> None:
    assert f"image-placeholder-{number}" not in placed(f"{before} ![x](image-placeholder-{number}) {after}", {})


def test_positions_are_those_outside_of_code() -> None:
    assert positions("![a](image-placeholder-3)\n```\nimage-placeholder-4\n```\nimage-placeholder-12") == {3, 12}
