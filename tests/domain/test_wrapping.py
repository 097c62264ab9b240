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
I'm sorry, I can't help with that.
I’m sorry, but I cannot write this article.
很抱歉，我无法完成这个请求。
As an AI language model, I cannot produce this.
抱歉，我不能撰写该内容。
Unfortunately, I am unable to write about this topic.
I cannot fulfill this request.
对不起，作为一个人工智能助手，我无法提供该内容。
I won't be able to help with that request.
作为AI语言模型，我不能写这篇文章。
I apologize, but I can't assist with that.
Sorry, I can't comply with this request.
非常抱歉，根据相关规定，该话题我无法为您创作。
无法回答该问题，我们换个话题吧。
你好，这个问题我暂时无法回答，让我们换个话题再聊聊吧。
I cannot write an article about that topic.
I can’t assist with creating content that promotes violence.
I must decline to write this article.
很抱歉，我無法撰寫這篇文章。
抱歉，我無法協助處理這個請求。
申し訳ございませんが、そのリクエストにはお応えできません。
申し訳ありませんが、この記事を書くことはできません。
Es tut mir leid, aber ich kann diesen Artikel nicht schreiben.
Tut mir leid, dabei kann ich nicht helfen.
Je suis désolé, mais je ne peux pas vous aider avec cette demande.
Désolé, je ne peux pas rédiger cet article.
Lo siento, no puedo ayudar con eso.
Lo siento, pero no puedo escribir este artículo.
죄송합니다. 해당 요청을 도와드릴 수 없습니다.
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
I'm afraid you can't skip breakfast forever.
Sorry, you can't buy happiness, but you can buy tea.
Unfortunately, as a beginner I can't tell the two apart.
As an AI engineer, I write tests first.
As an AI engineer, I can't sleep before a release.
As an AI researcher I don't trust benchmarks.
As an AI assistant, Siri was the first that many people met.
As a language teacher, I cannot stress this enough.
Sorry seems to be the word nobody can’t say.
I can't write a letter without tea.
I can't write a post without three cups of coffee.
I can't help but smile when the first snow falls.
I can't help it: I love trains.
I'm sorry, but I can't help laughing at this old film.
Sorry, I can't wait to show you this recipe.
I cannot provide for a family on kindness, my father used to say.
I cannot complete a marathon, but I can walk one.
I won't write off paper notebooks yet.
We cannot help every stray cat, but we can start with one.
I am unable to resist a second-hand bookshop.
Unfortunately, I cannot cook.
My apologies to every gardener who hates mint.
I apologize to my knees before each run.
Certainly, tea is older than coffee.
Sure footing matters on wet rock.
Absolutely nothing prepares you for the first night shift.
Regrettably, the museum cannot show all its treasures.
No one can help you with this knot but yourself.
[[wiki links]] begin here
["quoted" names] begin here
[link](https://example.com) and more
[^1] stands for a footnote.
[ ] Buy flour
[1] The first source is the best.
{{< figure >}} is a shortcode.
As requested by many readers, we look at knives again.
Final call: the last steam train leaves on Sunday.
Article 5 of the treaty is short.
Tut mir leid, ich kann nicht tanzen.
Leider kann ich kein Klavier spielen.
Lo siento, no puedo dejar de bailar.
Désolé, je ne peux pas danser ce soir, dit-il.
很抱歉，今天的列车无法按时到达——这句话我们听过太多次。
遗憾的是，我们无法改变过去。
遗憾的是，科学家至今无法回答这个问题。
对不起，我不能再等你了。
对不起，我爱你。
作为人工智能研究者，她每天写代码。
作为AI时代的父母，我们该怎么办？
作为人工智能的重要分支，机器学习发展很快。
我们不能帮孩子写作业。
我们无法为孩子挡住所有风雨。
我无法完成马拉松，但我走完了它。
我无法回答这个问题，直到遇见他。
我不能写一首没有你的歌。
抱歉，咖啡并不能解渴。
不好意思，这杯茶我请。
好的，我们开始吧——教练每天都这样说。
当然可以！孩子的回答总是这么干脆。
没有人无法被替代，这句话对吗？
正文之前，先讲一个故事。
根据世界卫生组织的数据，睡眠不足很普遍。
以下是我家的早餐：粥、鸡蛋、咸菜。
申し訳ないが、この店には勝てない。
無法忘記的一天，從一杯奶茶開始。
希望是一种力量。
作为语言老师，我不能不谈发音。
您好，秋天！
""".strip().split("\n")


@pytest.mark.parametrize("opening", REFUSALS)
@pytest.mark.parametrize(
    "around", ["{}", "{}\n\n" + WORDS, "# {}\n\n" + WORDS, "**{}**", "> {}", "# Sorry\n\n{}", "**抱歉**\n\n{}"]
)
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
        ("# Title\n\nText\\n\\nMore\\n\\n## Part\\n\\nEnd\n", "line breaks"),
        ("# Title\n\nOne\\n- two\\n- three", "line breaks"),
    ],
)
def test_another_form_waits_for_a_person(article: str, doubt: str) -> None:
    assert any(doubt in told for told in unwrap(article).doubts)
