"""What the stand-in for the creator's services says: articles, outlines, marks, search results and pictures.

Each question of the creator is known by words of its prompt; each answer is what the creator accepts.
"""

import json
import re
import struct
import zlib

LONG_CHARACTERS = 28_000
OUTLINE = "# 大纲\n\n## 引言\n\n## 正文\n\n## 结语\n"
SOFT = ("relevance", "coherence", "completeness", "readability")
FOUND = [
    {"title": f"资料{number}", "url": f"https://example.invalid/{number}", "content": "参考内容。" * 20, "score": 0.9}
    for number in (1, 2, 3)
]


def png(width: int = 16, height: int = 16, shade: int = 128) -> bytes:
    """A small valid picture in one shade of grey."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = (b"\0" + bytes([shade]) * width) * height
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def between(text: str, start: str, end: str) -> str:
    """What stands between two marks, or nothing."""
    _, found, rest = text.partition(start)
    return rest.partition(end)[0].strip() if found else ""


def topic_of(prompt: str) -> str:
    """The topic a prompt is about; prompts that do not name it carry the article, whose heading is the topic."""
    for start in ("【选题】", "【主题】", "【文章主题】", "文章主题: "):
        if found := between(prompt, start, "\n"):
            return found
    heading = re.search(r"^# (.+)$", prompt, re.MULTILINE)
    return heading.group(1).strip() if heading else "主题"


def bounds_of(prompt: str) -> tuple[int, int]:
    """The asked length in UTF-16 units, which the creator calls words."""
    found = re.search(r"字数范围：(\d+) ?- ?(\d+)", prompt)
    return (int(found.group(1)), int(found.group(2))) if found else (500, 2000)


def write_article(prompt: str) -> str:
    """A Markdown article that passes the creator's hard rules: length, keywords, heading, opening, body, ending."""
    topic = topic_of(prompt)
    low, high = bounds_of(prompt)
    keywords = between(prompt, "【必须包含的关键词】", "\n\n") or between(prompt, "必须包含所有关键词：", "\n")
    opening = f"# {topic}\n\n本文谈谈“{topic}”。" + (f"要点：{keywords}。" if keywords not in ("", "无") else "")
    echo = between(prompt, "【要求】", "\n\n【⚠️ 字数要求").rpartition("\n")[2].strip() if "ECHO" in topic else ""
    ending = (f"\n\n{echo}" if echo else "") + "\n\n## 结语\n\n综上所述，以上就是全部内容。"
    wanted = LONG_CHARACTERS if "LONG" in topic else min(max(low + 60, 300), high - 10)
    head = f"{opening}\n\n## 正文\n\n"
    body = "".join(f"第{number}点，围绕主题再补充一句说明。" for number in range(1, max(2, wanted // 14)))
    return head + body[: max(wanted - len(head) - len(ending), 1)] + ending


def reply_to(prompt: str) -> tuple[str, str]:
    """Which kind of question this is, and its answer."""
    score = 3 if "FAILQC" in prompt else 9
    if '"keyPoints"' in prompt:
        points = [f"关键点{number}：" + "一句说明观点的话。" * 6 for number in (1, 2, 3)]
        return "organize", dumps({"outline": OUTLINE, "keyPoints": points, "summary": "摘要。" * 40})
    if "aestheticScore" in prompt:
        details = {"relevanceScore": score, "aestheticScore": score, "promptMatch": score}
        return "check_image", dumps({"score": score, "passed": score >= 7, "details": details, "fixSuggestions": []})
    if '"softScores"' in prompt:
        soft = {name: {"score": score, "reason": "ok"} for name in SOFT}
        judged = {"hardRules": {"passed": True}, "softScores": soft}
        return "check_text", dumps({"score": score, "passed": score >= 7, "details": judged, "fixSuggestions": []})
    if "个配图提示词" in prompt:
        return "image_prompts", dumps(["清晨的城市，柔和的光线", "书桌与笔记本，暖色调"])
    return "write", write_article(prompt)


def dumps(value: object) -> str:
    """JSON with its Chinese left readable."""
    return json.dumps(value, ensure_ascii=False)


def completion(reply: str) -> dict[str, object]:
    """A whole chat completion."""
    message = {"role": "assistant", "content": reply}
    usage = {"prompt_tokens": 1, "completion_tokens": len(reply), "total_tokens": len(reply) + 1}
    return {"object": "chat.completion", "usage": usage, "choices": [{"index": 0, "message": message}]}
