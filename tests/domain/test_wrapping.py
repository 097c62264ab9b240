"""What stands around an article is taken off where that is certain, and told where it is not."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contenthubd.domain.wrapping import unwrap

WORDS = "Words that make a paragraph of some length, again and again.\n\n"
ARTICLE = "# Real title\n\n" + WORDS * 3
CODE = "```python\nprint(1)\n```\n\n"

CLOSINGS = """
Let me know if you need anything else.
Let me know if you have any questions!
I hope this article meets your needs!
Feel free to ask if you want changes.
Word count: 1,512
**字数：1200字**
（全文约800字）
希望这篇文章对您有帮助
希望本文符合您的要求。
以上是根据您的要求撰写的文章，希望能够满足您的需求。
以上就是为您撰写的文章，如需调整请告知。
如果您需要进一步修改，请告诉我！
""".strip().split("\n")

LANGUAGES = ["Markdown", "gfm", "text/markdown", "html+markdown", "{.markdown}", "markdown{.x}", "article.md", "qmd"]
ANNOUNCED = """
Hier ist der Artikel:
Bien sûr ! Voici l'article :
¡Claro! Aquí está el artículo:
Конечно! Вот статья:
はい、以下が記事です：
네, 다음은 기사입니다:
Great question! Here is the article:
Assistant: Sure, here is the article:
Answer:
文章如下：
您好！以下是您需要的文章：
""".strip().split("\n")
GOING_ON = """
[Continued in next message]
Reply "continue" and I will go on.
由于篇幅限制，请回复“继续”查看后文。
Lass mich wissen, wenn du Änderungen möchtest!
Faites-moi savoir si vous souhaitez des modifications.
¡Avísame si deseas cambios!
修正が必要な場合はお知らせください。
수정이 필요하시면 알려주세요.
""".strip().split("\n")

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
    "labelled": f"Final article:\n\n{ARTICLE}",
    "labelled in Chinese": f"**正文：**\n\n{ARTICLE}",
    "division": f"<div>\n\n{ARTICLE}</div>\n",
    "division with a class": f'<div class="post">\n{ARTICLE}</div>',
    "introduced and quoted": "Here is the article:\n\n" + "".join(f"> {one}\n" for one in ARTICLE.strip().split("\n")),
    "introduced and indented": "以下是文章：\n\n" + "".join(f"    {one}\n" for one in ARTICLE.strip().split("\n")),
    "in JSON": json.dumps({"title": "x", "content": ARTICLE}),
    "in Chinese JSON": json.dumps({"标题": "x", "正文": ARTICLE, "标签": ["a"]}, ensure_ascii=False, indent=2),
    "in JSON with raw line breaks": '{"article": "' + ARTICLE + '"}',
    "in fenced JSON": "```json\n" + json.dumps({"body": ARTICLE}) + "\n```",
    "in introduced JSON": "Sure, here is the article:\n\n" + json.dumps({"markdown": ARTICLE}),
    **{f"a fence of {one}": f"```{one}\n{ARTICLE}```\n" for one in LANGUAGES},
    "fields without lines": f"title: x\ndate: 2024-01-01\ntags: [a]\n\n{ARTICLE}",
    "fields in Chinese": f"标题：x\n关键词：a，b\n\n{ARTICLE}",
    "fields in bold": f"**Title:** x\n**Meta description:** y\n\n{ARTICLE}",
    "yaml in Chinese": f"---\n标题：面包\n标签：面包，水\n---\n\n{ARTICLE}",
    "yaml between longer lines": f"-----\ntitle: x\n-----\n{ARTICLE}",
    "JSON in a fence of its own": f'```json\n{{"title": "x"}}\n```\n\n{ARTICLE}',
    "agreed twice": f"好的，没问题！\n\n{ARTICLE}",
    "agreed and glad": f"Absolutely! I'd be happy to write that.\n\n{ARTICLE}",
    "reasoning that was opened elsewhere": f"They want <b>tea</b>.\n</think>\n\n{ARTICLE}",
    "analysis": f"<analysis>plan</analysis>\n\n{ARTICLE}",
    "control tokens": f"<|im_start|>assistant\n{ARTICLE}<|im_end|>",
    "other control tokens": f"<\uff5cbegin\u2581of\u2581sentence\uff5c>{ARTICLE}<|eot_id|><|endoftext|>\n",
    "the end of a sequence": f"{ARTICLE}</s>",
    "three quotation marks": f'"""\n{ARTICLE}"""\n',
    "quotation marks": f'"{ARTICLE.strip()}"',
    "Chinese quotation marks": f"“{ARTICLE.strip()}”",
    **{f"closed by {closing}": f"{ARTICLE}{closing}" for closing in CLOSINGS},
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
    "JSON with two articles": '{"content": "# Title", "body": "# Other"}',
    "JSON with other fields": '{"content": "# Title", "score": 3}',
    "JSON without an article": '{"title": "x", "tags": []}',
    "fenced JSON that is broken": '```json\n{"content": "# Ti\n```',
    "broken JSON": '{"title": "x", "content": "# Ti',
    "deep JSON": '{"a":' * 5_000,
    **{f"announced by {one}": f"{one}\n\n{ARTICLE}" for one in ANNOUNCED},
    **{f"announced and ruled by {one}": f"{one}\n\n---\n\n{ARTICLE}" for one in ANNOUNCED},
    **{f"going on with {one}": f"{ARTICLE}{one}\n" for one in GOING_ON},
    "one field": f"Meta description: A good one.\n\n{ARTICLE}",
    "a title in words": f"标题：面包\n\n{WORDS}",
    "a fence that is cut off": f"{ARTICLE}```python\nprint(",
    "an error": "Error: 429 Too Many Requests",
    "an error of a server": "502 Bad Gateway\n",
    "an error in Chinese": "请求失败，请稍后再试。",
    "a short refusal": "# Sorry\n\nI can't write about that.\n",
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
    "written breaks in code": f'{ARTICLE}Print `a\\n\\nb`:\n\n```c\nputs("a\\n\\nb\\n\\n");\n```\n\nThat was it.\n',
    "formulas": f"{ARTICLE}The sign $\\nabla$ and $\\nu$ and C:\\new\\notes.\n",
    "two divisions": f"<div>\na\n</div>\n\n{ARTICLE}<div>\nb\n</div>",
    "label in a sentence": f"Final article: the last one of this series.\n\n{ARTICLE}",
    "reasoning in code": f"Models write `</think>`:\n\n```\nplan\n</think>\n```\n\n{ARTICLE}",
    "struck out": f"{ARTICLE}<s>old</s>",
    "tokens in code": f"{ARTICLE}The token `<|im_end|>` ends it.\n",
    "byline": f"By: Jane\nDate: May\n\n{ARTICLE}",
    "label and text": f"Description: the wolf is a big dog that walks alone.\n\n{WORDS}",
    "colon before a section": f"Three things matter:\n\n## One\n\n{WORDS}",
    "errors": f"# Error: a history\n\n{WORDS}",
    "quoted beginning": f'"Tea," she said.\n\n{ARTICLE}He said "no"',
    "fences in lists": f"{ARTICLE}- ```\n  x\n  ```\n\n> ~~~\n> y\n> ~~~\n",
    "a sentence about a token": f"<|x|> marks the end of a turn.\n\n{WORDS}",
    "a sentence about another": f"[INST] opens an instruction.\n\n{WORDS}",
    "agreement in a sentence": f"Okay, sure, bread is easy.\n\n{ARTICLE}",
    "debugger": f"{ARTICLE}Type continue to run to the next line.\n",
    "French comments": f"{ARTICLE}Dites-moi si vous avez essayé cette recette !\n",
    "German comments": f"{ARTICLE}Lass mich wissen, wie es schmeckt!\n",
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
