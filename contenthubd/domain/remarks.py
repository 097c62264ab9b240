"""How language models speak to whoever asked for an article, in English and Chinese, before it and after it."""

import re
from enum import Enum
from typing import Final

MAX_REMARK_CHARS: Final = 400
MAX_SURE_CHARS: Final = 160
MAX_CHAT_CHARS: Final = 80
_MARKUP: Final = re.compile(r"^[\s>*_]+|[\s*_]+$")
_CHATTY: Final = re.compile(
    r"(?:(?:sure(?: thing)?|certainly|of course|absolutely|definitely|gladly|okay|ok|alright|great|got it|understood|"
    r"no problem|好的?|好嘞|当然(?:可以)?|當然(?:可以)?|没问题|沒問題|没有问题|可以的?|明白(?:了)?|了解|收到)"
    r"(?=\s*[,.!:;~，。！：；—–-]|\s+here\b)|happy to|i(?:'d| would) be (?:happy|glad) to"
    r"|as (?:you )?requested\b(?! by)|"
    r"as an ai (?:language )?(?:model|assistant)\b|非常乐意|很高兴为|作为一个?(?:ai|人工智能)(?:语言模型|助手|模型))",
    re.IGNORECASE,
)
_SHOWING: Final = re.compile(
    r"(?:here is|here's|here’s|here are|here you go|below is|the following is|(?:\w+ )?find (?:below|attached)|"
    r"i(?: have|'ve|’ve) (?:written|prepared|rewritten|revised|created|drafted)|"
    r"以下(?:是|为|為)|下面(?:是|为|為)|这是(?:一篇|为|按|根)|根[据據][你您]|按照[你您]|我已(?:经)?(?:为|按|根"
    r"|将|把)|请看|请查收)",
    re.IGNORECASE,
)
_PIECE: Final = re.compile(
    r"\b(?:article|blog ?post|post|piece|draft|essay|write-?up|markdown|rewrite|revised version|final version|"
    r"full text|requested|content)\b|文章|正文|稿件|稿子|博文|推文|全文|初稿|终稿|文稿|内容|內容|撰写|撰寫"
    r"|生成的|改写",
    re.IGNORECASE,
)
_ASKS: Final = re.compile(
    r"let me know|tell me\b|would you like me|do you want me|i(?:'d| would) be happy to|i can (?:also )?|"
    r"告[诉訴]我|告知|随时[跟和与]?我|需要我|是否需要",
    re.IGNORECASE,
)
_INVITES: Final = re.compile(
    r"feel free|(?:don't|do not) hesitate|if you(?:'d| would)? (?:like|need|want|have)|"
    r"随时|隨時|如需|若需|如有|如果[你您]?(?:需要|希望|想|有)|欢迎|請提出|请提出|请指出",
    re.IGNORECASE,
)
_CHANGE: Final = re.compile(
    r"\b(?:changes?|changed|revis\w+|adjust\w*|edits?|edited|modif\w+|tweak\w*|rewrit\w+|refin\w+|expand\w*"
    r"|shorten\w*|"
    r"another version|different (?:tone|style|angle)|more (?:articles?|topics?|sections?))\b|"
    r"修改|调整|調整|润色|改写|扩写|补充|优化|更改|另写",
    re.IGNORECASE,
)
_HELP: Final = re.compile(
    r"\b(?:(?:any|other|further|more) (?:questions?|help|assistance))\b|(?:问题|需求|要求|需要|帮助)", re.IGNORECASE
)
_LABEL: Final = re.compile(
    r"(?:(?:the |your )?(?:final |full |complete |revised )?(?:article|draft|blog post|text|version|output)"
    r"|(?:文章|完整|最终|最終)?(?:正文|全文|文章|内容|內容|稿件|终稿|定稿))[ \t*_]{0,5}[:：]",
    re.IGNORECASE,
)
"""A first line that only says that the article follows."""
_COUNT: Final = re.compile(
    r"[(（\[【]?(?:(?:total )?word count|字数(?:统计)?|字數)[ \t*]{0,5}[:：]?[ \t*]{0,5}(?:about "
    r"|approximately |约|約|~)?[\d,]{1,9}"
    r"(?: words| characters|字)?[)）\]】.。]?|[(（【](?:全文|本文|正文)?(?:共|约|約|共计|总计){0,2}\d{1,6}(?:余"
    r"|多)?(?:个)?字(?:左右)?[)）】]",
    re.IGNORECASE,
)
_SURE: Final = re.compile(
    r"(?:please )?let me know if (?:you(?:['’]d| would)? (?:need|want|like|have)|there(?:['’]s| is)|anything|this)"
    r"|(?:i hope )?(?:this|the) (?:article|post|piece|draft|content)?\b[^.\n]{0,20}(?:meets|fulfil?ls|matches"
    r"|suits) your "
    r"(?:needs|requirements|expectations|request)"
    r"|(?:please )?(?:feel free to|don['’]t hesitate to|do not hesitate to) (?:ask|reach out|let me know"
    r"|request|contact)[^.\n]{0,20} if you"
    r"[^.\n]{0,20}(?:changes|revisions|edits|modifications|adjustments|anything else)"
    r"|以上(?:就)?(?:是|为|為)[^。\n]{0,12}(?:[您你]的?要求|[为為][您你])[^。\n]{0,12}(?:文章|[内內]容|稿件|全文)"
    r"|希望(?:这|這|本|以上|上述)?(?:篇|些)?(?:文章|文|[内內]容|博文|稿件)?(?:能够?|可以)?(?:符合|[满滿]足"
    r"|[对對])(?:[您]的?|[你]的(?:要求|需求|需要|期望))",
    re.IGNORECASE,
)
"""What is said to whoever asked for an article and not to its readers."""
_ELSEWHERE: Final = re.compile(
    r"\b(?:lass(?:t|en sie)? (?:es )?mich(?: gerne?)?(?: es)? wissen|sag(?:en sie)? mir (?:gerne? )?bescheid"
    r"|faites-le-moi savoir|(?:faites|fais|dites)-moi (?:savoir )?si|avís[ea]me|av[ií]seme|h[aá]zmelo saber"
    r"|h[aá]gamelo saber|fammi sapere|mi faccia sapere|me (?:avise|diga|informe) se|дайте (?:мне )?знать)\b"
    r"|n['’]hésitez pas à me\b|お(?:知らせ|申し付け)ください|말씀해 ?주세요|알려 ?주세요",
    re.IGNORECASE,
)
"""The same in other languages: told, not taken off."""
_CHANGE_ELSEWHERE: Final = re.compile(
    r"änder|anpass|überarbeit|cambi|modifi|ajust|revis|changement|alteraç|mudanç|правк|измен|修正|変更|調整|수정|변경",
    re.IGNORECASE,
)
_GOES_ON: Final = re.compile(
    r"[\[(（【]?(?:to be )?continued in (?:the |my )?next (?:message|response|reply|part)[^\n]{0,20}"
    r"|[^\n]{0,60}\b(?:reply|type|say|send) [\"'“]?continue[\"'”]? (?:and i\b|for the rest|for more|to get)[^\n]{0,60}"
    r"|[^\n]{0,20}由于(?:篇幅|字数)(?:限制|所限|有限)?[^\n]{0,40}(?:继续|下一条|下文|回复)[^\n]{0,40}",
    re.IGNORECASE,
)
"""An answer that was too long for one message."""
_HOPE: Final = re.compile(
    r"i hope (?:this|it|you)|hope this helps|enjoy!|希望(?:这|本|以上|对|能|您|你)", re.IGNORECASE
)


