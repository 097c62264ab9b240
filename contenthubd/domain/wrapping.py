"""What a language model puts around an article: greetings, fences, front matter, offers of more.

Taken off where it is certain that it does not belong to the article; where it is likely only, the article stays as it
is and the doubt says why a person should look. All work is linear: fences are found in one pass, the rest is looked for
in the first and the last paragraph alone.
"""

import re
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Final

from contenthubd.domain.forms import doubt_of, without_margin
from contenthubd.domain.front_matter import article_in, without_front_matter
from contenthubd.domain.remarks import MAX_REMARK_CHARS, Offer, announces, introduces, offers
from contenthubd.domain.template import without_open_thought, without_tokens

MAX_LAYERS: Final = 5
MAX_FENCES: Final = 1_000
"""An article with more of them is no wrapped one; finding so many costs milliseconds."""
_LEADING: Final = re.compile("(?:[\\s\ufeff\u200b\u200e\u200f\u2060]*\n)?\ufeff?")
_THOUGHT: Final = re.compile(r"\s*<(think|thinking|reasoning|thought|analysis|scratchpad|reflection|planning)>")
_QUOTES: Final = {'"""': '"""', "'''": "'''", '"': '"', "“": "”", "「": "」", "『": "』"}
_QUOTED: Final = re.compile('("""|\'\'\'|["“「『])(?:markdown|md)?\\s{0,9}(?=#{1,3}[ \t]+\\S)')
_ELEMENT: Final = re.compile(
    r"\s*<(article|markdown|output|content|answer|response|final|document|div|section|main)(?: [^<>\n]{0,200})?>"
    r"[ \t]*\r?\n"
)
_FENCE: Final = re.compile(r"^ {0,3}(`{3,}+(?=[^`\n]*$)|~{3,}+)([^\n]*+)$", re.MULTILINE)
_LANGUAGE: Final = re.compile(r"[{. \t]{0,9}([\w+./-]{0,60})")
_MARKDOWN: Final = frozenset(
    {"markdown", "md", "mdx", "mkd", "mdown", "gfm", "commonmark", "multimarkdown", "rmarkdown", "rmd", "qmd"}
)
_PERHAPS_MARKDOWN: Final = frozenset({"", "text", "txt", "plaintext", "plain"})
_FIRST_LEVEL: Final = re.compile(r" {0,3}#[ \t]+\S| {0,3}(?:`{3,}|~{3,})(?:markdown|md)\b")
_HEADING: Final = re.compile(r"^ {0,3}#{1,3}[ \t]+\S", re.MULTILINE)
_RULE: Final = re.compile(r"[ \t]*\r?\n? {0,3}(?:-{3,}+|\*{3,}+|_{3,}+)[ \t]*\r?\n\s*+(?=\S)")
_START: Final = re.compile(
    r" {0,3}#{1,3}[ \t]+\S|[^\n]+\n {0,3}=+[ \t]*(?:\r?\n|\Z)| {0,3}(?:`{3,}|~{3,})|\+\+\+[ \t]*\r?\n|<|\{\s{0,20}\""
)
"""What an article begins with where something stands before it."""
_ANSWER: Final = "It begins as an answer to a request, not as an article."
_GREETED: Final = frozenset({"an introduction", "a code fence"})
_BREAK: Final = re.compile(r"\n[ \t]*\r?\n")
_LAST_RULE: Final = re.compile(r"(?:\A|\n) {0,3}(?:-{3,}|\*{3,}|_{3,})\Z")
_LEADING_RULE: Final = re.compile(r"\A(?:-{3,}|\*{3,}|_{3,})(?:\s+|\Z)")
_BEHIND: Final = "."
"""Stands for the article behind a block of front matter."""
_FRONT_LANGUAGES: Final = frozenset({"yaml", "yml", "toml", "json", "front-matter", "frontmatter"})
_FIRST_BREAK: Final = re.compile(r"\r?\n(?=[ \t]*\r?\n| {0,3}#{1,6}[ \t]| {0,3}(?:```|~~~|---|\+\+\+|\*\*\*))")


@dataclass(frozen=True, slots=True)
class Unwrapped:
    """The bare article, what was taken off it (in words), and why a person should look (empty: no reason)."""

    text: str
    removed: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    front_title: str = ""
    front_matter: str = field(default="", repr=False)

    def took(self, what: str, text: str) -> "Unwrapped":
        return replace(self, text=text, removed=(*self.removed, what))

    def doubted(self, why: str) -> "Unwrapped":
        return self if why in self.doubts else replace(self, doubts=(*self.doubts, why))


def unwrap(article: str) -> Unwrapped:
    """Take off layer after layer. An article that has none stays what it is, character for character."""
    seen = Unwrapped(article)
    for _ in range(MAX_LAYERS):
        before = seen.text
        for layer in _LAYERS:
            seen = layer(seen)
        if seen.text == before:
            break
    doubt = doubt_of(seen.text)
    return _without_offer(seen.doubted(doubt) if doubt else seen)


