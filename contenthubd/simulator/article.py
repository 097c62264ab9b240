"""Writes an article about a topic: Markdown, Chinese or English by the topic, of the asked length, the same every time.

Lengths count UTF-16 units, as the original does. What the original checks holds here by construction: a level-one
heading, an opening, sections, an ending, every keyword literally.
"""

LONG_BYTES = 80_000
CHINESE = {
    "opening": "谈到“{topic}”，人们关心的往往不是概念，而是它怎样落到每天的工作里。本文从现状、做法和风险说起。",
    "keywords": "文中会谈到{keywords}。",
    "ending": "## 结语\n\n综上所述，“{topic}”值得投入，但要小步前进、随时核对。先做一件小事，做完再谈下一件。",
}
ENGLISH = {
    "opening": "Most people who ask about {topic} do not want a definition. They ask what changes on Monday.",
    "keywords": "This article covers {keywords}.",
    "ending": "## Conclusion\n\nIn short, {topic} rewards small steps, checked often. Start with one today.",
}
CHINESE_HEADINGS = ("现状与背景", "核心问题", "可行的做法", "案例分析", "风险与边界", "下一步")
ENGLISH_HEADINGS = (
    "Where things stand",
    "The real question",
    "What works",
    "A short case",
    "Limits",
    "What comes next",
)
CHINESE_SENTENCES = (
    "过去几年里，相关的工具和方法都在变化，但真正起作用的仍是少数几条原则。",
    "先把目标写清楚，再谈工具，否则再好的工具也只是换一种方式犯同样的错。",
    "一个常见的误区是只看平均数，而忽略了最慢的那一部分。",
    "团队之间的约定比单个人的技巧更能决定结果。",
    "每一次改动都应当可以撤回，这样大家才敢于尝试。",
    "数据要在发生的地方记录，事后补记往往会丢失最重要的细节。",
    "成本并不只是花掉的钱，还包括等待的时间和反复沟通的精力。",
    "当规模扩大一倍时，问题的性质常常也会改变，需要重新审视原来的假设。",
    "与其追求一次做对，不如让错误尽早、便宜地暴露出来。",
    "读者可以对照自己的情况，从中挑选一两条先试行两周。",
)
ENGLISH_SENTENCES = (
    "Tools have changed a great deal in recent years, yet the few principles that matter have not. ",
    "Write the goal down before choosing a tool, or the tool will choose the goal. ",
    "Averages hide the slowest tenth, and the slowest tenth is what people remember. ",
    "Agreements between teams decide more than the skill of any one person. ",
    "Every change should be easy to undo, so that trying one is cheap. ",
    "Record facts where they happen; what is written down later loses the detail that counts. ",
    "Cost is not only money: waiting and explaining the same thing twice belong to it. ",
    "When the scale doubles, the problem often changes its nature, and old assumptions deserve a second look. ",
    "It is better to let mistakes show early than to aim for none. ",
    "Pick one or two of these points and try them for a fortnight. ",
)


def units(text: str) -> int:
    """The length in UTF-16 units."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def compose(
    topic: str, *, low: int | None, high: int | None, keywords: list[str], echo: str = "", long: bool = False
) -> str:
    """The article. `echo` is repeated on a line of its own; a long one is over 64 KiB whatever the bounds say."""
    chinese = any("\u4e00" <= letter <= "\u9fff" for letter in topic)
    texts = CHINESE if chinese else ENGLISH
    title = " ".join(topic.split()) or "无题"
    opening = texts["opening"].format(topic=title)
    if any(keywords):
        opening += texts["keywords"].format(keywords=("、" if chinese else ", ").join(keywords))
    head = f"# {title}\n\n{opening}\n\n"
    tail = (f"\n\n{echo}" if echo else "") + "\n\n" + texts["ending"].format(topic=title)
    length = wanted(low, high, long, chinese)
    room = max(length - units(head + tail), 1)
    return head + body(chinese, room, slack=0 if long else length - max(low or 0, 0)) + tail


def wanted(low: int | None, high: int | None, long: bool, chinese: bool) -> int:
    """How long the whole article is to be: a third of the way up from the lower bound."""
    if long:
        return LONG_BYTES // 3 if chinese else LONG_BYTES
    top = high if high and high > 0 else 2000
    bottom = min(max(low or 0, 0), top)
    return bottom + (top - bottom) // 3


def body(chinese: bool, room: int, slack: int) -> str:
    """Sections of ever the same sentences in ever another order, of this many units.

    It ends with a whole sentence, if it may be shorter by the length of one.
    """
    headings = CHINESE_HEADINGS if chinese else ENGLISH_HEADINGS
    sentences = CHINESE_SENTENCES if chinese else ENGLISH_SENTENCES
    parts: list[str] = []
    number = length = 0
    while length < room:
        lead = f"## {headings[number // 2 % len(headings)]}\n\n" if number % 2 == 0 else ""
        chosen = [sentences[(number * 3 + step) % len(sentences)] for step in range(4)]
        parts.append(lead + "".join(chosen).rstrip())
        length += units(parts[-1]) + 2
        number += 1
    text = "\n\n".join(parts)[:room].rstrip() or "…"
    end = max(text.rfind("。"), text.rfind(". ")) + 1
    return text[:end] if 0 < len(text) - end < slack else text
