"""From the creator's text to ours: the mark taken out again, the title found."""

import re
from typing import Final

_HEADING: Final = re.compile(r"^#[ \t]+(\S.*?)[ \t]*#*[ \t]*$", re.MULTILINE)
_FENCE: Final = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
MAX_TITLE_CHARS: Final = 200


def without_mark(article: str, mark: str) -> tuple[str, bool]:
    """The article without the mark, and whether it was there: a line that is only the mark goes as a whole."""
    if mark not in article:
        return article, False
    lines = [line for line in article.split("\n") if line.strip() != mark]
    return "\n".join(lines).replace(mark, ""), True


def title_of(article: str, topic: str) -> str:
    """The first level-one heading outside code blocks, else the topic; cut to 200 characters."""
    heading = _HEADING.search(_FENCE.sub("", article))
    return (heading.group(1) if heading else topic).strip()[:MAX_TITLE_CHARS]