def _bare(text: str) -> str:
    """Without blank lines, byte order marks and their like before the first visible line."""
    found = _LEADING.match(text)
    return text[found.end() :] if found else text


def _without_tokens(seen: Unwrapped) -> Unwrapped:
    text = without_tokens(seen.text)
    return seen if text == seen.text else seen.took("control tokens", text)


def _without_thought(seen: Unwrapped) -> Unwrapped:
    opening = _THOUGHT.match(_bare(seen.text))
    if not opening:
        rest = without_open_thought(seen.text)
        return seen if rest == seen.text else seen.took("reasoning", _bare(rest))
    _, closing, rest = seen.text.partition(f"</{opening[1]}>")
    if not closing or not rest.strip():
        return seen.doubted(f"It begins with <{opening[1]}>, which does not end before the article.")
    return seen.took("reasoning", _bare(rest))


def _without_margin(seen: Unwrapped) -> Unwrapped:
    """The whole article quoted or indented."""
    text, what = without_margin(_bare(seen.text))
    return seen.took(what, _bare(text)) if what else seen


def _without_quotes(seen: Unwrapped) -> Unwrapped:
    """The whole article between quotation marks."""
    text = _bare(seen.text).rstrip()
    opening = _QUOTED.match(text)
    closing = _QUOTES[opening[1]] if opening else ""
    if not opening or not text.endswith(closing):
        return seen
    inside = text[opening.end() : -len(closing)]
    left, right = inside.count(opening[1]), inside.count(closing)
    whole = left % 2 == 0 if opening[1] == closing else left == right
    return seen.took("quotation marks", inside.rstrip() + "\n") if whole else seen


def _without_element(seen: Unwrapped) -> Unwrapped:
    """The whole article inside one element of the kind prompts ask for."""
    text = _bare(seen.text)
    opening = _ELEMENT.match(text)
    closing = f"</{opening[1]}>" if opening else ""
    if not opening or not text.rstrip().endswith(closing) or text.count(f"<{opening[1]}") > 1:
        return seen
    return seen.took(f"<{opening[1]}>", _bare(text.rstrip()[opening.end() : -len(closing)]))


def _without_object(seen: Unwrapped) -> Unwrapped:
    """A JSON object of which one field is the article and the others say something about it."""
    found = article_in(_bare(seen.text))
    if not found:
        return seen
    body, title = found
    return replace(seen.took("a JSON object", _bare(body)), front_title=seen.front_title or title)


def _without_greeting(seen: Unwrapped) -> Unwrapped:
    """A first paragraph that speaks to whoever asked."""
    text = _bare(seen.text)
    end = _paragraph_end(text)
    if _START.match(text):
        return seen
    rest = _bare(text[end:])
    if not introduces(text[:end]):
        announced = announces(text[:end]) and _FIRST_LEVEL.match(_bare(_LEADING_RULE.sub("", rest)))
        return seen.doubted(_ANSWER) if announced else seen
    rule = _RULE.match(rest)
    body = rest[rule.end() :] if rule and not without_front_matter(rest).removed else rest
    if _START.match(body) or without_front_matter(body).removed or without_margin(body)[1]:
        return seen.took("an introduction", body)
    return seen.doubted(_ANSWER)


def _paragraph_end(text: str) -> int:
    """Where the first paragraph ends: a blank line, a heading, a fence or a rule."""
    found = _FIRST_BREAK.search(text, 0, MAX_REMARK_CHARS * 2)
    return found.start() if found else min(len(text), MAX_REMARK_CHARS * 2)


# ------------------------------------------------------------------------------------------------------------- fences


def _without_fenced_front(seen: Unwrapped) -> Unwrapped:
    """Front matter inside a code fence of its own, before the article."""
    text = _bare(seen.text)
    opening = _FENCE.match(text)
    language = opening[2].strip().lower() if opening else ""
    if not opening or language not in _FRONT_LANGUAGES:
        return seen
    closing = next((one for one in islice(_FENCE.finditer(text, opening.end()), 1) if _closes(one, opening[1])), None)
    if not closing or not text[closing.end() :].strip():
        return seen
    inside = text[opening.end() : closing.start()].strip() + "\n"
    mark = "+++" if language == "toml" else "---"
    marked = inside.startswith(mark) or language == "json"
    front = without_front_matter((inside if marked else f"{mark}\n{inside}{mark}\n") + _BEHIND)
    if not front.removed or front.rest.strip() != _BEHIND:
        return seen
    taken = seen.took("front matter", _bare(text[closing.end() :]))
    return replace(taken, front_title=seen.front_title or front.title, front_matter=seen.front_matter or front.removed)


