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
    "quoted": "".join(f"> {line}\n" for line in ARTICLE.strip().split("\n")),
    "quoted, nothing behind": "".join(f">{line}\n" for line in ARTICLE.strip().split("\n")),
    "indented": "".join(f"    {line}\n" if line else "\n" for line in ARTICLE.strip().split("\n")),
    "indented by a tab": "".join(f"\t{line}\n" if line else "\n" for line in ARTICLE.strip().split("\n")),
    "agreed": f"Sure!\n\n{ARTICLE}",
    "agreed in Chinese": f"当然可以！\n\n{ARTICLE}",
    "fenced and ruled": f"```markdown\n{ARTICLE}```\n\n---\n",
    "fenced, ruled, offered": f"```markdown\n{ARTICLE}```\n\n---\n\nLet me know if you would like any changes!",
    "yaml in a fence": f"```yaml\n---\ntitle: x\ntags: [a]\n---\n```\n\n{ARTICLE}",
    "bare yaml in a fence": f"```yaml\ntitle: x\ntags: [a]\n```\n\n{ARTICLE}",
    "toml in a fence": f'```toml\ntitle = "x"\n```\n\n{ARTICLE}',
    "yaml after a blank line": f"---\n\ntitle: x\n\ntags: [a]\n---\n{ARTICLE}",
    "toml after a blank line": f'+++\n\ntitle = "x"\n+++\n{ARTICLE}',
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


REFUSALS = """
I'm sorry, but I can't write that article.
I am sorry, I cannot assist with that request.
Sorry, but I'm unable to help with this.
I’m sorry, but I can’t help with that.
I'm afraid I cannot provide this content.
I apologize, but I cannot create content about that topic.
Unfortunately, I am not able to write about real people.
I cannot fulfill this request.
I can't help with that request.
I am unable to generate the article you asked for.
I'm unable to write about this.
As an AI language model, I do not have opinions.
As a language model I cannot browse the web.
很抱歉，我无法撰写这篇文章。
抱歉，这个话题我不能讨论。
对不起，我没办法提供相关内容。
非常抱歉，根据相关规定无法生成该内容。
我无法为您撰写该主题的文章。
我不能提供此类内容。
作为一个人工智能语言模型，我没有个人观点。
作为AI，我无法访问互联网。
""".strip().split("\n")
ORDINARY = """
Sorry is the hardest word, and that is why we practise it.
I can't remember a summer without my grandmother's kitchen.
I cannot recommend this book enough.
Unfortunately, most gardens are too dry in August.
We are sorry to see the old station go, but the new one is better.
I am often asked how to brew tea.
Sure signs of spring are everywhere.
Okay, so you bought a sourdough starter.
Great teams talk to each other.
As an aircraft engineer, my father loved kites.
Help your houseplants through the winter.
Of course cats sleep more than dogs.
Write every day, and you will improve.
Here is a simple rule for budgets: spend less.
Below sea level, the city keeps its feet dry.
抱歉的艺术，在于真诚。
对不起这三个字，为什么这么难说出口？
很多人无法坚持早起，原因在于睡眠不足。
我不能想象没有茶的生活。
我无法忘记那个夏天的味道。
作为一座古城，西安的城墙保存完好。
作为父母，我们常常焦虑。
好的习惯从早晨开始。
当然，最重要的是安全。
可以说，咖啡改变了城市。
以下三点值得注意。
下面我们来看看具体的做法。
希望每个人都能找到自己的节奏。
如果你想学游泳，先学会放松。
没有人能拒绝一碗热汤。
“我不能走。”她说。
[A link](https://example.com) can begin an article.
> A single quoted line.
<ruby>漢<rt>kan</rt></ruby> is a reading aid.
Use \\n to break a line in C.
2024 was the warmest year.
1. First, preheat the oven.
- Lists can begin an article.
**Bold** beginnings catch the eye.
`git rebase` is not as scary as it looks.
""".strip().split("\n")


@pytest.mark.parametrize("opening", REFUSALS)
@pytest.mark.parametrize("around", ["{}", "{}\n\n" + WORDS, "# {}\n\n" + WORDS, "**{}**", "> {}"])
def test_a_refusal_waits_for_a_person(opening: str, around: str) -> None:
    assert any("refusal" in doubt or "answer to a request" in doubt for doubt in unwrap(around.format(opening)).doubts)


@pytest.mark.parametrize("opening", ORDINARY)
@pytest.mark.parametrize("around", ["{}\n\n" + WORDS, "# Title\n\n{}\n\n" + WORDS])
def test_an_ordinary_beginning_is_left_alone(opening: str, around: str) -> None:
    article = around.format(opening)
    seen = unwrap(article)
    assert (seen.text, seen.removed, seen.doubts) == (article, (), ())


@pytest.mark.parametrize(
    ("article", "doubt"),
    [
        ("<!DOCTYPE html>\n<html><body><h1>T</h1></body></html>", "HTML"),
        ("<html>\n<p>x</p>\n</html>", "HTML"),
        ('["# Title", "text"]', "JSON array"),
        ('[\n  {"title": "x"}\n]', "JSON array"),
        ("# Title\\n\\nText\\n\\nMore", "line breaks"),
    ],
)
def test_another_form_waits_for_a_person(article: str, doubt: str) -> None:
    assert any(doubt in told for told in unwrap(article).doubts)