class Offer(Enum):
    """Whether a paragraph offers changes of the article."""

    SURELY = "surely"
    LIKELY = "likely"  # articles of their own end like this too; not those that were introduced by a remark
    PERHAPS = "perhaps"
    NO = "no"


def introduces(paragraph: str) -> bool:
    """Whether a first paragraph hands over an article: "Sure, here is …", "以下是…文章：" and their like."""
    remark = _MARKUP.sub("", paragraph)
    if not remark or len(remark) > MAX_REMARK_CHARS:
        return False
    if _LABEL.fullmatch(remark):
        return True
    chatty, piece = _CHATTY.match(remark), _PIECE.search(remark)
    if _agrees(remark):
        return True
    return bool(chatty and (piece or remark.endswith((":", "：")))) or bool(_SHOWING.match(remark) and piece)


def _agrees(remark: str) -> bool:
    """Whether it says nothing but yes: "Sure!", "好的，没问题！", "Absolutely! I'd be happy to write that."."""
    for _ in range(4):
        said = _CHATTY.match(f"{remark}.") if len(remark) <= MAX_CHAT_CHARS else None
        if said is None:
            return False
        if said[0].lower().endswith(" to"):
            return True
        remark = remark[said.end() :].strip(" ,，!！.。~～")
        if not remark:
            return True
    return False


def announces(paragraph: str) -> bool:
    """Whether a first paragraph ends by announcing what follows it, in whatever language: with a colon."""
    remark = _MARKUP.sub("", paragraph)
    return len(remark) <= MAX_SURE_CHARS and "\n" not in remark and remark.endswith((":", "："))


def offers(paragraph: str) -> Offer:
    """Whether a last paragraph offers changes, as a model does and an article seldom."""
    remark = _MARKUP.sub("", paragraph)
    if len(remark) > MAX_REMARK_CHARS:
        return Offer.NO
    elsewhere = _ELSEWHERE.search(remark) and _CHANGE_ELSEWHERE.search(remark)
    if elsewhere or _GOES_ON.fullmatch(remark):
        return Offer.PERHAPS
    if _COUNT.fullmatch(remark) or (_SURE.match(remark) and len(remark) <= MAX_SURE_CHARS):
        return Offer.SURELY
    asks, invites, change = _ASKS.search(remark), _INVITES.search(remark), _CHANGE.search(remark)
    if asks and change:
        return Offer.SURELY
    if invites and change and _PIECE.search(remark):
        return Offer.PERHAPS
    return Offer.LIKELY if _HOPE.match(remark) or ((asks or invites) and (change or _HELP.search(remark))) else Offer.NO