def _without_fence(seen: Unwrapped) -> Unwrapped:
    """The whole article inside one fence, perhaps with a remark after it."""
    text = _bare(seen.text)
    opening = _FENCE.match(text)
    if not opening:
        return _mostly_fenced(seen)
    language = _language(opening)
    fences = list(islice(_FENCE.finditer(text, opening.end()), MAX_FENCES + 1))
    if len(fences) > MAX_FENCES:
        return seen
    closers = [fence for fence in fences if _closes(fence, opening[1])]
    if not closers:
        return _unclosed_fence(seen, text[opening.end() :], language)
    last = closers[-1]
    inside, after = text[opening.end() : last.start()], _LEADING_RULE.sub("", text[last.end() :].strip())
    inner = [fence for fence in fences if fence.start() < last.start()]
    if after and offers(after) is Offer.NO:
        return _mostly_fenced(seen)
    if language not in _MARKDOWN | _PERHAPS_MARKDOWN:
        return seen.doubted("All of it is one code block.") if len(closers) == 1 and not inner[1:] else seen
    if _balanced(inner, opening[1]) and (language in _MARKDOWN or _HEADING.match(_bare(inside))):
        return seen.took("a code fence", _bare(inside.rstrip() + "\n"))
    if closers[0] is last or language in _MARKDOWN:
        return seen.doubted("It may stand inside one code fence as a whole.")
    return seen


def _unclosed_fence(seen: Unwrapped, inside: str, language: str) -> Unwrapped:
    """All that follows is code for a Markdown reader, which no article is: it was cut off, or its end forgotten."""
    doubted = seen.doubted("It begins with a code fence that is not closed; its end may be missing.")
    return doubted.took("a code fence", _bare(inside)) if language in _MARKDOWN | _PERHAPS_MARKDOWN else doubted


def _mostly_fenced(seen: Unwrapped) -> Unwrapped:
    """An article whose headings and greater part lie in a fence marked as Markdown is hardly one about Markdown."""
    opening = None
    for fence in islice(_FENCE.finditer(seen.text), MAX_FENCES):
        if opening is None:
            opening = fence
        elif _closes(fence, opening[1]):
            inside = seen.text[opening.end() : fence.start()]
            if _language(opening) in _MARKDOWN and len(inside) * 2 > len(seen.text) and _HEADING.search(inside):
                return seen.doubted("The greater part of it stands inside a code fence.")
            opening = None
    return seen


def _language(fence: re.Match[str]) -> str:
    """What a fence says about its content: ``md`` for ``text/markdown``, ``{.md}`` and ``article.md``, too."""
    found = _LANGUAGE.match(fence[2])
    name = found[1].lower() if found else ""
    parts = re.split(r"[/+.]", name)
    return next((part for part in reversed(parts) if part in _MARKDOWN), name)


def _closes(fence: re.Match[str], opening: str) -> bool:
    return fence[1][0] == opening[0] and len(fence[1]) >= len(opening) and not fence[2].strip()


def _balanced(fences: list[re.Match[str]], outer: str) -> bool:
    """Whether the fences inside a fence pair up by themselves, each opened in a way that could not close the outer."""
    opened: str | None = None
    for fence in fences:
        if opened is None:
            if _closes(fence, outer):
                return False
            opened = fence[1]
        elif _closes(fence, opened):
            opened = None
    return opened is None


# ------------------------------------------------------------------------------------------------ front matter, offers


def _without_front(seen: Unwrapped) -> Unwrapped:
    front = without_front_matter(_bare(seen.text))
    if front.doubt:
        seen = seen.doubted(front.doubt)
    if not front.removed:
        return seen
    taken = seen.took("front matter", _bare(front.rest))
    return replace(taken, front_title=seen.front_title or front.title, front_matter=seen.front_matter or front.removed)


def _without_offer(seen: Unwrapped) -> Unwrapped:
    """A last paragraph that speaks to whoever asked, with the rule before it."""
    text = seen.text.rstrip()
    breaks = [found.end() for found in _BREAK.finditer(text, max(len(text) - 2 * MAX_REMARK_CHARS, 0))]
    if not breaks:
        return seen
    remark, before = text[breaks[-1] :], text[: breaks[-1]].rstrip()
    rule = _LAST_RULE.search(before, max(len(before) - 100, 0))
    offer = offers(remark)
    if offer is Offer.SURELY or (offer is not Offer.NO and _GREETED & set(seen.removed)):
        return seen.took("a closing remark", (before[: rule.start()].rstrip() if rule else before) + "\n")
    if offer is Offer.PERHAPS:
        return seen.doubted("It ends as an answer to a request, not as an article.")
    return seen


_LAYERS: Final = (
    _without_tokens, _without_thought, _without_margin, _without_quotes, _without_element, _without_greeting,
    _without_object, _without_fenced_front, _without_fence, _without_front,
)  # fmt: skip
