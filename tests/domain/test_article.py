"""The mark goes out exactly, and the title is found."""

import time
import unicodedata
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contenthubd.domain.article import MAX_IMAGES, MAX_TITLE_CHARS, UNTITLED, Article, read_article, without_mark
from contenthubd.domain.attempt import mark_of

MARK = mark_of(UUID("0190a000-0000-7000-8000-0123456789ab"), 1)
OTHER = mark_of(UUID("0190a000-0000-7000-8000-0123456789ab"), 2)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("\n\r []#"))


def read(text: str, topic: str = "topic", images: int = 0) -> Article:
    return read_article(text, MARK, topic, images)


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


def test_the_marks_of_the_tasks_other_attempts_go_too() -> None:
    assert without_mark(f"a\n{OTHER}\n{MARK}\nb", MARK) == ("a\nb", True)
    assert without_mark(f"a\n{OTHER}\nb", MARK) == ("a\nb", True)


def test_the_mark_of_another_task_stays() -> None:
    article = f"a\n{mark_of(UUID(int=1 << 20), 1)}\nb"
    assert without_mark(article, MARK) == (article, False)


@pytest.mark.parametrize(
    ("article", "title"),
    [
        ("# 面包\n\n正文", "面包"),
        ("intro\n\n#  Ten Breads  ##  \n", "Ten Breads"),
        ("## Not this\n# This\n# Nor this", "This"),
        ("# Windows\r\ntext", "Windows"),
        ("text\r\r# Old Mac\rtext", "Old Mac"),
        ("```sh\n# a comment\n```\n# Title", "Title"),
        ("x\n\n~~~\n# a comment\n~~~\n# Title", "Title"),
        ("x\n\n    # indented code\n\n# Title", "Title"),
        ("<!--\n# hidden\n-->\n# Title", "Title"),
        ("> # quoted\n\n# Title", "Title"),
        ("- # in a list\n\n# Title", "Title"),
        ("#NoSpace\n", "topic"),
        ("#   \ntext", "topic"),
        ("#   \n# Second", "Second"),
        ("# \u200b\u3164\n# Second", "Second"),
        ("# ![](a.png)\n# Second", "Second"),
        ("no heading", "topic"),
        ("text\n\n## Second level only", "topic"),
        ("# C# and F#", "C# and F#"),
        ("# Getting started with C#", "Getting started with C#"),
        ("# C #", "C"),
        ("#\tTab", "Tab"),
        ("   # Three spaces", "Three spaces"),
        ("Setext\n===", "Setext"),
        ("Two\nlines\n=====\n", "Two lines"),
        ("\ufeff# BOM", "BOM"),
        ("text\n\ufeff# BOM later", "BOM later"),
        ("# A **bold** *word*, `code` and [link](http://a.b/c)", "A bold word, code and link"),
        ("# [ref][r] and ![a picture](x.png)\n\n[r]: http://a.b", "ref and a picture"),
        ("# Salt &amp; Pepper &#x4f60; &nope;", "Salt & Pepper 你 &nope;"),
        (r"# 5 \* 3 \# \_x\_", "5 * 3 # _x_"),
        ("# <b>Bold</b> and<br>break", "Bold and break"),
        ("# <script>alert(1)</script>", "alert(1)"),
        ("# a\u202eb\u2066c\x07d\x9be", "abcde"),
        ("# a\u2028b\x85c\u3000d", "a b c d"),
        ("# 1 < 2 > 0", "1 < 2 > 0"),
        ("# image-placeholder-2", "topic"),
        ("# Image Placeholder 2\n# Second", "Second"),
        ("# [IMAGE_PLACEHOLDER_2]\n# Second", "Second"),
        ("image-placeholder-2\n===\n\n# Second", "Second"),
        ("# ![](image-placeholder-2)\n# Second", "Second"),
        ("# ![Tea](image-placeholder-2)", "Tea"),
        ("# Tea image-placeholder-2", "Tea"),
        ("# The name `image-placeholder-2`", "The name image-placeholder-2"),
        ("# Image placeholders in CSS", "Image placeholders in CSS"),
        ("<h1>Of HTML</h1>", "Of HTML"),
        ('<h1 align="center">\n  Of <em>HTML</em> &amp; more\n</h1>', "Of HTML & more"),
        ('<div align="center">\n<H1>Deep</H1>\n</div>', "Deep"),
        ("<h1>First</h1>\n\ntext\n\n# Second", "First"),
        ("<h1></h1>\n\n# Second", "Second"),
        ("<!-- <h1>hidden</h1> -->\n\n# Second", "Second"),
        ("```html\n<h1>code</h1>\n```\n\n# Second", "Second"),
        ("> <h1>quoted</h1>\n\n# Second", "Second"),
        ("<h1>never closed\n\n# Second", "Second"),
        ("# With a note[^1]\n\n[^1]: the note", "With a note"),
        ("# With a note [^tea-1]", "With a note"),
        ("# Match [^a-z] and `[^1]`", "Match [^a-z] and [^1]"),
        ("# ~~Old~~ New", "Old New"),
        ("# Named {#custom-id .wide}", "Named"),
        ("# Named {: #custom-id}", "Named"),
        ("# A {set} of {x}", "A {set} of {x}"),
        ("![](data:image/png;base64," + "A" * 100_000 + ")\n\n# Below a picture", "Below a picture"),
    ],
)
def test_titles(article: str, title: str) -> None:
    assert read(article + "\n\ntext", " topic ").title == title


