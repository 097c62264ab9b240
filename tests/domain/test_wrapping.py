"""What stands around an article is taken off where that is certain, and told where it is not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contenthubd.domain.wrapping import unwrap

WORDS = "Words that make a paragraph of some length, again and again.\n\n"
ARTICLE = "# Real title\n\n" + WORDS * 3
CODE = "```python\nprint(1)\n```\n\n"

WRAPPED = {
    "fence": f"```markdown\n{ARTICLE}```\n",
    "md": f"```md\n{ARTICLE}```",
    "bare fence": f"```\n{ARTICLE}```\n\n",
    "tildes": f"~~~\n{ARTICLE}~~~",
    "four backticks": f"````markdown\n{ARTICLE}````",
    "windows": f"```markdown\r\n{ARTICLE}```\r\n",
    "byte order mark": f"\ufeff\n\n```markdown\n{ARTICLE}```",
    "introduced": f"Sure, here is the article:\n\n{ARTICLE}",
    "introduced at once": f"Here's the article you requested:\n{ARTICLE}",
    "introduced, ruled": f"Certainly! Below is the blog post.\n\n---\n\n{ARTICLE}",
    "introduced in bold": f"**Sure! Here's your article:**\n\n{ARTICLE}",
    "introduced in Chinese": f"好的，以下是为您撰写的文章：\n\n{ARTICLE}",
    "introduced in Chinese, short": f"以下是文章正文：\n\n{ARTICLE}",
    "introduced and fenced": f"Of course! Here is the piece:\n\n```markdown\n{ARTICLE}```",
    "fenced with an offer": f"```markdown\n{ARTICLE}```\n\nLet me know if you would like any changes!",
    "all at once": f"好的！以下是文章：\n\n```markdown\n---\ntitle: x\n---\n{ARTICLE}```\n\n"
    "希望这篇文章对您有帮助。如需修改，请告诉我。",
    "offered": f"{ARTICLE}---\n\nLet me know if you'd like me to adjust the tone.",
    "offered in Chinese": f"{ARTICLE}如需调整或修改，请随时告诉我。",
    "yaml": f"---\ntitle: Own: front [matter\ntags: [a]\nmore:\n  - x\n# comment\n---\n\n{ARTICLE}",
    "yaml with dots": f"---\ntitle: x\n...\n{ARTICLE}",
    "toml": f'+++\ntitle = "x"\n[params]\na = 1\n+++\n{ARTICLE}',
    "json": f'{{\n  "title": "x",\n  "tags": []\n}}\n\n{ARTICLE}',
    "reasoning": f"<think>\nThey want # an article\n</think>\n\n{ARTICLE}",
    "element": f"<article>\n{ARTICLE}</article>\n",
}


@pytest.mark.parametrize("name", WRAPPED)
def test_a_wrapped_article_is_unwrapped(name: str) -> None:
    seen = unwrap(WRAPPED[name])
    assert seen.text.strip() == ARTICLE.strip()
    assert seen.removed
    assert not seen.doubts


def test_code_inside_a_wrapped_article_stays() -> None:
    inside = f"# Title\n\n{WORDS}{CODE}{WORDS}{CODE}"
    assert unwrap(f"```markdown\n{inside}```").text.strip() == inside.strip()


def test_the_title_of_own_front_matter_is_told() -> None:
    assert unwrap(f'---\ntitle: "Own: \\"one\\""\n---\n\n{WORDS}').front_title == 'Own: "one"'
    assert unwrap(f"+++\ntitle = 'Own'\n+++\n{WORDS}").front_title == "Own"
    assert unwrap(f'{{"title": "Own"}}\n\n{WORDS}').front_title == "Own"


DOUBTFUL = {
    "closers that may be inner": f"```markdown\n{ARTICLE}```\nx\n```\n\n{WORDS}```",
    "a fence without end": f"```markdown\n{ARTICLE}",
    "text around": f"An article about Markdown.\n\n```markdown\n{ARTICLE}```\n\nThat was it.",
    "nothing but code": "```python\nprint(1)\n```",
    "a fence without heading": f"```\n{WORDS}```",
    "introduced without heading": f"Sure, here is the article:\n\n{WORDS}",
    "in Chinese without heading": f"好的，以下是为您撰写的文章：\n\n{WORDS}",
    "unknown fields": f"---\nNote: hello\n---\n\n{WORDS}",
    "fields without end": f"---\ntitle: x\ntags: y\n\n{ARTICLE}",
    "all JSON": '{"title": "x", "content": "# Title"}',
    "broken JSON": '{"title": "x", "content": "# Ti',
    "deep JSON": '{"a":' * 5_000,
    "reasoning without end": f"<think>\n{ARTICLE}",
}


@pytest.mark.parametrize("name", DOUBTFUL)
def test_what_is_only_likely_is_told(name: str) -> None:
    [*doubts] = unwrap(DOUBTFUL[name]).doubts
    assert doubts
    assert all(doubt.endswith(".") for doubt in doubts)


PLAIN = {
    "article": ARTICLE,
    "rule first": f"---\n\n{ARTICLE}",
    "rules": f"# T\n\n---\nnot: front matter\n---\n\n{WORDS}",
    "code first": f"```js\nx\n```\n\n{WORDS}```js\ny\n```",
    "code last": f"{ARTICLE}{CODE}",
    "sample": f"{ARTICLE}```markdown\n# Sample\n```\n\n{WORDS}",
    "great": f"Great bread needs time. This article tells how.\n\n{ARTICLE}",
    "chinese": f"好的面包需要时间，这篇文章告诉你为什么。\n\n{ARTICLE}",
    "recipe": f"{ARTICLE}Feel free to adjust the spices to taste.",
    "comments": f"{ARTICLE}Let me know in the comments what you think!",
    "hope": f"{ARTICLE}希望这篇文章对你有帮助。",
    "questions": f"{ARTICLE}If you have any questions, feel free to leave a comment.",
    "brace": f"{{braces}} stand first.\n\n{WORDS}",
    "here": f"Bread: here is why.\n\n{ARTICLE}",
    "list": f"以下是十种面包：\n\n- 一\n- 二\n\n{WORDS}",
    "inline backticks": f"```code``` in a line\n\n{WORDS}",
}


@pytest.mark.parametrize("name", PLAIN)
def test_an_article_like_any_other_is_left_alone(name: str) -> None:
    seen = unwrap(PLAIN[name])
    assert (seen.text, seen.removed, seen.doubts) == (PLAIN[name], (), ())


@given(
    st.lists(
        st.sampled_from(["```", "```md", "~~~", "---", "+++", "# T", "title: x", "{", "}", "", "Sure:", "text"]),
        max_size=14,
    )
)
def test_what_is_taken_off_stands_at_the_ends(lines: list[str]) -> None:
    text = "\n".join(lines)
    assert unwrap(text).text.strip() in text
