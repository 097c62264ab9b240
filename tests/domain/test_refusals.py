"""Answers that begin like a refusal, or have another form than an article, wait for a person; others do not."""

import pytest

from contenthubd.domain.wrapping import unwrap

WORDS = "Words that make a paragraph of some length, again and again.\n\n"

REFUSALS = """
I'm sorry, but I can't write that article.
I am sorry, I cannot assist with that request.
Sorry, but I'm unable to help with this.
I’m sorry, but I can’t help with that.
I'm afraid I cannot provide this content.
I apologize, but I cannot create content about that topic.
Unfortunately, I am not able to write about real people.
I can't write about that.
I cannot help with this.
I won't be able to assist with that
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
