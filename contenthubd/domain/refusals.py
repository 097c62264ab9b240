"""How language models refuse to write an article, in the languages they answer in.

An apology alone is no refusal, nor is "cannot": articles begin with both. What tells a refusal is a writer who cannot
do what was asked for. Every expression is bounded and is matched at one place.
"""

import re
from typing import Final

_ADVERBS: Final = r"(?:(?:really|simply|currently|also|not|ethically|directly|be|to) ){0,3}"
_CANNOT: Final = (
    r"(?:can(?:no|')t|can’t|cannot|won['’]t|will not|must decline to|have to decline to|(?:am|['’]m"
    r"|are) (?:unable|not able) to)"
)
_WRITE: Final = (
    r"(?:able to )?(?:write|create|generate|produce|provide|fulfil?l|complete|comply|assist|help|discuss|answer"
    r"|continue|"
    r"proceed|engage|support)"
)
_PIECE: Final = (
    r"(?:request|article|content|topic|piece|blog post|post|essay|text|task|story|prompt|subject|material)s?"
)
_ASKED: Final = (
    rf"(?: you)?(?: with| for| to| on| about| in)?(?: (?:that|this)(?=[ \t*_]{{0,3}}(?:\n|\Z|[.,;!?—]))"
    rf"| (?:that|this|these|those|the|your|any|such)(?: \w+){{0,3}} {_PIECE}\b"
    rf"| (?:an? )?(?:\w+ ){{0,2}}{_PIECE} (?:on|about|that|for|of|as|you|which|promoting)\b)"
)
_ENGLISH: Final = (
    r"(?:(?:i['’]?m|i am|we are|we['’]re)? ?(?:very |so |really |truly |deeply )?(?:sorry|afraid)"
    r"|i (?:must )?apologi[sz]e|"
    r"my apologies|apologies|unfortunately|regrettably)\b[^.\n]{0,40}?\b(?:i|we) ?"
    rf"{_CANNOT} {_ADVERBS}{_WRITE}\b(?:{_ASKED}| with\b| about\b| information\b)",
    rf"(?:i|we) ?{_CANNOT} {_ADVERBS}{_WRITE}{_ASKED}",
    rf"i ?(?:am|['’]m) (?:unable|not able) to {_WRITE}(?:{_ASKED}| about this| about that)",
    r"as (?:an ai(?: (?:language )?model| assistant| chatbot| system)?|a (?:large )?language model)"
    r"(?: (?:developed|created|trained|made|designed)[^,.\n]{0,60})?,? i(?:['’]m| am)? ?(?:can|don|do not"
    r"|am not|not|have no|must|won|will not|unable)",
)
_NOT: Final = (
    r"(?:暂时|暫時|目前|现在|現在|恐怕|实在|实际上|也)?(?:无法|無法|不能|不可以|没办法|沒辦法|不便|不予|不会"
    r"|不會)(?:继续|直接|再)?"
)
_DO: Final = (
    r"(?:撰[写寫]|[写寫]|生成|[创創]作|提供|完成|[满滿]足|回[答应應复]|[讨討][论論]|[协協]助|[处處]理|[帮幫]助"
    r"|[编編][写寫]|"
    r"[输輸]出|[响響][应應]|[执執]行)"
)
_FOR_YOU: Final = r"(?:[为為给給替向][您你](?!们)|[帮幫协協]助?[您你](?!们))"
_ITS: Final = (
    r"[^。！？!?\n]{0,14}?(?:文章|[内內]容|[请請]求|要求|[话話][题題]|主[题題]|[问問][题題]|任[务務]"
    r"|[资資][讯訊料]|信息|需求|稿|帖)"
)
_SORRY: Final = (
    r"(?:很|非常|十分|实在|實在|真的|真)?(?:抱歉|对不起|對不起|不好意思|遗憾|遺憾)[，,。！!：:\s]{0,3}(?:但是?"
    r"|不过|地告诉您)?[，,]?"
)
_CHINESE: Final = (
    rf"{_SORRY}(?:我|本助手|本模型|我们|我們|作为[^，,\n]{{0,20}}[，,]我|身为[^，,\n]{{0,20}}[，,]我)[们們]?{_NOT}"
    rf"(?:{_FOR_YOU}|{_DO}{_ITS})",
    rf"{_SORRY}(?:根据|根據|基于|基於|由于|由於|出于|出於|按照|因为|因為"
    rf"|鉴于)[^。\n]{{0,50}}?{_NOT}(?:{_FOR_YOU}|{_DO})",
    rf"{_SORRY}(?:[该該此]|[这這](?:个|個|类|類|一|篇)|[您你]的|关于|關於|涉及)[^。\n]{{0,30}}?(?:我"
    rf"|本)[^。\n]{{0,3}}?{_NOT}"
    rf"(?:{_FOR_YOU}|{_DO})",
    rf"{_SORRY}{_NOT}(?:{_FOR_YOU}|{_DO}{_ITS})",
    rf"我{_NOT}(?:{_FOR_YOU}|{_DO}(?:[该該]|此[类類]|[这這](?:[类類篇样樣]|[个個](?:请|請|主|话|話))|[您你]的"
    rf"|相[关關]|任何|[关關][于於]|有[关關]){_ITS})",
    r"(?:作为|作為|身为)(?:一个|一個|一款|一名|一种)?(?:ai|人工智能|人工智慧|大型?语言模型|語言模型|语言模型"
    r"|智能助手)"
    r"(?:语言模型|語言模型|助手|模型|程序|系统)?[，,\s]{0,2}我(?:无法|無法|不能|没有|沒有|不会|不會|不具备|无权"
    r"|只是)",
    r"(?:[您你]好[，,！!。\s]{0,3})?[^。\n]{0,20}(?:无法|無法"
    r"|不能)回答[^。\n]{0,20}[换換][个個一]?[个個]?[话話][题題]",
)
_OTHER: Final = (
    r"(?:大変)?申し訳(?:ございません|ありません|ない(?:です)?)[^。\n]{0,60}(?:できません|できかねます"
    r"|致しかねます|いたしかねます)",
    r"(?:すみません|恐れ入ります|残念ながら)[^。\n]{0,20}(?:記事|リクエスト|ご要望|ご依頼|内容"
    r"|トピック)[^。\n]{0,30}(?:できません|かねます)",
    r"(?:es )?tut mir (?:sehr )?leid,?[^.\n]{0,30}(?:ich kann|kann ich|ich bin nicht)[^.\n]{0,80}(?:helfen"
    r"|schreiben|erstellen|verfassen|erfüllen|"
    r"nachkommen|bereitstellen|unterstützen|lage|beantworten|generieren)",
    r"(?:leider kann ich|ich kann (?:dir |ihnen )?(?:leider |bei dieser |diese[nsrm]? |dabei "
    r"|keine[nm]? ))[^.\n]{0,60}(?:helfen|schreiben|erstellen|"
    r"verfassen|erfüllen|nachkommen|bereitstellen)",
    r"als (?:ki|ki-[a-z]+|ki-sprachmodell|sprachmodell|künstliche intelligenz) (?:kann|habe|darf) ich",
    r"(?:je suis |toutes mes excuses"
    r"|je m['’]excuse)?(?:vraiment )?(?:désolée?)?,?(?: mais)? ?(?:malheureusement,? )?je ne (?:peux"
    r"|puis) (?:malheureusement )?"
    r"pas (?:vous )?(?:aider|rédiger|écrire|répondre à (?:cette|votre)|fournir|créer|générer|satisfaire|traiter)",
    r"(?:je suis )?(?:vraiment )?désolée?,?(?: mais)? je ne suis pas en mesure",
    r"en tant qu(?:e |['’])(?:ia|modèle de langage|intelligence artificielle|assistant),? je ne",
    r"(?:lo siento(?: mucho)?|lamentablemente|lo lamento|disculpa|me temo que),?(?: pero)? ?(?:no puedo"
    r"|no me es posible|no estoy en condiciones de) "
    r"(?:ayudar|escribir|crear|generar|cumplir|proporcionar|completar|redactar|atender|asistir|responder a)",
    r"no puedo (?:ayudarte|ayudarle|ayudar con (?:esa|esta|eso|esto)|(?:escribir|redactar|generar"
    r"|crear) (?:este|ese) (?:artículo|contenido|texto))",
    r"como (?:modelo de lenguaje|inteligencia artificial|ia|una ia),? no ",
    r"죄송(?:합니다|하지만|한데)[^\n]{0,60}(?:수 없습니다|어렵습니다|도와드릴)",
    r"(?:извините|к сожалению|простите|мне жаль)[^.\n]{0,20}я не могу (?:\w+ )?(?:помочь|написать|выполнить"
    r"|создать|предоставить)",
    r"(?:desculpe|sinto muito|lamento|infelizmente),?(?: mas)?(?: eu)? ?não posso (?:ajudar|escrever|criar"
    r"|atender|fornecer|gerar)",
    r"(?:mi dispiace|purtroppo),?(?: ma)? ?non posso (?:aiutar|scrivere|creare|soddisfare|fornire|generare)",
)
_REFUSAL: Final = re.compile("|".join((*_ENGLISH, *_CHINESE, *_OTHER)), re.IGNORECASE)


def refuses(beginning: str) -> bool:
    """Whether a text that has no markup before it begins like a refusal."""
    return bool(_REFUSAL.match(beginning))
