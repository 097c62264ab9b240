"""What the software around a language model leaves at the ends of its answer: control tokens, the end of its reasoning.

Such software opens the reasoning itself, so an answer may hold only its end. All of it is outside of code, or it stays.
"""

import re
from typing import Final

from contenthubd.domain.code import Code

_CONTROL: Final = (
    r"(?:<[|\uff5c][\w \u2581]{1,40}[|\uff5c]>|<(?:bos|eos|pad|start_of_turn|end_of_turn)>|\[/?INST\]|<<?/?SYS>?>)"
)
_ROLE: Final = r"(?:[ \t]{0,3}(?:assistant|model|user|final)(?=[ \t]{0,3}\r?\n|[<|]))?"
_FIRST: Final = re.compile(
    rf"\s{{0,99}}(?:{_CONTROL}{_ROLE}\s{{0,99}}){{0,8}}{_CONTROL}{_ROLE}(?:[ \t]{{0,9}}\r?\n\s{{0,99}}|(?=\S))"
)
"""Not a token that a sentence begins with."""
_LAST: Final = re.compile(rf"(?:\s{{0,9}}{_CONTROL}){{1,9}}\s{{0,99}}\Z")
_LAST_CHARS: Final = 400
_SENTENCE_END: Final = "</s>"
_END: Final = re.compile(r"</(think|thinking|reasoning|thought)>[ \t]{0,9}(?:\r?\n|\Z)")


def without_tokens(text: str) -> str:
    """The text without control tokens such as ``<|im_start|>assistant`` before it and ``<|im_end|>`` behind it."""
    first = _FIRST.match(text)
    text = text[first.end() :] if first else text
    tail = max(len(text) - _LAST_CHARS, 0)
    last = _LAST.search(text, tail)
    text = text[: last.start()] + "\n" if last else text
    bare = text.rstrip()
    if bare.endswith(_SENTENCE_END) and "<s>" not in text:
        return bare.removesuffix(_SENTENCE_END).rstrip() + "\n"
    return text


def without_open_thought(text: str) -> str:
    """What stands behind reasoning that ends and was never opened; the whole text if there is none."""
    end = _END.search(text)
    if (
        not end
        or f"<{end[1]}>" in text[: end.start()]
        or not text[end.end() :].strip()
        or Code(text[: end.end()]).holds(end.start())
    ):
        return text
    return text[end.end() :]