@given(TEXTS, TEXTS)
def test_a_title_is_one_visible_line_neither_empty_nor_endless(article: str, topic: str) -> None:
    title = read(f"text {article}", topic).title
    assert 1 <= len(title) <= MAX_TITLE_CHARS
    assert title == " ".join(title.split())
    assert not any(unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") for char in title)
    assert not set(title) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\ufeff\u200b")


def test_a_topic_that_shows_nothing_is_no_title() -> None:
    assert read("text", "\u200b\u3164").title == UNTITLED


@pytest.mark.parametrize("cluster", ["长", "👨‍👩‍👧‍👦", "🇨🇳", "e\u0301", "👍🏽", "\u1112\u1161\u11ab", "❤️", "क्ष"])
def test_a_long_title_is_cut_between_what_a_reader_counts_as_characters(cluster: str) -> None:
    for shift in range(len(cluster)):
        title = read("# " + "x" * shift + cluster * 200).title
        assert MAX_TITLE_CHARS - 2 * len(cluster) < len(title) <= MAX_TITLE_CHARS
        assert title[shift:].replace(cluster, "") == ""


def test_a_title_of_one_endless_character_is_cut_all_the_same() -> None:
    assert len(read("# e" + "\u0301" * 900).title) == MAX_TITLE_CHARS


@pytest.mark.parametrize(
    "article",
    [
        "",
        " \n\t",
        "\0",
        "\u200b\u200d\ufeff",
        "\u3164" * 9,
        "\u115f\u1160\uffa0",
        "\u2800",
        "\ufe0f\U000e0100",
        "\u0301\u0489",
        "\u202e\u202c",
        "\u00ad\u2060\u061c",
        "\U000e0041\U000e0042",
        "\ufffd\ufffc",
        "#",
        "# \n\n## ",
        "---",
        "***\n\n---",
        "![]()",
        "![](https://x.y/a.png)",
        "[](http://a.b)",
        "```\n```",
        "~~~python\n\n~~~",
        "<!-- nothing -->",
        "<!-- never closed",
        "<div></div>\n\n<p>\u200b</p>",
        "&nbsp;&#8203;",
        "[a]: http://b.c",
        "> \n> ",
        "- \n- ",
        "`\u200b`",
        "| | |\n|---|---|",
        "...",
        "。。。",
        "```markdown\n\u200b\n```",
        "---\ntitle: x\n---\n",
        "<img src=x>",
        "\ud800\udc00",
        "\ud83d",
    ],
)
def test_an_article_of_which_nothing_shows_is_none(article: str) -> None:
    assert read(article).body == ""
    assert read(f"{MARK}\n{article}\n{MARK}").body == ""


@pytest.mark.parametrize(
    "article", ["a", "7", "好", "🍞", "\u200ba", "<p>x</p>", "![seen](x)", "```\ncode\n```", "\u200b" * 40_000 + "x"]
)
def test_an_article_of_which_something_shows_is_one(article: str) -> None:
    assert read(article).body


@pytest.mark.parametrize(
    ("text", "images", "missing"),
    [
        ("![a](image-placeholder-1) ![b](image-placeholder-3) ![c](image-placeholder-2)", 1, (2, 3)),
        ("![a](image-placeholder-0) ![b](image-placeholder-1) c", 1, (2,)),
        ("![a](image-placeholder-0) ![b](image-placeholder-4) ![c](image-placeholder) d", 2, (4, 5, 6)),
        ("image-placeholder-99999999999 a", 0, (1,)),
        ("a ![b](image placeholder 2)", 0, (2,)),
        ("[![a](image-placeholder-2)](image-placeholder-3)", 0, (2, 3)),
        ("Use `image-placeholder-7`.\n\n> ```\n> image-placeholder-8\n> ```", 0, ()),
        ("a " + "![](image-placeholder-0) " * 300, 0, tuple(range(1, MAX_IMAGES + 1))),
        ("a ![](image-placeholder-9999)" + "![](image-placeholder-0) " * 3, 0, (9999, 10000, 10001, 10002)),
    ],
)
def test_images_that_are_named_and_did_not_come_are_told(text: str, images: int, missing: tuple[int, ...]) -> None:
    assert read(text, images=images).missing_images == missing


# --------------------------------------------------------------------------- what is done is done in linear time

MILLION = 1_000_000
HOSTILE = {
    "spaces": "# a" + " " * MILLION + "b",
    "tabs": "# a" + "\t" * MILLION + "b",
    "brackets": "# [",
    "backticks": "`",
    "stars": "# *_[",
    "fences": "```\n",
    "tildes": "~~~\n",
    "languages": "```a\n",
    "quotes": "> ",
    "lists": "- ",
    "items": "- a\n\n",
    "comments": "<!--",
    "tags": "<",
    "scripts": "<script ",
    "lines": "\n",
    "blank lines": " \n",
    "returns": "\r",
    "fields": "title: a\n",
    "yaml": "---\n" + "a: [[\n" * (MILLION // 6),
    "toml": "+++\n" + "title = [[[\n" * (MILLION // 11),
    "json": '{"a":',
    "objects": "{\n",
    "remarks": "Sure, here is the article ",
    "offers": "text\n\n" + "let me know about changes " * (MILLION // 26),
    "invisible": "\u200b",
    "fillers": "\u3164",
    "marks": "\u0301",
    "rules": "---\n",
    "pictures": "![]()\n\n",
    "placeholders": "![a](image-placeholder-3) ",
    "definitions": "[a]: b '" + "x\n" * (MILLION // 2),
    "underline": "a\n" * (MILLION // 2) + "\n===",
    "flags": "# \U0001f1e6",
    "families": "# \U0001f468\u200d",
    "entities": "# &amp;",
    "thoughts": "<think>",
    "zero": "\0",
    "halves": "\ud800",
    "byte order": "\ufeff\n",
    "marked": MARK + "\n",
    "control": "<|a|>",
    "thoughts that end": "x</think>\n",
    "first headings": "<h1>",
    "labels": "title: a\n\n",
    "notes": "# [^1]",
    "digits": "image-placeholder-" + "9" * MILLION,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_million_is_read_in_no_time(name: str) -> None:
    """By the processor's time of this thread: what others do on the machine does not count."""
    text = (HOSTILE[name] * MILLION)[:MILLION] if len(HOSTILE[name]) < 1_000 else HOSTILE[name]
    begun = time.thread_time()
    read(text)
    assert time.thread_time() - begun < 2


def test_five_million_characters_are_an_article_like_any_other() -> None:
    text = "# Long\n\n" + "Words that make a paragraph.\n\n" * 170_000
    assert (read(text).title, read(text).body) == ("Long", text)


@given(st.text(st.characters() | st.sampled_from("#`~-+{}[]()!<>&\\*_=:\"'\n\r\t \ufeff\ud800")), st.text())
def test_any_text_is_read_without_a_fault(text: str, topic: str) -> None:
    read(text, topic)
